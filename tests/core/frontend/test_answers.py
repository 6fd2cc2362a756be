"""HTTP answers as bytes."""

from __future__ import annotations

import pytest

from wsgw_core.api import Refusal
from wsgw_core.frontend.answers import refusal, switching_protocols


def lines(answer: bytes) -> list[str]:
    head, _, _ = answer.partition(b"\r\n\r\n")
    return head.decode("latin-1").split("\r\n")


def test_a_refusal_has_its_length_and_closes() -> None:
    answer = refusal(Refusal(503, (("Retry-After", "1"),), b"later\n"))
    assert lines(answer) == [
        "HTTP/1.1 503 Service Unavailable",
        "Retry-After: 1",
        "Content-Length: 6",
        "Connection: close",
        "Content-Type: text/plain; charset=utf-8",
    ]
    assert answer.endswith(b"\r\n\r\nlater\n")


def test_a_refusal_without_body_has_no_type() -> None:
    assert lines(refusal(Refusal(401))) == [
        "HTTP/1.1 401 Unauthorized",
        "Content-Length: 0",
        "Connection: close",
    ]


def test_the_headers_of_a_refusal_do_not_change_its_framing() -> None:
    headers = (
        ("Content-Length", "99"),
        ("transfer-encoding", "chunked"),
        ("Connection", "keep-alive"),
        ("content-type", "text/html"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
    )
    assert lines(refusal(Refusal(403, headers, b"no")))[1:] == [
        "content-type: text/html",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
        "Content-Length: 2",
        "Connection: close",
    ]


@pytest.mark.parametrize("status", [418, 444, 599])
def test_any_status_has_a_phrase(status: int) -> None:
    assert lines(refusal(Refusal(status)))[0].startswith(f"HTTP/1.1 {status} ")


def test_the_101_answer_has_the_required_headers() -> None:
    assert lines(switching_protocols("abc=", "chat", (("X-A", "1"), ("X-A", "2")))) == [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: abc=",
        "Sec-WebSocket-Protocol: chat",
        "X-A: 1",
        "X-A: 2",
    ]


def test_a_backend_cannot_change_the_opening_answer() -> None:
    theirs = (
        ("Connection", "close"),
        ("content-length", "5"),
        ("Sec-WebSocket-Accept", "other="),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Sec-WebSocket-Protocol", "other"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
    )
    assert lines(switching_protocols("abc=", None, theirs)) == [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: abc=",
    ]
