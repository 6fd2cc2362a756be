"""Named values of a client's handshake."""

from __future__ import annotations

import time

import pytest

from wsgw_core.api import DialRequest, HandshakeField, Template

REQUEST = DialRequest(
    "s1",
    "/eu/r%C3%B6om?team=a+b&two=1&two=2",
    (
        ("X-Tenant", "acme"),
        ("Cookie", "session=abc; team=blue=1"),
        ("cookie", "io=x; io=y"),
        ("Cookie", "\xa0seat=\xc2\xa0; place=voil\xc3\xa0;\tday=\t7\t"),  # UTF-8 as ISO-8859-1
    ),
    peer="[::1]:5000",
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("path", "/eu/r%C3%B6om"),
        ("path.1", "eu"),
        ("path.2", "röom"),
        ("path.3", None),
        ("query.team", "a b"),
        ("query.none", None),
        ("query.two", None),  # twice: which of them counts, is read differently elsewhere
        ("header.x-tenant", "acme"),
        ("header.X-None", None),
        ("cookie.session", "abc"),
        ("cookie.team", "blue=1"),
        ("cookie.io", None),
        ("cookie.Session", None),
        ("cookie.seat", None),
        ("cookie.place", "voilà"),
        ("cookie.day", "7"),
        ("peer", "::1"),
    ],
)
def test_a_field_returns_the_clients_value_or_none(name: str, value: str | None) -> None:
    assert HandshakeField(name).of(REQUEST) == value


@pytest.mark.parametrize(
    "name",
    ["", "path.0", "path.x", "query", "query.", "header.a b", "cookie.", "session", "{peer}"],
)
def test_unknown_name_is_an_error_that_lists_the_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"There are path peer path\.N query\.NAME header\.NAME"):
        HandshakeField(name)


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(ValueError, match=r"unknown field cookies\.a; did you mean cookie\.NAME\?"):
        HandshakeField("cookies.a")


LONG = 60_000  # characters; a head may have 64 KiB


def seconds_of(field: str, path: str = "/", cookies: str = "") -> float:
    """Returns the processor time of a hundred looks at a value."""
    wanted = HandshakeField(field)
    request = DialRequest("s1", path, (("Cookie", cookies),))
    begin = time.thread_time()
    for _ in range(100):
        wanted.of(request)
    return time.thread_time() - begin


@pytest.mark.parametrize("piece", ["&", "a&", "%61=1&", "%", "room=%", "roo%6D&", "room%%%%%&"])
def test_hostile_query_costs_little_more_than_a_long_one(piece: str) -> None:
    usual = min(seconds_of("query.room", f"/?a={'b' * LONG}") for _ in range(5))
    hostile = f"/?room={piece * (LONG // len(piece))}"
    assert min(seconds_of("query.room", hostile) for _ in range(5)) < 20 * usual


@pytest.mark.parametrize("piece", [";", "a;", "a=b; "])
def test_many_cookies_cost_little_more_than_a_long_one(piece: str) -> None:
    usual = min(seconds_of("cookie.room", cookies=f"a={'b' * LONG}") for _ in range(5))
    hostile = piece * (LONG // len(piece))
    assert min(seconds_of("cookie.room", cookies=hostile) for _ in range(5)) < 20 * usual


def test_a_thousand_parameters_and_cookies_are_read() -> None:
    query = "&".join(f"a{number}=1" for number in range(999))
    cookies = "; ".join(f"a{number}=1" for number in range(999))
    request = DialRequest("s1", f"/?{query}&r%6Fom=x+%C3%B6", (("Cookie", f"{cookies}; room=y"),))
    assert HandshakeField("query.room").of(request) == "x ö"
    assert HandshakeField("cookie.room").of(request) == "y"


def test_templates_have_cookies_too() -> None:
    assert Template("rooms.{cookie.session}.{cookie.none|all}").expand(REQUEST) == "rooms.abc.all"
