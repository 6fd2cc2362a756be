"""An answer that comes before its message is delivered counts once, for one message."""

from __future__ import annotations

from collections import deque

import pytest

from wsgw_core.api import BINARY, Message, ReplyExpected
from wsgw_core.relay.delivery.early_answers import EarlyAnswers


@pytest.fixture
def early() -> EarlyAnswers:
    """Messages 5 to 7, of which the first and the last expect replies."""
    entries: deque[Message] = deque(
        [
            ReplyExpected(BINARY, b"", "a", 10),
            Message(BINARY, b""),
            ReplyExpected(BINARY, b"", "b", 10),
        ]
    )
    answers = EarlyAnswers()
    answers.index(entries, 8)
    return answers


def test_a_message_that_was_answered_is_known_by_its_number_until_it_is_delivered(
    early: EarlyAnswers,
) -> None:
    early.add("a", 8)
    assert 5 in early
    assert early.take("a", 5)
    assert 5 not in early
    assert not early


def test_an_answer_counts_once(early: EarlyAnswers) -> None:
    early.add("a", 8)
    early.take("a", 5)
    early.add("a", 8)
    assert not early
    assert not early.take("a", 5)


def test_an_answer_to_a_message_not_given_yet_does_not_count(early: EarlyAnswers) -> None:
    early.add("b", 7)
    assert not early
    assert not early.take("b", 7)


def test_an_answer_to_a_delivered_message_is_not_early(early: EarlyAnswers) -> None:
    assert not early.take("a", 5)
    early.add("a", 8)
    assert not early


def test_an_unknown_handle_changes_nothing(early: EarlyAnswers) -> None:
    early.add("c", 8)
    assert not early


def test_a_repeated_handle_stands_for_the_youngest_message(early: EarlyAnswers) -> None:
    again: deque[Message] = deque([ReplyExpected(BINARY, b"", "a", 10)])
    early.index(again, 9)
    early.add("a", 9)
    assert 8 in early
    assert not early.take("a", 5)
    assert early.take("a", 8)
