"""A client's headers without those that a plugin sets itself."""

from __future__ import annotations

import pytest

from wsgw_core.api import without_headers


@pytest.mark.parametrize("spelling", ["X-Api-Key", "x-api-key", "X_API_KEY", "x-api_key"])
def test_every_spelling_of_a_name_is_removed(spelling: str) -> None:
    sent = (("X-A", "1"), (spelling, "2"), ("X-Api-Keys", "3"), (spelling, "4"), ("X-A", "5"))
    left = (("X-A", "1"), ("X-Api-Keys", "3"), ("X-A", "5"))
    assert without_headers(sent, ["x-Api-key"]) == left


def test_without_names_all_headers_are_kept() -> None:
    sent = (("X-A", "1"), ("x_a", "2"))
    assert without_headers(sent, ()) == sent
