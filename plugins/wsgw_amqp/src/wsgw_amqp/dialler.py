"""Connects to a node of the broker that works."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable
from functools import partial

from aiormq.exceptions import AMQPError
from yarl import URL

from wsgw_core.api import (
    BackendContext,
    BackendUnavailable,
    ClientTls,
    RareWarning,
    TlsClientOptions,
    run_in_thread,
)

from .broker_connection import BrokerAddress
from .credentials import Credentials
from .errors import BrokerRefusesError, as_unavailable
from .link import AmqpLink
from .own_channel import ChannelClosedError
from .settings import AmqpSettings
from .topology import Topology, TopologyError

_INSTANCE_BYTES = 8
_AGAIN_BYTES = 4
# Errors that each node of the cluster would give.
_FINAL = (TopologyError, BrokerRefusesError)


class Dialler:
    """Dials the nodes in turn; the first is random.

    Args:
        settings: the backend's.
        context: the backend's.
        credentials: the backend's.
        make_link: returns a link that is not open yet.

    Attributes:
        logs_refusals: whether to log errors that only an operator can repair, once a minute.
    """

    def __init__(
        self,
        settings: AmqpSettings,
        context: BackendContext,
        credentials: Credentials,
        make_link: Callable[[], AmqpLink],
    ) -> None:
        self._settings = settings
        self._context = context
        self._credentials = credentials
        self._make_link = make_link
        self._topology = Topology(settings)
        self._instance = secrets.token_hex(_INSTANCE_BYTES)
        self._tls: list[ClientTls | None] = [None] * len(settings.nodes)
        self.logs_refusals = True
        self._warn = RareWarning(context.logger)

    @property
    def longest(self) -> float:
        """The maximum seconds of a dial."""
        return self._settings.connect_timeout * len(self._settings.nodes) + 1

    async def read_certificates(self) -> None:
        """Reads the certificates for TLS.

        Raises:
            ConfigurationError: a certificate cannot be used.
        """
        if self._settings.is_secure:
            options = self._settings.tls or TlsClientOptions()
            self._tls = [
                await run_in_thread(partial(ClientTls, options, host, self._context))
                for host, _ in self._settings.nodes
            ]

    async def dial(self) -> AmqpLink:
        """Returns a new link, whose topology is prepared.

        Raises:
            BackendUnavailable: no node works.
        """
        try:
            return await self._dial_nodes()
        except _FINAL as error:
            if self.logs_refusals:
                self._warn("%s", error.reason, level=logging.ERROR)
            raise

    async def _dial_nodes(self) -> AmqpLink:
        nodes = list(zip(self._settings.nodes, self._tls, strict=True))
        first = random.randrange(len(nodes))  # noqa: S311 - spreads the load
        password = await self._credentials.password()
        failures: list[BackendUnavailable] = []
        for (host, port), tls in nodes[first:] + nodes[:first]:
            try:
                async with asyncio.timeout(self._settings.connect_timeout):
                    return await self._dial_node(self._address(host, port, tls, password))
            except TimeoutError:
                reason = f"no link within {self._settings.connect_timeout:g} s"
                failures.append(as_unavailable(OSError(reason)))
            except (AMQPError, OSError, ChannelClosedError, BackendUnavailable) as error:
                failures.append(as_unavailable(error))
            if isinstance(failures[-1], _FINAL):
                break
        raise failures[-1]

    async def _dial_node(self, address: BrokerAddress) -> AmqpLink:
        link = self._make_link()
        try:
            await link.open(address, self._named(self._settings.connection_name))
            channel = await link.publishing.topology_channel()
            await self._topology.prepare(channel)
            await channel.close()
            link.reply_to = await self._declare_replies(link)
            await link.replies.consume(link.reply_to)
            link.check()
        except BaseException:
            link.drop()
            await link.close()
            raise
        return link

    async def _declare_replies(self, link: AmqpLink) -> str:
        """Declares the queue for replies and returns its name."""
        name = self._named(self._settings.replies)
        for each in (name, f"{name}.{secrets.token_hex(_AGAIN_BYTES)}"):
            channel = await link.consuming.topology_channel()
            if await self._topology.declare_replies(channel, each):
                await channel.close()
                return each
        raise BackendUnavailable(f"the queue {name!r} belongs to another connection")

    def _address(self, host: str, port: int, tls: ClientTls | None, password: str) -> BrokerAddress:
        settings = self._settings
        url = URL.build(
            scheme="amqps" if tls is not None else "amqp",
            host=host,
            port=port,
            user=self._credentials.username,
            password=password,
            path=f"/{settings.virtual_host}",
            query={"heartbeat": str(round(settings.heartbeat)), "auth": settings.mechanism},
        )
        if tls is None:
            return BrokerAddress(url)
        return BrokerAddress(url, tls.context(), tls.server_name)

    def _named(self, text: str) -> str:
        text = text.replace("{backend}", self._context.backend_id)
        return text.replace("{instance}", self._instance)
