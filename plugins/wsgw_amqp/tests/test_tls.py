"""Brokers over TLS."""

from __future__ import annotations

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


class SecureNode:
    """A node that speaks TLS, and whose certificate an authority of its own has signed.

    Attributes:
        url: where it listens.
        ca: the authority's file.
    """

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        self.ca = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca)
        certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
        certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
        port = free_port()
        self.url = f"amqps://guest:guest@127.0.0.1:{port}"
        lines = (
            f"listeners.ssl.default = 127.0.0.1:{port}",
            f"ssl_options.cacertfile = {self.ca}",
            f"ssl_options.certfile = {folder}/cert.pem",
            f"ssl_options.keyfile = {folder}/key.pem",
        )
        self.node = BrokerNode(folder / "node", settings="\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureNode]:
    found = SecureNode(tmp_path_factory.mktemp("tls"))
    found.node.start()
    yield found
    found.node.kill()


def backend_at(node: SecureNode, **tls: Any) -> AmqpBackend:
    given = {"url": node.url, "queue": "q", "queue-type": "classic", "tls": tls}
    return AmqpBackend(AmqpSettings.model_validate(given), make_context())


async def test_messages_are_confirmed_over_tls(secure: SecureNode) -> None:
    backend = backend_at(secure, ca=secure.ca)
    await backend.open()
    sink = RecordingSink(patience=60)
    connection = sink.watch(await backend.connect(DialRequest("S", "/"), sink))
    connection.start()
    connection.send(Message.from_text("x" * 100_000))
    await sink.until_delivered(1)
    await backend.close()


async def test_a_certificate_of_another_authority_makes_the_backend_unavailable(
    secure: SecureNode,
) -> None:
    backend = backend_at(secure)
    await backend.open()
    with pytest.raises(BackendUnavailable, match="certificate not accepted"):
        await backend.probe()
    await backend.close()


async def test_a_broker_without_tls_makes_the_backend_unavailable(broker_url: str) -> None:
    url = broker_url.replace("amqp://", "amqps://")
    backend = AmqpBackend(AmqpSettings(url=url), make_context())
    await backend.open()
    with pytest.raises(BackendUnavailable):
        await backend.probe()
    await backend.close()
