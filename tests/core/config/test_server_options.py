"""Which addresses other machines can reach, and what the admin API does there."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from wsgw_core.api import Limits
from wsgw_core.config.address import Address
from wsgw_core.config.server_options import AdminOptions

TOKENS = [{"name": "ops", "token": "0123456789abcdef0123456789abcdef", "roles": ["read"]}]


@pytest.mark.parametrize("host", ["", " ", "a\nb", "a\0b", "gw.example:8081", "http://gw.example"])
def test_allowed_host_that_no_client_can_send_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="not a host such as"):
        AdminOptions.model_validate({"allowed-hosts": [host]})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_addresses_are_recognized(host: str) -> None:
    assert Address(host, 80).is_loopback


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.0.2.1", "gw.example", "fe80::1%eth0"])  # noqa: S104 - what is tested
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not Address(host, 80).is_loopback


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, []),
        ({"address": ":8081"}, ["address"]),
        ({"address": ":8081", "enabled": False}, []),
        ({"address": ":8081", "tokens": TOKENS}, []),
        ({"address": ":8081", "allow-unauthenticated": True}, ["allow-unauthenticated"]),
        ({"address": "127.0.0.1:8081", "allow-unauthenticated": True}, []),
    ],
)
def test_admin_address_without_tokens_is_warned_of(
    options: dict[str, Any], keys: list[str]
) -> None:
    found = AdminOptions.model_validate(options).warnings(Limits())
    assert [key for key, _ in found] == keys
