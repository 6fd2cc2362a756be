"""One connection to a broker for all sessions of a backend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Generic, TypeVar

from .backend import BackendContext
from .close import CloseCause
from .close_codes import CloseCode
from .errors import BackendUnavailable, BackendUnreachable, unavailable
from .windowed_connection import WindowedConnection

LinkT = TypeVar("LinkT")
ConnectionT = TypeVar("ConnectionT", bound=WindowedConnection)


class SharedLink(Generic[LinkT, ConnectionT]):
    """One link to a broker for all sessions of a backend, dialled on demand.

    `Backend.connect` awaits `get`, makes the session's connection and calls `add`. The code that
    reads replies calls `find`. Any code that notices the loss of the link calls `lost`: all
    connections on it end in one turn of the loop, and the next `connect` dials again.
    `Backend.close` awaits `close`.

    Args:
        context: the backend's context.
        dial: returns a new link; raises BackendUnavailable or OSError. Any other exception is
            logged as a fault. SharedLink cancels it after `timeout` and in `close`; it then leaves
            nothing behind.
        hang_up: closes a link, which may be lost already; limited by `limits.close_timeout`.
        timeout: maximum seconds of a dial.
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
        """The link if it is connected, else None."""
        return self._link

    async def get(self) -> LinkT:
        """Returns the link; dials it if there is none. Await it in each `Backend.connect`.

        All callers share one dial, which goes on when one of them is cancelled.

        Raises:
            BackendUnavailable: the dial failed or took too long; whatever `dial` has raised.
        """
        if self._link is not None:
            return self._link
        if self._closed:
            raise BackendUnavailable("the backend is closed")
        if self._dialling is None:
            self._dialling = asyncio.get_running_loop().create_task(self._dial_bounded())
            self._dialling.add_done_callback(self._dialled)
        dialling = self._dialling
        await asyncio.wait([dialling])  # does not cancel the dial together with this caller
        if dialling.cancelled():
            raise BackendUnavailable("the backend is closed")
        if (error := dialling.exception()) is not None:
            raise copy(error) from error  # each caller gets an object of its own
        link = dialling.result()
        if link is not self._link:
            raise BackendUnavailable("the link was lost at once")
        return link

    def lost(self, link: LinkT, reason: str) -> None:
        """Ends all connections on a link as a loss that no message has caused, and forgets it.

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
        """Reports whether the link takes messages for now; calls `context.writable`.

        False: the connections write nothing, and wsgw reads none of their clients.
        """
        if self._blocked is writable:
            self._blocked = not writable
            for connection in tuple(self._connections):
                connection.block(self._blocked)
            self._context.writable(writable)

    def add(self, link: LinkT, connection: ConnectionT) -> None:
        """Adds a session's connection until its end. Call it right before `connect` returns it.

        From now on `find` returns this connection, even if the session has earlier ones.

        Args:
            link: the link that `get` returned.
            connection: the connection; `add` sets its `on_over`.

        Raises:
            BackendUnavailable: the link was lost meanwhile.
        """
        if link is not self._link:
            raise BackendUnavailable("the link was lost")
        connection.on_over = self._remove
        self._connections.add(connection)
        self._routes[connection.session_id] = connection
        if self._blocked:
            connection.block(True)

    def find(self, session_id: str) -> ConnectionT | None:
        """Returns a session's newest connection, for its replies.

        None if it has none here; then see BackendContext.deliver.
        """
        return self._routes.get(session_id)

    def __len__(self) -> int:
        """How many connections there are, including those that are closing."""
        return len(self._connections)

    async def close(self) -> None:
        """Closes all connections, waits for them, and hangs up. Await it in `Backend.close`."""
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
        except BackendUnavailable:
            raise
        except Exception as error:
            self._context.logger.exception("the dial of the link raised an error")
            raise BackendUnavailable(f"its plugin raised {type(error).__name__}") from error

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
        except Exception as error:  # noqa: BLE001 - the link is lost, or was to be closed anyway
            self._context.logger.debug("the link was not hung up in order: %r", error)
