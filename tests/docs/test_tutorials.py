"""Runs the tutorials as written, with other ports and shorter waits."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..journeys.free_ports import free_ports

if TYPE_CHECKING:
    from tests.docs.conftest import Block

TIMEOUT = 60.0
PORTS = ("4222", "8080", "9090", "9091", "9100", "9101")


class Terminal:
    """A shell that blocks are typed into, and everything it has printed."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        programs = Path(sys.executable).parent
        own = ("BE_", "FE_", "ADM_", "LOG_LEVEL", "WSGW_")
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(own)}
        self.shown = ""
        self._grown = threading.Condition()
        self._shell = subprocess.Popen(
            [shutil.which("bash") or "bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={
                **inherited,
                "ADM_ADDR": "127.0.0.1:0",
                "PATH": f"{programs}:{os.environ['PATH']}",
                **variables,
            },
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, text: str) -> None:
        """Types a block."""
        assert self._shell.stdin is not None
        self._shell.stdin.write(text)
        self._shell.stdin.flush()

    def wait_for(self, pattern: str, since: int) -> None:
        """Waits until the shell prints the pattern after this position; fails when it does not."""
        deadline = time.monotonic() + TIMEOUT
        with self._grown:
            while not re.search(pattern, self.shown[since:]):
                left = deadline - time.monotonic()
                assert left > 0, f"waited for {pattern!r}; shown was\n{self.shown[since:]}"
                self._grown.wait(left)

    def end(self) -> None:
        """Ends the shell and everything it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.close()
        self._reader.join()
        self._shell.stdout.close()

    def _read(self) -> None:
        assert self._shell.stdout is not None
        for line in self._shell.stdout:
            with self._grown:
                self.shown += line
                self._grown.notify_all()


@pytest.fixture
def terminal(tmp_path: Path, root: Path) -> Iterator[Terminal]:
    shutil.copytree(root / "examples", tmp_path / "examples")
    site = tmp_path / "site"
    terminal = Terminal(
        tmp_path,
        {
            # The command installs into the test's environment and needs no network.
            "PIP_TARGET": str(site),
            "PIP_NO_DEPS": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip's own way to say "without isolation"
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            "PYTHONPATH": str(site),
        },
    )
    yield terminal
    terminal.end()


def follow(
    terminal: Terminal,
    folder: Path,
    blocks: list[Block],
    replacements: dict[str, str],
    expected: list[list[str]],
) -> None:
    """Saves the files of a tutorial, types its commands, and checks the output it announces."""
    replacements |= dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    assert sum(block.language == "sh" for block in blocks) == len(expected)
    for block in blocks:
        text = replaced(block.text, replacements)
        name = re.match(r"# ([\w.]+)\n", text)
        if name and not block.comment:
            (folder / name[1]).write_text(text, "utf-8")
        elif block.language == "sh":
            since = len(terminal.shown)
            terminal.type(text)
            for pattern in expected.pop(0):
                terminal.wait_for(replaced(pattern, replacements), since)


def replaced(text: str, replacements: dict[str, str]) -> str:
    either = "|".join(map(re.escape, replacements))
    return re.sub(either, lambda match: replacements[match[0]], text)


def of(document: Path, blocks: list[Block]) -> list[Block]:
    return [block for block in blocks if block.document == document]


@pytest.mark.slow
def test_first_gateway_tutorial_works(
    terminal: Terminal, tmp_path: Path, root: Path, blocks: list[Block]
) -> None:
    follow(
        terminal,
        tmp_path,
        of(root / "docs/tutorial/first-gateway.md", blocks),
        {"time.sleep(0.5)": "time.sleep(0.05)"},
        [
            ["listening on 127.0.0.1:9090", "listening on 127.0.0.1:9091"],
            [r"id: green\b"],
            [r"wsgw: listening on 127.0.0.1:8080, 2 backends\n"],
            [r"blue 1\n", r"blue 3\n"],
            [r"green \d+\n"],
            ["listening on 127.0.0.1:9090"],
            [r"blue \d+\n"],
            ["all 60 were answered"],
            [],
        ],
    )
    terminal.type("wait; echo all is over\n")
    terminal.wait_for("all is over", 0)
    answers = re.findall(r"^(?:blue|green) (\d+)$", terminal.shown, re.MULTILINE)
    assert [int(number) for number in dict.fromkeys(answers)] == list(range(1, 61))
    assert "Traceback" not in terminal.shown


@pytest.mark.slow
def test_first_plugin_tutorial_works(
    terminal: Terminal, tmp_path: Path, root: Path, blocks: list[Block]
) -> None:
    follow(
        terminal,
        tmp_path,
        of(root / "docs/tutorial/first-plugin.md", blocks),
        {},
        [
            [r"jsonl +wsgw-jsonl +0\.1\.0"],
            ["blue listens on 127.0.0.1:9100", "green listens on 127.0.0.1:9101"],
            [r"wsgw: listening on 127.0.0.1:8080, 2 backends\n"],
            ["blue hello\n"],
            [],
        ],
    )
    terminal.type("wait; echo all is over\n")
    terminal.wait_for("all is over", 0)
    assert "Traceback" not in terminal.shown


@pytest.mark.slow
def test_write_a_valve_tutorial_works(
    terminal: Terminal, tmp_path: Path, root: Path, blocks: list[Block]
) -> None:
    follow(
        terminal,
        tmp_path,
        of(root / "docs/tutorial/write-a-valve.md", blocks),
        {},
        [
            [r"mask +wsgw-mask +0\.1\.0"],
            [r"valves\[0\]\.keep: found '20', allowed: less than or equal to 10\n"],
        ],
    )
    assert "Traceback" not in terminal.shown


@pytest.mark.slow
def test_write_a_broker_backend_tutorial_works(
    terminal: Terminal, tmp_path: Path, root: Path, blocks: list[Block]
) -> None:
    follow(
        terminal,
        tmp_path,
        of(root / "docs/tutorial/write-a-broker-backend.md", blocks),
        {},
        [
            [r"nats +wsgw-nats +0\.1\.0"],
            ["Server is ready"],
            ["blue works"],
            [r"wsgw: listening on 127.0.0.1:8080, 1 backend\n"],
            ["blue hello\n", "blue: connect "],
            ["Server is ready", "blue still here\n", "blue: connect "],
            ["blue: disconnect "],
            [],
        ],
    )
    terminal.type("wait; echo all is over\n")
    terminal.wait_for("all is over", 0)
    assert "Traceback" not in terminal.shown
