"""Which addresses other machines can reach."""

from __future__ import annotations

import pytest

from wsgw_core.admin.guard import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_addresses_are_recognized(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.0.2.1", "gw.example", "fe80::1%eth0"])  # noqa: S104 - what is tested
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)
