"""The one-line summary of a reload."""

from __future__ import annotations

from wsgw_core.control.outcome import ReloadReport
from wsgw_core.pool.backends.backend_pool import PooledBackend
from wsgw_core.testing.fakes import FakeBackend


def pooled(backend_id: str) -> PooledBackend:
    return PooledBackend(backend_id, FakeBackend(backend_id))


def by_id(*backends: PooledBackend) -> dict[str, PooledBackend]:
    return {backend.id: backend for backend in backends}


def test_summary_groups_backends_by_change() -> None:
    same, old, new = pooled("same"), pooled("changed"), pooled("changed")
    gone, fresh = pooled("gone"), pooled("fresh")

    report = ReloadReport.of(
        by_id(same, old, gone), by_id(same, new, fresh), ["left"], ["server.admin"]
    )

    assert report == ReloadReport(
        ["fresh"], ["gone"], ["changed"], ["same"], ["left"], ["server.admin"]
    )
    assert report.summary == (
        "done, 3 backends: 1 added (fresh), 1 removed (gone), 1 changed (changed), 1 unchanged;"
        " deleted by operators: left"
    )


def test_summary_uses_the_singular_for_one_backend() -> None:
    assert ReloadReport(unchanged=["a"]).summary == (
        "done, 1 backend: 0 added, 0 removed, 0 changed, 1 unchanged"
    )


def test_summary_of_many_backends_is_short() -> None:
    ids = [str(number) for number in range(1000)]
    assert "1000 added (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 990 more)," in ReloadReport(ids).summary
