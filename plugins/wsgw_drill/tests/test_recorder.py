"""The recorder's logs can be judged, and clients understand its answers."""

from __future__ import annotations

import os
from pathlib import Path

from wsgw_drill.history import Sent, Verdict, judge, read_logs

from wsgw_core.testing.numbered_message import compose
from wsgw_core.testing.recorder import Recorder


def test_read_message_is_logged_and_answered(tmp_path: Path) -> None:
    log = tmp_path / "log"
    recorder = Recorder("blue", str(log))

    recorder.opened("s1", 1)
    first = recorder.read("s1", compose("c1", 0, 8), again=True)
    second = recorder.read("s1", compose("c1", 1, 8).decode())
    recorder.closed("s1")

    assert (first, second) == (f"c1 0 blue {os.getpid()}-s1", f"c1 1 blue {os.getpid()}-s1")
    verdict = judge([Sent("c1", sent=2, answered={0, 1})], read_logs([log]), 0.25, 1.0)
    assert verdict == Verdict(sent=2, failovers=1)


def test_message_that_no_client_sent_is_not_answered(tmp_path: Path) -> None:
    log = tmp_path / "log"

    assert Recorder("blue", str(log)).read("s1", "hello") is None

    assert judge([], read_logs([log]), 0.25, 1.0) == Verdict(corrupted=1)
