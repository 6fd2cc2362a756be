"""Binding an address: one socket for each of its families, all on one port, or none."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import pytest

from wsgw_core.config.address import Address
from wsgw_core.frontend.frontend_server import bind

HERE = (socket.AF_INET, ("127.0.0.1", 0))
ELSEWHERE = (socket.AF_INET, ("240.0.0.1", 0))  # reserved (RFC 1112): no machine has it
ALSO_ELSEWHERE = (socket.AF_INET, ("240.0.0.2", 0))

Resolve = Callable[..., None]


class NotedSocket(socket.socket):
    """A socket that is noted when it is made."""

    made: list[socket.socket]

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self.made.append(self)


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Sets what every name resolves to."""

    def resolved(*found: tuple[int, tuple[str, int]]) -> None:
        entries = [(family, socket.SOCK_STREAM, 6, "", where) for family, where in found]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)

    return resolved


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """All sockets that the test makes."""
    sockets: list[socket.socket] = []
    monkeypatch.setattr(NotedSocket, "made", sockets, raising=False)
    monkeypatch.setattr(socket, "socket", NotedSocket)
    return sockets


def test_a_wildcard_listens_for_ipv4_and_ipv6_apart_on_one_port() -> None:
    bound = bind(Address("", 0))
    try:
        for each in bound:
            each.listen()
        assert len({each.getsockname()[1] for each in bound}) == 1
        for each in bound:
            if each.family == socket.AF_INET6:
                assert each.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    finally:
        for each in bound:
            each.close()


def test_a_name_with_one_address_of_another_machine_is_an_error_and_leaves_no_socket(
    resolve: Resolve, made: list[socket.socket]
) -> None:
    resolve(HERE, ELSEWHERE)

    with pytest.raises(OSError, match="assign requested address") as raised:
        bind(Address("gateway.example", 0))

    assert raised.value.errno == errno.EADDRNOTAVAIL
    assert [each.fileno() for each in made] == [-1, -1]


def test_a_wildcard_leaves_out_a_family_that_the_machine_lacks(
    resolve: Resolve, made: list[socket.socket]
) -> None:
    resolve(ELSEWHERE, HERE)

    [bound] = bind(Address("", 0))

    with bound:
        assert bound.getsockname()[0] == "127.0.0.1"
        assert [each.fileno() for each in made] == [-1, bound.fileno()]


def test_a_wildcard_without_any_family_is_an_error(resolve: Resolve) -> None:
    resolve(ELSEWHERE, ALSO_ELSEWHERE)

    with pytest.raises(OSError, match="assign requested address") as raised:
        bind(Address("", 0))

    assert raised.value.errno == errno.EADDRNOTAVAIL
