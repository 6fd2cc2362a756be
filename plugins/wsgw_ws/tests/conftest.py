"""For the tests of the plugin: both event loops that a gateway may have."""

from __future__ import annotations

from wsgw_core.testing.for_conftest import (  # noqa: F401 - pytest finds them here
    nothing_unhandled,
    pytest_asyncio_loop_factories,
)
