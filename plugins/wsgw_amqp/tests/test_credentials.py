"""User names, and passwords that change."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from wsgw_amqp import credentials
from wsgw_amqp.broker_node import BrokerNode
from wsgw_amqp.settings import AmqpSettings

from wsgw_core.api import BackendUnavailable, Message

from .stand import standing

ANYTHING = '<<".*">>'
CLOSE_ALL = '[rabbit_networking:close_connection(P, "bye") || P <- rabbit_networking:connections()]'


@pytest.fixture
def user(node: BrokerNode) -> Callable[[str], str]:
    """Returns a function that sets a user's password on the node and returns the user name."""
    name = f"user-{uuid.uuid4().hex[:8]}"
    node.evaluate(f'rabbit_auth_backend_internal:add_user(<<"{name}">>, <<"first">>, <<"test">>)')
    node.evaluate(
        f'rabbit_auth_backend_internal:set_permissions(<<"{name}">>, <<"/">>, {ANYTHING},'
        f' {ANYTHING}, {ANYTHING}, <<"test">>)'
    )

    def change(password: str) -> str:
        node.evaluate(
            f'rabbit_auth_backend_internal:change_password(<<"{name}">>, <<"{password}">>,'
            ' <<"test">>)'
        )
        return name

    return change


async def test_password_file_is_read_at_each_connect(
    node: BrokerNode, user: Callable[[str], str], tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    options: dict[str, Any] = {"username": user("first"), "password_file": str(file)}
    url = f"amqp://127.0.0.1:{node.port}"
    async with standing(url, broker=node.url, queue_type="classic", **options) as stand:
        _, sink, _ = await stand.session()
        user("second")
        file.write_text("second\n")
        await asyncio.to_thread(node.evaluate, CLOSE_ALL)
        await sink.until_closed()
        _, sink, connection = await stand.session()
        connection.send(Message.from_text("x"))
        await sink.until_delivered(1)


async def test_changed_password_is_sent_and_sessions_stay(
    node: BrokerNode,
    user: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(credentials, "_LOOK_EVERY", 0.05)
    caplog.set_level(logging.INFO)
    file = tmp_path / "password"
    file.write_text("first")
    options: dict[str, Any] = {"username": user("first"), "password_file": str(file)}
    url = f"amqp://127.0.0.1:{node.port}"
    async with standing(url, broker=node.url, **options) as stand:
        _, sink, connection = await stand.session()
        user("second")
        file.write_text("second")
        await stand.until(
            lambda: "sent the broker a new password" in caplog.text, "the broker to know it"
        )
        connection.send(Message.from_text("x"))
        await sink.until_delivered(1)

        assert sink.end is None


@pytest.mark.parametrize(("content", "text"), [(b"", "is empty"), (b"\xff", "not UTF-8 text")])
async def test_invalid_password_file_makes_backend_unavailable(
    tmp_path: Path, content: bytes, text: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    found = credentials.Credentials(AmqpSettings(url="amqp://a", password_file=str(file)))

    with pytest.raises(BackendUnavailable, match=text):
        await found.password()


async def test_missing_password_file_makes_backend_unavailable(tmp_path: Path) -> None:
    file = tmp_path / "missing"
    found = credentials.Credentials(AmqpSettings(url="amqp://a", password_file=str(file)))

    with pytest.raises(BackendUnavailable, match="No such file"):
        await found.password()


async def test_login_options_override_url() -> None:
    of_url = credentials.Credentials(AmqpSettings(url="amqp://me%40home:p%2Fw@a"))
    given = {"url": "amqp://me:p@a", "username": "you", "password": "secret"}
    own = credentials.Credentials(AmqpSettings.model_validate(given))

    assert (of_url.username, await of_url.password()) == ("me@home", "p/w")
    assert (own.username, await own.password()) == ("you", "secret")
    assert credentials.Credentials(AmqpSettings(url="amqp://a")).username == "guest"
    assert not asyncio.all_tasks() - {asyncio.current_task()}
