"""The valves of one session, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..api import Hydration, Message
from .environment import RelayEnvironment
from .read_holds import Hold, ReadHolds
from .session_view import SessionView
from .valve_chain import ChainEnds, ValveChain, ValveStep

if TYPE_CHECKING:
    from .client_side import ClientSide
    from .outbox import Outbox
    from .session import Session


class SessionValves:
    """Makes the valves and connects their chains to the session.

    Args:
        session: whose valves they are.
        client: takes what the backend says.
        outbox: takes what the client says.
        environment: which valves, and their limits.

    Attributes:
        transmit, receive: take a message of the client's, of the backend's.

    Raises:
        Exception: whatever the factory of a valve raises.
    """

    def __init__(
        self,
        session: Session,
        client: ClientSide,
        outbox: Outbox,
        environment: RelayEnvironment,
    ) -> None:
        self._session = session
        count = len(environment.valves)
        outward, inward = [], []
        self._valves = []
        for position, configured in enumerate(environment.valves):
            view = SessionView(session, position + 1, count - position)
            kind, on_error = configured.kind, configured.on_error
            try:
                valve = configured.valve.for_session(view)
                outward.append(ValveStep(kind, valve.before_transmit, on_error))
                inward.append(ValveStep(kind, valve.after_receive, on_error))
            except Exception as error:
                error.add_note(f"valve, kind {kind!r}")
                raise
            self._valves.append(valve)
        self._outward = ValveChain(
            session.id,
            outward,
            ChainEnds(outbox.transmit, self._close, _hold_by(outbox.client_holds)),
            environment,
        )
        self._inward = ValveChain(
            session.id,
            inward[::-1],
            ChainEnds(client.deliver, self._close, _hold_by(client.backend_holds)),
            environment,
        )
        self.transmit = self._outward.feed
        self.receive = self._inward.feed

    def hydrations(self) -> list[Hydration]:
        """Return what the valves want a new backend to hear first."""
        return [
            hydration
            for valve in self._valves
            if hasattr(valve, "hydrate")
            for hydration in valve.hydrate()
        ]

    def inject(self, message: Message, *, to_client: bool, start: int) -> None:
        """Let a message enter one of the chains at position `start`."""
        (self._inward if to_client else self._outward).feed(message, start)

    def when_transmitted(self, action: Callable[[], None]) -> None:
        """Call `action` once all the client's messages are through."""
        self._outward.when_drained(action)

    def when_delivered(self, action: Callable[[], None]) -> None:
        """Call `action` once all the backend's messages are through."""
        self._inward.when_drained(action)

    def after_current(self, action: Callable[[], None]) -> bool:
        """Call `action` when the message in hand is through; False if there is none."""
        return self._outward.after_current(action) or self._inward.after_current(action)

    @property
    def waiting(self) -> int:
        """How many of the client's messages are not through."""
        return self._outward.waiting

    @property
    def held_bytes(self) -> int:
        """Bytes of the messages that wait, in both directions."""
        return self._outward.waiting_bytes + self._inward.waiting_bytes

    def stop(self) -> None:
        """Drop what waits."""
        self._outward.stop()
        self._inward.stop()

    def _close(self, code: int, reason: str) -> None:
        """End the session as a valve wants it; client and backend see the same."""
        self._session.close(code, reason, backend_code=code)


class NoValves:
    """Stands in for the valves of a session that has none: everything goes straight on.

    Args:
        client: takes what the backend says.
        outbox: takes what the client says.

    Attributes:
        receive: see SessionValves; None: the link may call the client directly.
        waiting, held_bytes: see SessionValves.
    """

    __slots__ = ("_client", "_outbox")

    receive: Callable[[Message], object] | None = None
    waiting = 0
    held_bytes = 0

    def __init__(self, client: ClientSide, outbox: Outbox) -> None:
        self._client = client
        self._outbox = outbox

    def hydrations(self) -> list[Hydration]:
        """See SessionValves."""
        return []

    def inject(self, message: Message, *, to_client: bool, start: int) -> None:
        """See SessionValves."""
        if to_client:
            self._client.deliver(message)
        else:
            self._outbox.transmit(message)

    def when_transmitted(self, action: Callable[[], None]) -> None:
        """See SessionValves."""
        action()

    def when_delivered(self, action: Callable[[], None]) -> None:
        """See SessionValves."""
        action()

    def after_current(self, action: Callable[[], None]) -> bool:
        """See SessionValves."""
        return False

    def stop(self) -> None:
        """See SessionValves."""


def _hold_by(holds: ReadHolds) -> Callable[[bool], None]:
    return partial(holds.switch, Hold.VALVES_BUSY)
