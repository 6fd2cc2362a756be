"""One connection to a broker for all sessions of a backend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Any, Generic, Protocol, TypeVar

from .backend import BackendContext
from .close import CloseCause
from .close_codes import CloseCode
from .errors import BackendUnavailable, BackendUnreachable, unavailable

LinkT = TypeVar("LinkT")


class LinkedConnection(Protocol):
    """A session's connection over a shared link, such as a WindowedConnection."""

    session_id: str
    on_over: Callable[[Any], object] | None

    def fail(self, reason: str, /) -> None:
        """Report the loss of the link to the session, in the next turn of the loop."""
        ...

    def block(self, blocked: bool, /) -> None:
        """Write nothing for now, or go on."""
        ...

    def close(self, code: int, reason: str, cause: CloseCause, /) -> None:
        """See BackendConnection."""
        ...


ConnectionT = TypeVar("ConnectionT", bound=LinkedConnection)


class SharedLink(Generic[LinkT, ConnectionT]):
    """The link to a broker, dialled when it is wanted, and the connections of the sessions on it.

    `Backend.connect` awaits `get`, makes the session's connection and calls `add`; whoever reads
    replies calls `find`. Whoever notices that the link is lost, and it may be noticed in several
    places, calls `lost`: all sessions hear of it in one turn of the loop, and the next `connect`
    dials anew. `Backend.close` awaits `close`.

    Args:
        context: the backend's.
        dial: makes a link. It raises BackendUnavailable, or OSError, when there is none; when
            cancelled, it leaves nothing behind. It is cancelled when it takes too long, and by
            `close`.
        hang_up: closes a link, also one that is lost; bounded by `limits.close_timeout`.
        timeout: seconds that a dial may take.
    """

    def __init__(
        self,
        context: BackendContext,
        dial: Callable[[], Awaitable[LinkT]],
        hang_up: Callable[[LinkT], Awaitable[None]],
        *,
        timeout: float = 5.0,
    ) -> None:
        self._context = context
        self._dial = dial
        self._hang_up = hang_up
        self._timeout = timeout
        self._link: LinkT | None = None
        self._dialling: asyncio.Task[LinkT] | None = None
        self._stillborn: list[LinkT] = []  # lost before their dial was over
        self._hanging_up: set[asyncio.Task[None]] = set()
        self._connections: set[ConnectionT] = set()
        self._routes: dict[str, ConnectionT] = {}
        self._one_less = asyncio.Event()
        self._blocked = False
        self._closed = False

    @property
    def current(self) -> LinkT | None:
        """The link, if there is one now."""
        return self._link

    async def get(self) -> LinkT:
        """Return the link; dial it if there is none.

        One dial serves all who wait, and goes on when one of them is cancelled. To be awaited by
        each `Backend.connect`.

        Raises:
            BackendUnavailable: there is none, or none in time.
        """
        if self._link is not None:
            return self._link
        if self._closed:
            raise BackendUnavailable("the backend is closed")
        if self._dialling is None:
            self._dialling = asyncio.get_running_loop().create_task(self._dial_bounded())
            self._dialling.add_done_callback(self._dialled)
        dialling = self._dialling
        await asyncio.wait([dialling])  # which does not cancel it with whoever waits
        if dialling.cancelled():
            raise BackendUnavailable("the backend is closed")
        error = dialling.exception()
        if isinstance(error, BackendUnavailable):
            raise copy(error) from error  # an object of its own for each who waits
        if error is not None:
            raise RuntimeError(f"the link cannot be dialled: {error!r}") from error
        link = dialling.result()
        if link is not self._link:
            raise BackendUnavailable("the link was lost at once")
        return link

    def lost(self, link: LinkT, reason: str) -> None:
        """End all connections on a link as a loss that no message has caused, and forget it.

        Without effect for a link that is not the current one: its loss is old news. Calls
        `context.down`.

        Args:
            link: the lost one; it is hung up.
            reason: one line, for the log and the sessions.
        """
        if link is not self._link:
            if self._dialling is not None:
                self._stillborn.append(link)
            return
        self._link = None
        self._blocked = False
        for connection in tuple(self._connections):
            connection.fail(reason)
        self._routes.clear()
        self._context.down(reason)
        self._hang_up_in_background(link)

    def writable(self, writable: bool, /) -> None:
        """Say whether the link takes messages for now.

        False: connections write nothing, and the clients of all sessions are not read. Calls
        `context.writable`.
        """
        if self._blocked is writable:
            self._blocked = not writable
            for connection in tuple(self._connections):
                connection.block(self._blocked)
            self._context.writable(writable)

    def add(self, link: LinkT, connection: ConnectionT) -> None:
        """Take the connection of a session, until it has ended; right before `connect` returns it.

        It is the session's route from now on, whatever earlier connections it may still have.

        Args:
            link: as `get` has returned it.
            connection: its `on_over` is set.

        Raises:
            BackendUnavailable: the link was lost since.
        """
        if link is not self._link:
            raise BackendUnavailable("the link was lost")
        connection.on_over = self._remove
        self._connections.add(connection)
        self._routes[connection.session_id] = connection
        if self._blocked:
            connection.block(True)

    def find(self, session_id: str) -> ConnectionT | None:
        """Return the newest connection of a session, for its replies.

        None: there is none here; see BackendContext.deliver.
        """
        return self._routes.get(session_id)

    def __len__(self) -> int:
        """How many connections there are, those that are ending included."""
        return len(self._connections)

    async def close(self) -> None:
        """Close all connections, wait until they are over, and hang up; for `Backend.close`."""
        self._closed = True
        if self._dialling is not None:
            self._dialling.cancel()
        for connection in tuple(self._connections):
            connection.close(
                CloseCode.GOING_AWAY, "the backend is closed", CloseCause.GATEWAY_STOPS
            )
        while self._connections:
            self._one_less.clear()
            await self._one_less.wait()
        if self._link is not None:
            link, self._link = self._link, None
            self._hang_up_in_background(link)
        while waiting := [task for task in (self._dialling, *self._hanging_up) if task is not None]:
            await asyncio.wait(waiting)

    # Inside

    async def _dial_bounded(self) -> LinkT:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._dial()
        except TimeoutError as error:
            raise BackendUnreachable(f"no link within {self._timeout:g} s") from error
        except OSError as error:
            raise unavailable(str(error), error) from error

    def _dialled(self, dialling: asyncio.Task[LinkT]) -> None:
        self._dialling = None
        stillborn, self._stillborn = self._stillborn, []
        if dialling.cancelled() or dialling.exception() is not None:
            return
        link = dialling.result()
        if self._closed or any(link is each for each in stillborn):
            self._hang_up_in_background(link)
        else:
            self._link = link

    def _remove(self, connection: ConnectionT) -> None:
        self._connections.discard(connection)
        if self._routes.get(connection.session_id) is connection:
            del self._routes[connection.session_id]
        self._one_less.set()

    def _hang_up_in_background(self, link: LinkT) -> None:
        task = asyncio.get_running_loop().create_task(self._hang_up_bounded(link))
        self._hanging_up.add(task)
        task.add_done_callback(self._hanging_up.discard)

    async def _hang_up_bounded(self, link: LinkT) -> None:
        try:
            async with asyncio.timeout(self._context.limits.close_timeout):
                await self._hang_up(link)
        except Exception as error:  # noqa: BLE001 - it is lost, or was to go anyway
            self._context.logger.debug("the link was not hung up in order: %r", error)
