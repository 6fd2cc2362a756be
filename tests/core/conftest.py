"""For all tests of the core."""

from __future__ import annotations

from wsgw_core.testing.for_conftest import (  # noqa: F401 - pytest finds it here
    nothing_unhandled,
)
