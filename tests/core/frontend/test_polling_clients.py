"""Clients that ask for long polling are logged, at most once a minute."""

from __future__ import annotations

import logging

import pytest

from wsgw_core.frontend.polling_clients import note_polling

from .frontend_bench import FrontendBench, request


def polling(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: gateway.test\r\n\r\n".encode()


async def test_a_polling_client_is_logged_once_with_the_remedy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "wsgw.test")
    async with FrontendBench() as bench:
        for number in range(3):
            asked = polling(f"/socket.io/?EIO=4&transport=polling&t={number}&token=secret")
            status, _, _ = await bench.refusal(asked)
            assert status == 426
    told = [record for record in caplog.records if "polling" in record.getMessage()]
    assert [record.levelno for record in told] == [logging.INFO]
    text = told[0].getMessage()
    assert "client 127.0.0.1: " in text
    assert " /socket.io/ " in text
    assert "transports: ['websocket']" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    "asked",
    [
        polling("/"),
        polling("/?a=transport=polling"),
        polling("/?transport=pollings"),
        polling("/transport=polling"),
        request("Upgrade: h2c", without="Upgrade"),
    ],
)
async def test_other_requests_are_not_logged(
    asked: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsgw.test")
    async with FrontendBench() as bench:
        status, _, _ = await bench.refusal(asked)
        assert status == 426
    assert "polling" not in caplog.text


@pytest.mark.parametrize("path", ["/" + "a" * 20_000, "/\x1b[31m\u0085"])
async def test_the_log_line_is_short(path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wsgw.test")
    async with FrontendBench() as bench:
        head = f"GET {path}?transport=polling HTTP/1.1".encode()
        note_polling(head, "192.0.2.1", bench.settings.polling)
    text = caplog.records[-1].getMessage()
    assert "Socket.IO" in text
    assert len(text) < 1000
    assert text.isprintable()
