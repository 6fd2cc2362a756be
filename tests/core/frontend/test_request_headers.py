"""Which of a client's headers a backend gets."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from wsgw_core.api import Headers
from wsgw_core.frontend.forwarded import Forwarding, Peer
from wsgw_core.frontend.request_headers import RequestHeaders
from wsgw_core.frontend.trusted_proxies import TrustedProxies

CLIENT = Peer("192.0.2.1", "http", "gateway.test:8080")
FOR = ("X-Forwarded-For", "192.0.2.1")
PROTO = ("X-Forwarded-Proto", "http")
HOST = ("X-Forwarded-Host", "gateway.test:8080")
MADE = (FOR, PROTO, HOST)
NOBODY = TrustedProxies()
PROXIES = TrustedProxies([ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")])


def picked(
    *received: tuple[str, str],
    block: tuple[str, ...] = (),
    proxies: TrustedProxies = NOBODY,
    believe_all: bool = True,
    forwarded: bool = False,
    peer: Peer = CLIENT,
) -> Headers:
    forwarding = Forwarding(proxies, believe_all=believe_all, forwarded=forwarded)
    return RequestHeaders(block, "X-Balancer-Reconnect", forwarding).for_backend(received, peer)


def test_order_and_repeated_values_are_kept() -> None:
    received = (
        ("Cookie", "a=1"),
        ("X-B", "1"),
        ("cookie", "b=2"),
        ("X-A", ""),
        ("X-B", "2"),
        ("Authorization", "Basic Zm9vOmJhcg=="),
        ("Origin", "https://a.test"),
    )
    assert picked(*received) == (*received, *MADE)


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Content-Length",
        "Expect",
        "Host",
        "HTTP2-Settings",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Version",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
    ],
)
@pytest.mark.parametrize("spelling", [str.title, str.upper, str.lower])
def test_headers_of_one_leg_stay_on_it(name: str, spelling: object) -> None:
    assert callable(spelling)
    assert picked((spelling(name), "something"), ("X-A", "1")) == (("X-A", "1"), *MADE)


def test_headers_named_by_connection_stay_on_their_leg() -> None:
    received = (
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("X-A", "1"),
        ("connection", " x-HOP-too ,Upgrade"),
        ("x-hop-TOO", "2"),
    )
    assert picked(*received) == (("X-A", "1"), *MADE)


@pytest.mark.parametrize("named", ["X-Auth-User", "upgrade, x-auth-user", "close,X-AUTH-USER"])
@pytest.mark.parametrize("host", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::7"])
def test_connection_through_a_trusted_proxy_removes_no_header_of_the_proxy(
    named: str, host: str
) -> None:
    peer = Peer(host, "http", "gateway.test:8080")
    received = (("Connection", named), ("X-Auth-User", "alice"), ("TE", "gzip"))
    kept = picked(*received, proxies=PROXIES, peer=peer)
    assert kept[0] == ("X-Auth-User", "alice")
    assert "TE" not in dict(kept)


def test_connection_of_another_peer_removes_what_it_names_beside_trusted_proxies() -> None:
    peer = Peer("198.51.100.1", "http", "gateway.test:8080")
    received = (("Connection", "Upgrade, X-Hop"), ("X-Hop", "1"), ("X-A", "1"))
    names = [name for name, _ in picked(*received, proxies=PROXIES, peer=peer)]
    assert "X-Hop" not in names
    assert "X-A" in names


@pytest.mark.parametrize(
    "name", ["X-Balancer-Reconnect", "x-balancer-reconnect", "X-Wsgw-Session", "x-wsgw-anything"]
)
def test_a_client_cannot_pose_as_a_failover(name: str) -> None:
    assert picked((name, "1")) == MADE


def test_the_reconnect_header_can_have_another_name() -> None:
    forwarding = Forwarding(NOBODY, believe_all=True, forwarded=False)
    picker = RequestHeaders((), "X-Again", forwarding)
    received = (("X-Again", "1"), ("X-Balancer-Reconnect", "1"))
    assert picker.for_backend(received, CLIENT) == (("X-Balancer-Reconnect", "1"), *MADE)


@pytest.mark.parametrize(
    "name",
    [
        "X_Forwarded_For",
        "x-forwarded_proto",
        "X_Real_IP",
        "X_Wsgw_Session",
        "X_Balancer-Reconnect",
        "Content_Length",
        "Transfer_Encoding",
        "X_Secret",
    ],
)
def test_a_client_cannot_pose_as_a_failover_by_another_spelling(name: str) -> None:
    assert picked((name, "1"), block=("X-Secret",), proxies=PROXIES) == MADE


def test_a_header_with_an_underscore_is_kept() -> None:
    assert picked(("X_User", "1")) == (("X_User", "1"), *MADE)


@pytest.mark.parametrize(
    ("header", "subject", "added"),
    [
        ("X-Subject", "CN=meter", (("X-Subject", "CN=meter"),)),
        ("X-Subject", None, ()),
        (None, "CN=meter", ()),
    ],
)
def test_the_subject_of_the_clients_certificate_is_added_if_wanted(
    header: str | None, subject: str | None, added: Headers
) -> None:
    forwarding = Forwarding(NOBODY, believe_all=True, forwarded=False)
    headers = RequestHeaders((), "X-Balancer-Reconnect", forwarding, header)
    peer = replace(CLIENT, subject=subject)
    assert headers.for_backend([], peer) == (*MADE, *added)


def test_blocked_headers_are_dropped() -> None:
    received = (("X-Secret", "1"), ("x-secret", "2"), ("X-Secrets", "3"))
    assert picked(*received, block=("x-SECRET",)) == (("X-Secrets", "3"), *MADE)


class TestForwardedFor:
    def test_the_header_of_a_trusted_proxy_is_continued(self) -> None:
        assert picked(("X-Forwarded-For", "10.0.0.1, 10.0.0.2"), ("X-A", "1")) == (
            ("X-A", "1"),
            ("X-Forwarded-For", "10.0.0.1, 10.0.0.2, 192.0.2.1"),
            PROTO,
            HOST,
        )

    def test_several_headers_of_a_trusted_proxy_become_one(self) -> None:
        assert picked(("x-forwarded-for", "10.0.0.1"), ("X-Forwarded-For", "10.0.0.2")) == (
            ("X-Forwarded-For", "10.0.0.1, 10.0.0.2, 192.0.2.1"),
            PROTO,
            HOST,
        )

    @pytest.mark.parametrize(
        "received", [("10.0.0.1,",), ("10.0.0.1", ""), (" , 10.0.0.1 ,,", ","), ("", "10.0.0.1")]
    )
    def test_empty_elements_are_omitted(self, received: tuple[str, ...]) -> None:
        fields = [("X-Forwarded-For", value) for value in received]
        assert picked(*fields)[0] == ("X-Forwarded-For", "10.0.0.1, 192.0.2.1")

    def test_without_trust_only_the_peers_address_is_sent(self) -> None:
        assert picked(("X-Forwarded-For", "10.0.0.1"), believe_all=False) == MADE

    @pytest.mark.parametrize("proxies", [NOBODY, PROXIES])
    def test_a_client_cannot_remove_the_header(self, proxies: TrustedProxies) -> None:
        received = (("Connection", "X-Forwarded-For"), ("X-Forwarded-For", "10.0.0.1"))
        assert ("X-Forwarded-For", "10.0.0.1, 192.0.2.1") in picked(*received, proxies=proxies)

    def test_a_blocked_one_is_not_added(self) -> None:
        assert picked(("X-Forwarded-For", "10.0.0.1"), block=("X-Forwarded-For",)) == (PROTO, HOST)

    def test_a_mapped_address_is_written_as_ipv4(self) -> None:
        made = picked(peer=Peer("::ffff:192.0.2.1", "https", "gateway.test:8080"))
        assert made == (FOR, ("X-Forwarded-Proto", "https"), HOST)


THEIRS = (
    ("Forwarded", "for=10.0.0.9"),
    ("X-Forwarded-For", "10.0.0.9"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "outside.test"),
    ("X-Forwarded-Port", "443"),
    ("X-Real-IP", "10.0.0.9"),
)


class TestProxies:
    @pytest.mark.parametrize("believe_all", [True, False])
    def test_headers_of_a_trusted_proxy_are_passed_on_and_continued(
        self, believe_all: bool
    ) -> None:
        told = picked(*THEIRS, proxies=PROXIES, believe_all=believe_all)
        assert sorted(told) == sorted(
            ("X-Forwarded-For", "10.0.0.9, 192.0.2.1")
            if name == "X-Forwarded-For"
            else (name, value)
            for name, value in THEIRS
        )

    def test_headers_missing_from_a_proxy_are_made(self) -> None:
        assert picked(proxies=PROXIES) == MADE

    @pytest.mark.parametrize("value", ["", " ", ","])
    def test_an_empty_header_of_a_proxy_is_ignored(self, value: str) -> None:
        names = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")
        empty = [(name, value) for name in names]
        told = picked(*empty, proxies=PROXIES, forwarded=True)
        ours = ("Forwarded", 'for=192.0.2.1;host="gateway.test:8080";proto=http')
        assert told == (*MADE, ours)

    def test_headers_of_other_peers_are_dropped(self) -> None:
        outsider = Peer("198.51.100.1", "http", "gateway.test")
        assert picked(*THEIRS, proxies=PROXIES, believe_all=False, peer=outsider) == (
            ("X-Forwarded-For", "198.51.100.1"),
            PROTO,
            ("X-Forwarded-Host", "gateway.test"),
        )

    def test_believe_all_applies_only_to_x_forwarded_for(self) -> None:
        assert picked(*THEIRS) == (("X-Forwarded-For", "10.0.0.9, 192.0.2.1"), PROTO, HOST)


class TestForwarded:
    def test_forwarded_has_the_same_values_as_the_other_headers(self) -> None:
        wanted = ("Forwarded", 'for=192.0.2.1;host="gateway.test:8080";proto=http')
        assert picked(forwarded=True) == (*MADE, wanted)

    def test_an_ipv6_address_is_put_in_brackets_and_quotes(self) -> None:
        peer = Peer("2001:db8::1", "https", "gateway.test")
        wanted = ("Forwarded", 'for="[2001:db8::1]";host=gateway.test;proto=https')
        assert wanted in picked(forwarded=True, peer=peer)

    def test_forwarded_of_a_trusted_proxy_is_continued(self) -> None:
        received = (("Forwarded", "for=10.0.0.9;proto=https"), ("forwarded", "for=_hidden"))
        ours = 'for=192.0.2.1;host="gateway.test:8080";proto=http'
        wanted = ("Forwarded", f"for=10.0.0.9;proto=https, for=_hidden, {ours}")
        assert wanted in picked(*received, forwarded=True, proxies=PROXIES)

    def test_forwarded_of_other_peers_is_dropped(self) -> None:
        made = picked(("Forwarded", "for=10.0.0.9"), forwarded=True)
        assert dict(made)["Forwarded"].startswith("for=192.0.2.1;")

    def test_a_blocked_one_is_not_added(self) -> None:
        assert picked(block=("forwarded",), forwarded=True) == MADE
