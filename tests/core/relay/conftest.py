"""Fixtures of the tests of the relay."""

from __future__ import annotations

import pytest

from wsgw_core.relay.all_sessions import memory_watch


@pytest.fixture
def quick_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes each round of the memory watch take no time, and so its rest, too.

    A garbage collection or a busy machine can make a round so slow that its rest is longer than a
    test waits.
    """
    monkeypatch.setattr(memory_watch, "thread_time", lambda: 0.0)
