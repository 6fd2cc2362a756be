"""One session's websocket to its backend."""

from __future__ import annotations

from wsgw_core.api import BackendConnection, BackendContext, Close, Headers, Message, Sink
from wsgw_core.websocket import Endpoint

from .acknowledgement import Acknowledgement
from .handshake import Answer, ClientHandshake
from .pinger import Pinger
from .settings import WebSocketSettings

_LOST = 1006


class WebSocketConnection(Endpoint):
    """Relays messages, reports their delivery by pongs, and tells abnormal ends from normal ones.

    Args:
        handshake: complete; its transport is paused.
        answer: the backend's 101 answer.
        sink: the session.
        settings, context: the backend's.
        pinger: shared by the backend's connections.
    """

    __slots__ = (
        "_account",
        "_asked_to_close",
        "_handshake",
        "_heard",
        "_paused",
        "_ping_timeout",
        "_pinger",
        "_rest",
        "_settings",
        "_sink",
        "headers",
        "subprotocol",
    )

    def __init__(  # noqa: PLR0913 - made in one place
        self,
        handshake: ClientHandshake,
        answer: Answer,
        sink: Sink,
        settings: WebSocketSettings,
        context: BackendContext,
        pinger: Pinger,
    ) -> None:
        super().__init__(context.limits, context.clock, context.read_batch)
        self.subprotocol: str | None = answer.subprotocol
        wanted = {name.lower() for name in settings.pass_headers}
        self.headers: Headers = tuple(
            (name, value)
            for name, value in answer.response.headers.raw_items()
            if name.lower() in wanted
        )
        self._handshake: ClientHandshake | None = handshake
        self._rest = answer.rest
        self._sink = sink
        self._settings = settings
        self._pinger = pinger
        self._ping_timeout = context.ping_timeout
        self._account = Acknowledgement(
            settings.replay_window,
            context.limits.ledger_messages // 2,
            context.limits.ledger_bytes // 2,
        )
        self.asleep = True  # nothing to acknowledge
        self._heard = False
        self._paused = False
        self._asked_to_close: int | None = None

    # What the core calls

    def start(self) -> None:
        """See BackendConnection."""
        assert self._handshake is not None, "started twice"  # noqa: S101
        handshake, self._handshake = self._handshake, None
        if handshake.lost or handshake.transport.is_closing():
            self._clock.call_soon(self._lost_before_start)
            return
        self.deliver = self._sink.message
        self.attach(handshake.transport, client_side=True)
        self._pinger.add(self)
        self._clock.call_soon(self._begin)

    def pause(self) -> None:
        """See BackendConnection."""
        self._paused = True
        self.pause_reading()

    def resume(self) -> None:
        """See BackendConnection."""
        self._paused = False
        self.resume_reading()

    def close(self, code: int, reason: str = "") -> None:
        """See BackendConnection."""
        if self._handshake is not None:  # never started
            handshake, self._handshake = self._handshake, None
            handshake.transport.abort()
            self._clock.call_soon(self._sink.closed, Close(code, reason))
            return
        if self._asked_to_close is None:
            self._asked_to_close = code
            self._paused = False
            super().close(code, reason)

    # What the pinger calls

    def tick(self, now: float) -> bool:
        """Release, ask or give up; False when there is nothing left to do."""
        if self._ended:
            return False
        account = self._account
        released = account.release(now)
        if released:
            self._sink.delivered(released)
        if account.waiting:
            if self._heard or self._paused:  # it lives, or we do not listen
                account.excuse(now)
            elif account.overdue(now, self._ping_timeout):
                self._give_up(f"no pong for {self._ping_timeout:g} s")
                return False
            self._heard = False
            self.deliver = self._note_and_deliver
        elif account.asked != self.sent_messages:
            self._ask(now)
        self.asleep = account.settled(self.sent_messages)
        return not self.asleep

    def keep_alive(self, now: float) -> None:
        """Ask for a sign of life."""
        if self.asleep:
            self.asleep = False
            self._ask(now)
            self._pinger.watch(self)

    def _ask(self, now: float) -> None:
        self.ping(self._account.ask(now, self.sent_messages, self.sent_bytes))

    def _note_and_deliver(self, message: Message) -> bool:
        """Deliver a message while a pong is late; every other one goes to the sink directly."""
        self._heard = True
        self.deliver = self._sink.message
        return self._sink.message(message)

    # What the endpoint calls

    def woken(self) -> None:
        """Have messages acknowledged from now on."""
        self._pinger.watch(self)

    def heard(self) -> None:
        """Note a sign of life."""
        self._heard = True

    def pong_received(self, payload: bytes) -> None:
        """Take an acknowledgement."""
        self._account.answer(payload, self._clock.time())

    def writable(self, writable: bool) -> None:  # noqa: FBT001 - as in the contract
        """Pass on whether the backend takes more."""
        self._clock.call_soon(self._report_writable, writable)  # we may be inside of `send`

    def ended(self, close: Close, *, violation: bool) -> None:
        """Tell the session how the backend ended it."""
        self._pinger.remove(self)
        answered = self._asked_to_close == close.code  # an answer repeats the code
        abnormal = violation or (
            close.code in self._settings.abnormal_close_codes and not answered
        )
        self._sink.closed(Close(close.code, close.reason, abnormal or close.code == _LOST))

    def _begin(self) -> None:
        rest, self._rest = self._rest, b""
        self.begin(rest)
        if self._paused:
            self.pause_reading()

    def _report_writable(self, writable: bool) -> None:  # noqa: FBT001 - as above
        if not self._ended:
            self._sink.writable(writable)

    def _lost_before_start(self) -> None:
        self._sink.closed(Close(_LOST, "connection lost before it was used", abnormal=True))

    def _give_up(self, reason: str) -> None:
        self._end(Close(_LOST, reason))
        self.abort()


def _is_backend_connection(connection: WebSocketConnection) -> BackendConnection:
    return connection  # checked by the type checker

