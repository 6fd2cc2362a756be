"""A STOMP client that receives its own messages, with stomp.py."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import stomp  # type: ignore[import-untyped]  # has no type hints


class StompClient(stomp.ConnectionListener):  # type: ignore[misc]  # as above
    """Connects and subscribes once, and then sends until `stop`.

    Args:
        name: its destination.
        ack: the mode of its subscription; other than `auto`, it acknowledges each message.
        receipts: whether it requests one for each message.
        path: of the URL.

    Attributes:
        sent: number of sent messages.
        heard: how often each message has come back, by number.
        receipts: number of receipts.
        disconnects: number of lost connections.
        errors: the server's error messages.
        longest_pause: seconds between two messages that have come back.
    """

    def __init__(
        self, name: str, ack: str = "auto", *, wants_receipts: bool = False, path: str = "/ws"
    ) -> None:
        self.sent = 0
        self.heard: Counter[int] = Counter()
        self.receipts: Counter[str] = Counter()
        self.disconnects = 0
        self.errors: list[str] = []
        self.longest_pause = 0.0
        self._last = 0.0
        self._destination = f"/topic/{name}"
        self._ack = ack
        self._wants_receipts = wants_receipts
        self._path = path
        self._connected = threading.Event()
        self._is_stopped = False
        self._sending: asyncio.Task[None]
        self._connection: Any = None

    async def start(self, url: str) -> None:
        """Connects, and sends in the background."""
        await asyncio.to_thread(self._start, urlsplit(url).port)
        self._sending = asyncio.create_task(self._send())

    async def stop(self) -> None:
        """Waits for all messages and disconnects; raises errors of the client."""
        self._is_stopped = True
        await self._sending
        await self._until(lambda: len(self.heard) == self.sent)
        if self._wants_receipts:
            await self._until(lambda: len(self.receipts) == self.sent)
        self._connection.remove_listener("test")
        await asyncio.to_thread(self._connection.disconnect, "bye")

    async def progress(self) -> None:
        """Waits until new messages have come back."""
        wanted = self.sent + 3
        await self._until(lambda: all(number in self.heard for number in range(wanted)))

    @property
    def doubles(self) -> int:
        """The number of repeated messages."""
        return sum(self.heard.values()) - len(self.heard)

    async def _until(self, condition: Any) -> None:
        try:
            async with asyncio.timeout(30):
                while not condition():  # noqa: ASYNC110 - a thread sets it
                    await asyncio.sleep(0.01)
        except TimeoutError:
            missing = [number for number in range(self.sent) if number not in self.heard]
            raise AssertionError(
                f"{len(missing)} of {self.sent} never came back: {missing[:20]}, {self.errors}"
            ) from None

    def _start(self, port: int | None) -> None:
        self._connection = stomp.WSStompConnection(
            [("127.0.0.1", port)],
            ws_path=self._path,
            reconnect_attempts_max=1,
            heartbeats=(0, 0),
            vhost="/",
        )
        self._connection.set_listener("test", self)
        self._connection.connect("guest", "guest", wait=True)
        self._connection.subscribe(self._destination, "the one", ack=self._ack)

    async def _send(self) -> None:
        while not self._is_stopped:
            headers = {"receipt": f"r{self.sent}"} if self._wants_receipts else {}
            self._connection.send(self._destination, str(self.sent), headers=headers)
            self.sent += 1
            await asyncio.sleep(0.02)

    # Called by stomp.py in its thread

    def on_message(self, frame: Any) -> None:
        now = time.monotonic()
        self.longest_pause = max(self.longest_pause, now - (self._last or now))
        self._last = now
        self.heard[int(frame.body)] += 1
        if self._ack != "auto":
            self._connection.ack(frame.headers["ack"])

    def on_receipt(self, frame: Any) -> None:
        self.receipts[frame.headers["receipt-id"]] += 1

    def on_error(self, frame: Any) -> None:
        self.errors.append(str(frame))

    def on_disconnected(self) -> None:
        self.disconnects += 1
