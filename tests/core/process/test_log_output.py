"""Each record is one line, whatever text clients send."""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime, timedelta

import pytest

from wsgw_core.process.log_output import JsonFormatter, OneLineFormatter, set_up_logging


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


@pytest.mark.parametrize(
    "char",
    [
        "\u2028",
        "\u2029",
        "\u202e",
        "\u2066",
        "\u200b",
        "\u061c",
        "\ufeff",
        "\U000e0001",
        "\ud800",
        "\x9b",
    ],
)
def test_terminal_control_and_invisible_characters_are_escaped(char: str) -> None:
    shown = line("reason %s", f"a{char}b")
    assert shown.endswith(f"reason a{char.encode('unicode_escape').decode()}b")
    assert shown.isprintable()


def test_letters_of_all_languages_and_tabs_stay() -> None:
    assert line("%s", "é ж 漢 א 🙂\t.").endswith("é ж 漢 א 🙂\t.")


def test_long_line_loses_its_middle() -> None:
    shown = line("begin %s end", "x" * 1_000_000)
    assert len(shown) < 17_000
    assert " wsgw.x: begin xxx" in shown
    assert re.search(r"x\.\.\.\[\d+ characters\]\.\.\.x+ end$", shown)


def test_a_traceback_stays_in_the_line() -> None:
    empty: dict[str, int] = {}
    with pytest.raises(KeyError) as caught:
        empty["lost"]

    shown = line("fault", failed=caught.value)

    assert "Traceback" in shown
    assert shown.endswith("KeyError: 'lost'")
    assert shown.isprintable()


def test_secrets_in_urls_are_masked() -> None:
    shown = line("dial ws://u:pass@a:1/?token=abc&x=1 failed")
    assert shown.endswith("dial ws://u:***@a:1/?token=***&x=1 failed")


class TestJson:
    def record(
        self, message: str, failed: Exception | None = None, **extra: object
    ) -> dict[str, object]:
        info = (type(failed), failed, failed.__traceback__) if failed else None
        record = logging.LogRecord("wsgw.x", logging.WARNING, __file__, 1, message, (), info)
        record.__dict__.update(extra)
        text = JsonFormatter().format(record)
        assert "\n" not in text
        assert text.isascii()
        loaded: dict[str, object] = json.loads(text)
        return loaded

    def test_line_has_all_fields(self) -> None:
        shown = self.record(
            "lost\nit é", session="s1", route="chat", backend="blue", reason="1006", other=1
        )
        time = str(shown.pop("time"))
        assert datetime.fromisoformat(time).utcoffset() == timedelta(0)
        assert shown == {
            "level": "WARN",
            "logger": "wsgw.x",
            "event": "lost\nit é",
            "session": "s1",
            "route": "chat",
            "backend": "blue",
            "reason": "1006",
        }

    def test_subject_of_a_record_is_a_field(self) -> None:
        record = logging.LogRecord(
            "wsgw", logging.INFO, __file__, 1, "backend %s: has %s", ("blue", "left"), None
        )
        shown = json.loads(JsonFormatter().format(record))
        assert (shown["event"], shown["backend"]) == ("backend blue: has left", "blue")

    def test_long_values_are_shortened(self) -> None:
        shown = self.record("e" * 100_000, session="s" * 100_000, reason="r" * 100_000)
        assert len(str(shown["session"])) < 300
        assert len(str(shown["event"])) + len(str(shown["reason"])) < 34_000

    def test_unknown_fields_are_omitted(self) -> None:
        assert set(self.record("x", session=None)) == {"time", "level", "logger", "event"}

    def test_a_traceback_stays_in_the_line(self) -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            _ = 1 / 0
        assert "Traceback" in str(self.record("x", failed=caught.value)["exception"])

    def test_secrets_in_urls_are_masked(self) -> None:
        shown = self.record("ws://u:pass@a:1", reason="GET /?token=abc refused")
        assert shown["event"] == "ws://u:***@a:1"
        assert shown["reason"] == "GET /?token=*** refused"


@pytest.mark.usefixtures("log_set_up_anew")
def test_the_audit_log_is_written_whatever_the_level() -> None:
    set_up_logging("ERROR", "json")
    assert logging.getLogger("wsgw.audit").isEnabledFor(logging.INFO)
    assert not logging.getLogger("wsgw").isEnabledFor(logging.WARNING)
    assert isinstance(logging.getLogger().handlers[0].formatter, JsonFormatter)
