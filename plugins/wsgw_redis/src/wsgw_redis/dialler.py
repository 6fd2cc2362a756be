"""Opens and authenticates connections to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from wsgw_core.api import (
    BackendContext,
    BackendUnavailable,
    BackendUnreachable,
    ClientTls,
    TlsClientOptions,
    run_in_thread,
    tls_error_text,
    unavailable,
)

from .line import Line
from .opened_connection import OpenedConnection, Streams
from .password_file import read_password
from .refusal import RefusalLog
from .settings import RedisSettings

Host = tuple[str, int]
Opener = Callable[[], Awaitable[Streams]]


class Dialler:
    """Makes the connections of one backend.

    The gateway looks names up. Certificates are read again when they change, and password files at
    each dial. Each dial asks the Sentinels, so that a line leads to the current master.

    Args:
        settings: the backend's.
        context: the backend's.
        instance: the backend's random name.
        refusals: logs wrong passwords.
    """

    def __init__(
        self,
        settings: RedisSettings,
        context: BackendContext,
        instance: str,
        refusals: RefusalLog,
    ) -> None:
        self._settings = settings
        self._context = context
        self._address = settings.address
        self._client_name = settings.client_name.of(instance)
        self._refusals = refusals
        self._tls: dict[str, ClientTls] = {}

    async def open(self) -> None:
        """Reads the certificates; raises ConfigurationError."""
        if self._address.secure:
            for host, _ in self._address.hosts[:1]:
                await self._tls_for(host)

    async def dial(self) -> Line:
        """Connects, authenticates, and selects the database.

        Raises:
            BackendUnavailable: the server cannot be reached, or refuses.
        """
        settings, address = self._settings, self._address
        try:
            async with asyncio.timeout(settings.connect_timeout):
                host = await self._ask_sentinels() if address.master else None
                if address.path:
                    opener, name = self._open_file, address.path
                else:
                    host = host or address.hosts[0]
                    opener, name = partial(self._open_host, host), f"{host[0]}:{host[1]}"
                connection = await self._connection(opener, name)
                await self._connect(connection)
        except TimeoutError as error:
            raise BackendUnreachable(
                f"no connection to Redis within {settings.connect_timeout:g} s"
            ) from error
        return Line(
            connection.give_up_streams(),
            name,
            self._context.clock,
            command_timeout=settings.command_timeout,
            health_interval=settings.health_interval,
        )

    # Steps

    async def _connection(self, opener: Opener, name: str) -> OpenedConnection:
        settings, address = self._settings, self._address
        password = await _password(settings.password, settings.password_file) or address.password
        return OpenedConnection(
            open_streams=opener,
            name=name,
            protocol=2,
            db=address.database,
            username=settings.username or address.username or None,
            password=password or None,
            client_name=self._client_name,
            driver_info=None,  # the ACLs of Redis 7.0 have no right for it
            socket_timeout=None,  # `dial` has a timeout; redis-py's own swallows cancellation
        )

    async def _connect(self, connection: OpenedConnection) -> None:
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # of redis-py
        except RedisError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: RedisError) -> BackendUnavailable:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, BackendUnavailable):
            return cause
        if isinstance(cause, OSError):
            return unavailable(tls_error_text(cause), cause)
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if isinstance(error, (AuthenticationError, NoPermissionError)):
            self._refusals.note("the login", reason)
        return BackendUnavailable(f"Redis: {reason}")

    async def _ask_sentinels(self) -> Host:
        """Returns the address of the current master, from the first Sentinel that knows it."""
        settings, hosts = self._settings, self._address.hosts
        password = await _password(settings.sentinel_password, settings.sentinel_password_file)
        timeout = settings.connect_timeout / (len(hosts) + 1)
        reasons = []
        for host in hosts:
            try:
                async with asyncio.timeout(timeout):
                    return await self._ask_sentinel(host, password)
            except TimeoutError:
                reasons.append(f"{host[0]}:{host[1]}: no answer")
            except RedisError as error:
                reasons.append(f"{host[0]}:{host[1]}: {' '.join(str(error).split())[:100]}")
        raise BackendUnavailable(f"no Sentinel names a master: {'; '.join(reasons)}")

    async def _ask_sentinel(self, host: Host, password: str | None) -> Host:
        pool = ConnectionPool(
            connection_class=OpenedConnection,
            open_streams=partial(self._open_host, host),
            name=f"{host[0]}:{host[1]}",
            protocol=2,
            username=self._settings.sentinel_username,
            password=password,
            client_name=self._client_name,
            driver_info=None,  # the ACLs of Redis 7.0 have no right for it
            socket_timeout=None,
        )
        sentinel = Sentinel([])  # type: ignore[no-untyped-call]  # of redis-py
        sentinel.sentinels = [Redis.from_pool(pool)]
        try:
            found: tuple[str, int] = await sentinel.discover_master(self._address.master)
        finally:
            await sentinel.aclose()
        return found

    # Opening

    async def _open_host(self, host: Host) -> Streams:
        opened = await self._context.resolver.connect(*host)
        if not self._address.secure:
            return await asyncio.open_connection(sock=opened)
        try:
            tls = await self._tls_for(host[0])
        except BaseException:
            opened.close()
            raise
        return await asyncio.open_connection(
            sock=opened, ssl=tls.context(), server_hostname=tls.server_name
        )

    async def _open_file(self) -> Streams:
        return await asyncio.open_unix_connection(self._address.path)

    async def _tls_for(self, host: str) -> ClientTls:
        """Returns the TLS settings for a host, whose certificate must name it."""
        if host not in self._tls:
            options = self._settings.tls or TlsClientOptions()
            self._tls[host] = await run_in_thread(partial(ClientTls, options, host, self._context))
        return self._tls[host]


async def _password(given: str | None, file: str | None) -> str | None:
    if file is None:
        return given
    try:
        return await run_in_thread(partial(read_password, file))
    except ValueError as error:
        raise BackendUnavailable(str(error)) from error
