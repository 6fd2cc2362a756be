"""Valves see, change, discard and add messages of one session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .message import Message

if TYPE_CHECKING:
    from .session import Session

_OptionsT = TypeVar("_OptionsT")


@dataclass(frozen=True, slots=True)
class Hydration:
    """What a new backend must hear before the replay.

    Attributes:
        message: sent first on the new connection; not part of the replay and never acknowledged.
        is_answer: recognises the backend's answer; the first message for which it is true is
            swallowed. None: no answer comes.
    """

    message: Message
    is_answer: Callable[[Message], bool] | None = None


class Valve(Protocol):
    """One for each entry of `valves`, made by the factory that a plugin registered.

    It lives until a reload changes or removes its entry, and may have the methods of PluginLife. A
    valve whose sessions share nothing needs no such class: register `per_session(...)`.
    """

    def for_session(self, session: Session) -> MessageValve:
        """Return what sees the messages of one session; may be the same object for all.

        An exception refuses the client with 500.
        """
        ...


class PluginLife(Protocol):
    """What a valve, listener or gate has that holds something, such as a connection to a database.

    Both methods are optional.
    """

    async def open(self) -> None:
        """Called once, before the first session; may take a minute.

        Raises:
            ConfigurationError: the gateway does not start, or the reload changes nothing.
        """
        ...

    async def close(self) -> None:
        """Called once, also after a failed `open`: when no session uses the object any more.

        That is at the gateway's end, or after a reload has changed or removed the entry and the
        sessions that began before have ended. `limits.close-timeout` bounds it.
        """
        ...


class MessageValve(Protocol):
    """Sees the messages of one session; made by `Valve.for_session`.

    Both methods may be `async def`. While one of them waits for something, messages of that
    direction wait in an ordered queue with bounds. Raise CloseSession to end the session. Any
    other exception, and an answer that is no message, is a fault of the valve: the session is
    closed with 1011, or the message is discarded (`on-error: discard`).

    A valve may also have `hydrate() -> Sequence[Hydration]`, called at each failover.
    """

    def before_transmit(self, message: Message) -> Message | None | Awaitable[Message | None]:
        """Return what goes on towards the backend, in the order of configuration; None: nothing."""
        ...

    def after_receive(self, message: Message) -> Message | None | Awaitable[Message | None]:
        """Return what goes on towards the client, in reverse order; None: nothing."""
        ...


class HydratingValve(MessageValve, Protocol):
    """A valve that prepares each new backend."""

    def hydrate(self) -> Sequence[Hydration]:
        """Return what the next backend must hear first; called once for each failover."""
        ...


def per_session(
    make: Callable[[_OptionsT, Session], MessageValve],
) -> Callable[[_OptionsT, Any], Valve]:
    """Return the factory of a valve whose sessions share nothing.

    So `registry.add("heartbeat", HeartbeatSettings, per_session(HeartbeatValve))` needs one class.

    Args:
        make: called with the checked options and the session, for each session.
    """

    def factory(options: _OptionsT, _context: Any) -> Valve:
        return _PerSession(lambda session: make(options, session))

    return factory


class _PerSession:
    def __init__(self, for_session: Callable[[Session], MessageValve]) -> None:
        self.for_session = for_session
