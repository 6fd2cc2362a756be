"""The opening handshake as a client, against servers with valid and invalid answers."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import zlib
from collections.abc import Mapping
from typing import Any, cast

import pytest
from websockets.uri import parse_uri
from wsgw_ws.backend import WebSocketBackend
from wsgw_ws.handshake import ClientHandshake
from wsgw_ws.plain_request import PlainRequest
from wsgw_ws.settings import WebSocketSettings

from wsgw_core.api import (
    BackendDeclined,
    BackendUnavailable,
    BackendUnreachable,
    Close,
    DialRequest,
    Resolver,
    UnusableAnswer,
)
from wsgw_core.testing.context import make_context
from wsgw_core.testing.fakes import as_message
from wsgw_core.testing.recording_sink import RecordingSink

from .raw_server import Act, RawPeer, dial, raw_server

REQUEST = DialRequest(
    "s1",
    "/chat%20room?a=%2F&b",
    (("X-A", "1"), ("Cookie", "a=1"), ("X-A", "2"), ("X-Wsgw-Session", "s1")),
    ("chat", "soap"),
)


async def hang(peer: RawPeer) -> None:
    await peer.reader.read()


def answering(data: str | bytes, *, then_close: bool = False) -> Act:
    async def act(peer: RawPeer) -> None:
        peer.write(data)
        if not then_close:
            await hang(peer)

    return act


def switching(*lines: str, connection: str = "Upgrade", version: str = "1.1") -> Act:
    async def act(peer: RawPeer) -> None:
        peer.switch_protocols(*lines, connection=connection, version=version)
        await hang(peer)

    return act


async def unavailable(
    act: Act,
    options: Mapping[str, object] | None = None,
    *kinds: type[BackendUnavailable],
) -> str:
    """Returns why a dial of such a server fails, with an exception of one of these exact kinds."""
    async with raw_server(act) as server:
        backend = server.backend(options)
        with pytest.raises(BackendUnavailable) as failed:
            await backend.connect(REQUEST, RecordingSink())
        await backend.close()
        assert type(failed.value) in (kinds or (BackendUnavailable,))
        return failed.value.reason


async def declined(act: Act, options: Mapping[str, object] | None = None) -> BackendDeclined:
    async with raw_server(act) as server:
        backend = server.backend(options)
        with pytest.raises(BackendDeclined) as failed:
            await backend.connect(REQUEST, RecordingSink())
        await backend.close()
        return failed.value


class TestRequest:
    async def test_request_carries_what_the_session_asks_for(self) -> None:
        async with raw_server(switching("Sec-WebSocket-Protocol: soap")) as server:
            backend = server.backend()
            await dial(backend, REQUEST, start=False)
            peer = server.peers[0]
            assert peer.request_line == "GET /chat%20room?a=%2F&b HTTP/1.1"
            own = {
                "host": f"127.0.0.1:{server.port}",
                "upgrade": "websocket",
                "connection": "Upgrade",
                "sec-websocket-version": "13",
                "sec-websocket-protocol": "chat, soap",
            }
            for name, value in own.items():
                assert peer.header(name) == value
            others = [
                (name, value)
                for name, value in peer.headers
                if name not in own and name != "sec-websocket-key"
            ]
            assert others == [
                ("x-a", "1"),
                ("cookie", "a=1"),
                ("x-a", "2"),
                ("x-wsgw-session", "s1"),
            ]
            await backend.close()

    @pytest.mark.parametrize(
        ("base", "path", "asked"),
        [
            ("", "/", "/"),
            ("/", "/chat", "/chat"),
            ("/base", "/chat?a=1", "/base/chat?a=1"),
            ("/base/", "/", "/base/"),
            ("", "//twice", "//twice"),
            ("", "/?only=query", "/?only=query"),
        ],
    )
    async def test_client_path_is_appended_to_the_url_path(
        self, base: str, path: str, asked: str
    ) -> None:
        async with raw_server(switching()) as server:
            backend = server.backend({"url": f"ws://127.0.0.1:{server.port}{base}"})
            await dial(backend, DialRequest("s1", path), start=False)
            assert server.peers[0].request_line == f"GET {asked} HTTP/1.1"
            await backend.close()

    async def test_request_without_offers_has_no_offer_headers(self) -> None:
        async with raw_server(switching()) as server:
            backend = server.backend()
            connection, _ = await dial(backend, start=False)
            assert server.peers[0].header("sec-websocket-protocol") == ""
            assert server.peers[0].header("sec-websocket-extensions") == ""
            assert connection.subprotocol is None
            await backend.close()

    async def test_each_dial_sends_a_new_key(self) -> None:
        async with raw_server(switching()) as server:
            backend = server.backend()
            for _ in range(2):
                await dial(backend, start=False)
            first, second = (peer.header("sec-websocket-key") for peer in server.peers)
            assert first != second
            await backend.close()


class TestAccepted:
    @pytest.mark.parametrize("connection", ["Upgrade", "upgrade", "keep-alive, Upgrade"])
    async def test_valid_answers_in_unusual_wording_are_accepted(self, connection: str) -> None:
        async with raw_server(switching(connection=connection)) as server:
            backend = server.backend()
            await dial(backend)
            await backend.close()

    async def test_chosen_subprotocol_and_passed_headers_are_reported(self) -> None:
        act = switching(
            "Sec-WebSocket-Protocol: soap", "Set-Cookie: a=1", "X-B: 1", "set-cookie: b=2"
        )
        async with raw_server(act) as server:
            backend = server.backend({"pass-headers": ["Set-Cookie"]})
            connection, _ = await dial(backend, REQUEST)
            assert connection.subprotocol == "soap"
            assert connection.headers == (("Set-Cookie", "a=1"), ("set-cookie", "b=2"))
            await backend.close()

    async def test_messages_in_the_same_read_as_the_answer_are_delivered(self) -> None:
        async def act(peer: RawPeer) -> None:
            peer.switch_protocols()
            peer.write_frame(1, b"A")
            peer.write_frame(1, b"B")
            await hang(peer)

        async with raw_server(act) as server:
            backend = server.backend()
            _, sink = await dial(backend)
            assert await sink.until_messages(2) == [as_message("A"), as_message("B")]
            await backend.close()

    async def test_answer_byte_by_byte_is_accepted(self) -> None:
        async def act(peer: RawPeer) -> None:
            head = (
                "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {peer.accept}\r\n\r\n"
            )
            for byte in head.encode():
                peer.write(bytes([byte]))
                await peer.writer.drain()
            await hang(peer)

        async with raw_server(act) as server:
            backend = server.backend()
            await dial(backend)
            await backend.close()

    @pytest.mark.parametrize("size", [1, 7, 1000])
    async def test_interim_answers_are_skipped(self, size: int) -> None:
        async def act(peer: RawPeer) -> None:
            interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nLink: </a>\r\n\r\n"
            for start in range(0, len(interim), size):
                peer.write(interim[start : start + size])
                await peer.writer.drain()
            peer.switch_protocols()
            peer.write_frame(1, b"A")
            await hang(peer)

        async with raw_server(act) as server:
            backend = server.backend()
            _, sink = await dial(backend)
            assert await sink.until_messages(1) == [as_message("A")]
            await backend.close()

    async def test_end_right_after_the_answer_is_reported_after_start(self) -> None:
        async def act(peer: RawPeer) -> None:
            peer.switch_protocols()

        async with raw_server(act) as server:
            backend = server.backend()
            connection, sink = await dial(backend, start=False)
            await asyncio.sleep(0.02)  # time for a call that must not come yet
            sink.check()
            connection.start()
            close = await sink.until_closed()
            assert (close.code, close.abnormal) == (1006, True)
            await backend.close()


class TestUnavailable:
    @pytest.mark.parametrize(
        "act",
        [
            answering(
                "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Accept: c29tZXRoaW5nIGVsc2U=\r\n\r\n"
            ),
            answering("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
            switching("Sec-WebSocket-Protocol: unoffered"),
            switching("Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: soap"),
            switching("Sec-WebSocket-Extensions: permessage-deflate"),
            switching("Upgrade: h2c"),
            switching(connection="close"),
            switching(version="1.0"),
            answering("HTTP/2 101 X\r\n\r\n"),
            answering("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            answering("\r\n\r\n"),
            answering("HTTP/1.1 101 X\r\nno colon\r\n\r\n"),
            answering(b"\x16\x03\x01\xff\xfe\r\n\r\n"),
        ],
    )
    async def test_invalid_answer_is_unusable(self, act: Act) -> None:
        assert await unavailable(act, None, UnusableAnswer)

    @pytest.mark.parametrize("status", [200, 204, 500, 502, 503, 599])
    async def test_other_status_makes_backend_unavailable_or_answer_unusable(
        self, status: int
    ) -> None:
        reason = await unavailable(
            answering(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"),
            None,
            BackendUnavailable if status >= 500 else UnusableAnswer,
        )
        assert str(status) in reason

    async def test_endless_head_is_cut_at_max_answer_head(self) -> None:
        async def act(peer: RawPeer) -> None:
            peer.write("HTTP/1.1 101 X\r\n")
            while True:
                peer.write("X-Endless: yes\r\n" * 100)
                await peer.writer.drain()

        reason = await unavailable(act, {"max-answer-head": 4096}, UnusableAnswer)
        assert "4096" in reason

    async def test_endless_interim_answers_are_cut_at_max_answer_head(self) -> None:
        async def act(peer: RawPeer) -> None:
            while True:
                peer.write("HTTP/1.1 102 Processing\r\n\r\n" * 1000)
                await peer.writer.drain()

        reason = await unavailable(act, {"max-answer-head": 100_000}, UnusableAnswer)
        assert "100000" in reason

    async def test_reason_of_unusable_answer_has_at_most_200_characters(self) -> None:
        act = answering(b"HTTP/1.1 101 X\r\nX: " + b"\0" * 8000 + b"\r\n\r\n")
        reason = await unavailable(act, None, UnusableAnswer)
        assert len(reason) <= 200

    @pytest.mark.parametrize("data", ["", "HTTP/1.1 101 Swit", "HTTP/1.1 101 X\r\nUpgrade: "])
    async def test_end_within_the_head_is_reported_as_lost(self, data: str) -> None:
        reason = await unavailable(answering(data, then_close=True))
        assert "lost" in reason

    @pytest.mark.parametrize(
        "data", ["", "HTTP/1.1 101 Swit", "HTTP/1.1 101 X\r\nUpgrade: websocket\r\n", "HTTP/1.1 40"]
    )
    async def test_slow_answer_exceeds_handshake_timeout(self, data: str) -> None:
        # on a busy machine the time may be over before the connection is made
        kinds = BackendUnavailable, BackendUnreachable
        reason = await unavailable(answering(data), {"handshake-timeout": "20ms"}, *kinds)
        assert "too long" in reason

    async def test_backend_that_accepts_no_connection_in_time_is_unreachable(self) -> None:
        class Far:
            """Finds the host, and connects for ever."""

            async def create_connection(self, *_: object) -> Any:
                await asyncio.Event().wait()

        far = cast("Resolver", Far())
        context = dataclasses.replace(make_context(), resolver=far)
        settings = WebSocketSettings.model_validate(
            {"url": "ws://127.0.0.1:1", "handshake-timeout": "20ms"}
        )
        backend = WebSocketBackend(settings, context)
        with pytest.raises(BackendUnreachable, match="took too long"):
            await backend.connect(REQUEST, RecordingSink())
        with pytest.raises(BackendUnavailable, match="no answer to an HTTP request"):
            await backend.probe()
        await backend.close()

    async def test_closed_port_is_unreachable(self) -> None:
        async with raw_server(hang) as server:
            pass
        backend = server.backend()
        with pytest.raises(BackendUnreachable):
            await backend.connect(REQUEST, RecordingSink())
        with pytest.raises(BackendUnreachable):
            await backend.probe()
        await backend.close()


class TestDeclined:
    @pytest.mark.parametrize("status", [300, 302, 401, 403, 404, 429, 499])
    async def test_body_of_known_length_is_read(self, status: int) -> None:
        error = await declined(
            answering(
                f"HTTP/1.1 {status} X\r\nContent-Length: 5\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
                "no wayand more"
            )
        )
        assert (error.status, error.body) == (status, b"no wa")
        assert error.headers == (("Content-Length", "5"), ("X-A", "1"), ("X-A", "2"))

    async def test_empty_body_is_read(self) -> None:
        error = await declined(answering("HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n"))
        assert error.body == b""

    async def test_chunked_body_is_decoded(self) -> None:
        error = await declined(
            answering(
                "HTTP/1.1 403 X\r\nTransfer-Encoding: chunked\r\n\r\n"
                "2\r\nno\r\n4\r\n way\r\n0\r\n\r\n"
            )
        )
        assert error.body == b"no way"

    async def test_body_without_length_ends_with_the_connection(self) -> None:
        error = await declined(answering("HTTP/1.1 403 X\r\n\r\nno way", then_close=True))
        assert error.body == b"no way"

    async def test_body_in_pieces_is_joined(self) -> None:
        async def act(peer: RawPeer) -> None:
            for part in ("HTTP/1.1 403 X\r\nContent-Le", "ngth: 6\r\n\r", "\nno", " way"):
                peer.write(part)
                await peer.writer.drain()
                await asyncio.sleep(0.002)
            await hang(peer)

        assert (await declined(act)).body == b"no way"

    @pytest.mark.parametrize(
        "framing", ["Content-Length: 100000", "Transfer-Encoding: chunked", "X-A: 1"]
    )
    async def test_body_beyond_the_bound_is_left_out(self, framing: str) -> None:
        async def act(peer: RawPeer) -> None:
            peer.write(f"HTTP/1.1 403 X\r\n{framing}\r\n\r\n")
            while True:
                peer.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
                await peer.writer.drain()

        error = await declined(act)
        assert (error.status, error.body) == (403, b"")

    @pytest.mark.parametrize(
        "data",
        [
            "HTTP/1.1 403 X\r\nContent-Length: 50\r\n\r\ncut",
            "HTTP/1.1 403 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ncut",
            "HTTP/1.1 403 X\r\nTransfer-Encoding: chunked\r\n\r\nnot hexadecimal\r\n",
            "HTTP/1.1 403 X\r\nTransfer-Encoding: gzip\r\n\r\nx",
            "HTTP/1.1 403 X\r\nContent-Length: many\r\n\r\nx",
        ],
    )
    async def test_broken_body_keeps_the_status(self, data: str) -> None:
        error = await declined(answering(data, then_close=True))
        assert (error.status, error.body) == (403, b"")


class TestTolerance:
    """Answers with heads that some servers write although they are not strictly valid."""

    @pytest.mark.parametrize(
        "head",
        [
            "HTTP/1.1 101\r\n",
            "HTTP/1.1 101 \r\n",
            "HTTP/1.1 101 X\r\n" + f"Set-Cookie: {'a' * 20_000}\r\n",
            "HTTP/1.1 101 X\r\n" + "X-A: 1\r\n" * 2000,
        ],
        ids=["no phrase, no space", "no phrase", "a long line", "many lines"],
    )
    async def test_unusual_head_of_101_is_accepted(self, head: str) -> None:
        async def act(peer: RawPeer) -> None:
            peer.write(
                f"{head}Upgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {peer.accept}\r\n\r\n"
            )
            peer.write_frame(1, b"A")
            await hang(peer)

        async with raw_server(act) as server:
            backend = server.backend({"pass-headers": ["Set-Cookie"]})
            connection, sink = await dial(backend)
            assert await sink.until_messages(1) == [as_message("A")]
            assert all(len(value) == 20_000 for _, value in connection.headers)
            await backend.close()

    @pytest.mark.parametrize(
        ("data", "body"),
        [
            ("HTTP/1.1 401\r\nContent-Length: 2\r\n\r\nno", b"no"),
            ("HTTP/1.0 401\r\nContent-Length: 2\r\n\r\nno", b"no"),
            (
                f"HTTP/1.1 401 X\r\nLocation: {'a' * 9000}\r\nContent-Length: 2\r\n\r\nno",
                b"no",
            ),
            ("HTTP/1.1 401 X\r\n" + "X-A: 1\r\n" * 127 + "Content-Length: 2\r\n\r\nno", b"no"),
            ("HTTP/1.1 401 X\r\nno colon\r\n\r\nno", b""),
            ("HTTP/1.1 401 X\r\nContent-Length : 2\r\n\r\nno", b""),
            ("HTTP/1.1 401 X\r\nX: a\r\n folded\r\n\r\nno", b""),
            ("HTTP/1.1 401 X\r\nX: \0\r\n\r\n", b""),
            ("HTTP/1.1 401 X\nContent-Length: 2\n\n\r\n\r\n", b""),
        ],
    )
    async def test_unusual_head_of_401_declines(self, data: str, body: bytes) -> None:
        error = await declined(answering(data))
        assert (error.status, error.body) == (401, body)

    async def test_bad_head_keeps_its_valid_lines(self) -> None:
        data = "HTTP/1.1 401 X\r\nA: 1\r\nbad\r\nWWW-Authenticate: Basic\r\n\r\n"
        error = await declined(answering(data))
        assert error.headers == (("A", "1"), ("WWW-Authenticate", "Basic"))

    @pytest.mark.parametrize(
        "data",
        [
            "HTTP/1.1 403 X\r\n",
            "HTTP/1.1 403\r\nRetry-Af",
            "HTTP/1.1 100 X\r\n\r\nHTTP/1.1 403 X\r\n",
            "HTTP/1.1 403 X\r\nContent-Length: 9\r\n\r\nno",
            "HTTP/1.1 403 X\nContent-Length: 0\n\n",
        ],
    )
    async def test_head_or_body_cut_off_by_the_end_declines(self, data: str) -> None:
        assert (await declined(answering(data, then_close=True))).status == 403

    @pytest.mark.parametrize("status", [300, 499])
    async def test_the_status_is_enough_to_decline(self, status: int) -> None:
        act = answering(f"HTTP/1.1 {status} X\r\n", then_close=True)
        assert (await declined(act)).status == status

    @pytest.mark.parametrize("status", [299, 500])
    async def test_another_status_that_is_cut_off_is_a_lost_connection(self, status: int) -> None:
        assert "lost" in await unavailable(answering(f"HTTP/1.1 {status} X\r\n", then_close=True))

    @pytest.mark.parametrize(
        "data", ["HTTP/1.1 403 X\r\n", "HTTP/1.1 403 X\r\nContent-Length: 9\r\n\r\nno"]
    )
    async def test_head_or_body_never_complete_declines_at_handshake_timeout(
        self, data: str
    ) -> None:
        async with raw_server(answering(data)) as server:
            backend = server.backend({"handshake-timeout": "500ms"})

            async def until_declined() -> None:
                while True:  # on a busy machine the time may be over before the answer
                    with contextlib.suppress(BackendUnavailable):
                        await backend.connect(REQUEST, RecordingSink())

            with pytest.raises(BackendDeclined) as failed:
                await until_declined()
            assert failed.value.status == 403
            await backend.close()

    async def test_head_beyond_max_answer_head_declines(self) -> None:
        async def act(peer: RawPeer) -> None:
            peer.write("HTTP/1.1 302 X\r\nLocation: /a\r\n")
            while True:
                peer.write("X-Endless: yes\r\n" * 100)
                await peer.writer.drain()

        error = await declined(act, {"max-answer-head": 4096})
        assert error.status == 302
        assert ("Location", "/a") in error.headers

    async def test_declined_dial_says_which_headers_pass_to_the_client(self) -> None:
        act = answering("HTTP/1.1 302 X\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n")
        error = await declined(act, {"pass-headers": ["Set-Cookie"]})
        assert error.pass_headers == {"set-cookie"}


class TestOurHeaders:
    @pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
    async def test_url_credentials_replace_the_authorization_header(self, name: str) -> None:
        async with raw_server(switching()) as server:
            backend = server.backend({"url": f"ws://user:pass@127.0.0.1:{server.port}"})
            request = DialRequest("s1", "/", ((name, "Basic b3RoZXI="), ("X-A", "1")))
            await dial(backend, request, start=False)
            assert server.peers[0].header("authorization") == "Basic dXNlcjpwYXNz"
            assert server.peers[0].header("x-a") == "1"
            await backend.close()

    async def test_client_authorization_is_sent_without_url_credentials(self) -> None:
        async with raw_server(switching()) as server:
            backend = server.backend()
            request = DialRequest("s1", "/", (("Authorization", "Bearer a"),))
            await dial(backend, request, start=False)
            assert server.peers[0].header("authorization") == "Bearer a"
            await backend.close()

    @pytest.mark.parametrize("name", ["Host", "Upgrade", "Connection", "Sec_WebSocket_Key"])
    async def test_handshake_headers_of_a_gate_are_not_sent(self, name: str) -> None:
        async with raw_server(switching()) as server:
            backend = server.backend()
            await dial(backend, DialRequest("s1", "/", ((name, "other"),)), start=False)
            assert "other" not in [value for _, value in server.peers[0].headers]
            await backend.close()

    @pytest.mark.parametrize(
        ("options", "host", "wanted"),
        [
            ({"pass-host": True}, "shop.example:8443", "shop.example:8443"),
            ({"pass-host": True}, "", "127.0.0.1"),
            ({}, "shop.example", "127.0.0.1"),
        ],
    )
    async def test_pass_host_sends_the_client_host(
        self, options: dict[str, object], host: str, wanted: str
    ) -> None:
        async with raw_server(switching()) as server:
            backend = server.backend(options)
            await dial(backend, DialRequest("s1", "/", host=host), start=False)
            seen = [value for name, value in server.peers[0].headers if name == "host"]
            assert len(seen) == 1
            assert seen[0].startswith(wanted)
            await backend.close()


class TestCompression:
    """Answers to the compression offer, as other implementations send them."""

    @pytest.mark.parametrize(
        ("answer", "remote"),
        [
            ("; server_max_window_bits=12; client_max_window_bits=12", 12),
            ("; server_no_context_takeover; client_no_context_takeover", 15),
            ("", 15),
            ("; server_max_window_bits=15", 15),
            ("; client_max_window_bits=15", 15),
            ("; server_max_window_bits=10; client_max_window_bits=10", 10),
            ("; server_max_window_bits=8; client_max_window_bits=9", 8),
            ("; client_max_window_bits=8", 15),
        ],
    )
    async def test_valid_compression_answers_are_accepted(self, answer: str, remote: int) -> None:
        async def act(peer: RawPeer) -> None:
            peer.switch_protocols(f"Sec-WebSocket-Extensions: permessage-deflate{answer}")
            deflate = zlib.compressobj(wbits=-max(9, remote))
            data = deflate.compress(b"y" * 9000) + deflate.flush(zlib.Z_SYNC_FLUSH)
            peer.write(bytes([0xC1, len(data[:-4])]) + data[:-4])
            await hang(peer)

        async with raw_server(act) as server:
            backend = server.backend({"compression": True})
            _, sink = await dial(backend)
            assert await sink.until_messages(1) == [as_message("y" * 9000)]
            offered = server.peers[0].header("sec-websocket-extensions")
            assert offered == (
                "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12,"
                " permessage-deflate; client_max_window_bits"
            )
            await backend.close()

    @pytest.mark.parametrize(
        "answer",
        [
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; other",
            "permessage-deflate, permessage-deflate",
            "x-webkit-deflate-frame",
        ],
    )
    async def test_invalid_compression_answers_are_unusable(self, answer: str) -> None:
        act = switching(f"Sec-WebSocket-Extensions: {answer}")
        assert await unavailable(act, {"compression": True}, UnusableAnswer)


class TestLeavesNothing:
    @pytest.mark.parametrize(
        "data", ["", "HTTP/1.1 101 Swit", "HTTP/1.1 403 X\r\nContent-Length: 9\r\n\r\nno"]
    )
    async def test_cancelled_dial_closes_its_connection(self, data: str) -> None:
        ended = asyncio.Event()

        async def act(peer: RawPeer) -> None:
            peer.write(data)
            try:
                await hang(peer)
            finally:
                ended.set()

        async with raw_server(act) as server:
            backend = server.backend()
            dialling = asyncio.create_task(backend.connect(REQUEST, RecordingSink()))
            while not server.peers:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.001)
            dialling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialling
            await ended.wait()
            await backend.close()

    async def test_close_before_start_ends_the_connection(self) -> None:
        ended = asyncio.Event()

        async def act(peer: RawPeer) -> None:
            peer.switch_protocols()
            try:
                await hang(peer)
            finally:
                ended.set()

        async with raw_server(act) as server:
            backend = server.backend()
            connection, sink = await dial(backend, start=False)
            connection.close(1001, "not needed")
            assert await sink.until_closed() == Close(1001, "not needed")
            await ended.wait()
            await backend.close()


@pytest.mark.parametrize(
    "name", ["Connection", "Upgrade", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"]
)
@pytest.mark.parametrize("separator", [",", ";"])
async def test_list_header_with_too_many_elements_is_unusable(name: str, separator: str) -> None:
    lines = [f"{name}: {f'a{separator} ' * 2000}a"] * 8
    assert await unavailable(switching(*lines), None, UnusableAnswer) == (
        f"not a valid answer: {name} has too many elements"
    )


@pytest.mark.parametrize("is_check", [False, True])
async def test_failure_that_comes_as_a_dial_is_given_up_is_not_logged(
    caplog: pytest.LogCaptureFixture, *, is_check: bool
) -> None:
    uri, settings = parse_uri("ws://a.test"), WebSocketSettings(url="ws://a.test")
    dial = PlainRequest(uri) if is_check else ClientHandshake(uri, REQUEST, settings)
    dial.answer.set_exception(BackendUnavailable("closed"))
    dial.abort()
    del dial
    gc.collect()  # asyncio would log a failure that was not looked at
    assert not caplog.records
