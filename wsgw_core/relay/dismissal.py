"""Closes the clients of a gateway that stops, spread over some time."""

from __future__ import annotations

import asyncio

from ..api import Clock
from .session_table import SessionTable


async def dismiss_all(
    table: SessionTable, clock: Clock, code: int, reason: str, *, over: float
) -> None:
    """Dismiss each session; if all did so at once, they would all come back at once.

    Returns when the last one was told, or there is none any more.

    Args:
        table: those that are to go; nobody may add to it for long.
        clock: the event loop's time.
        code: of the clients' close.
        reason: of it.
        over: seconds between the first and the last of them, about.
    """
    sessions = tuple(table)
    begin = clock.time()
    for number, session in enumerate(sessions):
        due = begin + over * number / len(sessions)
        if due > clock.time():
            await asyncio.sleep(due - clock.time())
        if not len(table):
            return
        session.dismiss(code, reason)
    for session in table:
        session.dismiss(code, reason)
