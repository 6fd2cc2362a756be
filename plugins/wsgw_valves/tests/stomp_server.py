"""A STOMP server in memory that is as strict as RabbitMQ.

usage: stomp_server.py PORT

Subscribers of a destination get the messages sent there from then on. An unknown message or
subscription, and a second subscription with the same id, are errors.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable

from stomp.utils import Frame, convert_frame, parse_frame  # type: ignore[import-untyped]  # has none
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

_NUMBERS = itertools.count(1)


class StompError(Exception):
    """An error for the client, after which the server closes the connection."""


class Client:
    """One connection.

    Args:
        connection: its websocket.
        everyone: all connected clients.
    """

    def __init__(self, connection: ServerConnection, everyone: set[Client]) -> None:
        self._connection = connection
        self._everyone = everyone
        self._subscriptions: dict[str, dict[str, str]] = {}
        self._unacknowledged: set[str] = set()
        self._acts: dict[str, Callable[[Frame], Awaitable[None]]] = {}
        self._connects = {"CONNECT": self._connect, "STOMP": self._connect}

    async def serve(self) -> None:
        """Serves the client until the connection ends."""
        self._everyone.add(self)
        try:
            async for message in self._connection:
                data = message.encode() if isinstance(message, str) else message
                for part in data.split(b"\0"):
                    if part.strip():
                        await self._act(parse_frame(part.lstrip(b"\n")))
        except StompError as error:
            await self._send("ERROR", {"message": str(error)})
        except ConnectionClosed:
            pass
        finally:
            self._everyone.discard(self)

    async def deliver(self, destination: str, body: str | bytes) -> None:
        """Sends a message to the client's subscriptions of a destination."""
        for id_, subscription in list(self._subscriptions.items()):
            if subscription["destination"] != destination:
                continue
            number = str(next(_NUMBERS))
            headers = {"subscription": id_, "message-id": number, "destination": destination}
            if subscription.get("ack", "auto") != "auto":
                headers["ack"] = number
                self._unacknowledged.add(number)
            await self._send("MESSAGE", headers, body)

    async def _act(self, frame: Frame) -> None:
        acts = self._acts or self._connects
        if frame.cmd not in acts:
            raise StompError(f"no {frame.cmd} now")
        await acts[frame.cmd](frame)
        if "receipt" in frame.headers:
            await self._send("RECEIPT", {"receipt-id": frame.headers["receipt"]})
        if frame.cmd == "DISCONNECT":
            self._connection.transport.abort()  # like some servers

    async def _connect(self, _frame: Frame) -> None:
        self._acts = {
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "ACK": self._acknowledge,
            "NACK": self._acknowledge,
            "SEND": self._pass_on,
            "DISCONNECT": self._part,
        }
        await self._send("CONNECTED", {"version": "1.2", "heart-beat": "0,0"})

    async def _subscribe(self, frame: Frame) -> None:
        if frame.headers["id"] in self._subscriptions:
            raise StompError("a second subscription with this id")
        self._subscriptions[frame.headers["id"]] = frame.headers

    async def _unsubscribe(self, frame: Frame) -> None:
        if self._subscriptions.pop(frame.headers["id"], None) is None:
            raise StompError("no such subscription")

    async def _acknowledge(self, frame: Frame) -> None:
        if frame.headers["id"] not in self._unacknowledged:
            raise StompError("no such message")
        self._unacknowledged.remove(frame.headers["id"])

    async def _pass_on(self, frame: Frame) -> None:
        for each in list(self._everyone):
            await each.deliver(frame.headers["destination"], frame.body)

    async def _part(self, _frame: Frame) -> None:
        self._subscriptions.clear()

    async def _send(self, command: str, headers: dict[str, str], body: str | bytes = "") -> None:
        parts = convert_frame(Frame(command, headers, body))
        await self._connection.send(b"".join(parts).decode())


async def main(port: int) -> None:
    """Serves until the process ends."""
    everyone: set[Client] = set()
    async with serve(
        lambda connection: Client(connection, everyone).serve(),
        "127.0.0.1",
        port,
        select_subprotocol=lambda _, offers: next(iter(offers), None),
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
