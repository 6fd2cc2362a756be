"""A warning that somebody else may cause at will is given once a minute."""

from __future__ import annotations

import asyncio
import logging

import pytest

from wsgw_core.api import RareWarning
from wsgw_core.testing.virtual_clock import on_virtual_clock


@on_virtual_clock
async def test_once_a_minute_whatever_its_words(caplog: pytest.LogCaptureFixture) -> None:
    warn = RareWarning(logging.getLogger("wsgw.test"))
    for second in range(121):
        warn("second %d of %s", second, "them")
        await asyncio.sleep(1)
    assert caplog.messages == [
        "second 0 of them",
        "second 60 of them (and 59 more since the last one)",
        "second 120 of them (and 59 more since the last one)",
    ]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


@on_virtual_clock
async def test_an_error_is_told_as_one_with_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    warn, error = RareWarning(logging.getLogger("wsgw.test")), LookupError("out of pigeons")
    for _ in range(2):
        warn("fault: %r", error, level=logging.ERROR, exc_info=error)
    [record] = caplog.records
    assert (record.levelname, record.exc_info and record.exc_info[1]) == ("ERROR", error)


@on_virtual_clock
async def test_two_of_them_do_not_silence_each_other(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("wsgw.test")
    one, other = RareWarning(logger), RareWarning(logger)
    one("one")
    other("other")
    assert caplog.messages == ["one", "other"]
