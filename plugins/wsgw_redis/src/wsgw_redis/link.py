"""The connections that all sessions of a backend share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import hiredis

from wsgw_core.api import BackendUnavailable

from .line import Line
from .publisher import Publisher
from .subscriber import Subscriber

if TYPE_CHECKING:
    from .backend import RedisBackend

PROBE = "wsgw:probe"
_NOTHING_TO_CUT = 2**63 - 1
_WRITE_BUFFER = 1024 * 1024  # bytes that wait for Redis; above it wsgw reads no client


class Link:
    """A connection for commands, and one for channels if sessions have subscriptions.

    If either is lost, the link is lost.

    Args:
        publisher: writes commands.
        subscriber: None: sessions have no subscriptions.
        on_lost: called once with the link and a reason, but not after `close`.

    Attributes:
        publisher, subscriber: see above.
        is_lost: a connection is lost.
    """

    def __init__(
        self,
        publisher: Publisher,
        subscriber: Subscriber | None,
        on_lost: Callable[[Link, str], object],
    ) -> None:
        self.publisher = publisher
        self.subscriber = subscriber
        self.is_lost = False
        self._on_lost = on_lost
        self._lines = [publisher.line]
        if subscriber is not None:
            self._lines.append(subscriber.line)
        for line in self._lines:
            line.on_lost = self._lose

    def close(self) -> None:
        """Closes both connections at once."""
        self._forget("the connection is closed")
        for line in self._lines:
            line.close()

    def _lose(self, _line: Line, reason: str) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self._forget(reason)
        for line in self._lines:
            line.close()
        self._on_lost(self, reason)

    def _forget(self, reason: str) -> None:
        self.publisher.forget()
        if self.subscriber is not None:
            self.subscriber.fail(reason)


async def make_link(backend: RedisBackend) -> Link:
    """Connects a backend to Redis, and makes a test write.

    Raises:
        BackendUnavailable: the server cannot be reached, or takes no writes.
    """
    settings, context, metrics = backend.settings, backend.context, backend.metrics
    lines: list[Line] = []
    try:
        lines.append(await backend.dialler.dial())
        await _prove(backend, lines[0])
        if settings.uses_channels:
            lines.append(await backend.dialler.dial())
    except BaseException:
        for line in lines:
            line.close()
        raise
    lines[0].limit_writes(_WRITE_BUFFER)
    lines[0].on_writable = backend.link_writable
    subscriber = None
    if settings.uses_channels:
        subscriber = Subscriber(
            lines[1], settings.binary, context.read_batch, metrics, backend.refusals
        )
    publisher = Publisher(lines[0], settings, context.clock, metrics, backend.refusals)
    return Link(publisher, subscriber, backend.link_lost)


async def _prove(backend: RedisBackend, line: Line) -> None:
    """Raises BackendUnavailable if Redis refuses what sessions would write."""
    commands = _probes(backend)
    for command, reply in zip(commands, await line.ask(*commands), strict=True):
        error: object = None
        if isinstance(reply, hiredis.ReplyError):
            error = reply
        elif command[0] == "WAIT" and reply < backend.settings.wait_replicas:
            error = f"NOREPLICAS {reply} of {command[1]} replicas confirmed"
        if error is not None:
            raise BackendUnavailable(backend.refusals.take(command[0], error).reason)


def _probes(backend: RedisBackend) -> list[tuple[Any, ...]]:
    settings = backend.settings
    if settings.mode == "pubsub":
        return [("PING",)]
    probe = ("XADD", PROBE, "MAXLEN", 1, "*", "gateway", backend.context.backend_id)
    commands: list[tuple[Any, ...]] = [probe]
    if not settings.stream.fields:  # fails if the key exists and is not a stream
        name = str(settings.stream).replace("{{", "{").replace("}}", "}")
        commands.append(("XTRIM", name, "MAXLEN", _NOTHING_TO_CUT))
    if settings.wait_replicas:
        milliseconds = int(settings.wait_timeout * 1000)
        commands.append(("WAIT", settings.wait_replicas, milliseconds))
    return commands
