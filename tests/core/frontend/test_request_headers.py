"""Which of a client's headers its backend gets."""

from __future__ import annotations

import pytest

from wsgw_core.api import Headers
from wsgw_core.frontend.request_headers import RequestHeaders

PEER = ("X-Forwarded-For", "192.0.2.1")


def picked(*received: tuple[str, str], block: tuple[str, ...] = (), trust: bool = True) -> Headers:
    picker = RequestHeaders(block, "X-Balancer-Reconnect", trust_forwarded_for=trust)
    return picker.for_backend(received, "192.0.2.1")


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
    assert picked(*received) == (*received, PEER)


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Content-Length",
        "Host",
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
    assert picked((spelling(name), "something"), ("X-A", "1")) == (("X-A", "1"), PEER)


def test_so_do_those_that_connection_names() -> None:
    received = (
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("X-A", "1"),
        ("connection", " x-HOP-too ,Upgrade"),
        ("x-hop-TOO", "2"),
    )
    assert picked(*received) == (("X-A", "1"), PEER)


@pytest.mark.parametrize(
    "name", ["X-Balancer-Reconnect", "x-balancer-reconnect", "X-Wsgw-Session", "x-wsgw-anything"]
)
def test_a_client_cannot_pose_as_a_failover(name: str) -> None:
    assert picked((name, "1")) == (PEER,)


def test_the_reconnect_header_can_have_another_name() -> None:
    picker = RequestHeaders((), "X-Again", trust_forwarded_for=True)
    received = (("X-Again", "1"), ("X-Balancer-Reconnect", "1"))
    assert picker.for_backend(received, "192.0.2.1") == (("X-Balancer-Reconnect", "1"), PEER)


def test_blocked_headers_are_dropped() -> None:
    received = (("X-Secret", "1"), ("x-secret", "2"), ("X-Secrets", "3"))
    assert picked(*received, block=("x-SECRET",)) == (("X-Secrets", "3"), PEER)


class TestForwardedFor:
    def test_a_trusted_one_is_continued(self) -> None:
        assert picked(("X-Forwarded-For", "10.0.0.1, 10.0.0.2"), ("X-A", "1")) == (
            ("X-A", "1"),
            ("X-Forwarded-For", "10.0.0.1, 10.0.0.2, 192.0.2.1"),
        )

    def test_several_trusted_ones_become_one(self) -> None:
        assert picked(("x-forwarded-for", "10.0.0.1"), ("X-Forwarded-For", "10.0.0.2")) == (
            ("X-Forwarded-For", "10.0.0.1, 10.0.0.2, 192.0.2.1"),
        )

    def test_without_trust_there_is_only_the_peers_address(self) -> None:
        assert picked(("X-Forwarded-For", "10.0.0.1"), trust=False) == (PEER,)

    def test_one_that_belongs_to_the_leg_is_not_continued(self) -> None:
        received = (("Connection", "X-Forwarded-For"), ("X-Forwarded-For", "10.0.0.1"))
        assert picked(*received) == (PEER,)

    def test_a_blocked_one_is_not_added(self) -> None:
        assert picked(("X-Forwarded-For", "10.0.0.1"), block=("X-Forwarded-For",)) == ()
