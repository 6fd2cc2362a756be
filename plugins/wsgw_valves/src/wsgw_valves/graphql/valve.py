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

_OLDER_PROTOCOL = "graphql-ws"  # that of subscriptions-transport-ws
_INTERRUPTED = [{"message": "interrupted: another server serves this connection now"}]
# Handles; those of operations are bytes.
_LOGIN = "connection_init"
_PING = "ping"
_FORBIDDEN = 4403  # the login is denied
_MOST_DENIALS = 2


class GraphqlValve:
    """One for each entry in the configuration.

    Args:
        settings: the valve's options, checked.
        context: gives metrics and a clock.
    """

    def __init__(self, settings: GraphqlSettings, context: PluginContext) -> None:
        self._settings = settings
        self._clock = context.clock
        self._interrupted = context.metrics.counter(
            "interrupted", "Operations with a result that a change of backend has ended.", "by"
        )

    def for_session(self, session: Session) -> MessageValve:
        """Return what remembers one session."""
        return GraphqlSession(session, self._settings, self._clock, self._interrupted)


class GraphqlSession:
    """The messages of one session.

    Args:
        session: whose they are.
        settings: see GraphqlValve.
        clock: time and timers.
        interrupted: counts what the valve ends.
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
        self._denials = 0  # by servers that were looked for, one after the other

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

    def _log_in(self, message: Message) -> Message:
        if self._session.subprotocol == _OLDER_PROTOCOL:
            return message
        self._memory.take(message.size)
        self._login = message
        return self._to_be_answered(message, _LOGIN)

    def _to_be_answered(self, message: Message, handle: str) -> Message:
        return ReplyExpected(message.kind, message.data, handle, self._settings.expires)

    def _has_let_in(self, message: Message) -> bool:
        """Return whether a message is the next backend's answer to the login."""
        if message.kind is BINARY:
            return False
        if read_frame(message.data, self._settings.max_size)[0] != b"connection_ack":
            return False
        self._denials = 0
        self._end_interrupted()
        return True

    def _is_refusal(self, close: Close) -> bool:
        """Return whether another server may let the client in.

        Where two deny the login, it may have expired. Clients come again then, with a new one.
        """
        self._denials += close.code == _FORBIDDEN
        return self._denials < _MOST_DENIALS

    def _end_interrupted(self) -> None:
        """End queries and mutations that have had a result: they must not run twice."""
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
