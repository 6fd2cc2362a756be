"""What a pooled backend tells about itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsgw_core.pool.backends.backend_pool import PooledBackend
from wsgw_core.testing.fakes import FakeBackend

from ..dial_bench import set_


@pytest.mark.parametrize(
    ("change", "is_for_newcomers"),
    [
        (lambda _: None, True),
        (lambda backend: set_(backend, enabled=False), False),
        (lambda backend: set_(backend, healthy=False), False),
        (lambda backend: backend.go_down(100, "lost"), True),
        (lambda backend: backend.go_down(100, "busy", rest=3), False),
        (lambda backend: backend.go_down(100, "busy", rest=2), True),
    ],
    ids=["usable", "disabled", "unhealthy", "down", "rests", "has rested"],
)
def test_new_clients_may_come_to_a_backend_that_is_not_known_to_refuse_them(
    change: Callable[[PooledBackend], None], *, is_for_newcomers: bool
) -> None:
    backend = PooledBackend("a", FakeBackend("a"))
    change(backend)
    assert backend.is_for_newcomers(102) is is_for_newcomers
