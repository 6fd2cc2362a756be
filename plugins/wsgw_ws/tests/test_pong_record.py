"""How many answered messages show that a backend reads but answers no pings."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from wsgw_ws.pong_record import FirstPing, PongRecord

from wsgw_core.api import Metrics
from wsgw_core.testing.context import make_context
from wsgw_core.testing.virtual_clock import on_virtual_clock

PING_TIMEOUT = 5.0
LATE = 100 * PING_TIMEOUT


def new_record() -> PongRecord:
    context = make_context(ping_timeout=PING_TIMEOUT, busy_timeout=2 * LATE)
    return PongRecord("refuse", dataclasses.replace(context, metrics=Metrics()))


def is_evident(answers: int, waited: float, *, repeated: bool = False) -> bool:
    """Returns what a record says of a connection with so many answers.

    Args:
        answers: messages of the backend, each after a message of the client.
        waited: seconds since the ping.
        repeated: whether each is followed by a second message without a question.
    """
    ping = FirstPing(0.0)
    for sent in range(1, answers + 1):
        ping.heard(sent)
        if repeated:
            ping.heard(sent)
    return new_record().is_evident(ping, waited, talks=True)


async def test_ten_answers_prove_that_backend_answers_no_pings() -> None:
    assert not is_evident(9, LATE)
    assert is_evident(10, LATE)


async def test_message_that_answers_nothing_proves_nothing() -> None:
    assert not is_evident(9, LATE, repeated=True)


async def test_message_before_the_first_question_is_no_answer() -> None:
    ping = FirstPing(0.0)
    ping.heard(0)
    assert ping.answers == 0


async def test_answers_prove_it_only_after_three_ping_timeouts() -> None:
    assert not is_evident(10, 3 * PING_TIMEOUT)
    assert is_evident(10, 3 * PING_TIMEOUT + 0.1)


async def test_answers_prove_it_after_one_ping_timeout_once_it_was_found() -> None:
    record, ping = new_record(), FirstPing(0.0)
    for sent in range(1, 11):
        ping.heard(sent)
    record.missing(alive=True)
    assert not record.is_evident(ping, PING_TIMEOUT, talks=True)
    assert record.is_evident(ping, PING_TIMEOUT + 0.1, talks=True)


@pytest.mark.parametrize(("seconds", "refused"), [(9.9, True), (10.1, False)])
@on_virtual_clock
async def test_backend_is_refused_for_ten_seconds(seconds: float, *, refused: bool) -> None:
    record = new_record()
    record.missing(alive=True)
    await asyncio.sleep(seconds)
    assert record.refused is refused
