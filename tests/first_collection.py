"""One process of a run compiles the tests; the others then read the compiled files.

In a fresh checkout, compiling takes longer than the rest of collecting tests, and processes that
begin together would all compile everything. So it is with hypothesis' tables of characters, which
take three seconds: the process that starts the others makes them.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis.strategies import text

_FIRST = "gw0"
_BOUND = 120.0  # seconds; a process that waits longer compiles too
_KEY = "first_collection"  # key of what a process is told


class FirstCollection:
    """A plugin of the process that starts the others."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="collection-")
        self._over = Path(self._folder.name, "over")

    @pytest.hookimpl(optionalhook=True)  # pytest-xdist's, as those below
    def pytest_configure_node(self, node: Any) -> None:
        """Tells a process which file shows that the first one has collected."""
        text().validate()  # makes hypothesis' tables
        node.workerinput[_KEY] = str(self._over)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Lets the others begin."""
        self._over.touch()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self) -> None:
        """Lets the others begin: this may have been the first."""
        self._over.touch()

    def pytest_unconfigure(self) -> None:
        """Removes the file."""
        self._folder.cleanup()


def configure(config: pytest.Config) -> None:
    """Makes the process that starts the others tell them."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(FirstCollection())


def wait_for_it(config: pytest.Config) -> None:
    """Returns when this process may collect."""
    told: dict[str, Any] = getattr(config, "workerinput", {})
    if not told or told["workerid"] == _FIRST:
        return
    over, until = Path(told[_KEY]), time.monotonic() + _BOUND
    while not over.exists() and time.monotonic() < until:
        time.sleep(0.05)
