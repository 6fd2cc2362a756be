"""Which messages count as delivered, and when."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from wsgw_ws.acknowledgement import Acknowledgement

from wsgw_core.api import Counter

WINDOW = 0.25


def account(window: float = WINDOW, capacity: int = 1000) -> Acknowledgement:
    return Acknowledgement(window, capacity, Counter("cuts", "Released early."))


class TestAsking:
    def test_pong_with_ping_payload_is_an_answer(self) -> None:
        acknowledgement = account()
        payload = acknowledgement.ask(0.0, 3, 30)
        assert acknowledgement.waiting
        assert acknowledgement.answer(payload, 1.0)
        assert acknowledgement.asked == 3
        assert acknowledgement.asked_weight == 30

    def test_pong_with_other_payload_is_no_answer(self) -> None:
        acknowledgement = account(window=0)
        assert not acknowledgement.answer(b"", 0.0)
        first = acknowledgement.ask(0.0, 3, 30)
        for payload in (b"", b"unasked", first + b"x", first[:-1]):
            assert not acknowledgement.answer(payload, 1.0)
        assert acknowledgement.waiting
        assert acknowledgement.release(0) == 0

    def test_second_pong_to_one_ping_is_ignored(self) -> None:
        acknowledgement = account()
        payload = acknowledgement.ask(0.0, 3, 30)
        assert acknowledgement.answer(payload, 1.0)
        assert not acknowledgement.answer(payload, 1.0)
        assert not acknowledgement.waiting

    def test_late_pong_does_not_answer_the_next_ping(self) -> None:
        acknowledgement = account()
        old = acknowledgement.ask(0.0, 3, 30)
        acknowledgement.answer(old, 0.5)
        new = acknowledgement.ask(1.0, 5, 50)
        assert new != old
        assert not acknowledgement.answer(old, 1.5)
        assert acknowledgement.waiting

    def test_waiting_time_restarts_at_the_last_excuse(self) -> None:
        acknowledgement = account()
        assert acknowledgement.waited(100.0) == 0
        payload = acknowledgement.ask(1.0, 1, 1)
        assert acknowledgement.waited(5.0) == 4
        acknowledgement.excuse(5.0)
        assert acknowledgement.waited(10.0) == 5
        acknowledgement.answer(payload, 10.0)
        assert acknowledgement.waited(100.0) == 0


class TestReleasing:
    def test_pong_after_replay_window_releases_what_preceded_its_ping(self) -> None:
        acknowledgement = account()
        acknowledgement.answer(acknowledgement.ask(0.0, 3, 30), 1.0)
        assert acknowledgement.release(0) == 0
        assert not acknowledgement.outlasted(1.2)
        assert acknowledgement.outlasted(1.25)
        acknowledgement.answer(acknowledgement.ask(1.25, 3, 30), 1.3)
        assert acknowledgement.release(0) == 3
        assert acknowledgement.release(0) == 0
        assert not acknowledgement.outlasted(100.0)

    def test_freeze_within_replay_window_releases_nothing(self) -> None:
        acknowledgement = account()
        acknowledgement.answer(acknowledgement.ask(0.0, 3, 30), 1.0)
        acknowledgement.answer(
            acknowledgement.ask(1.2, 5, 50), 60.0
        )  # the ping was sent before the end of the window
        assert acknowledgement.release(0) == 0

    def test_pong_without_replay_window_releases_at_once(self) -> None:
        acknowledgement = account(window=0)
        acknowledgement.answer(acknowledgement.ask(0.0, 3, 30), 1.0)
        assert acknowledgement.release(0) == 3

    def test_unanswered_ping_releases_nothing(self) -> None:
        acknowledgement = account(window=0)
        acknowledgement.ask(0.0, 3, 30)
        assert acknowledgement.release(0) == 0

    def test_each_pong_has_its_own_replay_window(self) -> None:
        acknowledgement = account()
        acknowledgement.answer(acknowledgement.ask(0.0, 3, 30), 1.0)
        acknowledgement.answer(acknowledgement.ask(1.1, 5, 50), 1.2)
        acknowledgement.answer(acknowledgement.ask(1.3, 6, 60), 1.3)
        assert acknowledgement.release(0) == 3
        acknowledgement.answer(acknowledgement.ask(1.46, 6, 60), 1.5)
        assert acknowledgement.release(0) == 2
        assert acknowledgement.outlasted(1.56)


class TestCrowdedLedger:
    def test_full_ledger_releases_oldest_early_until_half_is_free(self) -> None:
        cuts = Counter("cuts", "Released early.")
        acknowledgement = Acknowledgement(WINDOW, 100, cuts)
        for number in range(1, 8):
            payload = acknowledgement.ask(number / 100, number, number * 10)
            acknowledgement.answer(payload, number / 100)
            assert acknowledgement.release(number * 10) == 0
        assert not acknowledgement.is_crowded
        acknowledgement.answer(acknowledgement.ask(0.08, 8, 80), 0.08)
        assert acknowledgement.release(80) == 3
        assert cuts.value == 3
        assert not acknowledgement.is_crowded
        acknowledgement.answer(acknowledgement.ask(1.0, 8, 80), 1.1)
        assert acknowledgement.release(80) == 5
        assert cuts.value == 3  # released after their full window

    def test_message_sent_after_the_ping_waits_for_the_next_pong(self) -> None:
        acknowledgement = account(capacity=60)
        acknowledgement.answer(acknowledgement.ask(0.0, 1, 60), 0.0)  # with no round-trip time
        assert acknowledgement.release(60) == 0
        assert acknowledgement.is_crowded
        acknowledgement.answer(acknowledgement.ask(0.0, 1, 60), 0.0)
        assert acknowledgement.release(60) == 1
        assert not acknowledgement.is_crowded

    def test_release_continues_with_later_pongs_until_half_is_free(self) -> None:
        acknowledgement = account(capacity=60)
        acknowledgement.answer(acknowledgement.ask(0.0, 1, 10), 0.1)
        acknowledgement.answer(acknowledgement.ask(0.1, 5, 50), 0.2)
        assert acknowledgement.release(50) == 1
        assert acknowledgement.is_crowded
        acknowledgement.answer(acknowledgement.ask(0.2, 5, 50), 0.3)
        assert acknowledgement.release(50) == 4

    def test_released_messages_do_not_count_as_crowding(self) -> None:
        acknowledgement = account(capacity=100)
        acknowledgement.answer(acknowledgement.ask(0.0, 7, 70), 0.1)
        acknowledgement.answer(acknowledgement.ask(1.0, 7, 70), 1.1)
        assert acknowledgement.release(70) == 7
        acknowledgement.answer(acknowledgement.ask(1.2, 9, 90), 1.2)
        acknowledgement.answer(acknowledgement.ask(1.3, 9, 90), 1.3)
        assert acknowledgement.release(90) == 0
        assert not acknowledgement.is_crowded

    def test_acknowledgement_without_pongs_releases_a_full_ledger_at_once(self) -> None:
        acknowledgement = account(capacity=60)
        acknowledgement.acknowledge(0.2, 6, 60)
        assert acknowledgement.release(60) == 6


class TestSettled:
    def test_settled_only_when_all_is_released_and_no_pong_is_due(self) -> None:
        acknowledgement = account()
        assert acknowledgement.settled(0)
        assert not acknowledgement.settled(1)
        payload = acknowledgement.ask(0.0, 1, 1)
        assert not acknowledgement.settled(1)
        acknowledgement.answer(payload, 0.1)
        assert not acknowledgement.settled(1)
        acknowledgement.answer(acknowledgement.ask(1.0, 1, 1), 1.1)
        acknowledgement.release(1)
        assert acknowledgement.settled(1)
        acknowledgement.ask(2.0, 1, 1)
        assert not acknowledgement.settled(1)


@dataclass
class Model:
    """Records what was sent, and what the pongs have proved."""

    sent: int = 0
    sent_weight: int = 0
    released: int = 0
    proved: int = 0  # acknowledged before an answered ping was sent

    weights: list[int] = field(default_factory=lambda: [0])  # cumulative bytes up to each message

    def send(self, weight: int) -> None:
        self.sent += 1
        self.sent_weight += weight
        self.weights.append(self.sent_weight)

    def weight(self, first: int, last: int) -> int:
        return self.weights[last] - self.weights[first]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(10, 50)),
        st.tuples(st.just("ask"), st.just(0)),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("wrong answer"), st.just(0)),
        st.tuples(st.just("time"), st.integers(0, 400)),
    ),
    max_size=80,
)


@settings(max_examples=500, derandomize=True, deadline=None)
@given(STEPS)
def test_random_sequences_release_nothing_too_early_and_everything_at_last(
    steps: list[tuple[str, int]],
) -> None:
    capacity = 300
    acknowledgement = account(capacity=capacity)
    model, now = Model(), 0.0
    payload = b""
    answered: list[tuple[float, int]] = [(-10.0, 0)]
    asked_at = lived_at = 0.0
    crowded = False
    for step, number in steps:
        match step:
            case "send":
                model.send(number)
            case "ask" if not acknowledgement.waiting:
                payload = acknowledgement.ask(now, model.sent, model.sent_weight)
                asked_at = now
            case "answer" if acknowledgement.waiting:
                assert acknowledgement.answer(payload, now)
                model.proved = answered[-1][1]
                if acknowledgement.asked > model.proved:
                    answered.append((now, acknowledgement.asked))
                lived_at = asked_at
            case "wrong answer":
                assert not acknowledgement.answer(b"wrong", now)
            case "time":
                now += number / 1000
        count = acknowledgement.release(model.sent_weight)
        assert count >= 0
        model.released += count
        assert model.released <= model.proved, "released although the backend may not have read it"
        due = max(sent for when, sent in answered if when + WINDOW <= lived_at or sent == 0)
        assert model.released >= due, "not released although the backend lived on"
        crowded |= model.weight(model.released - count, model.sent) >= capacity * 3 // 4
        if count and model.released > due:
            before = max(sent for _, sent in answered if sent < model.released)
            assert crowded, "released early without need"
            assert model.weight(before, model.sent) > capacity // 2, (
                "released more early than necessary"
            )
        crowded &= model.weight(model.released, model.sent) > capacity // 2
        assert acknowledgement.is_crowded == crowded
        assert not crowded or model.released == model.proved, "the client could be read"
    payload = acknowledgement.ask(now, model.sent, model.sent_weight)
    acknowledgement.answer(payload, now)
    model.released += acknowledgement.release(model.sent_weight)
    now += WINDOW
    acknowledgement.answer(acknowledgement.ask(now, model.sent, model.sent_weight), now)
    model.released += acknowledgement.release(model.sent_weight)
    assert model.released == model.sent
    assert acknowledgement.settled(model.sent)
