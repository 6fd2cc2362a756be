"""Which messages count as delivered, and when."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from wsgw_ws.acknowledgement import Acknowledgement

WINDOW = 0.25


SHARE = 10


def account(window: float = WINDOW, capacity: int = 1000) -> Acknowledgement:
    return Acknowledgement(window, capacity, SHARE)


class TestAsking:
    def test_a_pong_that_repeats_the_pings_payload_is_the_answer(self) -> None:
        acknowledgement = account()
        payload = acknowledgement.ask(0.0, 3, 30)
        assert acknowledgement.waiting
        assert acknowledgement.answer(payload, 1.0)
        assert acknowledgement.asked == 3
        assert acknowledgement.asked_bytes == 30

    def test_other_pongs_are_not(self) -> None:
        acknowledgement = account(window=0)
        assert not acknowledgement.answer(b"", 0.0)
        first = acknowledgement.ask(0.0, 3, 30)
        for payload in (b"", b"unasked", first + b"x", first[:-1]):
            assert not acknowledgement.answer(payload, 1.0)
        assert acknowledgement.waiting
        assert acknowledgement.release() == 0

    def test_an_answer_counts_once(self) -> None:
        acknowledgement = account()
        payload = acknowledgement.ask(0.0, 3, 30)
        assert acknowledgement.answer(payload, 1.0)
        assert not acknowledgement.answer(payload, 1.0)
        assert not acknowledgement.waiting

    def test_an_old_answer_does_not_answer_a_new_ping(self) -> None:
        acknowledgement = account()
        old = acknowledgement.ask(0.0, 3, 30)
        acknowledgement.answer(old, 0.5)
        new = acknowledgement.ask(1.0, 5, 50)
        assert new != old
        assert not acknowledgement.answer(old, 1.5)
        assert acknowledgement.waiting

    def test_how_long_it_was_waited_for_counts_from_the_last_excuse(self) -> None:
        acknowledgement = account()
        assert acknowledgement.waited(100.0) == 0
        payload = acknowledgement.ask(1.0, 1, 1)
        assert acknowledgement.waited(5.0) == 4
        acknowledgement.excuse(5.0)
        assert acknowledgement.waited(10.0) == 5
        acknowledgement.answer(payload, 10.0)
        assert acknowledgement.waited(100.0) == 0


class TestReleasing:
    def test_what_was_sent_before_the_ping_is_released_by_a_pong_after_the_window(self) -> None:
        acknowledgement = account()
        acknowledgement.answer(acknowledgement.ask(0.0, 3, 30), 1.0)
        assert acknowledgement.release() == 0
        assert not acknowledgement.outlasted(1.2)
        assert acknowledgement.outlasted(1.25)
        acknowledgement.answer(acknowledgement.ask(1.25, 3, 30), 1.3)
        assert acknowledgement.release() == 3
        assert acknowledgement.release() == 0
        assert not acknowledgement.outlasted(100.0)

    def test_a_backend_that_is_frozen_in_the_window_has_nothing_delivered(self) -> None:
        acknowledgement = account()
        acknowledgement.answer(acknowledgement.ask(0.0, 3, 30), 1.0)
        acknowledgement.answer(
            acknowledgement.ask(1.2, 5, 50), 60.0
        )  # sent before the window's end
        assert acknowledgement.release() == 0

    def test_without_a_window_it_is_released_at_once(self) -> None:
        acknowledgement = account(window=0)
        acknowledgement.answer(acknowledgement.ask(0.0, 3, 30), 1.0)
        assert acknowledgement.release() == 3

    def test_without_an_answer_nothing_is(self) -> None:
        acknowledgement = account(window=0)
        acknowledgement.ask(0.0, 3, 30)
        assert acknowledgement.release() == 0

    def test_each_answer_has_its_own_window(self) -> None:
        acknowledgement = account()
        acknowledgement.answer(acknowledgement.ask(0.0, 3, 30), 1.0)
        acknowledgement.answer(acknowledgement.ask(1.1, 5, 50), 1.2)
        acknowledgement.answer(acknowledgement.ask(1.3, 6, 60), 1.3)
        assert acknowledgement.release() == 3
        acknowledgement.answer(acknowledgement.ask(1.46, 6, 60), 1.5)
        assert acknowledgement.release() == 2
        assert acknowledgement.outlasted(1.56)

    def test_a_window_with_too_many_messages_releases_the_oldest(self) -> None:
        acknowledgement = account(capacity=4 * (SHARE + 10))
        acknowledgement.answer(acknowledgement.ask(0.0, 3, 30), 1.0)
        assert acknowledgement.release() == 0
        acknowledgement.answer(acknowledgement.ask(1.0, 6, 60), 1.1)
        assert acknowledgement.release() == 3

    def test_a_window_with_too_many_bytes_releases_the_oldest(self) -> None:
        acknowledgement = account(capacity=50 + SHARE)
        acknowledgement.answer(acknowledgement.ask(0.0, 1, 50), 1.0)
        assert acknowledgement.release() == 0
        acknowledgement.answer(acknowledgement.ask(1.0, 2, 60), 1.1)
        assert acknowledgement.release() == 1


class TestSettled:
    def test_it_is_when_everything_is_released_and_no_answer_is_missing(self) -> None:
        acknowledgement = account()
        assert acknowledgement.settled(0)
        assert not acknowledgement.settled(1)
        payload = acknowledgement.ask(0.0, 1, 1)
        assert not acknowledgement.settled(1)
        acknowledgement.answer(payload, 0.1)
        assert not acknowledgement.settled(1)
        acknowledgement.answer(acknowledgement.ask(1.0, 1, 1), 1.1)
        acknowledgement.release()
        assert acknowledgement.settled(1)
        acknowledgement.ask(2.0, 1, 1)
        assert not acknowledgement.settled(1)


@dataclass
class Model:
    """What was sent when, and what is known to have arrived when."""

    sent: int = 0
    sent_bytes: int = 0
    released: int = 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 40)),
        st.tuples(st.just("ask"), st.just(0)),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("wrong answer"), st.just(0)),
        st.tuples(st.just("time"), st.integers(0, 400)),
    ),
    max_size=80,
)


def weight(sizes: list[int], first: int, last: int) -> int:
    return (last - first) * SHARE + sizes[last] - sizes[first]


@settings(max_examples=500, derandomize=True, deadline=None)
@given(STEPS)
def test_whatever_happens_nothing_is_released_too_early_or_never(
    steps: list[tuple[str, int]],
) -> None:
    capacity = 150
    acknowledgement = account(capacity=capacity)
    model, now = Model(), 0.0
    payload = b""
    answered: list[tuple[float, int]] = [(-10.0, 0)]
    sizes = [0]
    asked_at = lived_at = 0.0
    for step, number in steps:
        match step:
            case "send":
                model.sent += 1
                model.sent_bytes += number
                sizes.append(model.sent_bytes)
            case "ask" if not acknowledgement.waiting:
                payload = acknowledgement.ask(now, model.sent, model.sent_bytes)
                asked_at = now
            case "answer" if acknowledgement.waiting:
                assert acknowledgement.answer(payload, now)
                if acknowledgement.asked > answered[-1][1]:
                    answered.append((now, acknowledgement.asked))
                lived_at = asked_at
            case "wrong answer":
                assert not acknowledgement.answer(b"wrong", now)
            case "time":
                now += number / 1000
        count = acknowledgement.release()
        assert count >= 0
        model.released += count
        known = max(sent for _, sent in answered)
        assert model.released <= known, "released before it was acknowledged"
        due = max(sent for when, sent in answered if when + WINDOW <= lived_at or sent == 0)
        assert model.released >= due, "not released although the backend lived on"
        assert weight(sizes, model.released, known) <= capacity
        if model.released > due:  # early: the window was too full for the one before
            before = max(sent for _, sent in answered if sent < model.released)
            assert weight(sizes, before, known) > capacity, "released early without need"
    payload = acknowledgement.ask(now, model.sent, model.sent_bytes)
    acknowledgement.answer(payload, now)
    model.released += acknowledgement.release()
    now += WINDOW
    acknowledgement.answer(acknowledgement.ask(now, model.sent, model.sent_bytes), now)
    model.released += acknowledgement.release()
    assert model.released == model.sent
    assert acknowledgement.settled(model.sent)
