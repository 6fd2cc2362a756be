"""The valves of one session, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ...api import Close, CloseSession, HydrationRefused, Message, MessageValve
from ...reported_number import reported_number
from ...websocket.session_ends import VALVE_FAILED
from ..all_sessions.session_context import ConfiguredValve, SessionContext
from ..delivery.hydration import HydrationStep
from ..delivery.read_pauses import PauseReason, ReadPauses
from .made_messages import check_made
from .session_view import SessionView
from .valve_chain import ChainEnds, ValveChain, ValveStep

if TYPE_CHECKING:
    from ..client.client_side import ClientSide
    from ..delivery.outbox import Outbox
    from ..session.session import Session


class SessionValves:
    """Makes a session's valves, and connects their chains to the session.

    Args:
        session: the session.
        client: takes the backend's messages from the valves.
        outbox: takes the client's messages from the valves.
        context: which valves, and their limits.

    Attributes:
        inward: the chain for messages of the backend.
        transmit: takes each message of the client.
        receive: takes each message of the backend.
        can_hydrate: whether a valve prepares new backends.

    Raises:
        Exception: what the factory of a valve raises.
    """

    def __init__(
        self,
        session: Session,
        client: ClientSide,
        outbox: Outbox,
        context: SessionContext,
    ) -> None:
        self._session = session
        count = len(context.valves)
        outward, inward = [], []
        self._valves: list[tuple[ConfiguredValve, MessageValve]] = []
        self._context = context
        for position, configured in enumerate(context.valves):
            view = SessionView(session, position + 1, count - position)
            kind, on_error = configured.kind, configured.on_error
            try:
                valve = configured.valve.for_session(view)
                outward.append(ValveStep(kind, valve.before_transmit, on_error))
                inward.append(ValveStep(kind, valve.after_receive, on_error))
            except Exception as error:
                error.add_note(f"valve, kind {kind!r}")
                raise
            self._valves.append((configured, valve))
        self._outward = ValveChain(
            session.id,
            outward,
            ChainEnds(outbox.transmit, self._close, _pause_by(outbox.client_pauses)),
            context,
        )
        self.inward = ValveChain(
            session.id,
            inward[::-1],
            ChainEnds(client.deliver, self._close, _pause_by(client.backend_pauses)),
            context,
        )
        self.transmit = self._outward.feed
        self.receive = self.inward.feed
        self.can_hydrate = any(hasattr(valve, "hydrate") for _, valve in self._valves)

    def hydrations(self) -> list[HydrationStep]:
        """Returns the valves' messages for a new backend.

        Raises:
            CloseSession: a valve has failed whose faults end the session; its fault is logged.
        """
        count = len(self._valves)
        return [
            step
            for number, (configured, valve) in enumerate(self._valves)
            for step in self._hydrations_of(configured, valve, count - number)
        ]

    def _hydrations_of(
        self, configured: ConfiguredValve, valve: MessageValve, position: int
    ) -> list[HydrationStep]:
        try:
            hydrations = list(valve.hydrate()) if hasattr(valve, "hydrate") else []
            for hydration in hydrations:
                if hydration.message is not None:
                    check_made(hydration.message)
            return [
                HydrationStep(
                    each.message,
                    each.is_answer and partial(self._is_answer, configured, each.is_answer),
                    position,
                    each.is_refusal and partial(self._is_refusal, configured, each.is_refusal),
                )
                for each in hydrations
            ]
        except Exception as error:
            self._announce(configured, error)
            if configured.on_error == "close":
                raise CloseSession(VALVE_FAILED.client, "internal error") from error
            return []

    def _is_answer(
        self,
        configured: ConfiguredValve,
        is_answer: Callable[[Message], bool],
        message: Message,
    ) -> bool:
        try:
            return is_answer(message)
        except (HydrationRefused, CloseSession):
            raise
        except Exception as error:  # noqa: BLE001 - a fault of the valve
            self._failed(configured, error)
            return False

    def _is_refusal(
        self, configured: ConfiguredValve, is_refusal: Callable[[Close], bool], close: Close
    ) -> bool:
        try:
            return is_refusal(close)
        except Exception as error:  # noqa: BLE001 - a fault of the valve
            self._failed(configured, error)
            return True

    def _failed(self, configured: ConfiguredValve, error: Exception) -> None:
        self._announce(configured, error)
        if configured.on_error == "close":
            # Not at once: a message of the backend is on its way.
            self._context.clock.call_soon(self._close, VALVE_FAILED.client, "internal error")

    def _announce(self, configured: ConfiguredValve, error: Exception) -> None:
        self._context.reporter.valve_failed(self._session.id, configured.kind, error)

    def inject(self, message: Message, *, to_client: bool, start: int) -> None:
        """Puts a message into one of the chains at position `start`."""
        (self.inward if to_client else self._outward).feed(message, start)

    def when_transmitted(self, action: Callable[[], None]) -> None:
        """Calls `action` when all the client's messages are through."""
        self._outward.after_waiting(action)

    def when_delivered(self, action: Callable[[], None]) -> None:
        """Calls `action` when all the backend's messages are through."""
        self.inward.after_waiting(action)

    def after_current(self, action: Callable[[], object]) -> bool:
        """Calls `action` when the message in hand is through; False: there is none."""
        return self._outward.after_current(action) or self.inward.after_current(action)

    @property
    def waiting(self) -> int:
        """How many of the client's messages are not through yet."""
        return self._outward.waiting

    @property
    def replies_wait(self) -> bool:
        """Whether messages of the backend are not through yet."""
        return self.inward.waiting > 0

    @property
    def held_bytes(self) -> int:
        """Bytes of the messages that wait, in both directions, and of incomplete packets."""
        return self._outward.waiting_bytes + self.inward.waiting_bytes + self.incomplete_bytes

    @property
    def incomplete_bytes(self) -> int:
        """Bytes of packets that have arrived in part, as far as the valves report them."""
        return self._reported("held_bytes")

    @property
    def incomplete_from_backend(self) -> int:
        """How many of these bytes have come from the backend, as far as the valves report them."""
        return self._reported("held_from_backend")

    @property
    def lasting_bytes(self) -> int:
        """Bytes that the valves keep for the session, as far as they report them."""
        return self._reported("lasting_bytes")

    def _reported(self, name: str) -> int:
        total = 0
        for configured, valve in self._valves:
            try:
                total += reported_number(valve, name)
            except Exception as error:  # noqa: BLE001 - a fault of the valve
                self._failed(configured, error)
        return total

    def stop(self) -> None:
        """Drops all messages that wait."""
        self._outward.stop()
        self.inward.stop()

    def _close(self, code: int, reason: str) -> None:
        """Ends the session because a valve wants it; client and backend get the same code."""
        self._session.close(code, reason, backend_code=code)


class NoValves:
    """Takes the place of SessionValves in a session without valves: passes everything on.

    Args:
        client: takes the backend's messages.
        outbox: takes the client's messages.

    Attributes:
        receive: see SessionValves; None: the sink calls the client directly.
        can_hydrate, waiting, replies_wait, held_bytes, incomplete_bytes, incomplete_from_backend,
            lasting_bytes: see SessionValves.
    """

    __slots__ = ("_client", "_outbox")

    receive: Callable[[Message], object] | None = None
    can_hydrate = False
    waiting = 0
    replies_wait = False
    held_bytes = 0
    incomplete_bytes = 0
    incomplete_from_backend = 0
    lasting_bytes = 0

    def __init__(self, client: ClientSide, outbox: Outbox) -> None:
        self._client = client
        self._outbox = outbox

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

    def after_current(self, action: Callable[[], object]) -> bool:
        """See SessionValves."""
        return False

    def stop(self) -> None:
        """See SessionValves."""


def _pause_by(pauses: ReadPauses) -> Callable[[bool], None]:
    return partial(pauses.switch, PauseReason.VALVES_BUSY)
