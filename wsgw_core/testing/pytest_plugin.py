"""Fixtures that pytest finds wherever wsgw-core is installed; they need no other plugin.

This module imports the gateway only when a test uses a fixture, so that other tests start as fast
as without it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest


@pytest.fixture
def run_virtual() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Returns a function that runs a coroutine on a new VirtualClockLoop.

    Call it as `run_virtual(scenario())`.

    For whole tests the decorator `wsgw_core.testing.virtual_clock.on_virtual_clock` is shorter.
    """
    from .virtual_clock import run_virtual  # noqa: PLC0415 - see the module's docstring

    return run_virtual


@pytest.fixture
def running_gateway() -> Callable[..., Any]:
    """Returns a context manager that runs a gateway in the event loop of the test.

    Use it as `async with running_gateway({...}) as gateway:`. The arguments are those of
    `wsgw_core.testing.running_gateway.running_gateway`: a configuration as in a file, and plugins
    that are not installed.
    """
    from .running_gateway import running_gateway  # noqa: PLC0415 - see the module's docstring

    return running_gateway
