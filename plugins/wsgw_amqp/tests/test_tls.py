"""Brokers over TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from wsgw_amqp.backend import AmqpBackend
from wsgw_amqp.broker_node import BrokerNode, free_port
from wsgw_amqp.settings import AmqpSettings

from wsgw_core.api import BackendUnavailable, DialRequest, Message
from wsgw_core.testing.context import make_context
from wsgw_core.testing.recording_sink import RecordingSink

_BY_CERTIFICATE = "rabbitmq_auth_mechanism_ssl"


class SecureNode:
    """A node with TLS, whose certificate is signed by its own authority.

    Attributes:
        url: of the node, without a user name.
        ca: the authority's file.
    """

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        self.ca = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca)
        certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
        certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
        self._folder, self._authority = folder, authority
        port = free_port()
        self.url = f"amqps://127.0.0.1:{port}"
        lines = (
            f"listeners.ssl.default = 127.0.0.1:{port}",
            f"ssl_options.cacertfile = {self.ca}",
            f"ssl_options.certfile = {folder}/cert.pem",
            f"ssl_options.keyfile = {folder}/key.pem",
            "ssl_options.verify = verify_peer",
            "ssl_cert_login_from = common_name",
            "auth_mechanisms.1 = PLAIN",
            "auth_mechanisms.2 = EXTERNAL",
        )
        settings = "\n".join(lines) + "\n"
        self.node = BrokerNode(folder / "node", settings=settings, plugins=(_BY_CERTIFICATE,))

    def certificate_of(self, name: str) -> str:
        """Returns a file with a client certificate and its key."""
        file = self._folder / f"{name}.pem"
        issued = self._authority.issue_cert(f"{name}.example", common_name=name)
        issued.private_key_and_cert_chain_pem.write_to_path(str(file))
        return str(file)

    def add_user(self, name: str) -> None:
        """Adds a user without a password."""
        quoted = f'<<"{name}">>'
        self.node.evaluate(
            f'rabbit_auth_backend_internal:add_user({quoted}, <<"none">>, <<"test">>),'
            f' rabbit_auth_backend_internal:clear_password({quoted}, <<"test">>),'
            f' rabbit_auth_backend_internal:set_permissions({quoted}, <<"/">>,'
            ' <<".*">>, <<".*">>, <<".*">>, <<"test">>)'
        )


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureNode]:
    found = SecureNode(tmp_path_factory.mktemp("tls"))
    found.node.start()
    found.add_user("gateway")
    yield found
    found.node.kill()


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
        "[[binary_to_atom(Value) || {_, Value} <-"
        " rabbit_networking:connection_info(P, [user, auth_mechanism])]"
        " || P <- rabbit_networking:connections()]",
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
