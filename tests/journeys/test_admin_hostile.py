"""The admin API answers any input as documented or closes the connection, and keeps serving."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsgw_core.admin.calls import CALLS
from wsgw_core.admin.request_timeout import RequestTimeoutProtocol
from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .admin_operator import Operator, admin_operator
from .conftest import StartAdmin
from .eventually import until

POSTS = [call.path.replace("{id}", "x") for call in CALLS if call.method == "POST"]
POST = b"POST /backend/add HTTP/1.1\r\nHost: localhost\r\n"
GETS = [call.path.replace("{id}", "x") for call in CALLS if call.method == "GET"]


LIMITS: dict[str, Any] = {"max_body_bytes": 1000, "max_header_bytes": 4000}
TIMEOUT = 60.0


@pytest.fixture
async def operator(gateway: RunningGateway, start_admin: StartAdmin) -> Operator:
    return await start_admin(gateway, **LIMITS)


@pytest.fixture
async def hasty(gateway: RunningGateway, start_admin: StartAdmin) -> Operator:
    """An API that soon closes connections; `operator` then asks the other one."""
    return await start_admin(gateway, read_timeout=0.5, write_timeout=0.5, **LIMITS)


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
async def test_action_with_another_method_than_post_is_refused(
    operator: Operator, path: str, method: str
) -> None:
    answer = await operator.call(method, path)
    assert answer.status == 400
    if method != "HEAD":
        assert answer.json == {"result": "failed", "reason": "OnlyPostAllowed"}


@pytest.mark.parametrize("path", GETS)
async def test_reading_with_another_method_than_get_is_refused(
    operator: Operator, path: str
) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = await operator.call(method, path)
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"
        assert answer.json == {"result": "failed", "reason": "OnlyGetAllowed"}
    head = await operator.call("HEAD", path)
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/backend",
        "/backend/",
        "/backend/list/",
        "/backend/enable",
        "/backend/enable/",
        "/backend/enable/a/b",
        "/x",
        "//backend/list",
        "/backend/../backend/list/x",
        "/BACKEND/LIST",
        "/backend/list%00",
    ],
)
async def test_unknown_path_is_answered_404(operator: Operator, path: str) -> None:
    answer = await operator.call("GET", path)
    assert answer.status == 404
    assert answer.json == {"result": "failed", "reason": "NotFound"}


@pytest.mark.parametrize(
    "name", ["%00", "%0d%0a", "..%2f..", "%ff", "%F0%9F%98%80", "a" * 3000, "%25", "*", "'\"<>"]
)
async def test_malformed_backend_id_is_treated_as_unknown(operator: Operator, name: str) -> None:
    assert await operator.post(f"/backend/delete/{name}") == {
        "result": "success",
        "reason": "NoActionRequired",
    }
    assert await operator.get(f"/backend/config/{name}") == {}


async def test_body_over_the_limit_is_answered_413(operator: Operator) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b"x" * 100

    for body in (b"x" * 1001, endless()):
        answer = await operator.call("POST", "/backend/add", data=body)
        assert answer.status == 413
        assert answer.json == {"result": "failed", "reason": "BodyTooLarge"}
    filled = json.dumps({"x": "y" * 900}).encode()
    assert (await operator.call("POST", "/backend/add", data=filled)).status == 200


async def test_a_large_body_within_the_limit_is_taken(
    gateway: RunningGateway, start_admin: StartAdmin
) -> None:
    size = 2**20  # more than is read ahead
    operator = await start_admin(gateway, max_body_bytes=size)
    answer = await operator.call("POST", "/session/send/nobody", data=b"x" * size)
    assert (answer.status, answer.json) == (200, {"result": "failed"})


async def raw(operator: Operator, *parts: bytes) -> bytes:
    """Send bytes, and return all that comes until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", operator.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(TIMEOUT):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /backend/list HTTP/9.9\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 9\r\nContent-Length: 8\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_malformed_http_is_refused_without_a_warning(
    operator: Operator, hasty: Operator, head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await raw(hasty, head)
    assert b"Traceback" not in answer
    assert not answer or answer.split(b" ")[1] in (b"400", b"505"), answer
    assert (await operator.call("GET", "/healthz")).status == 200
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: local",
        b"POST /backend/add HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{",
    ],
)
async def test_connection_that_sends_slowly_is_closed(
    operator: Operator, hasty: Operator, beginning: bytes
) -> None:
    answer = await raw(hasty, beginning)
    assert b"200 OK" not in answer
    metrics = (await operator.call("GET", "/metrics")).text
    assert re.search(r"^wsgw_admin_connections_dropped_total [1-9]", metrics, re.MULTILINE)


async def test_caller_that_leaves_before_its_body_is_a_bad_request(
    operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsgw")
    _, writer = await asyncio.open_connection("127.0.0.1", operator.port)
    writer.write(POST + b"Content-Length: 50\r\n\r\n{")
    await writer.drain()
    writer.transport.abort()
    await until(lambda: "BadRequest" in caplog.text)


@pytest.mark.parametrize("path", [b"/backend/add", b"/session/send/x"])
async def test_connection_dropped_at_the_moment_of_its_request_is_a_bad_request(
    operator: Operator,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    path: bytes,
) -> None:
    receive = RequestTimeoutProtocol.data_received

    def receive_and_drop(connection: RequestTimeoutProtocol, data: bytes) -> None:
        receive(connection, data)
        connection.drop()  # as at the end of the time for a request

    monkeypatch.setattr(RequestTimeoutProtocol, "data_received", receive_and_drop)
    caplog.set_level(logging.INFO, "wsgw")
    head = POST.replace(b"/backend/add", path) + b"Content-Length: 50\r\n\r\n"
    assert await raw(operator, head + b"{") == b""
    await until(lambda: "BadRequest" in caplog.text)


async def test_body_that_cannot_be_decoded_is_a_bad_request_and_no_fault(
    operator: Operator,
) -> None:
    head = POST + b"Content-Encoding: gzip\r\nContent-Length: 8\r\n\r\n"
    answer = await raw(operator, head, b"not gzip")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b'"reason":"BadRequest"}')


async def test_body_flood_is_cut_off_and_the_api_keeps_serving(
    operator: Operator, hasty: Operator
) -> None:
    head = b"POST /backend/add HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"
    answer = await raw(hasty, head, *[b"x" * 65536] * 64)
    assert not answer or b"413" in answer
    assert (await operator.call("GET", "/healthz")).status == 200


METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]
SEGMENT = st.text(st.characters(codec="utf-8"), max_size=20)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["url", "id", "kind", "tls", "ping-time", "breaker_threshold", "x"])
                | st.text(max_size=5),
                inner,
                max_size=5,
            )
        ),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode()),
)


def test_generated_calls_are_answered_as_documented() -> None:
    """All calls go to one gateway, so that effects of one call reach the next."""

    async def calls(drawn: list[tuple[str, str, str, bytes]]) -> None:
        data = {
            "server": {"frontend": {"address": "127.0.0.1:0"}},
            "upstream": {"backends": [{"id": "x", "url": "ws://127.0.0.1:1"}]},
        }
        async with running_gateway(data) as running, admin_operator(running, {}) as operator:
            for method, template, segment, body in drawn:
                path = template.replace("{id}", quoted(segment))
                answer = await operator.call(method, path, data=body)
                assert answer.status in (200, 400, 404, 405, 501, 503), answer.body
                if method == "HEAD" or answer.headers["Content-Type"].startswith("text/plain"):
                    continue
                told = answer.json
                if answer.status not in (200, 503):
                    assert set(told) == {"result", "reason"}
                elif isinstance(told, dict) and "result" in told:
                    assert told["result"] in ("success", "failed")
                    assert set(told) <= {"result", "reason"}

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(METHODS),
                st.sampled_from([call.path for call in CALLS] + ["/{id}", "/backend/{id}"]),
                st.sampled_from(["x", "127-0-0-1"]) | SEGMENT,
                BODIES,
            ),
            max_size=25,
        )
    )
    def run(drawn: list[tuple[str, str, str, bytes]]) -> None:
        asyncio.run(calls(drawn))

    run()


def quoted(segment: str) -> str:
    return "".join(f"%{byte:02X}" for byte in segment.encode("utf-8", "surrogatepass"))
