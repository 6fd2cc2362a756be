"""What the tests under load share, and the table of what they found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from .history import Verdict
from .scene import Scene, open_scene

_VERDICTS: pytest.StashKey[list[tuple[str, Verdict]]] = pytest.StashKey()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Return what starts a scene: two backends, unless their options say otherwise."""
    async with AsyncExitStack() as scenes:

        async def start(*options: tuple[str, ...], **sections: Any) -> Scene:
            scene: AbstractAsyncContextManager[Scene] = open_scene(
                tmp_path, options or ((), ()), **sections
            )
            return await scenes.enter_async_context(scene)

        yield start


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[Verdict], None]:
    """Return what puts a verdict into the table."""

    def note(verdict: Verdict) -> None:
        name = request.node.name.removeprefix("test_")
        request.config.stash.setdefault(_VERDICTS, []).append((name, verdict))

    return note


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table."""
    found = config.stash.get(_VERDICTS, [])
    if not found:
        return
    rows = [["", *Verdict.columns()], *([name, *verdict.row()] for name, verdict in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    terminalreporter.section("what became of the messages")
    for name, *cells in rows:
        line = [name.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]
        terminalreporter.write_line("  ".join(line))
