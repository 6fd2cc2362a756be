"""Plain and asynchronous valves that call functions of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from wsgw_core.api import Message, Session
from wsgw_core.relay.all_sessions.session_context import ConfiguredValve

from ..relay_bench import valve

Act = Callable[[Session, Message], Message | None]


class Plain:
    """Does what the test says with each message, in either direction."""

    def __init__(self, view: Session, outward: Act, inward: Act) -> None:
        self._view = view
        self._outward = outward
        self._inward = inward

    def before_transmit(self, message: Message) -> Message | None:
        return self._outward(self._view, message)

    def after_receive(self, message: Message) -> Message | None:
        return self._inward(self._view, message)


class Slow:
    """The same, asynchronously; takes a second for each message."""

    def __init__(self, view: Session, outward: Act, inward: Act) -> None:
        self._view = view
        self._outward = outward
        self._inward = inward

    async def before_transmit(self, message: Message) -> Message | None:
        await asyncio.sleep(1)
        return self._outward(self._view, message)

    async def after_receive(self, message: Message) -> Message | None:
        await asyncio.sleep(1)
        return self._inward(self._view, message)


def passing(_view: Session, message: Message) -> Message | None:
    return message


def signing(mark: str) -> Act:
    return lambda _view, message: Message.from_text(message.text + mark)


def plain(outward: Act = passing, inward: Act = passing) -> ConfiguredValve:
    return valve(lambda view: Plain(view, outward, inward))


def slow(outward: Act = passing, inward: Act = passing) -> ConfiguredValve:
    return valve(lambda view: Slow(view, outward, inward))


async def settle() -> None:
    """Give asynchronous valves the time for some messages."""
    await asyncio.sleep(9)
