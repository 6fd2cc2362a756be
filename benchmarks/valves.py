"""What valves cost a message, in processor time: a session in memory, with and without them.

usage: valves.py [MESSAGES]

Each figure is that of the best of several rounds. Those of valves are what one adds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

from wsgw_core import api
from wsgw_core.api import Handshake, Message, MessageValve, Options, per_session
from wsgw_core.relay.environment import ConfiguredValve
from wsgw_core.relay.session import Session
from wsgw_core.testing.environment import make_environment, pooled
from wsgw_core.testing.fakes import FakeBackend, FakeClient

ROUNDS = 15
AT_ONCE = 100


class Plain:
    """Does nothing."""

    def __init__(self, _options: Options, _session: api.Session) -> None:
        pass

    def before_transmit(self, message: Message) -> Message:
        """Pass a message on."""
        return message

    def after_receive(self, message: Message) -> Message:
        """Pass a message on."""
        return message


class Asynchronous(Plain):
    """Does nothing, asynchronously."""

    async def before_transmit(self, message: Message) -> Message:  # type: ignore[override]  # may be
        """Pass a message on."""
        return message


class Waiting(Plain):
    """Waits for a turn of the event loop."""

    async def before_transmit(self, message: Message) -> Message:  # type: ignore[override]  # may be
        """Pass a message on."""
        await asyncio.sleep(0)
        return message


def configured(made: Callable[[Options, api.Session], MessageValve]) -> tuple[ConfiguredValve, ...]:
    """Return a chain of one valve."""
    return (ConfiguredValve("measured", per_session(made)(Options(), None)),)


async def measure(valves: tuple[ConfiguredValve, ...], messages: int) -> float:
    """Return microseconds of processor time a message."""
    backend = FakeBackend("measured")
    session = Session(
        "session-1",
        Handshake("/", (), (), ""),
        make_environment([pooled("measured", backend)], valves=valves),
    )
    await session.open()
    session.start(FakeClient())
    connection, feed = backend.connections[0], session.client_message
    message = Message.from_text("hello")
    begin = time.thread_time()
    for _ in range(messages // AT_ONCE):
        for _ in range(AT_ONCE):
            feed(message)
        while connection.outstanding < AT_ONCE:  # noqa: ASYNC110 - the turns are measured
            await asyncio.sleep(0)
        connection.acknowledge()
    spent = time.thread_time() - begin
    session.close(1000)
    return spent / messages * 1e6


async def main(messages: int) -> None:
    """Print a row for each sort of valve."""
    sorts = {
        "without a valve": (),
        "an empty valve, plain": configured(Plain),
        "an empty valve, asynchronous": configured(Asynchronous),
        "an empty valve, that waits": configured(Waiting),
    }
    best = dict.fromkeys(sorts, float("inf"))
    for _ in range(ROUNDS):  # in turns, so that a slow moment hits all
        for name, valves in sorts.items():
            best[name] = min(best[name], await measure(valves, messages))
    base = best.pop("without a valve")
    print(f"{'without a valve':30}  {base:5.2f} us")
    for name, cost in best.items():
        print(f"{name:30}{cost - base:+7.2f} us")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 5_000))
