"""Backends that operators have deleted stay deleted."""

from __future__ import annotations

from typing import Any

from wsgw_core.api import Options
from wsgw_core.api.registry import Registration
from wsgw_core.config.upstream_options import BackendEntry
from wsgw_core.plugins.plugin_specs import BackendSpec
from wsgw_core.pool.membership.deletions import Deletions


def entry(backend_id: str, url: str | None = "ws://a:1", **keys: Any) -> BackendSpec:
    registration: Registration[Any] = Registration("backend", "pigeon", Options, None, ())
    made = BackendEntry(id=backend_id, url=url, kind="pigeon", **keys)
    return BackendSpec(made, registration, Options())


def after_deletion(*backend_ids: str) -> Deletions:
    deletions = Deletions()
    deletions.follow([entry("blue"), entry("mailbox", None)])
    for backend_id in backend_ids:
        deletions.add(backend_id)
    return deletions


def test_a_deleted_entry_with_other_options_stays_deleted() -> None:
    deletions = after_deletion("blue", "mailbox")
    for number in range(2, 4):
        changed = entry("blue", priority=number)
        assert deletions.has(changed)
        assert deletions.has(entry("mailbox", None))
        assert not deletions.has(entry("green"))
        deletions.follow([changed, entry("mailbox", None), entry("green")])


def test_an_added_entry_is_not_deleted_any_more() -> None:
    deletions = after_deletion("blue")
    deletions.lift("blue")
    assert not deletions.has(entry("blue"))
    deletions.add("blue")
    assert deletions.has(entry("blue"))


def test_an_entry_missing_from_the_configuration_is_forgotten() -> None:
    deletions = after_deletion("blue")
    deletions.follow([entry("green")])
    assert not deletions.has(entry("blue"))
    deletions.follow([entry("blue")])
    assert not deletions.has(entry("blue"))


def test_an_entry_with_another_url_is_not_deleted_any_more() -> None:
    deletions = after_deletion("blue")
    moved = entry("blue", "ws://b:1")
    assert not deletions.has(moved)
    deletions.follow([moved])
    assert not deletions.has(moved)


def test_deleting_a_backend_without_an_entry_has_no_effect() -> None:
    deletions = after_deletion("green")
    assert not deletions.has(entry("green"))
