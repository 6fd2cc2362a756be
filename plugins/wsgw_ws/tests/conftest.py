"""Fixtures for the plugin's tests: the two event loops that a gateway can run on."""

from __future__ import annotations

from wsgw_core.testing.for_conftest import (  # noqa: F401 - pytest finds them here
    nothing_unhandled,
    pytest_asyncio_loop_factories,
)
