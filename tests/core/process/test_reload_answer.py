"""The command that requests a reload receives the result."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from wsgw_core.process import reload_answer
from wsgw_core.process.reload_answer import ReloadAnswer, pending_answer, send_answer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is there on Linux only")

DONE = ReloadAnswer(done=True, lines=("done, 1 backend", "and more"))


def flood_with_answers() -> None:
    for _ in range(1000):
        send_answer(DONE)


def test_command_receives_the_answer() -> None:
    with pending_answer(os.getpid()) as expectation:
        send_answer(DONE)
        assert expectation.wait(30) == DONE


def test_answer_is_masked_and_bounded() -> None:
    lines = ("ws://u:hush@a:1", *["x" * 10_000] * 10)
    with pending_answer(os.getpid()) as expectation:
        send_answer(ReloadAnswer(done=False, lines=lines))
        answer = expectation.wait(30)
    assert answer is not None
    assert not answer.done
    assert len(answer.lines) == 7
    assert "hush" not in answer.lines[0]


def test_answer_without_a_command_is_ignored() -> None:
    send_answer(DONE)
    with pending_answer(os.getpid()) as expectation:
        assert expectation.wait(0.01) is None


def test_one_of_two_commands_receives_the_answer() -> None:
    with pending_answer(os.getpid()) as first, pending_answer(os.getpid()) as second:
        assert (first.is_possible, second.is_possible) == (True, False)
        assert second.obstacle == f"process {os.getpid()} of user {os.geteuid()}"
        send_answer(DONE)
        assert second.wait(30) is None
        assert first.wait(30) == DONE


def test_another_process_cannot_answer() -> None:
    ours = os.getpid()
    forge = (
        "import os; from wsgw_core.process import reload_answer as r;"
        f"r.os.getpid = lambda: {ours}; r.send_answer(r.ReloadAnswer(True, ('forged',)))"
    )
    with pending_answer(ours) as expectation:
        subprocess.run([sys.executable, "-c", forge], check=True)
        send_answer(DONE)
        assert expectation.wait(30) == DONE


def test_endless_answer_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload_answer, "_LONGEST", 1024)
    with pending_answer(os.getpid()) as expectation, socket.socket(socket.AF_UNIX) as gateway:
        gateway.connect(b"\0wsgw-reload-%d" % os.getpid())
        gateway.sendall(b" " * 5000)
        send_answer(DONE)
        assert expectation.wait(30) == DONE


def test_wait_for_a_slow_answer_ends_in_time() -> None:
    with pending_answer(os.getpid()) as expectation, socket.socket(socket.AF_UNIX) as gateway:
        gateway.connect(b"\0wsgw-reload-%d" % os.getpid())
        ended = threading.Event()

        def drip() -> None:
            with suppress(OSError):
                while not ended.wait(0.05):
                    gateway.send(b" ")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert expectation.wait(0.5) is None
        finally:
            ended.set()
            dripping.join()


def test_terminal_control_is_escaped() -> None:
    with pending_answer(os.getpid()) as expectation:
        send_answer(ReloadAnswer(done=True, lines=("a\x1b[2J\u202eb",)))
        answer = expectation.wait(30)
    assert answer == ReloadAnswer(done=True, lines=("a\\x1b[2J\\u202eb",))


def test_command_of_another_user_gets_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload_answer, "_peer", lambda _: (os.getpid(), 12345))
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pending_answer(os.getpid()) as expectation:
        send_answer(DONE)
        assert expectation.wait(0.5) is None


@pytest.mark.parametrize("nonsense", [b"", b"{", b"[]", b"{}", b"7", b"\xff"])
def test_malformed_answer_is_ignored(nonsense: bytes) -> None:
    with pending_answer(os.getpid()) as expectation:
        with socket.socket(socket.AF_UNIX) as gateway:
            gateway.connect(b"\0wsgw-reload-%d" % os.getpid())
            gateway.sendall(nonsense)
        send_answer(DONE)
        assert expectation.wait(30) == DONE


def test_lines_that_are_not_text_are_converted() -> None:
    with pending_answer(os.getpid()) as expectation:
        with socket.socket(socket.AF_UNIX) as gateway:
            gateway.connect(b"\0wsgw-reload-%d" % os.getpid())
            gateway.sendall(b'{"done": true, "lines": [["a"], 7, null]}')
        assert expectation.wait(30) == ReloadAnswer(done=True, lines=("['a']", "7", "None"))


def test_command_that_does_not_accept_does_not_block() -> None:
    with pending_answer(os.getpid()):
        flood = threading.Thread(target=flood_with_answers, daemon=True)
        flood.start()
        flood.join(60)
        assert not flood.is_alive()


def test_other_systems_have_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload_answer, "_PEER_CREDENTIALS", None)
    with pending_answer(os.getpid()) as expectation:
        send_answer(DONE)
        assert not expectation.is_possible
        assert expectation.wait(30) is None
