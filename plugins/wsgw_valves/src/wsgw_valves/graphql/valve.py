"""Remembers a client's login and open operations for the next backend."""

from __future__ import annotations

import json
from collections.abc import Sequence

from wsgw_core.api import (
    BINARY,
    Clock,
    Close,
    CloseSession,
    Counter,
    HydratingValve,
    Hydration,
    Labelled,
    Message,
    MessageValve,
    PluginContext,
    ReplyExpected,
    Session,
    Valve,
)

from ..session_memory import MemoryExceeded, SessionMemory
from .frame import read_frame
from .operations import Operations
from .settings import GraphqlSettings

_OLDER_PROTOCOL = "graphql-ws"  # the protocol of subscriptions-transport-ws
_INTERRUPTED = [{"message": "interrupted: another server serves this connection now"}]
# Handles; handles of operations are bytes.
_LOGIN = "connection_init"
_PING = "ping"
_FORBIDDEN = 4403  # the server denies the login
_MOST_DENIALS = 2


class GraphqlValve:
    """The valve of one entry in the configuration.

    Args:
        settings: the valve's checked options.
        context: provides metrics and a clock.
    """

    def __init__(self, settings: GraphqlSettings, context: PluginContext) -> None:
        self._settings = settings
        self._clock = context.clock
        self._interrupted = context.metrics.counter(
            "interrupted", "Operations with a result that wsgw ended at a change of backend.", "by"
        )

    def for_session(self, session: Session) -> MessageValve:
        """Returns the valve of a session."""
        return GraphqlSession(session, self._settings, self._clock, self._interrupted)


class GraphqlSession:
    """The valve of one session.

    Args:
        session: the session.
        settings: see GraphqlValve.
        clock: for time and timers.
        interrupted: counts operations that the valve ends.
    """

    def __init__(
        self,
        session: Session,
        settings: GraphqlSettings,
        clock: Clock,
        interrupted: Labelled[Counter],
    ) -> None:
        self._session = session
        self._settings = settings
        self._interrupted = interrupted
        self._memory = SessionMemory(settings.max_remembered_bytes)
        self._operations = Operations(session, settings, self._memory, clock)
        self._login: Message | None = None
        self._is_logged_in = False
        self._has_pinged = False
        self._denials = 0  # by servers in a row

    def before_transmit(self, message: Message) -> Message | None:
        """See MessageValve."""
        if message.kind is BINARY:
            return message
        type_, id_ = read_frame(message.data, self._settings.max_size)
        try:
            if type_ == b"subscribe":
                return self._operations.begin(id_, message)
            if type_ == b"connection_init" and self._login is None:
                return self._log_in(message)
        except MemoryExceeded as error:
            raise CloseSession(1008, str(error)) from None
        if type_ == b"complete":
            self._operations.end(id_)
        elif type_ == b"ping" and not self._has_pinged:
            self._has_pinged = True
            return self._to_be_answered(message, _PING)
        return message

    def after_receive(self, message: Message) -> Message | None:
        """See MessageValve."""
        if message.kind is BINARY:
            return message
        type_, id_ = read_frame(message.data, self._settings.max_size)
        if type_ == b"next":
            self._operations.note_result(id_, message.data)
        elif type_ in (b"complete", b"error"):
            self._operations.end(id_)
        elif type_ == b"pong" and self._has_pinged:
            self._has_pinged = False
            self._session.answered(_PING)
        elif type_ == b"connection_ack" and not self._is_logged_in:
            self._is_logged_in = True
            self._session.answered(_LOGIN)
        return message

    def hydrate(self) -> Sequence[Hydration]:
        """See HydratingValve."""
        self._operations.replay()
        if self._login is None or not self._is_logged_in:
            return []
        running = self._operations.with_fate("hydrated")
        login = Hydration(self._login, self._has_let_in, self._is_refusal)
        return [login, *(Hydration(operation.message) for _, operation in running)]

    @property
    def lasting_bytes(self) -> int:
        """See HoldingValve."""
        return self._memory.used

    def _log_in(self, message: Message) -> Message:
        if self._session.subprotocol == _OLDER_PROTOCOL:
            return message
        self._memory.take(message.size)
        self._login = message
        return self._to_be_answered(message, _LOGIN)

    def _to_be_answered(self, message: Message, handle: str) -> Message:
        return ReplyExpected(message.kind, message.data, handle, self._settings.expires)

    def _has_let_in(self, message: Message) -> bool:
        """Returns whether a message is the next backend's answer to the login."""
        if message.kind is BINARY:
            return False
        if read_frame(message.data, self._settings.max_size)[0] != b"connection_ack":
            return False
        self._denials = 0
        self._end_interrupted()
        return True

    def _is_refusal(self, close: Close) -> bool:
        """Returns whether another server may accept the client.

        If two servers deny the login, it may have expired. Clients then reconnect with a new one.
        """
        self._denials += close.code == _FORBIDDEN
        return self._denials < _MOST_DENIALS

    def _end_interrupted(self) -> None:
        """Ends queries and mutations with a result, because they must not run twice."""
        for id_, operation in tuple(self._operations.with_fate("completed", "failed")):
            end: dict[str, object] = {"id": id_.decode(), "type": "complete"}
            if operation.fate == "failed":
                end |= {"type": "error", "payload": _INTERRUPTED}
            self._interrupted.labels(str(end["type"])).value += 1
            self._operations.end(id_)
            self._session.send_to_client(Message.from_text(json.dumps(end)))


def _is_valve(valve: GraphqlValve) -> Valve:
    return valve  # checked by the type checker


def _is_message_valve(valve: GraphqlSession) -> HydratingValve:
    return valve  # checked by the type checker
