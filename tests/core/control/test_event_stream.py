"""Events go to the log and to followers."""

from __future__ import annotations

import logging

import pytest

from wsgw_core.control.event_stream import EventStream
from wsgw_core.control.events import BackendTripped, BackendUp, Event, SessionHeld, SessionOpened


def test_event_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stream = EventStream()

    stream.publish(SessionOpened("s-1", "own", "blue", "192.0.2.1"))
    stream.publish(BackendTripped("blue", "100% refused"))
    stream.publish(SessionHeld("s-1", "own", "blue"))  # which is for DEBUG

    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("INFO", "session s-1: opened at backend blue for client 192.0.2.1 by route own"),
        ("WARNING", "backend blue: breaker tripped: 100% refused"),
    ]
    found = [
        [getattr(each, f) for f in ("session", "route", "backend", "reason")]
        for each in caplog.records
    ]
    assert found == [["s-1", "own", "blue", None], [None, None, "blue", "100% refused"]]


def test_followers_get_events_until_they_end_it() -> None:
    stream, first, second = EventStream(), list[Event](), list[Event]()
    end = stream.follow(first.append)
    stream.follow(second.append)

    stream.publish(BackendUp("blue"))
    end()
    end()
    stream.publish(BackendUp("green"))

    assert first == [BackendUp("blue")]
    assert second == [BackendUp("blue"), BackendUp("green")]


def test_failing_follower_does_not_affect_others(caplog: pytest.LogCaptureFixture) -> None:
    stream, heard = EventStream(), list[Event]()

    def fail(_event: Event) -> None:
        raise LookupError("out of pigeons")

    stream.follow(fail)
    stream.follow(heard.append)
    stream.publish(BackendUp("blue"))

    assert heard == [BackendUp("blue")]
    assert "an event follower raised an error" in caplog.text
