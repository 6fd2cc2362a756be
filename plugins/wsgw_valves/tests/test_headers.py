"""The gate `headers`: alone, and in a gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from wsgw_valves import plugin
from wsgw_valves.headers.header_template import HeaderTemplate

from wsgw_core.api import (
    BackendDeclined,
    ConfigurationError,
    DialRequest,
    Handshake,
    Headers,
    PluginContext,
    Refusal,
)
from wsgw_core.testing.context import make_plugin_context
from wsgw_core.testing.registered_plugin import RegisteredPlugin
from wsgw_core.testing.samples import samples

from .conftest import StartGateway
from .echo import Echo


@pytest.fixture
async def context() -> PluginContext:
    return make_plugin_context("headers")


def handshake(path: str = "/", headers: Headers = ()) -> Handshake:
    return Handshake(path, headers, (), "192.0.2.7:5555")


SENT = (("X-A", "1"), ("x_a", "2"), ("Cookie", "a=b"), ("X-B", "3"))


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"remove": ["cookie", "x-none"]}, (SENT[0], SENT[1], SENT[3])),
        ({"remove": "X-A"}, SENT[2:]),
        ({"set": {"x-a": "new"}}, (*SENT[2:], ("x-a", "new"))),
        ({"add": {"X-A": "new"}}, (*SENT, ("X-A", "new"))),
        ({"set": {"X-C": "{header.X-B}-{peer}"}}, (*SENT, ("X-C", "3-192.0.2.7"))),
        ({"remove": ["X-B"], "set": {"X-C": "{header.X-B}"}}, (*SENT[:3], ("X-C", "3"))),
        ({"set": {"X-C": "{query.q}, {cookie.a}"}}, (*SENT, ("X-C", "a b: c/d, b"))),
        ({"set": {"X-C": "grün {query.u}"}}, (*SENT, ("X-C", "grün ü".encode().decode("latin-1")))),
        ({"set": {"X-C": "{query.none|lobby}"}}, (*SENT, ("X-C", "lobby"))),
    ],
)
def test_backend_gets_changed_headers(
    context: PluginContext, options: dict[str, Any], left: Headers
) -> None:
    asked = handshake("/p?q=a+b:%20c/d&u=%c3%bc", SENT)
    gate = RegisteredPlugin(plugin).gate("headers", options, context)
    assert gate.admit(asked) is None
    assert asked.headers == left


@pytest.mark.parametrize(
    "query", ["", "?q=", "?q=a%0d%0aX-Admin:%201", "?q=%00", "?q=%ff", "?q=a&q=b", "?q=+"]
)
def test_client_without_value_for_template_is_refused(context: PluginContext, query: str) -> None:
    gate = RegisteredPlugin(plugin).gate("headers", {"set": {"X-Q": "{query.q}"}}, context)
    refusal = gate.admit(handshake(f"/{query}"))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.body[:7]) == (
        400,
        b"query.q" if query != "?q=+" else b"the res",
    )
    assert samples(context.metrics) == {"wsgw_headers_refused_total": 1}


@given(st.text(), st.text(alphabet=st.characters(max_codepoint=255)))
def test_value_cannot_inject_a_second_header(query: str, sent: str) -> None:
    template = HeaderTemplate("{query.q|-}{header.X-C|-}")
    path = f"/?q={quote(query.encode(errors='replace'))}"
    request = DialRequest("", path, (("X-C", sent),))
    try:
        made = template.expand(request)
    except BackendDeclined:
        return
    assert not {*made} & {"\r", "\n", "\0"}
    made.encode()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "needs 'remove', 'set', 'add' or 'answer'"),
        ({"set": {"Host": "a"}}, "the gateway sets this header itself"),
        ({"add": {"sec_websocket_key": "a"}}, "the gateway sets this header itself"),
        ({"answer": {"X-Wsgw-Session": "a"}}, "the gateway sets this header itself"),
        ({"set": {"a b": "c"}}, "the name of a header"),
        ({"set": {"X-A": "a\r\nX-B: c"}}, "control characters"),
        ({"set": {"X-A": "{session}"}}, "{session} is not known before a backend"),
        ({"set": {"X-A": "{user}"}}, "unknown field {user}"),
        ({"set": {"X-A": "{header.Host}"}}, "{header.Host} never has a value"),
        ({"set": {"X-A": "{header.X-Wsgw-Session}"}}, "gates do not see this header"),
        ({"set": {"X-A": " a"}}, "begins or ends with a space"),
        ({"set": {"X-A": ""}}, "is empty"),
        ({"set": {"X-A": "x" * 9000}}, "longer than 8192 bytes"),
        ({"remove": ["a:b"]}, "the name of a header"),
        ({"set": {"X-A": "1", "x-a": "2"}}, "'X-A' and 'x-a' are the same header"),
        ({"add": {"X-A": "1", "X_A": "2"}}, "'X-A' and 'X_A' are the same header"),
    ],
)
def test_invalid_options_are_refused(
    context: PluginContext, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        RegisteredPlugin(plugin).gate("headers", options, context)


async def test_backend_and_client_get_changed_headers(
    start_gateway: StartGateway, echo: Echo, refused: Callable[..., Any]
) -> None:
    gateway = await start_gateway(
        gates=[
            {
                "kind": "headers",
                "remove": ["Cookie"],
                "set": {"X-Room": "{query.room}"},
                "answer": {"Strict-Transport-Security": "max-age=1", "X-Answer": "{query.room}"},
            },
            {"kind": "headers", "answer": {"X-Answer": "second"}},
        ]
    )
    sent = {"Cookie": "a=b", "X-Room": "forged"}
    async with connect(f"{gateway.url}/?room=7", additional_headers=sent) as client:
        assert client.response is not None
        assert client.response.headers["Strict-Transport-Security"] == "max-age=1"
        assert client.response.headers.get_all("X-Answer") == ["7", "second"]
        await client.send("hello")
        assert await client.recv() == "hello"
    assert echo.requests[0].headers.get_all("X-Room") == ["7"]
    assert "Cookie" not in echo.requests[0].headers
    answer = await refused(gateway.url)
    assert (answer.status_code, answer.body) == (400, b"query.room is missing\n")
    assert "Strict-Transport-Security" not in answer.headers
