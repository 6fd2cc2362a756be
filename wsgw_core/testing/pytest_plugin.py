"""Fixtures for pytest, found by it wherever wsgw-core is installed; needs no other plugin.

Imports nothing of the gateway before a fixture is asked for, so that other people's tests start
as fast as without it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest


@pytest.fixture
def run_virtual() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine on a new VirtualClockLoop: `run_virtual(scenario())`.

    For whole tests the decorator `wsgw_core.testing.virtual_clock.on_virtual_clock` is shorter.
    """
    from .virtual_clock import run_virtual  # noqa: PLC0415 - see the module's docstring

    return run_virtual


@pytest.fixture
def running_gateway() -> Callable[..., Any]:
    """Runs a gateway in the event loop of the test.

    As in `async with running_gateway({...}) as gateway:`.

    The arguments are those of `wsgw_core.testing.running_gateway.running_gateway`: a configuration
    as a file holds it, and plugins that are not installed.
    """
    from .running_gateway import running_gateway  # noqa: PLC0415 - see the module's docstring

    return running_gateway
