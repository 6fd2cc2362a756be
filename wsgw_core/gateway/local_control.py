"""The control of a gateway in this process; see `wsgw_core.control`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from .. import __version__
from ..api import BINARY, ConfigurationError, Message, ReplyOutcome
from ..control import commands, status
from ..control.events import Event
from ..control.outcome import DONE, UNCHANGED, UNKNOWN, UNSUPPORTED, Outcome, ReloadReport
from ..loading.added_backend import FilesNotAllowed, resolve_backend
from ..loading.effective import plain_config
from ..masking import masked
from ..pool.backends.backend_pool import PooledBackend
from ..relay.session.session import Session
from ..relay.session.session_opener import SessionOpener
from .described import backend_settings, backend_status, plugin_statuses, session_status
from .gateway import Gateway

Reload = Callable[[], Awaitable[ReloadReport]]

_T = TypeVar("_T")

_WHY_NOT = {
    ReplyOutcome.TOO_LARGE: "the message is larger than limits.max-message-size ({limit} bytes)",
    ReplyOutcome.UNKNOWN_SESSION: "the client is being closed",
    ReplyOutcome.SLOW_CLIENT: "the client reads too slowly",
}
_AT_ONCE = 500  # sessions that are described in one turn of the loop


class _NotDone(Exception):
    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.result)


class LocalControl:
    """See Control. Use it on the gateway's event loop after the start.

    Args:
        gateway: the gateway.
        reload: reloads the configuration; if it raises ConfigurationError, nothing was changed.
            None: a reload is not possible.
    """

    def __init__(self, gateway: Gateway, reload: Reload | None = None) -> None:
        self._gateway = gateway
        self._reload = reload
        # Each returns whether it has changed anything.
        self._acts: Mapping[type[commands.Command], Callable[[Any], Awaitable[bool]]] = {
            commands.AddBackend: self._add_backend,
            commands.DisableBackend: self._disable_backend,
            commands.EnableBackend: self._enable_backend,
            commands.FailOverBackend: self._fail_over_backend,
            commands.DrainBackend: self._drain_backend,
            commands.ResetBackend: self._reset_backend,
            commands.RemoveBackend: self._remove_backend,
            commands.CloseSession: self._close_session,
            commands.FailOverSession: self._fail_over_session,
            commands.SendToClient: self._send_to_client,
            commands.PauseFrontend: self._pause_frontend,
            commands.ResumeFrontend: self._resume_frontend,
        }

    async def do(self, command: commands.Command) -> Outcome:
        """See Control."""
        try:
            if isinstance(command, commands.Reload):
                if self._reload is None:
                    return UNSUPPORTED
                return Outcome("done", report=await self._reload())
            changed = await self._acts[type(command)](command)
        except _NotDone as not_done:
            return not_done.outcome
        except FilesNotAllowed as error:
            return Outcome("forbidden", tuple(error.problems))
        except ConfigurationError as error:
            return Outcome("refused", tuple(error.problems))
        return DONE if changed else UNCHANGED

    async def gateway(self) -> status.GatewayStatus:
        """See Control."""
        obstacles = []
        now = asyncio.get_running_loop().time()
        if not self._gateway.opener.accepting:
            obstacles.append("the gateway is stopping")
        if all(frontend.paused for frontend in self._gateway.frontends.values()):
            obstacles.append("all frontends are paused")
        if not any(backend.is_for_newcomers(now) for backend in self._gateway.pool.backends):
            obstacles.append("no backend is enabled, healthy and ready for new clients")
        return status.GatewayStatus(
            version=__version__,
            obstacles=tuple(obstacles),
            unserved_routes=tuple(
                route.id for route in await self.routes() if route.id and not route.served
            ),
            sessions=len(self._gateway.sessions),
        )

    async def backends(self) -> list[status.BackendStatus]:
        """See Control."""
        pool, upstream = self._gateway.pool, self._gateway.upstream
        return [
            backend_status(each, upstream.spec_of(each), connections=pool.connections(each))
            for each in upstream.in_order()
        ]

    async def backend_settings(self, backend_id: str) -> status.BackendSettings | None:
        """See Control."""
        specs = self._gateway.upstream.specs()
        found = next((each for each in specs if each.id == backend_id), None)
        return backend_settings(found) if found is not None else None

    async def sessions(self) -> list[status.SessionStatus]:
        """See Control."""
        described = []
        for number, session in enumerate(self._gateway.sessions, 1):
            described.append(session_status(session))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return described

    async def frontends(self) -> list[status.FrontendStatus]:
        """See Control."""
        addresses = tuple(map(str, self._gateway.addresses))
        return [
            status.FrontendStatus(frontend_id, addresses, opener.paused)
            for frontend_id, opener in self._gateway.frontends.items()
        ]

    async def routes(self) -> list[status.RouteStatus]:
        """See Control."""
        is_usable = self._gateway.pool.is_usable
        return [
            status.RouteStatus(route.id, route.group, is_usable(route.group))
            for route in self._gateway.generation.routes
        ]

    async def plugins(self) -> list[status.PluginStatus]:
        """See Control."""
        plugins = self._gateway.generation.specs.plugins
        return plugin_statuses(plugins) if plugins is not None else []

    async def configuration(self) -> status.ConfigurationStatus:
        """See Control."""
        generation = self._gateway.generation
        settings = masked(plain_config(generation.config, generation.specs))
        return status.ConfigurationStatus(generation.number, settings)

    def follow(self, tell: Callable[[Event], object]) -> Callable[[], None]:
        """See Control."""
        return self._gateway.events.follow(tell)

    async def metrics(self) -> str:
        """See Control."""
        return (await self._gateway.exposition.text()).decode()

    async def _add_backend(self, command: commands.AddBackend) -> bool:
        plugins = self._gateway.generation.specs.plugins
        if plugins is None:
            raise _NotDone(UNSUPPORTED)
        self._check_running()
        spec = await resolve_backend(command.entry, plugins, allow_files=command.may_name_files)
        self._check_group(command.group)

        def check_again() -> None:
            self._check_running()
            if command.group not in self._gateway.generation.config.groups:
                raise ConfigurationError("a reload has removed its route")

        await self._gateway.upstream.add(replace(spec, group=command.group), check_again)
        return True

    async def _disable_backend(self, command: commands.DisableBackend) -> bool:
        backend = self._backend(command.id)
        was_enabled, backend.enabled = backend.enabled, False
        return was_enabled

    async def _enable_backend(self, command: commands.EnableBackend) -> bool:
        backend = self._backend(command.id)
        if backend.enabled:
            return False
        self._gateway.upstream.enable(backend)
        return True

    async def _fail_over_backend(self, command: commands.FailOverBackend) -> bool:
        backend = self._backend(command.id)
        self._check_failover(backend)
        return await self._gateway.upstream.fail_over(backend)

    async def _drain_backend(self, command: commands.DrainBackend) -> bool:
        self._check_failover(self._backend(command.id))
        return self._gateway.upstream.drain(command.id)

    async def _reset_backend(self, command: commands.ResetBackend) -> bool:
        backend = self._backend(command.id)
        if not (backend.breaker.tripped or backend.outage.reason):
            return False
        backend.reset()
        return True

    async def _remove_backend(self, command: commands.RemoveBackend) -> bool:
        if not self._gateway.upstream.remove(command.id):
            raise _NotDone(UNKNOWN)
        return True

    async def _close_session(self, command: commands.CloseSession) -> bool:
        self._session(command.id).close(command.code, command.reason)
        return True

    async def _fail_over_session(self, command: commands.FailOverSession) -> bool:
        session = self._session(command.id)
        if not session.may_fail_over:
            raise _NotDone(UNSUPPORTED)
        return session.fail_over()

    async def _send_to_client(self, command: commands.SendToClient) -> bool:
        session = self._session(command.id)
        if command.binary is None:
            message = Message.from_text(command.text)
        else:
            message = Message(BINARY, command.binary)
        outcome = session.send_to_client(message)
        if outcome is not ReplyOutcome.TAKEN:
            why = _WHY_NOT[outcome].format(limit=session.max_message_size)
            raise _NotDone(Outcome("refused", (why,)))
        return True

    async def _pause_frontend(self, command: commands.PauseFrontend) -> bool:
        frontend = self._frontend(command.id)
        was_paused, frontend.paused = frontend.paused, True
        return not was_paused

    async def _resume_frontend(self, command: commands.ResumeFrontend) -> bool:
        frontend = self._frontend(command.id)
        was_paused, frontend.paused = frontend.paused, False
        return was_paused

    def _backend(self, backend_id: str) -> PooledBackend:
        return _known(self._gateway.pool.find(backend_id))

    def _session(self, session_id: str) -> Session:
        return _known(self._gateway.sessions.get(session_id))

    def _frontend(self, frontend_id: str) -> SessionOpener:
        return _known(self._gateway.frontends.get(frontend_id))

    def _check_running(self) -> None:
        if not self._gateway.opener.accepting:
            raise ConfigurationError("the gateway is stopping")

    def _check_group(self, group: str) -> None:
        groups = {route.group for route in self._gateway.generation.routes}
        if group in groups:
            return
        own = ", ".join(sorted(groups - {""}))
        if not group:
            raise ConfigurationError(
                f"every route has its own backends; set 'route' to one of {own}"
            )
        raise ConfigurationError(
            f"no route {group!r} with its own backends"
            + (f"; routes with their own backends: {own}" if own else "")
        )

    def _check_failover(self, backend: PooledBackend) -> None:
        if not self._gateway.generation.routes.may_fail_over(backend.group):
            raise _NotDone(UNSUPPORTED)


def _known(found: _T | None) -> _T:
    if found is None:
        raise _NotDone(UNKNOWN)
    return found
