"""Declarations, and the errors when the topology is not as configured."""

from __future__ import annotations

import uuid
from typing import Any

import aio_pika
import pytest
from wsgw_amqp.backend import AmqpBackend
from wsgw_amqp.settings import AmqpSettings

from wsgw_core.api import BackendUnavailable, ConfigurationError, Message
from wsgw_core.testing.context import make_context

from .stand import standing
from .workers import Names


@pytest.fixture
def names() -> Names:
    return Names()


async def declare_exchange(url: str, name: str, kind: str) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        await channel.declare_exchange(name, aio_pika.ExchangeType(kind), durable=True)


async def declare_queue(url: str, name: str, **arguments: Any) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        await channel.declare_queue(name, durable=True, arguments=arguments)


async def delete(url: str, *names: str) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        for name in names:
            await channel.queue_delete(name)
            await channel.exchange_delete(name)


async def error_of_start(url: str, names: Names, **options: Any) -> str:
    """Returns the error of a gateway that does not start."""
    with pytest.raises(ConfigurationError) as error:
        async with standing(url, names=names, **options):
            pass
    await delete(url, names.exchange, names.queue, names.dead)
    (problem,) = error.value.problems
    return problem


async def test_mismatched_exchange_error_names_both_types(broker_url: str, names: Names) -> None:
    await declare_exchange(broker_url, names.exchange, "direct")
    problem = await error_of_start(broker_url, names)

    assert problem == (
        f"backend test: exchange '{names.exchange}': type found: 'direct', wanted: 'topic'"
    )


async def test_mismatched_queue_error_names_both_types(broker_url: str, names: Names) -> None:
    await declare_queue(broker_url, names.queue, **{"x-queue-type": "classic"})
    problem = await error_of_start(broker_url, names, queue_type="quorum")

    assert f"queue '{names.queue}'" in problem
    assert "x-queue-type found: 'classic', wanted: 'quorum'" in problem


async def test_passive_error_names_missing_exchange(broker_url: str, names: Names) -> None:
    problem = await error_of_start(broker_url, names, declare="passive")

    assert problem == (
        f"backend test: exchange '{names.exchange}' does not exist; declare it with type 'topic',"
        " or set 'declare: true'"
    )


async def test_passive_error_names_missing_queue(broker_url: str, names: Names) -> None:
    await declare_exchange(broker_url, names.exchange, "topic")
    problem = await error_of_start(broker_url, names, declare="passive")

    assert problem == (
        f"backend test: queue '{names.queue}' does not exist; declare it, or set 'declare: true'"
    )


async def test_passive_declares_nothing_and_accepts_existing_topology(
    broker_url: str, names: Names
) -> None:
    async with (
        standing(broker_url, names=names),
        standing(broker_url, names=names, declare="passive", works=False) as stand,
    ):
        _, sink, connection = await stand.session()
        connection.send(Message.from_text("x"))
        await sink.until_delivered(1)


async def test_declare_false_checks_nothing(broker_url: str, names: Names) -> None:
    async with standing(broker_url, names=names, declare=False, works=False) as stand:
        assert stand.metric("up") == 1


async def test_queue_arguments_are_declared(broker_url: str, names: Names) -> None:
    arguments = {"x-single-active-consumer": True}
    async with standing(broker_url, names=names, queue_arguments=arguments, works=False):
        await declare_queue(
            broker_url, names.queue, **arguments, **{"x-queue-type": "classic"}
        )  # raises if the arguments differ


async def test_wrong_password_is_logged_once_and_gateway_starts(
    broker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = uuid.uuid4().hex
    async with standing(broker_url, password=wrong, works=False) as stand:
        assert stand.metric("up") == 0
        for _ in range(3):
            with pytest.raises(BackendUnavailable, match="ACCESS_REFUSED"):
                await stand.backend.probe()
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]

    assert len(errors) == 1
    assert "ACCESS_REFUSED" in errors[0]
    assert wrong not in caplog.text


async def test_unknown_virtual_host_is_logged(
    broker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    backend = AmqpBackend(AmqpSettings(url=f"{broker_url}/no%2Fsuch"), make_context())
    await backend.open()
    with pytest.raises(BackendUnavailable, match=r"530 .* vhost no/such not found"):
        await backend.probe()
    await backend.close()
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]

    assert len(errors) == 1
    assert "vhost no/such not found" in errors[0]
