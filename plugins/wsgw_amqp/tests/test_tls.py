"""Brokers over TLS."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from wsgw_amqp.backend import AmqpBackend
from wsgw_amqp.settings import AmqpSettings

from wsgw_core.api import BackendUnavailable, DialRequest, Message
from wsgw_core.testing.context import make_context
from wsgw_core.testing.recording_sink import RecordingSink

from .secure_node import SecureNode


def backend_at(node: SecureNode, **options: Any) -> AmqpBackend:
    url = node.url if "mechanism" in options else node.url.replace("//", "//guest:guest@")
    given = {"url": url, "queue": "q", "queue-type": "classic", **options}
    return AmqpBackend(AmqpSettings.model_validate(given), make_context())


async def test_messages_are_confirmed_over_tls(secure: SecureNode) -> None:
    backend = backend_at(secure, tls={"ca": secure.ca})
    await backend.open()
    sink = RecordingSink(timeout=60)
    connection = sink.watch(await backend.connect(DialRequest("S", "/"), sink))
    connection.start()
    connection.send(Message.from_text("x" * 100_000))
    await sink.until_delivered(1)
    await backend.close()


async def test_untrusted_certificate_makes_backend_unavailable(
    secure: SecureNode,
) -> None:
    backend = backend_at(secure)
    await backend.open()
    with pytest.raises(BackendUnavailable, match="certificate not accepted"):
        await backend.probe()
    await backend.close()


async def test_broker_without_tls_makes_backend_unavailable(broker_url: str) -> None:
    url = broker_url.replace("amqp://", "amqps://")
    backend = AmqpBackend(AmqpSettings(url=url), make_context())
    await backend.open()
    with pytest.raises(BackendUnavailable):
        await backend.probe()
    await backend.close()


async def test_client_certificate_identifies_gateway(secure: SecureNode) -> None:
    tls = {"ca": secure.ca, "certificate": secure.certificate_of("gateway")}
    backend = backend_at(secure, mechanism="external", tls=tls)
    await backend.open()
    sink = RecordingSink(timeout=60)
    connection = sink.watch(await backend.connect(DialRequest("S", "/"), sink))
    connection.start()
    connection.send(Message.from_text("x"))
    await sink.until_delivered(1)
    users = await asyncio.to_thread(
        secure.node.evaluate,
        "[[binary_to_atom(User), binary_to_atom(Way)] || P <- rabbit_networking:connections(),"
        " [{_, User}, {_, Way}] <- [rabbit_networking:connection_info(P, [user, auth_mechanism])],"
        ' Way =/= <<"PLAIN">>]',
    )
    await backend.close()

    assert users == "{ok, [[gateway, 'EXTERNAL'], [gateway, 'EXTERNAL']]}"


async def test_client_certificate_of_unknown_user_makes_backend_unavailable(
    secure: SecureNode,
) -> None:
    """The broker trusts the certificate but has no user of that name."""
    tls = {"ca": secure.ca, "certificate": secure.certificate_of("stranger")}
    backend = backend_at(secure, mechanism="external", tls=tls)
    await backend.open()
    with pytest.raises(BackendUnavailable, match="refuses"):
        await backend.probe()
    await backend.close()
