"""Replies for slow clients wait, within limits, and their senders get the outcomes."""

from __future__ import annotations

from collections.abc import Callable

from wsgw_core.api import Close, Message, ReplyBuffers, ReplyOutcome
from wsgw_core.testing.context import make_context
from wsgw_core.testing.virtual_clock import on_virtual_clock

HELD, SLOW = ReplyOutcome.HELD, ReplyOutcome.SLOW_CLIENT
SLOWNESS = Close(1008, "too many replies wait for this client")


class Taker:
    """A session's connection."""

    def __init__(self) -> None:
        self.ends: list[Close] = []
        self.taken: list[str] = []
        self.on_message: Callable[[], object] = lambda: None
        self.client_is_there = True

    def end(self, close: Close, /) -> None:
        self.ends.append(close)

    def take(self, message: Message) -> bool:
        self.taken.append(message.text)
        self.on_message()
        return self.client_is_there


class Caller:
    """Sends replies whose texts are their receipts."""

    def __init__(self, max_bytes: int = 1024, **bounds: int) -> None:
        self.passed: list[str] = []
        self.back: list[str] = []
        self.context = make_context()
        self.buffers = ReplyBuffers[str](
            self.context,
            max_bytes,
            passed_on=self.passed.append,
            not_taken=self.back.append,
            **bounds,
        )

    def hold(self, taker: Taker, *texts: str) -> list[ReplyOutcome]:
        return [self.buffers.hold(taker, Message.from_text(text), text) for text in texts]

    def pass_on(self, taker: Taker, is_ready: Callable[[], bool] = lambda: True) -> None:
        self.buffers.pass_on(taker, is_ready, taker.take)

    @property
    def closes(self) -> int:
        return self.context.metrics.counter("buffer_closes", "").value


@on_virtual_clock
async def test_buffered_replies_are_passed_on_in_order() -> None:
    caller, taker = Caller(), Taker()
    assert caller.hold(taker, "a", "b", "c") == [HELD] * 3
    assert taker in caller.buffers
    assert len(caller.buffers) == 3
    assert caller.buffers.bytes == caller.buffers.held_bytes(taker) == 3 * 257
    caller.pass_on(taker)
    assert taker.taken == caller.passed == ["a", "b", "c"]
    assert taker not in caller.buffers
    assert len(caller.buffers) == caller.buffers.bytes == caller.buffers.held_bytes(taker) == 0
    assert caller.back == []


@on_virtual_clock
async def test_passing_on_stops_when_the_session_is_not_ready() -> None:
    caller, taker = Caller(), Taker()
    caller.hold(taker, "a", "b", "c")
    caller.pass_on(taker, lambda: len(taker.taken) < 2)
    assert caller.passed == ["a", "b"]
    assert caller.hold(taker, "d") == [HELD]
    caller.pass_on(taker)
    assert taker.taken == ["a", "b", "c", "d"]


@on_virtual_clock
async def test_a_reply_held_during_the_last_one_comes_after_it() -> None:
    caller, taker = Caller(), Taker()
    caller.hold(taker, "a")
    more = ["b", "c"]
    taker.on_message = lambda: more and caller.hold(taker, more.pop(0))
    caller.pass_on(taker)
    assert taker.taken == caller.passed == ["a", "b", "c"]
    assert taker not in caller.buffers


@on_virtual_clock
async def test_a_client_that_is_gone_gets_no_reply() -> None:
    caller, taker = Caller(), Taker()
    caller.hold(taker, "a", "b")
    taker.client_is_there = False
    caller.pass_on(taker)
    assert caller.back == ["a", "b"]
    assert caller.passed == []


@on_virtual_clock
async def test_a_session_that_ends_during_a_reply_gives_the_rest_back() -> None:
    caller, taker = Caller(), Taker()
    caller.hold(taker, "a", "b", "c")
    taker.on_message = lambda: caller.buffers.give_back(taker)
    caller.pass_on(taker)
    assert caller.passed == ["a"]
    assert caller.back == ["b", "c"]
    assert len(caller.buffers) == caller.buffers.bytes == 0


@on_virtual_clock
async def test_beyond_max_bytes_only_that_session_is_closed() -> None:
    caller, slow, other = Caller(1000), Taker(), Taker()
    assert caller.hold(other, "kept") == [HELD]
    outcomes = caller.hold(slow, "a", "b", "c", "d")
    assert outcomes == [HELD, HELD, HELD, SLOW]
    assert caller.back == ["a", "b", "c"]  # the caller knows of the last one
    assert slow.ends == [SLOWNESS]
    assert other.ends == []
    assert caller.closes == 1
    assert len(caller.buffers) == 1
    assert caller.buffers.bytes == caller.buffers.held_bytes(other) == 260


@on_virtual_clock
async def test_a_single_reply_may_exceed_max_bytes() -> None:
    caller, taker = Caller(1000), Taker()
    assert caller.hold(taker, "x" * 5000) == [HELD]
    assert caller.hold(taker, "") == [SLOW]
    assert caller.back == ["x" * 5000]


@on_virtual_clock
async def test_empty_replies_count_for_max_bytes() -> None:
    caller, taker = Caller(100_000), Taker()
    held = 0
    while caller.hold(taker, "") == [HELD]:
        held += 1
    assert held == 100_000 // 256


@on_virtual_clock
async def test_max_messages_limits_the_replies_of_a_session() -> None:
    caller, taker = Caller(100_000, max_messages=2), Taker()
    assert caller.hold(taker, "a", "b", "c") == [HELD, HELD, SLOW]
    assert caller.back == ["a", "b"]


@on_virtual_clock
async def test_beyond_total_bytes_the_session_with_most_bytes_is_closed() -> None:
    caller = Caller(10_000, total_bytes=3000)
    small, large, late = Taker(), Taker(), Taker()
    caller.hold(small, "a")
    caller.hold(large, "b" * 2000)
    assert caller.hold(late, "c" * 300) == [HELD]
    assert large.ends == [SLOWNESS]
    assert small.ends == late.ends == []
    assert caller.back == ["b" * 2000]
    assert caller.buffers.bytes == 257 + 556


@on_virtual_clock
async def test_beyond_total_messages_the_session_with_most_is_closed() -> None:
    caller = Caller(10_000, total_messages=3)
    small, large = Taker(), Taker()
    caller.hold(small, "s" * 5000)
    assert caller.hold(large, "a", "b", "c") == [HELD, HELD, SLOW]
    assert large.ends == [SLOWNESS]
    assert small.ends == []


@on_virtual_clock
async def test_thousands_of_slow_clients_stay_below_total_bytes() -> None:
    caller = Caller(1000)
    takers = [Taker() for _ in range(1000)]
    for taker in takers:
        caller.hold(taker, "x" * 700)
    assert caller.buffers.bytes <= 64 * 1000
    assert caller.closes == sum(len(taker.ends) for taker in takers) > 900
    assert len(caller.back) + len(caller.buffers) == 1000


@on_virtual_clock
async def test_giving_back_without_replies_has_no_effect() -> None:
    caller, taker = Caller(), Taker()
    caller.buffers.give_back(taker)
    caller.pass_on(taker)
    assert caller.back == caller.passed == []


@on_virtual_clock
async def test_receipts_are_optional() -> None:
    buffers, taker = ReplyBuffers[None](make_context()), Taker()
    assert buffers.hold(taker, Message.from_text("a"), None) is HELD
    assert buffers.hold(taker, Message.from_text("b"), None) is HELD
    buffers.pass_on(taker, lambda: len(taker.taken) < 1, taker.take)
    buffers.give_back(taker)
    assert taker.taken == ["a"]
