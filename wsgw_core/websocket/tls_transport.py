"""TLS between a TCP transport and the protocol above it.

The event loops' own TLS closes a connection at the peer's FIN, even if earlier bytes have not been
delivered because reading is paused. A peer that sends and leaves would lose its last messages.
TlsTransport reads the socket only when it has delivered everything read before, so that TLS keeps
the order of TCP: data, pauses, end.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable
from typing import Any, cast

from ..api import Turns

_READ_SIZE = 64 * 1024  # of ciphertext; no connection keeps more than this unread
_WRITE_SIZE = 64 * 1024  # of plain text, before its ciphertext is passed on
_RECORD = 16 * 1024  # maximum of one record (RFC 8446 section 5.1)
_TURN = range(32)  # records delivered in one turn of the event loop; one read can bring 2,000
_LINGER = 1.0  # seconds for a client whose TLS handshake failed to read the alert


def _ignore(_error: Exception) -> None:
    pass


_NOBODY = asyncio.Protocol()


def make_scratch() -> memoryview:
    """Returns the read buffer that all TLS connections of one event loop share."""
    return memoryview(bytearray(_READ_SIZE))


class TlsTransport(asyncio.Transport, asyncio.BufferedProtocol):
    """A protocol for the TCP transport below and a transport for the protocol above.

    It differs from the loops' own TLS in this: It calls the protocol's `connection_made` before the
    TLS handshake, so that one timeout limits both, and writes wait until then. A failed handshake
    or a broken record is the exception of `connection_lost`. `write_eof` sends close_notify and
    drops what still comes. An end of the stream without close_notify may be an attack, so it does
    not call `eof_received`.

    Args:
        protocol: the protocol above; not a buffered one.
        context: the TLS context for this side.
        scratch: see `make_scratch`.
        reads: the turns of connections that have more to read.
        server_name: on the client's side, the name to send and verify; None: the server's side.
        handshakes: the turns of TLS handshakes; None: each goes on at once.
        on_failure: called when the TLS handshake fails.
    """

    __slots__ = (
        "__weakref__",
        "_backlog",
        "_closing",
        "_context",
        "_deaf",
        "_deferred",
        "_error",
        "_established",
        "_handshakes",
        "_incoming",
        "_linger_timer",
        "_loop",
        "_lost",
        "_on_failure",
        "_outgoing",
        "_paused",
        "_protocol",
        "_reads",
        "_scratch",
        "_server_name",
        "_tcp",
        "_tls",
        "_write_ended",
    )

    _protocol: asyncio.Protocol
    _tcp: asyncio.Transport
    _tls: ssl.SSLObject

    def __init__(
        self,
        protocol: asyncio.Protocol,
        context: ssl.SSLContext,
        scratch: memoryview,
        reads: Turns,
        *,
        server_name: str | None = None,
        handshakes: Turns | None = None,
        on_failure: Callable[[Exception], None] = _ignore,
    ) -> None:
        self._protocol = protocol
        self._context = context
        self._scratch = scratch
        self._reads = reads
        self._handshakes = handshakes
        self._server_name = server_name
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._backlog: list[bytes] = []
        self._error: Exception | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._established = False
        self._paused = False
        self._write_ended = False
        self._closing = False
        self._deaf = False  # drops what still comes
        self._deferred = False  # waits for a turn, with undelivered records
        self._lost = False  # the socket is gone, and the protocol gets what came before first

    # Called by the TCP transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins the handshake."""
        self._tcp = cast("asyncio.Transport", transport)
        self._tls = self._context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=self._server_name is None,
            server_hostname=self._server_name,
        )
        self._protocol.connection_made(self)
        if self._server_name is not None and not self.is_closing():
            self._shake_hands()

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio.BufferedProtocol."""
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Takes ciphertext."""
        if self._deaf:
            return
        self._incoming.write(self._scratch[:nbytes])
        if not self._established and self._handshakes is not None:
            self._defer(self._handshakes)
            return
        if not self._established:
            self._shake_hands()
        if self._established and not self._deferred:
            self._deliver()
            if nbytes == len(self._scratch) and not self._reads.may_read_on(self._loop):
                self._defer(self._reads)

    def eof_received(self) -> None:
        """Lets the TCP transport close itself; everything that came before is delivered."""
        if not self._established and not self._deaf:
            self._handshake_failed(
                ConnectionResetError("connection closed during the TLS handshake")
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Passes the loss on when everything is delivered, and releases circular references."""
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        if exc is not None and not self._established and self._error is None:
            self._on_failure(exc)
        self._error = self._error or exc
        self._closing = self._lost = True
        undelivered = self._established and (self._incoming.pending or self._tls.pending())
        if self._deaf or not undelivered or not (self._paused or self._deferred):
            self._lose()

    def _lose(self) -> None:
        self._deaf = True
        self._lost = False
        self._backlog.clear()
        protocol, self._protocol = self._protocol, _NOBODY
        self._on_failure = _ignore
        error, self._error = self._error, None  # its traceback refers to this object
        protocol.connection_lost(error)

    def pause_writing(self) -> None:
        """Passes the call on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Passes the call on."""
        self._protocol.resume_writing()

    # Handshake

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._handshake_failed(error)
            return
        self._established = True
        self._flush()
        backlog, self._backlog = self._backlog, []
        if backlog:
            self._encrypt(b"".join(backlog))
        if self._write_ended:
            self._say_goodbye()

    def _handshake_failed(self, error: Exception) -> None:
        """Sends the alert, and gives a client time to read it before closing the socket."""
        self._on_failure(error)
        self._broken(error)
        if self._server_name is None and not self._tcp.is_closing():
            self._linger_timer = self._loop.call_later(_LINGER, self._tcp.abort)
            with contextlib.suppress(OSError):  # the client is gone already
                self._tcp.write_eof()
        else:
            self._tcp.close()

    def _broken(self, error: Exception) -> None:
        self._error = error
        self._deaf = self._closing = True
        self._flush()

    # Receiving

    def _deliver(self) -> None:
        """Delivers records until the protocol pauses."""
        incoming, tls = self._incoming, self._tls
        try:
            for _ in _TURN:
                if self._paused or self._deaf or not (incoming.pending or tls.pending()):
                    break
                if data := tls.read(_RECORD):
                    self._protocol.data_received(data)
                else:
                    self._end_received()
            else:
                self._defer(self._reads)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._broken(error)
            self._tcp.close()
            return
        if self._outgoing.pending:
            self._flush()  # the answer to a change of keys

    def _end_received(self) -> None:
        """Handles the peer's close_notify, and ignores everything after it."""
        self._deaf = True
        self._protocol.eof_received()
        self.close()

    def _defer(self, turns: Turns) -> None:
        """Stops reading and delivering until its turn."""
        self._tcp.pause_reading()
        if not self._deferred:
            self._deferred = True
            turns.call_in_turn(self._loop, self._resume)

    def _resume(self) -> bool:
        """Takes its turn; returns whether it reads the socket again."""
        self._deferred = False
        if not self._established and not self._deaf:
            self._shake_hands()
        if self._established:
            self._deliver()
        # not earlier: the end of the stream must not overtake the data before it
        if self._paused or self._deferred:
            return False
        if self._lost:
            self._lose()
        elif not self._tcp.is_closing():  # also after a failed handshake
            self._tcp.resume_reading()
            return True
        return False

    # The transport of the protocol above: flow

    def pause_reading(self) -> None:
        """See asyncio.ReadTransport."""
        self._paused = True
        if not self.is_closing():
            self._tcp.pause_reading()

    def resume_reading(self) -> None:
        """See asyncio.ReadTransport; delivers waiting records in the next turn of the loop."""
        if self._paused:
            self._paused = False
            self._loop.call_soon(self._resume)

    def is_reading(self) -> bool:
        """See asyncio.ReadTransport."""
        return not self._paused and not self.is_closing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See asyncio.WriteTransport; the limits count ciphertext."""
        self._tcp.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """See asyncio.WriteTransport."""
        return self._tcp.get_write_buffer_limits()

    def get_write_buffer_size(self) -> int:
        """See asyncio.WriteTransport."""
        return self._tcp.get_write_buffer_size()

    # The transport of the protocol above: sending

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See asyncio.WriteTransport; waits for the end of the TLS handshake."""
        if self._write_ended or self._closing or not data:
            return
        if self._established:
            self._encrypt(data)
        else:
            self._backlog.append(bytes(data))

    def _encrypt(self, data: bytes | bytearray | memoryview) -> None:
        tls, outgoing, tcp = self._tls, self._outgoing, self._tcp
        size = len(data)
        try:
            sent = 0
            if size <= _WRITE_SIZE:
                sent = tls.write(data)
                tcp.write(outgoing.read())
            while sent < size:  # in parts, because OpenSSL never frees a large buffer
                sent += tls.write(memoryview(data)[sent : sent + _WRITE_SIZE])
                tcp.write(outgoing.read())
        except ssl.SSLError as error:
            self._broken(error)
            tcp.abort()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """See asyncio.WriteTransport; joins the data, since a record costs more than a copy."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """See asyncio.WriteTransport."""
        return True

    def write_eof(self) -> None:
        """Sends close_notify and half-closes the connection; drops what still comes."""
        if not self._write_ended and not self._closing:
            self._write_ended = True
            if self._established:
                self._say_goodbye()

    def _say_goodbye(self) -> None:
        self._deaf = True
        self._close_notify()
        with contextlib.suppress(OSError):  # the peer is gone already
            self._tcp.write_eof()

    def _close_notify(self) -> None:
        # does not wait for the peer's close_notify
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and not self._tcp.is_closing():
            self._tcp.write(data)

    # The transport of the protocol above: its end

    def is_closing(self) -> bool:
        """See asyncio.BaseTransport."""
        return self._closing or self._tcp.is_closing()

    def close(self) -> None:
        """See asyncio.BaseTransport; does not wait for the peer's close_notify."""
        if self._established and not self._write_ended and not self.is_closing():
            self._close_notify()
        self._deaf = self._closing = True
        self._tcp.close()
        self._end_if_lost()

    def abort(self) -> None:
        """See asyncio.WriteTransport."""
        self._deaf = self._closing = True
        self._tcp.abort()
        self._end_if_lost()

    def _end_if_lost(self) -> None:
        """Reports the loss soon: the protocol does not want the undelivered data."""
        if self._lost:
            self._paused = False
            self._defer(self._reads)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See asyncio.BaseTransport; not for a buffered one."""
        self._protocol = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See asyncio.BaseTransport."""
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See asyncio.BaseTransport; `ssl_object` is what there is of TLS."""
        return self._tls if name == "ssl_object" else self._tcp.get_extra_info(name, default)
