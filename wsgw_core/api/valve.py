"""Valves see, change, discard and add messages of one session."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .close import Close
from .message import Message

if TYPE_CHECKING:
    from .session import Session

_OptionsT = TypeVar("_OptionsT")


@dataclass(frozen=True, slots=True)
class Hydration:
    """One step in the preparation of a new backend, before the replay.

    wsgw takes steps in order, those of the first configured valve first. A step is over when it is
    answered. After the last one come the replay and what the client says, which waits until then.
    If a step takes longer than `failover.hydration-timeout`, or the connection is lost or closed,
    this counts as the backend's failure, and wsgw looks for another backend.

    Attributes:
        message: goes to the backend without passing `before_transmit`; it is not part of the replay
            and never acknowledged. None: send nothing, the backend says something first.
        is_answer: recognises the answer. Once `message` is sent, wsgw calls it with each message as
            the valve's own `after_receive` has returned it, and with those that the valve sends to
            the client. The client does not get the message for which it returns true, but all
            others.
            It may keep state, and may raise HydrationRefused, or CloseSession to end the session.
            None: there is no answer, and the next step follows at once.
        is_refusal: called when the backend closes the connection normally while this step is the
            next one or waits for its answer. True: the backend refuses, as with HydrationRefused.
            False: the session ends, and the client gets this close. None: every close refuses.
    """

    message: Message | None
    is_answer: Callable[[Message], bool] | None = None
    is_refusal: Callable[[Close], bool] | None = None


class Valve(Protocol):
    """One object for each entry of `valves`, made by the factory that a plugin registered.

    It lives until a reload changes or removes its entry, and may have the methods of PluginLife. If
    a valve's sessions share nothing, it needs no such class: register `per_session(...)`.
    """

    def for_session(self, session: Session) -> MessageValve:
        """Returns the object that sees the messages of one session; may be the same for all.

        After an exception the client gets 500.
        """


class PluginLife(Protocol):
    """Methods of a valve, listener, gate or policy with resources, such as a connection.

    Both methods are optional.
    """

    async def open(self) -> None:
        """Acquires resources; called once, before the first session. May take a minute.

        Raises:
            ConfigurationError: the gateway does not start, or the reload changes nothing.
        """

    async def close(self) -> None:
        """Releases resources; called once, also after a failed `open`.

        It is called when no session uses the object: at the gateway's end, or when a reload has
        changed or removed the entry and the sessions that began before have ended.
        `limits.close-timeout` limits the call.
        """


class MessageValve(Protocol):
    """Sees the messages of one session; made by `Valve.for_session`.

    Both methods may be `async def`. While one waits, later messages of that direction wait in a
    bounded queue, in order. Raise CloseSession to end the session. Any other exception, and a
    return value that is not a message, is a fault of the valve: the session is closed with 1011, or
    the message is discarded (`on-error: discard`).

    A valve may also have `hydrate() -> Sequence[Hydration]` (see HydratingValve) and
    `lasting_bytes` (see HoldingValve).
    """

    def before_transmit(self, message: Message) -> Message | None | Awaitable[Message | None]:
        """Returns what goes on to the backend, in the order of configuration; None: nothing."""

    def after_receive(self, message: Message) -> Message | None | Awaitable[Message | None]:
        """Returns what goes on to the client, in reverse order; None: nothing."""


class HydratingValve(MessageValve, Protocol):
    """A valve that prepares each new backend."""

    def hydrate(self) -> Sequence[Hydration]:
        """Returns the steps that prepare the new backend.

        Called once at each change of backend, for a loss and for a move, when everything that the
        old one said has passed the valves. What `after_receive` sees from then on comes from the
        new one.
        """


class HoldingValve(MessageValve, Protocol):
    """A valve that reports how many bytes it keeps, so that `limits.memory` counts them.

    Implement it if a client or a backend can make the valve keep much for a session. One object for
    all sessions must not have it, because wsgw adds it up for each session.

    If the valve keeps the parts of something that spans messages, such as a packet, add an
    attribute `held_bytes`: their bytes, which become free when the rest comes, and are not in
    `lasting_bytes`. When memory is short, wsgw reads only a few such clients at a time. Backends
    too, if an attribute `held_from_backend` says how many of these bytes have come from there.
    """

    @property
    def lasting_bytes(self) -> int:
        """Bytes that the valve keeps for the session now. wsgw reads it regularly; must be cheap.

        An exception is a fault of the valve.
        """


def per_session(
    make: Callable[[_OptionsT, Session], MessageValve],
) -> Callable[[_OptionsT, Any], Valve]:
    """Returns the factory of a valve whose sessions share nothing.

    So `registry.add("heartbeat", HeartbeatSettings, per_session(HeartbeatValve))` needs one class.

    Args:
        make: called with the checked options and the session, for each session. wsgw checks that it
            takes two arguments when it calls the factory: at the start, and by `wsgw check`.
    """

    def factory(options: _OptionsT, _context: Any) -> Valve:
        _check_takes_two(make)
        return _PerSession(lambda session: make(options, session))

    return factory


def _check_takes_two(make: Callable[[Any, Any], object]) -> None:
    try:
        signature = inspect.signature(make)
    except ValueError:  # a builtin may have no signature
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        name = getattr(make, "__qualname__", repr(make))
        raise TypeError(f"{name} cannot be called with options and session: {error}") from None


class _PerSession:
    def __init__(self, for_session: Callable[[Session], MessageValve]) -> None:
        self.for_session = for_session
