"""Each event is one line, whatever a client has put into it."""

from __future__ import annotations

import logging

import pytest

from wsgw_core.log_output import OneLineFormatter


def line(message: str, *arguments: object, failed: Exception | None = None) -> str:
    info = (type(failed), failed, failed.__traceback__) if failed else None
    record = logging.LogRecord("wsgw.x", logging.INFO, __file__, 1, message, arguments, info)
    return OneLineFormatter().format(record)


def test_a_record_has_time_level_and_name() -> None:
    assert line("%d sessions", 3).endswith(" INFO wsgw.x: 3 sessions")


def test_line_ends_and_control_characters_are_escaped() -> None:
    shown = line("path %s", "/a\r\nINFO forged\x1b[2J\x85é")

    assert shown.endswith(r"path /a\r\nINFO forged\x1b[2J\x85é")
    assert shown.isprintable()


def test_a_traceback_stays_in_the_line() -> None:
    empty: dict[str, int] = {}
    with pytest.raises(KeyError) as caught:
        empty["lost"]

    shown = line("fault", failed=caught.value)

    assert "Traceback" in shown
    assert shown.endswith("KeyError: 'lost'")
    assert shown.isprintable()
