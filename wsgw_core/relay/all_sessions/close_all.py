"""Closes the clients of a gateway that stops, spread over some time."""

from __future__ import annotations

import asyncio

from ...api import Clock
from .last_answers import LastAnswers
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
    """Close each client, spread over some time, so that they do not all come back at once.

    Return when the last close was sent, or no session is left.

    Args:
        table: the sessions; no new ones may be added.
        clock: the event loop's time.
        code: of the clients' close.
        reason: of it.
        over: approximate seconds between the first and the last close.
        answer_timeout: seconds to wait for answers that a client is owed, if that is known.

    Returns:
        The number of clients that were closed without these answers.
    """
    answers = LastAnswers(clock, answer_timeout, lambda session: session.close_client(code, reason))
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
