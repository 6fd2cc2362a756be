"""The table knows the sessions, and when the last one has ended."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from wsgw_core.relay.all_sessions.session_table import SessionTable
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock


@on_virtual_clock
async def test_it_is_empty_only_when_the_last_session_has_ended() -> None:
    table = SessionTable()
    await table.until_empty(60)
    first: Any = SimpleNamespace(id="first")
    second: Any = SimpleNamespace(id="second")
    table.add(first)
    table.add(second)
    waiting = asyncio.create_task(table.until_empty(60))
    table.remove(first)
    await idle()
    assert list(table) == [second]
    assert not waiting.done()
    table.remove(second)
    await waiting
    assert asyncio.get_running_loop().time() == 0


@on_virtual_clock
async def test_it_waits_no_longer_than_the_timeout() -> None:
    table = SessionTable()
    lasting: Any = SimpleNamespace(id="lasting")
    table.add(lasting)
    await table.until_empty(60)
    assert asyncio.get_running_loop().time() == pytest.approx(60)
    assert table.get("lasting") is lasting
