"""A process that plays one side of an attack on plain sockets, faster than its victim.

usage: python -m tests.chaos.attacker client ATTACK SECONDS PORT
       python -m tests.chaos.attacker backend ATTACK SECONDS

A client connects to the gateway at PORT of this machine. A backend listens and prints its address.
Each connection lasts SECONDS.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import sys
import threading
import time

from websockets.utils import accept_key

from .attacks import ATTACKS, Peer

PATH = "/attacked"
_BUFFER = 1024 * 1024
_AT_ONCE = 256 * 1024
_EXTENSION = b"Sec-WebSocket-Extensions: permessage-deflate; "
_NO_GOODBYE = struct.pack("ii", 1, 0)  # for SO_LINGER: closing resets the connection
_BURST = 0.5  # seconds between two crowds


def play(sock: socket.socket, peer: Peer, seconds: float, *, masked: bool) -> None:
    """Sends and reads until the time is over."""
    until = time.monotonic() + seconds
    sock.settimeout(0.1)
    if peer.reads:
        threading.Thread(target=_read, args=(sock, until), daemon=True).start()
    unit = peer.unit(masked) if peer.unit is not None else b""
    data = memoryview(unit * (_BUFFER // len(unit) if unit else 0))
    position = 0
    while (left := until - time.monotonic()) > 0:
        if not data:
            time.sleep(left)
            continue
        try:
            position = (position + sock.send(data[position : position + _AT_ONCE])) % len(data)
        except TimeoutError:
            continue
        except OSError:
            return


def _read(sock: socket.socket, until: float) -> None:
    while time.monotonic() < until:
        try:
            if not sock.recv(_BUFFER):
                return
        except TimeoutError:
            continue
        except OSError:
            return


def _read_head(sock: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise ConnectionError("no head")
        head += byte
    return head


def give_up(port: int, request: bytes, count: int, seconds: float) -> None:
    """Makes crowds of clients connect, send their heads at the same moment, and leave."""
    until = time.monotonic() + seconds
    while (began := time.monotonic()) < until:
        crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(int(count * _BURST))]
        for sock in crowd:
            sock.sendall(request)
        for sock in crowd:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_GOODBYE)
            sock.close()
        time.sleep(max(0.0, began + _BURST - time.monotonic()))


def attack(port: int, name: str, seconds: float) -> None:
    """Opens the clients' connections and runs the attack on them."""
    chosen = ATTACKS[name]
    request = (
        f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    ).encode()
    if chosen.compressed:
        request += _EXTENSION + b"client_max_window_bits\r\n"
    request += b"\r\n"
    if chosen.given_up:
        give_up(port, request, chosen.given_up, seconds)

    def connect_and_play() -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(request)
            if b" 101 " in _read_head(sock):
                play(sock, chosen.client, seconds, masked=True)

    threads = [threading.Thread(target=connect_and_play) for _ in range(chosen.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def serve(name: str, seconds: float) -> None:
    """Serves as the backend until the process is killed."""
    chosen = ATTACKS[name]
    peer = chosen.backend or Peer()

    def answer(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            head = _read_head(sock)
            key = re.search(rb"(?i)\r\nSec-WebSocket-Key: *(\S+)", head)
            accept = accept_key(key[1].decode() if key else "")
            answer = (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept}\r\n"
            ).encode()
            if b"permessage-deflate" in head:
                bits = b"client_max_window_bits=12; server_max_window_bits=12\r\n"
                answer += _EXTENSION + bits
            sock.sendall(answer + b"\r\n")
            play(sock, peer, seconds, masked=False)

    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        print(f"listening on 127.0.0.1:{server.getsockname()[1]}", flush=True)  # noqa: T201 - for the parent process
        while True:
            sock, _ = server.accept()
            threading.Thread(target=answer, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    role, attack_name, lasting, *rest = sys.argv[1:]
    if role == "client":
        attack(int(rest[0]), attack_name, float(lasting))
    else:
        serve(attack_name, float(lasting))
