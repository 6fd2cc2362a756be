"""One connection of aiormq to the broker, with a channel of our own."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, cast

import aiormq
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPError
from pamqp import commands
from pamqp.base import Frame
from yarl import URL

from wsgw_core.api import BackendContext

from .frame_splitter import FrameSplitter
from .library_loop import LibraryLoop
from .own_channel import ChannelClosedError, OwnChannel

TOPOLOGY_CHANNEL = 1
_DEFAULT_FRAME_MAX = 128 * 1024  # if the broker has no limit

# aiormq logs each loss with a traceback; the plugin logs it in one line.
_library_log = logging.getLogger("aiormq")


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """The address and login of a connection.

    Attributes:
        url: host, port, virtual host, name, password and settings, in aiormq's format.
        tls: None: no TLS.
        server_name: the name that TLS requests and verifies.
    """

    url: URL
    tls: ssl.SSLContext | None = None
    server_name: str | None = None


class BrokerConnection(TransportFactory):
    """One connection, which reports its loss once.

    aiormq does the handshake, the heartbeats and the declarations. Messages bypass it on our own
    channel.

    Args:
        context: the backend's.
        channel: our channel; see OwnChannel.
        on_lost: called once with a reason, but not after `close`.
        on_writable: called when `is_writable` may have changed.

    Attributes:
        channel: see above.
        loss: why the connection is lost; None: it is not lost.
        blocked: why the broker takes no messages; None: it takes them.
    """

    def __init__(
        self,
        context: BackendContext,
        channel: OwnChannel,
        on_lost: Callable[[str], object],
        on_writable: Callable[[], object],
    ) -> None:
        self.channel = channel
        self.loss: str | None = None
        self._code = 0  # the broker's reply code of the loss
        self.blocked: str | None = None
        self._context = context
        self._on_lost = on_lost
        self._on_writable = on_writable
        self._is_paused = False
        self._is_closing = False
        self._splitter: FrameSplitter | None = None
        self._library: aiormq.Connection | None = None
        self._library_loop = LibraryLoop()
        if _library_log.level == logging.NOTSET:
            _library_log.setLevel(logging.CRITICAL)

    async def open(self, address: BrokerAddress, name: str) -> None:
        """Connects, and opens our channel.

        Args:
            address: of a node.
            name: of the connection, for the broker's operators.

        Raises:
            OSError, AMQPError, BackendUnavailable, ChannelClosedError: connecting failed.
        """
        self._address = address
        properties: dict[str, Any] = {"connection_name": name, "product": "wsgw"}
        properties["version"] = version("wsgw-amqp")
        self._library = aiormq.Connection(
            address.url,
            loop=cast("asyncio.AbstractEventLoop", self._library_loop),
            transport_factory=self,
            client_properties=properties,
        )
        try:
            await self._library.connect()
        except AMQPError as error:
            if self.loss is None:
                raise
            # the broker has given the reason, while aiormq expected something else
            raise ChannelClosedError(self.loss, self._code) from error
        assert self._splitter is not None  # noqa: S101 - for the type checker
        self._splitter.feed_interval = max(1, self._library.heartbeat_timeout) / 2
        frame_max = self._library.connection_tune.frame_max or _DEFAULT_FRAME_MAX
        await self.channel.open(self._splitter.transport.write, frame_max)

    async def topology_channel(self) -> aiormq.abc.AbstractChannel:
        """Returns an aiormq channel for declarations; only one at a time."""
        assert self._library is not None  # noqa: S101 - `open` was called
        return await self._library.channel(TOPOLOGY_CHANNEL, publisher_confirms=False)

    async def update_secret(self, secret: str) -> None:
        """Sends the broker a new password (`connection.update-secret`)."""
        assert self._library is not None  # noqa: S101 - `open` was called
        await self._library.update_secret(secret, reason="rotated")

    @property
    def is_writable(self) -> bool:
        """Whether the broker takes messages at the moment."""
        return self.blocked is None and not self._is_paused

    @property
    def silent_since(self) -> float:
        """The time of the last bytes, including heartbeats, by the loop's clock."""
        return self._splitter.read_at if self._splitter is not None else 0.0

    def give_up(self, reason: str) -> None:
        """Drops the connection, and counts it as lost."""
        if self._splitter is not None:
            self._splitter.transport.abort()
        self.disconnected(reason)

    async def close(self) -> None:
        """Closes the connection, or cleans up after a lost one."""
        self._is_closing = True
        self.channel.ended("the connection is closed")
        try:
            if self._library is not None:
                await self._library.close()
        finally:
            if self._splitter is not None and hasattr(self._splitter, "transport"):
                self._splitter.transport.abort()
        await self._library_loop.tasks_ended()

    # Called by aiormq

    async def create(
        self, url: URL, **_settings: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """See TransportFactory."""
        loop = asyncio.get_running_loop()
        assert url.host is not None  # noqa: S101 - the settings check it
        assert url.port is not None  # noqa: S101 - as above
        sock = await self._context.resolver.connect(url.host, url.port)
        splitter = FrameSplitter(self, loop)
        try:
            await loop.create_connection(
                lambda: splitter,
                sock=sock,
                ssl=self._address.tls,
                server_hostname=self._address.server_name if self._address.tls else None,
            )
        except BaseException:
            sock.close()
            raise
        self._splitter = splitter
        writer = asyncio.StreamWriter(splitter.transport, splitter, splitter.reader, loop)
        return splitter.reader, writer

    # Called by the frame splitter

    def frame_received(self, kind: int, data: bytes, start: int, end: int) -> None:
        """See FrameReceiver."""
        self.channel.frame_received(kind, data, start, end)

    def read_done(self) -> None:
        """See FrameReceiver."""
        self.channel.read_done()

    def notice_received(self, notice: Frame) -> None:
        """See FrameReceiver."""
        if isinstance(notice, commands.Connection.Close):
            self._code = notice.reply_code or 0
            self.disconnected(f"closed by the broker: {notice.reply_code} {notice.reply_text}")
            return
        if isinstance(notice, commands.Connection.Blocked):
            self.blocked = notice.reason or "no reason given"
        else:
            self.blocked = None
        self._on_writable()

    def flow_changed(self, *, is_paused: bool) -> None:
        """See FrameReceiver."""
        self._is_paused = is_paused
        self._on_writable()

    def disconnected(self, reason: str) -> None:
        """See FrameReceiver."""
        if self.loss is not None:
            return
        self.loss = reason
        self.channel.ended(reason)
        if not self._is_closing:
            self._on_lost(reason)
