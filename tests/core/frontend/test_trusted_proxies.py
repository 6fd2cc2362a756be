"""Which peers are trusted proxies, and the clients behind them."""

from __future__ import annotations

import time
from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from wsgw_core.config.server_options import ServerOptions
from wsgw_core.frontend.trusted_proxies import TrustedProxies

NETWORKS = ("10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "fe80::/10", "::1")


def proxies() -> TrustedProxies:
    return TrustedProxies(ip_network(network) for network in NETWORKS)


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("10.255.0.1", True),
        ("11.0.0.1", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("::1", True),
        ("::2", False),
        ("2001:DB8:0::17", True),
        ("fe80::1%eth0", True),
        ("", False),
        ("localhost", False),
        ("10.0.0.1:80", False),
    ],
)
def test_a_host_is_trusted_if_a_network_contains_it(host: str, trusted: bool) -> None:
    assert proxies().trusts(host) is trusted
    assert not TrustedProxies().trusts(host)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("198.51.100.1", ["1.2.3.4"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4, 5.6.7.8"], "5.6.7.8"),
        ("10.0.0.1", ["1.2.3.4", "5.6.7.8 , 10.0.0.3", "192.0.2.7"], "5.6.7.8"),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ("10.0.0.1", ["1.2.3.4, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["1.2.3.4,, 10.0.0.2"], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4,"], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4", ""], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4", " ,\t,", ", 10.0.0.2 ,"], "1.2.3.4"),
        ("10.0.0.1", [",", ""], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4" + "," * 96], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4" + "," * 60_000], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4" + ",, 10.0.0.9" * 31], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4:4711"], "1.2.3.4"),
        ("10.0.0.1", ["[2001:db9::1]:4711"], "2001:db9::1"),
        ("10.0.0.1", ["[2001:db9::1]"], "2001:db9::1"),
        ("10.0.0.1", ["2001:DB9:0::1"], "2001:db9::1"),
        ("10.0.0.1", ["::ffff:1.2.3.4"], "1.2.3.4"),
        ("::ffff:10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("::ffff:1.2.3.4", [], "1.2.3.4"),
        ("1.2.3.4", [], "1.2.3.4"),
        ("", ["1.2.3.4"], ""),
        ("10.0.0.1", ["1.2.3.4" + ", 10.0.0.9" * 31], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4" + ", 10.0.0.9" * 32], "10.0.0.9"),
        ("10.0.0.1", ["1.2.3.4", *["10.0.0.9"] * 32], "10.0.0.9"),
        ("10.0.0.1", ["9" * 10_000], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4" + " " * 10_000 + ", 10.0.0.2"], "10.0.0.2"),
    ],
)
def test_the_client_is_the_last_untrusted_hop(
    peer: str, forwarded_for: list[str], client: str
) -> None:
    assert proxies().client_address(peer, forwarded_for) == client


@pytest.mark.parametrize("entry", ["10.1.2.3", "2001:db8::1", "", "1", "[::1]:1", "::"])
def test_a_long_chain_costs_hardly_more_than_a_short_one(entry: str) -> None:
    trusted = proxies()

    def seconds(entries: int) -> float:
        told = [",".join([entry] * entries)]
        begun = time.thread_time()
        trusted.client_address("10.0.0.1", told)
        return time.thread_time() - begun

    short = min(seconds(32) for _ in range(5))
    assert min(seconds(5000) for _ in range(5)) < 3 * short + 0.001


def test_without_proxies_the_peer_is_the_client() -> None:
    assert TrustedProxies().client_address("10.0.0.1", ["1.2.3.4"]) == "10.0.0.1"


class TestOption:
    def test_networks_and_addresses_are_read(self) -> None:
        options = ServerOptions.model_validate({"trusted-proxies": [*NETWORKS]})
        assert options.trusted_proxies == tuple(map(ip_network, NETWORKS))
        again = ServerOptions.model_validate(options.model_dump(mode="json", by_alias=True))
        assert again == options

    def test_none_and_an_empty_list_are_different(self) -> None:
        assert ServerOptions().trusted_proxies is None
        assert ServerOptions.model_validate({"trusted-proxies": []}).trusted_proxies == ()

    @pytest.mark.parametrize("wrong", ["10.0.0.1/8", "10.0.0.0/33", "all", "", 10, None, "a.test"])
    def test_an_invalid_network_is_refused(self, wrong: object) -> None:
        with pytest.raises(ValidationError, match=r"such as 10\.0\.0\.0/8"):
            ServerOptions.model_validate({"trusted-proxies": [wrong]})

    @pytest.mark.parametrize(
        ("mapped", "right"),
        [("::ffff:10.0.0.0/104", "10.0.0.0/8"), ("::ffff:a00:7", "10.0.0.7/32")],
    )
    def test_ipv4_within_ipv6_is_refused_with_the_right_form(self, mapped: str, right: str) -> None:
        with pytest.raises(ValidationError, match=f"IPv4 within IPv6; write {right}"):
            ServerOptions.model_validate({"trusted-proxies": [mapped]})
