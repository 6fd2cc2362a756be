"""Tells the cancellation of a task from one that a plugin's code raises by itself."""

from __future__ import annotations

import asyncio


def is_cancelled() -> bool:
    """Returns whether the present task itself was cancelled, not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
