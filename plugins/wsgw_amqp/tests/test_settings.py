"""The options of a RabbitMQ backend."""

from __future__ import annotations

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
def test_url_gives_node_and_virtual_host(url: str, host: str, nodes: list[tuple[str, int]]) -> None:
    found = settings(url=url)

    assert found.virtual_host == host
    assert found.nodes == nodes


def test_further_nodes_default_to_port_of_scheme() -> None:
    found = settings(url="amqps://a:1", hosts="b,c:7,[::1]:8")

    assert found.nodes == [("a", 1), ("b", 5671), ("c", 7), ("::1", 8)]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"url": "http://rabbit"}, "not a URL such as amqp://"),
        ({"url": "amqp://"}, "not a URL such as amqp://"),
        ({"url": "amqp://rabbit:0"}, "not a URL such as amqp://"),
        ({"url": "amqp://rabbit?heartbeat=5"}, "use the backend's options instead"),
        ({"url": "amqp://rabbit/a/b"}, "%2F"),
        ({"hosts": ["a/b"]}, "not a host or host:port"),
        ({"hosts": ["u@b"]}, "not a host or host:port"),
        ({"hosts": ["a\0b"]}, "not a host or host:port"),
        ({"replies": "replies"}, "needs {instance}"),
        ({"exchange": "x" * 201}, "longer than 200 bytes"),
        ({"exchange": "a\nb"}, "invisible characters"),
        ({"queue": "a\0b"}, "invisible characters"),
        ({"binding_keys": ["#", "a\nb"]}, "invisible characters"),
        ({"binding_keys": ["x" * 201]}, "longer than 200 bytes"),
        ({"connection_name": "a\nb"}, "invisible characters"),
        ({"username": ""}, "at least 1 character"),
        ({"username": "a\nb"}, "invisible characters"),
        ({"routing_key": "{event}.{who}"}, "unknown field {who}"),
        ({"tls": {}}, "amqps://"),
        ({"password": "a", "password_file": "b"}, "are both set"),
        ({"mechanism": "external"}, "certificate"),
        ({"queue": "q", "binding_keys": []}, "gets no messages"),
        ({"events": ["message", "pong"]}, "events"),
        ({"prefetch": 1}, "prefetch"),
        ({"priority": 256}, "priority"),
        ({"heartbeat": 0}, "heartbeat"),
    ],
)
def test_invalid_options_are_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as error:
        settings(**given)

    assert text in str(error.value)


def test_password_is_not_shown() -> None:
    assert "secret" not in repr(settings(password="secret"))  # noqa: S106 - not a secret


def test_reply_buffer_messages_defaults_to_tenth_of_prefetch() -> None:
    assert settings(prefetch=500).max_waiting_replies == 50
    assert settings(prefetch=5).max_waiting_replies == 1
    assert settings(reply_buffer_messages=7).max_waiting_replies == 7


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"mandatory": False, "unroutable": "close"}, "unroutable"),
        ({"exchange": "", "queue": "q"}, "routing-key"),
    ],
)
def test_suspicious_options_give_warnings(given: dict[str, Any], key: str) -> None:
    assert [key for key, _ in settings(**given).warnings(Limits())] == [key]


@pytest.mark.parametrize("seconds", [0, 1800])
def test_slow_client_timeout_above_consumer_timeout_gives_warning(seconds: float) -> None:
    limits = Limits(slow_client_timeout=seconds)

    assert [key for key, _ in settings().warnings(limits)] == ["prefetch"]


def test_ordinary_options_give_no_warnings() -> None:
    assert not list(settings(queue="q").warnings(Limits()))
    assert not list(settings(exchange="", queue="q", routing_key="q").warnings(Limits()))
