"""What the log says about the end of a session."""

from __future__ import annotations

import logging

import pytest

from wsgw_core.api import Close
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench


@pytest.mark.parametrize(
    ("close", "said"), [(Close(1000), "1000"), (Close(4000, "good night"), "4000 good night")]
)
@on_virtual_clock
async def test_the_log_gives_the_reason_if_there_is_one(
    close: Close, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsgw")
    bench = await RelayBench().open()
    connection = await bench.blue.connection(0)

    connection.hang_up(close.code, close.reason)
    await idle()

    assert caplog.messages[1:] == [
        f"session session-1: backend blue closed: {said}",
        f"session session-1: ended: {said}; 0 undelivered",
    ]
    assert [getattr(each, "reason", None) for each in caplog.records[1:]] == [said, said]


@on_virtual_clock
async def test_the_log_names_the_rule_that_a_client_has_broken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "wsgw")
    bench = await RelayBench().open()

    bench.session.client_closed(Close(1007, "invalid UTF-8"), violation=True)

    assert caplog.messages[1] == (
        "session session-1: client broke the protocol: 1007 invalid UTF-8"
    )
