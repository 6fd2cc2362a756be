"""Runs one valve in a session whose ends are in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from wsgw_core.api import (
    TEXT,
    Close,
    Handshake,
    Message,
    Options,
    PluginContext,
    Valve,
)
from wsgw_core.relay.all_sessions.session_context import ConfiguredValve
from wsgw_core.relay.session.session import Session

from .context import make_plugin_context
from .fakes import FakeBackend, FakeClient, as_message
from .registered_plugin import RegisteredPlugin
from .session_context import make_session_context, pooled

__all__ = ["ValveBench"]

Content = str | bytes


class ValveBench:
    """Runs a valve as a gateway does, with its queue, its faults, and failover.

    Both ends are in memory. Contents are texts or bytes, as the client and the backend see them:

        async with ValveBench(MaskValve, MaskOptions(keep=4)) as bench:
            assert await bench.to_backend("4111111111111111") == ["************1111"]

    `of` makes a bench from a plugin's module, and so also covers the hook and the options.

    Args:
        factory: the factory that the plugin registers.
        options: the valve's options.
        handshake: the client's handshake; a plain path by default.
        kind: the kind that the plugin registers; the names of the metrics begin with it.
        on_error: the entry's `on-error`.
        timeout: the timeout in seconds of each call of the test.

    Attributes:
        context: the factory's context; `samples(bench.context.metrics)` shows the metrics.
        valve: the valve that the factory made.
        client: the session's client, which records its messages.
        backends: two backends, which record their messages; the first one serves first.
        session: the session; set when the `with` block begins.
    """

    session: Session

    def __init__(
        self,
        factory: Callable[[Any, PluginContext], Valve],
        options: Options,
        *,
        handshake: Handshake | None = None,
        kind: str = "tested",
        on_error: Literal["close", "discard"] = "close",
        timeout: float = 30.0,
    ) -> None:
        self.context = make_plugin_context(kind)
        self.valve = factory(options, self.context)
        self.client = FakeClient(timeout=timeout)
        self.backends = tuple(
            FakeBackend(name, acknowledge=True, timeout=timeout) for name in ("blue", "green")
        )
        self._handshake = handshake or Handshake("/", (), (), "192.0.2.1:5555")
        self._on_error: Literal["close", "discard"] = on_error
        self._kind = kind
        self._timeout = timeout

    @classmethod
    def of(
        cls,
        module: object,
        kind: str,
        options: Mapping[str, Any],
        *,
        handshake: Handshake | None = None,
        timeout: float = 30.0,
    ) -> Self:
        """Returns a bench for a valve of a plugin.

        Args:
            module: the module with the hooks, which the entry point names.
            kind: the kind that the plugin registers.
            options: the options of an entry of `valves` as in a file, including `on-error`.
            handshake: see the class.
            timeout: see the class.

        Raises:
            PluginError: the module breaks the contract.
            ConfigurationError: the options are wrong.
        """
        found = RegisteredPlugin(module).configured_valve(kind, options)
        return cls(
            found.registration.factory,
            found.options,
            handshake=handshake,
            kind=kind,
            on_error=found.on_error,
            timeout=timeout,
        )

    async def __aenter__(self) -> Self:
        """Opens the valve, and a session with it."""
        if hasattr(self.valve, "open"):
            await self.valve.open()
        context = make_session_context(
            [pooled(each.backend_id, each) for each in self.backends],
            valves=(ConfiguredValve(self._kind, self.valve, self._on_error),),
            route=self._handshake.route,
        )
        self.session = Session("session-1", self._handshake, context)
        await self.session.open()
        self.session.start(self.client)
        await self._settle()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the session, and closes the valve."""
        self.session.close(1000)
        await asyncio.sleep(0)
        if hasattr(self.valve, "close"):
            await self.valve.close()

    async def to_backend(self, *contents: Content | Message) -> list[Content]:
        """Sends messages from the client; returns what the backend gets meanwhile."""
        connection = self._connection
        before = len(connection.received)
        for content in contents:
            self.session.client_message(as_message(content))
        await self._settle()
        return _contents(connection.received[before:])

    async def to_client(self, *contents: Content | Message) -> list[Content]:
        """Sends messages from the backend; returns what the client gets meanwhile."""
        before = len(self.client.received)
        for content in contents:
            self._connection.reply(as_message(content))
        await self._settle()
        return _contents(self.client.received[before:])

    async def fail_over(self, *replies: Content | Message | Close) -> list[Content]:
        """Breaks the backend's connection; returns what the next backend gets first.

        Args:
            *replies: what the next backend sends meanwhile, for example its answers to the valve's
                hydration; each is sent when all earlier messages have passed. With a Close it ends
                its connection, and the backend after it, if any, sends the rest.
        """
        self._connection.drop()
        connection = await self._next_connection()
        for reply in replies:
            if isinstance(reply, Close):
                connection.hang_up(reply.code, reply.reason)
                connection = await self._next_connection()
            else:
                connection.reply(as_message(reply))
                await self._settle()
        return _contents(connection.received)

    @property
    def failed_hydrations(self) -> int:
        """How many hydrations of new backends failed: they refused, or were lost meanwhile."""
        return self.session.context.counters.hydrations_failed.value

    @property
    def held_bytes(self) -> int:
        """Bytes of incomplete packets that the valve reports to keep; see HoldingValve."""
        return self.session.valves.incomplete_bytes

    @property
    def held_from_backend(self) -> int:
        """How many of these bytes have come from the backend."""
        return self.session.valves.incomplete_from_backend

    @property
    def lasting_bytes(self) -> int:
        """Bytes that the valve reports to keep for the session; see HoldingValve."""
        return self.session.valves.lasting_bytes

    @property
    def heard(self) -> list[Content]:
        """What the serving backend got so far."""
        return _contents(self._connection.received)

    @property
    def closed(self) -> Close | None:
        """The close of the client, or None."""
        return self.client.closed

    @property
    def _connection(self) -> Any:
        serving = next(
            (each for each in self.backends if each.backend_id == self.session.backend_id),
            self.backends[0],
        )
        return serving.connections[-1]

    async def _next_connection(self) -> Any:
        async with asyncio.timeout(self._timeout):
            while self.session.backend_id is None and not self.closed:  # noqa: ASYNC110 - either may be the next
                await asyncio.sleep(0.001)
        await self._settle()
        return self._connection

    async def _settle(self) -> None:
        """Waits until all messages, and those that follow from them, have passed the valves."""
        valves = self.session.valves
        for when in (valves.when_transmitted, valves.when_delivered):
            through = asyncio.Event()
            when(through.set)
            async with asyncio.timeout(self._timeout):
                while not (through.is_set() or self.closed):  # noqa: ASYNC110 - two conditions
                    await asyncio.sleep(0.001)
        for _ in range(3):
            await asyncio.sleep(0)


def _contents(messages: Sequence[Message]) -> list[Content]:
    return [each.text if each.kind is TEXT else each.data for each in messages]
