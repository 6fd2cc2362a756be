"""A broker that also has TLS, and users known by their certificates."""

from __future__ import annotations

from pathlib import Path

import trustme
from wsgw_amqp.broker_node import BrokerNode, free_port

_PLUGINS = ("rabbitmq_auth_mechanism_ssl", "rabbitmq_consistent_hash_exchange")


class SecureNode:
    """A node whose TLS certificate is signed by its own authority.

    Attributes:
        node: the node.
        url: its URL with TLS, without a user name.
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
        self.node = BrokerNode(folder / "node", settings=settings, plugins=_PLUGINS)

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
