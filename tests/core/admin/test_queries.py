"""A long list of sessions is written in several turns of the event loop."""

from __future__ import annotations

import asyncio
import json
from typing import cast

from aiohttp import web

from wsgw_core.admin.queries import Queries
from wsgw_core.control.control import Control
from wsgw_core.control.status import SessionStatus


class Gateway:
    """A control with many sessions."""

    COUNT = 1200

    async def sessions(self) -> list[SessionStatus]:
        session = SessionStatus("a1", "127.0.0.1:1", "/", "", "blue", "live", False, 0, 0, 0)
        return [session] * self.COUNT


async def test_listing_many_sessions_lets_others_run_meanwhile() -> None:
    turns = 0

    async def relay() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    relaying = asyncio.create_task(relay())
    queries = Queries(cast("Control", Gateway()))
    answer = await queries.sessions(cast("web.Request", None))
    relaying.cancel()
    assert turns >= 2
    assert isinstance(answer.body, bytes)
    assert len(json.loads(answer.body)) == Gateway.COUNT
