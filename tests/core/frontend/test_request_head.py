"""Which heads are valid opening handshakes, and the answers to the others."""

from __future__ import annotations

import time

import pytest

from wsgw_core.frontend.bad_request import BadRequest
from wsgw_core.frontend.request_head import RequestHead, WebSocketRequest
from wsgw_core.websocket import CompressionOptions, HeadReader

from .frontend_bench import ACCEPT, KEY, USUAL, request


def status_of(head: bytes, max_headers: int = 100) -> int:
    """Returns the status of the answer to a head; 101 if it is valid."""
    refused = None
    try:
        checked(head, max_headers)
    except BadRequest as error:
        refused = error
    if refused is None:
        return 101
    assert len(refused.text) < 100
    assert refused.text.isprintable()
    return refused.status


def checked(head: bytes, max_headers: int = 100) -> WebSocketRequest:
    offers = CompressionOptions(enabled=True).accepted_offers()
    return WebSocketRequest.check(RequestHead.parse(head, max_headers), offers)


def target(text: str) -> bytes:
    return request(line=f"GET {text} HTTP/1.1")


def instead(name: str, *values: str) -> bytes:
    return request(*(f"{name}: {value}" for value in values), without=f"{name}:")


class TestGood:
    def test_a_handshake_is_read(self) -> None:
        head = RequestHead.parse(request("X-A: \tb c \t", "x-a:"), 100)
        assert (head.method, head.target) == ("GET", "/chat")
        assert head.headers.get_all("X-A") == ["b c", ""]
        asked = WebSocketRequest.check(head, None)
        assert asked == WebSocketRequest("/chat", ACCEPT, (), [], None)

    def test_offered_subprotocols_and_extensions_are_read(self) -> None:
        offered = request(
            "Sec-WebSocket-Protocol: b, a",
            "Sec-WebSocket-Protocol: ,B ,,",
            "Sec-WebSocket-Extensions: constructor, permessage-deflate",
        )
        asked = checked(offered)
        assert asked.subprotocols == ("b", "a", "B")
        assert (asked.extensions_header or "").startswith("permessage-deflate")

    @pytest.mark.parametrize(
        "head",
        [
            b"\r\n" + request(),
            target("/"),
            target("//a//"),
            target("/.../.a/a./..a/a..;x"),
            target("/a?b=/../c\\d|{}[]\"<>^`'"),
            target("/a|b%2Fc%zz%"),
            request("Content-Length: 0"),
            request("X-Latin: gr\xfc\xdfe"),
            request("X-Empty:"),
            instead("Upgrade", "WebSocket"),
            instead("Upgrade", ",, websocket ,"),
            instead("Connection", "keep-alive", "UPGRADE"),
            instead("Connection", ", ,keep-alive,upgrade"),
            instead("Host", "a.example:8080"),
            instead("Host", "[2001:db8::1]:443"),
            instead("Host", "under_score"),
            instead("Host", "192.0.2.1:"),
            request("Origin: null"),
        ],
    )
    def test_unusual_but_valid_heads_are_read(self, head: bytes) -> None:
        assert status_of(head) == 101

    def test_the_maximum_number_of_headers_is_allowed(self) -> None:
        assert status_of(request("X-A: 1"), len(USUAL) + 1) == 101


class TestAbsoluteForm:
    @pytest.mark.parametrize(
        ("uri", "host", "path"),
        [
            ("ws://gateway.test/chat?a=/../b", "gateway.test", "/chat?a=/../b"),
            ("http://gateway.test/chat", "gateway.test", "/chat"),
            ("wss://gateway.test/a", "gateway.test", "/a"),
            ("HTTPS://gateway.test/a", "gateway.test", "/a"),
            ("ws://gateway.test", "gateway.test", "/"),
            ("ws://gateway.test?a=b", "gateway.test", "/?a=b"),
            ("ws://gateway.test//a//b", "gateway.test", "//a//b"),
            ("ws://GATEWAY.test:80/a", "gateway.test", "/a"),
            ("wss://gateway.test/a", "gateway.test:443", "/a"),
            ("ws://gateway.test:/a", "gateway.test", "/a"),
            ("ws://gateway.test:8080/a", "gateway.test:8080", "/a"),
            ("ws://[2001:DB8::1]:9/a", "[2001:db8::1]:9", "/a"),
        ],
    )
    def test_the_path_is_that_of_the_uri(self, uri: str, host: str, path: str) -> None:
        head = request(f"Host: {host}", line=f"GET {uri} HTTP/1.1", without="Host:")
        assert checked(head).path == path

    @pytest.mark.parametrize(
        "uri",
        [
            "ws://elsewhere.test/",
            "ws://gateway.test:8080/",
            "wss://gateway.test:80/",
            "ws://gateway.test.elsewhere.test/",
            "ws://user@gateway.test/",
            "ws://user:password@gateway.test/",
            "ws:///chat",
            "ws://:80/chat",
            "ws:/gateway.test/chat",
            "ws:gateway.test",
            "ws://gateway.test\\chat",
            "ws://gateway.test/a\\b",
            "ws://gateway.test/a/../b",
            "ws://gateway.test/%2e%2e",
            "ws://gateway.test#a",
            "ftp://gateway.test/chat",
            "wsx://gateway.test/chat",
            "gateway.test/chat",
            "*",
        ],
    )
    def test_another_host_or_an_ambiguous_uri_is_refused(self, uri: str) -> None:
        assert status_of(target(uri)) == 400

    def test_a_long_path_in_an_absolute_uri_is_refused(self) -> None:
        assert status_of(target("ws://gateway.test/" + "a" * 8192)) == 414

    def test_an_absolute_uri_needs_a_host_header(self) -> None:
        head = request(line="GET ws://gateway.test/ HTTP/1.1", without="Host:")
        assert status_of(head) == 400


class TestBad:
    @pytest.mark.parametrize(
        "line",
        [
            "",
            "GET",
            "GET /",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            " GET / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET\t/ HTTP/1.1",
            "GET / http/1.1",
            "GET / HTTP/1",
            "GET / HTTP/1.10",
            "GET / HTTPS/1.1",
            "G(T / HTTP/1.1",
            "\xa0GET / HTTP/1.1",
            "\r\nGET / HTTP/1.1",
            "GET / HTTP/1.1\rX: y",
            "GET / HTTP/1.1\nX: y",
        ],
    )
    def test_an_invalid_request_line_is_refused(self, line: str) -> None:
        assert status_of(b"\r\n" + request(line=line)) == 400

    @pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "3.0"])
    def test_other_versions_are_refused(self, version: str) -> None:
        assert status_of(request(line=f"GET / HTTP/{version}")) == 505

    @pytest.mark.parametrize(
        "head",
        [
            request(line="GET / HTTP/1.0"),
            b"GET / HTTP/1.0\r\n\r\n",
            b"OPTIONS * HTTP/1.0\r\n\r\n",
        ],
    )
    def test_http_1_0_is_answered_426(self, head: bytes) -> None:
        with pytest.raises(BadRequest) as refused:
            checked(head)
        assert refused.value.status == 426
        assert ("Upgrade", "websocket") in refused.value.headers

    def test_the_preface_of_http_2_is_refused(self) -> None:
        assert status_of(b"PRI * HTTP/2.0\r\n\r\n") == 505

    @pytest.mark.parametrize(
        "line",
        [
            " folded",
            "\tfolded",
            "X-A : 1",
            "X-A\t: 1",
            " X-A: 1",
            ": 1",
            "X-A",
            "X A: 1",
            "X-\xc4: 1",
            "X-A: a\0b",
            "X-A: a\x7fb",
            "X-A: a\x1bb",
            "X-A: a\rX-B: b",
            "X-A: a\nX-B: b",
            "X-A: a\r",
            "(X): 1",
        ],
    )
    def test_a_malformed_header_line_is_refused(self, line: str) -> None:
        assert status_of(request(line, "X-Last: 1")) == 400

    @pytest.mark.parametrize(
        "lines",
        [
            ("Content-Length: 0", "Content-Length: 0"),
            ("Content-Length: 0", "content-length: 5"),
            ("Content-Length: 0, 0",),
            ("Content-Length: -0",),
            ("Content-Length: +5",),
            ("Content-Length: 0x5",),
            ("Content-Length: \xb2",),
            ("Content-Length:",),
            ("Transfer-Encoding: chunked",),
            ("Transfer-Encoding: identity",),
            ("Transfer-Encoding:",),
            ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ],
    )
    def test_ambiguous_framing_is_refused(self, lines: tuple[str, ...]) -> None:
        assert status_of(request(*lines)) == 400
        assert status_of(request(*lines, line="POST / HTTP/1.1")) == 400

    @pytest.mark.parametrize("length", ["1", "05", "9" * 60_000])
    def test_a_body_is_refused(self, length: str) -> None:
        assert status_of(request(f"Content-Length: {length}")) == 413

    @pytest.mark.parametrize(
        "hosts",
        [
            (),
            ("",),
            ("a", "a"),
            ("a b",),
            ("a, b",),
            ("a/b",),
            ("user@a",),
            ("a:b",),
            ("a:1:2",),
            (":80",),
            ("2001:db8::1",),
            ("[a",),
            ("[::1]x",),
            ("a;proto=https",),
            ('a"',),
            ("\xe4",),
        ],
    )
    def test_a_missing_or_invalid_host_is_refused(self, hosts: tuple[str, ...]) -> None:
        assert status_of(instead("Host", *hosts)) == 400

    @pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "CONNECT", "get", "X!"])
    def test_other_methods_are_refused(self, method: str) -> None:
        with pytest.raises(BadRequest) as refused:
            checked(request(line=f"{method} /chat HTTP/1.1"))
        assert refused.value.status == 405
        assert refused.value.headers == (("Allow", "GET"),)

    @pytest.mark.parametrize(
        "bad",
        [
            "*",
            "http://elsewhere.test/",
            "gateway.test:80",
            "chat",
            "?a",
            "/a#b",
            "/#",
            "/a?b#c",
            "/\xe4",
            "/a\0",
            "/a\x7f",
            "/a\\b",
            "/a\\..\\b",
            "/.",
            "/..",
            "/../a",
            "/a/./b",
            "/a/../b",
            "/a/..",
            "/a/..?b",
            "/%2e",
            "/%2E%2e/a",
            "/.%2e/a",
            "/a/..;/b",
            "/a/..;x=y;z/b",
            "/a/%2e%2e%3bx/b",
            "/a/.;/b",
            "/a%2f..%2fb",
            "/a/..%2fb",
            "/a%5c..%5cb",
            "/a/..%5cb",
        ],
    )
    def test_an_invalid_target_is_refused(self, bad: str) -> None:
        assert status_of(target(bad)) == 400

    @pytest.mark.parametrize(
        ("head", "status"),
        [
            (instead("Upgrade"), 426),
            (instead("Upgrade", ""), 426),
            (instead("Upgrade", "h2c"), 426),
            (instead("Upgrade", "TLS/1.0"), 426),
            (instead("Upgrade", "websocket, h2c"), 426),
            (instead("Upgrade", "websocket", "websocket"), 426),
            (instead("Upgrade", "websocket/13"), 426),
            (instead("Upgrade", "web socket"), 400),
            (instead("Upgrade", "a/b/c"), 400),
            (instead("Upgrade", "\xb5"), 400),
            (instead("Connection"), 400),
            (instead("Connection", "keep-alive"), 400),
            (instead("Connection", "close"), 400),
            (instead("Connection", "Upgrade; x"), 400),
            (instead("Sec-WebSocket-Version"), 426),
            (instead("Sec-WebSocket-Version", "8"), 426),
            (instead("Sec-WebSocket-Version", "013"), 426),
            (instead("Sec-WebSocket-Version", "13, 8"), 426),
            (instead("Sec-WebSocket-Version", "13", "13"), 426),
            (instead("Sec-WebSocket-Key"), 400),
            (instead("Sec-WebSocket-Key", ""), 400),
            (instead("Sec-WebSocket-Key", "c2hvcnQ="), 400),
            (instead("Sec-WebSocket-Key", KEY, KEY), 400),
            (instead("Sec-WebSocket-Key", f"{KEY}, {KEY}"), 400),
            (instead("Sec-WebSocket-Key", KEY.replace("=", "A")), 400),
            (instead("Sec-WebSocket-Key", KEY.replace("d", "-")), 400),
            (instead("Sec-WebSocket-Key", "A" * 60_000), 400),
            (instead("Connection", "Upgrade" + "," * 100), 101),
            (instead("Connection", "Upgrade" + "," * 101), 400),
            (instead("Upgrade", "websocket" + "," * 1000), 400),
            (request(f"Sec-WebSocket-Protocol: a{',' * 1000}"), 400),
            (request(f"Sec-WebSocket-Extensions: a{', a' * 1000}"), 400),
            (request(f"Sec-WebSocket-Extensions: a{'; a' * 1000}"), 400),
            (request(f'Sec-WebSocket-Extensions: a; b="{"c" * 5000}"'), 400),
            (target("/" + "a" * 8192), 414),
            (target("/" + "%61" * 2731 + "?b"), 414),
            (target("/" + "a" * 8191 + "?" + "b" * 20_000), 101),
            (request("Sec-WebSocket-Protocol: a b"), 400),
            (request("Sec-WebSocket-Protocol: a, b, a"), 400),
            (request("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: a"), 400),
            (request("Sec-WebSocket-Protocol:"), 400),
            (request("Sec-WebSocket-Protocol: a,\xe4"), 400),
            (request("Sec-WebSocket-Extensions:"), 400),
            (request("Sec-WebSocket-Extensions: a b"), 400),
            (request("Sec-WebSocket-Extensions: a; b="), 400),
            (request('Sec-WebSocket-Extensions: a; b="c'), 400),
            (request("Sec-WebSocket-Extensions: ;"), 400),
            (request("Origin: https://a.test", "Origin: https://a.test"), 400),
        ],
    )
    def test_an_invalid_handshake_is_refused(self, head: bytes, status: int) -> None:
        assert status_of(head) == status

    @pytest.mark.parametrize("head", [instead("Upgrade"), instead("Sec-WebSocket-Version", "8")])
    def test_a_426_answer_names_the_supported_version(self, head: bytes) -> None:
        with pytest.raises(BadRequest) as refused:
            checked(head)
        assert refused.value.headers == (
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
        )

    def test_too_many_headers_are_refused(self) -> None:
        with pytest.raises(BadRequest, match=r"more than \d+ headers") as refused:
            checked(request("X-A: 1"), len(USUAL))
        assert refused.value.status == 431

    def test_extensions_are_checked_without_compression_too(self) -> None:
        head = RequestHead.parse(request("Sec-WebSocket-Extensions: a b"), 100)
        with pytest.raises(BadRequest):
            WebSocketRequest.check(head, None)


def padded(name: str, unit: str, size: int) -> bytes:
    """Returns a handshake with an invalid header of `size` bytes."""
    usual = " websocket," if name == "Upgrade" else " Upgrade," if name == "Connection" else ""
    return request(f"{name}:{usual}{unit * (size // len(unit))}\x80", without=f"{name}:")


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("Connection", ","),
        ("Connection", " "),
        ("Connection", "a,"),
        ("Upgrade", ","),
        ("Upgrade", "a/"),
        ("Sec-WebSocket-Protocol", ","),
        ("Sec-WebSocket-Protocol", "a"),
        ("Sec-WebSocket-Protocol", "\t "),
        ("Sec-WebSocket-Protocol", ", "),
        ("Sec-WebSocket-Extensions", "constructor,"),
        ("Sec-WebSocket-Extensions", "permessage-deflate,"),
        ("Sec-WebSocket-Extensions", "a;"),
        ("Sec-WebSocket-Extensions", 'a; b="\\'),
        ("Sec-WebSocket-Extensions", "a; b; "),
        ("Host", "a"),
        ("Sec-WebSocket-Key", "AA"),
        ("X-Any", " \t"),
    ],
)
def test_reading_a_head_takes_linear_time(name: str, unit: str) -> None:
    def fastest(size: int) -> float:
        head, times = padded(name, unit, size), []
        for _ in range(5):
            began = time.thread_time()
            status_of(head)
            times.append(time.thread_time() - began)
        return min(times)

    # sixteen times as long: sixteen times the work, not 256 times
    assert fastest(64_000) < 96 * fastest(4_000)


@pytest.mark.parametrize("unit", ["/", "/%2e.", "%", ";", "/.;"])
def test_reading_a_target_takes_linear_time(unit: str) -> None:
    def fastest(size: int) -> float:
        head, times = target(f"/{unit * (size // len(unit))}"), []
        for _ in range(5):
            began = time.thread_time()
            status_of(head)
            times.append(time.thread_time() - began)
        return min(times)

    assert fastest(64_000) < 96 * fastest(4_000)


@pytest.mark.parametrize(
    "head",
    [
        request(f'Sec-WebSocket-Extensions: a; b="{"c" * 60_000}"'),
        request(f"Sec-WebSocket-Protocol: {'a' * 60_000}"),
        request(f"Cookie: {'a=b; ' * 12_000}"),
        instead("Connection", "Upgrade" + ",a" * 30_000),
        target("/a" * 30_000),
        target("/" + "%5c" * 20_000),
        target("/?" + "%5c" * 20_000),
    ],
    ids=lambda head: head.partition(b"\r\n")[0][:20].decode(),
)
def test_the_longest_head_costs_a_few_times_what_a_usual_one_costs(head: bytes) -> None:
    def fastest(head: bytes) -> float:
        times = []
        for _ in range(10):
            reader = HeadReader(64 * 1024, strict=True)
            began = time.thread_time()
            read = reader.feed(head)
            assert read is not None
            status_of(read)
            times.append(time.thread_time() - began)
        return min(times)

    assert fastest(head) < 40 * fastest(request())
