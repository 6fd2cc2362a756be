"""Closes all clients when the gateway stops, spread over some time."""

from __future__ import annotations

import asyncio

from ...api import Clock
from .close_after_answers import CloseAfterAnswers
from .session_table import SessionTable


async def close_all_sessions(
    table: SessionTable,
    clock: Clock,
    code: int,
    reason: str,
    *,
    over: float,
    answer_timeout: float,
) -> int:
    """Closes each client, spread over some time so that they do not all come back at once.

    Return when the last close was sent, or no session is left.

    Args:
        table: the sessions; no new ones may be added.
        clock: the event loop's time.
        code: the close code for the clients.
        reason: the reason for the clients.
        over: approximate seconds between the first and the last close.
        answer_timeout: seconds to wait for the answers to a client's messages, where it is known
            that the backend answers them.

    Returns:
        The number of clients that were closed without their answers.
    """
    answers = CloseAfterAnswers(clock, answer_timeout, code, reason)
    sessions = tuple(table)
    begin = clock.time()
    try:
        for number, session in enumerate(sessions):
            due = begin + over * number / len(sessions)
            if due > clock.time():
                await asyncio.sleep(due - clock.time())
            if not len(table):
                break
            answers.close_after(session)
        for session in table:
            answers.close_after(session)
        await answers.until_closed()
    finally:
        answers.stop()
    return answers.missed
