"""What can be configured, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from wsgw_amqp.settings import AmqpSettings

from wsgw_core.api import Limits


def settings(**given: Any) -> AmqpSettings:
    options = {name.replace("_", "-"): value for name, value in given.items()}
    return AmqpSettings.model_validate({"url": "amqp://rabbit-1", **options})


@pytest.mark.parametrize(
    ("url", "host", "nodes"),
    [
        ("amqp://rabbit", "/", [("rabbit", 5672)]),
        ("amqp://rabbit/", "/", [("rabbit", 5672)]),
        ("amqp://rabbit/%2F", "/", [("rabbit", 5672)]),
        ("amqp://u:p@rabbit:1/ocpp", "ocpp", [("rabbit", 1)]),
        ("amqps://[::1]/a%2Fb", "a/b", [("::1", 5671)]),
    ],
)
def test_a_url_gives_node_and_virtual_host(
    url: str, host: str, nodes: list[tuple[str, int]]
) -> None:
    found = settings(url=url)

    assert found.virtual_host == host
    assert found.nodes == nodes


def test_further_nodes_take_the_port_of_the_scheme() -> None:
    found = settings(url="amqps://a:1", hosts="b,c:7,[::1]:8")

    assert found.nodes == [("a", 1), ("b", 5671), ("c", 7), ("::1", 8)]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"url": "http://rabbit"}, "not a URL such as amqp://"),
        ({"url": "amqp://"}, "not a URL such as amqp://"),
        ({"url": "amqp://rabbit:0"}, "not a URL such as amqp://"),
        ({"url": "amqp://rabbit?heartbeat=5"}, "settings have keys of their own"),
        ({"url": "amqp://rabbit/a/b"}, "%2F"),
        ({"hosts": ["a/b"]}, "not a host or host:port"),
        ({"hosts": ["u@b"]}, "not a host or host:port"),
        ({"hosts": ["a\0b"]}, "not a host or host:port"),
        ({"replies": "replies"}, "needs {instance}"),
        ({"exchange": "x" * 201}, "longer than 200 bytes"),
        ({"routing_key": "{event}.{who}"}, "unknown field {who}"),
        ({"tls": {}}, "amqps://"),
        ({"password": "a", "password_file": "b"}, "exclude each other"),
        ({"mechanism": "external"}, "certificate"),
        ({"queue": "q", "binding_keys": []}, "would get nothing"),
        ({"events": ["message", "pong"]}, "events"),
        ({"prefetch": 1}, "prefetch"),
        ({"priority": 256}, "priority"),
        ({"heartbeat": 0}, "heartbeat"),
    ],
)
def test_what_cannot_be_used_is_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as error:
        settings(**given)

    assert text in str(error.value)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(settings(password="secret"))  # noqa: S106 - it is none


def test_a_tenth_of_the_prefetch_may_wait_for_a_client() -> None:
    assert settings(prefetch=500).messages_held == 50
    assert settings(prefetch=5).messages_held == 1
    assert settings(reply_buffer_messages=7).messages_held == 7


def test_missing_files_of_tls_are_told_by_their_keys(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    found = settings(url="amqps://rabbit", tls={"ca": missing})

    ((key, reason),) = found.file_problems()
    assert key == "tls.ca"
    assert missing in reason


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"mandatory": False, "unroutable": "close"}, "unroutable"),
        ({"exchange": "", "queue": "q"}, "routing-key"),
    ],
)
def test_what_is_hardly_meant_is_told(given: dict[str, Any], key: str) -> None:
    assert [key for key, _ in settings(**given).warnings(Limits())] == [key]


@pytest.mark.parametrize("seconds", [0, 1800])
def test_slow_clients_that_outlast_the_brokers_patience_are_told(seconds: float) -> None:
    limits = Limits(slow_client_timeout=seconds)

    assert [key for key, _ in settings().warnings(limits)] == ["prefetch"]


def test_ordinary_options_give_no_warnings() -> None:
    assert not list(settings(queue="q").warnings(Limits()))
    assert not list(settings(exchange="", queue="q", routing_key="q").warnings(Limits()))
