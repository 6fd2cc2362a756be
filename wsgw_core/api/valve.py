"""Valves see, change, discard and add messages of one session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .message import Message


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


class MessageValve(Protocol):
    """One for each session, made by the factory that a plugin registered.

    Both methods may be `async def`; then messages of that direction wait in a bounded, ordered
    queue. Raise CloseSession to end the session. Any other exception is a fault of the valve: the
    session is closed with 1011, or the message is discarded (`on-error: discard`).

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
