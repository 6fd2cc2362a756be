"""Remembers a client's subscriptions for the next server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial

from wsgw_core.api import (
    BINARY,
    TEXT,
    CloseSession,
    HydratingValve,
    Hydration,
    HydrationRefused,
    Message,
    Session,
)

from ..session_memory import MemoryExceeded, SessionMemory
from .reading import is_restart, read_answer, read_command
from .settings import ActioncableSettings
from .subscriptions import Subscriptions


class ActioncableValve:
    """The valve of one session.

    Args:
        settings: the valve's checked options.
        session: the session.
    """

    __slots__ = ("_is_welcomed", "_max_size", "_memory", "_session", "_subscriptions", "_to_come")

    def __init__(self, settings: ActioncableSettings, session: Session) -> None:
        self._session = session
        self._max_size = settings.max_size
        self._memory = SessionMemory(settings.max_remembered_bytes)
        self._subscriptions = Subscriptions(session, self._memory, settings.expires)
        self._is_welcomed = False
        self._to_come = 0  # pending answers of a hydration

    def before_transmit(self, message: Message) -> Message | None:
        """See MessageValve."""
        if message.kind is BINARY:
            return message
        command, identifier = read_command(message.data, self._max_size)
        if not identifier:
            return message
        try:
            if command == "subscribe":
                return self._subscriptions.begin(identifier, message)
        except MemoryExceeded as error:
            raise CloseSession(1008, str(error)) from None
        if command == "unsubscribe":
            return self._subscriptions.end(identifier, message)
        return message

    def after_receive(self, message: Message) -> Message | None:
        """See MessageValve."""
        if message.kind is BINARY:
            return message
        if self._to_come == 0 and is_restart(message.data, self._max_size):
            self._session.fail_over()  # the client stays
            return None
        answer, identifier = read_answer(message.data, self._max_size)
        if answer == "welcome":
            if self._is_welcomed:
                self._session.send_to_client(_ping())
            self._is_welcomed = True
        elif answer == "confirm_subscription":
            self._subscriptions.confirm(identifier)
        elif answer == "reject_subscription":
            if self._subscriptions.is_awaited(identifier):
                # The client must see it, although answers to a hydration are dropped.
                self._session.send_to_client(message)
            self._subscriptions.forget(identifier)
        return message

    def hydrate(self) -> Sequence[Hydration]:
        """See HydratingValve."""
        self._to_come = 0
        if not self._is_welcomed:
            return []
        return [
            self._step(None, self._is_welcome),
            *(
                self._step(message, partial(self._is_answer, identifier))
                for identifier, message in self._subscriptions.change_server()
            ),
        ]

    @property
    def lasting_bytes(self) -> int:
        """See HoldingValve."""
        return self._memory.used

    def _step(self, message: Message | None, is_answer: Callable[[Message], bool]) -> Hydration:
        """Returns a step that waits for an answer."""
        self._to_come += 1

        def heard(message: Message) -> bool:
            if message.kind is TEXT and is_restart(message.data, self._max_size):
                raise HydrationRefused("the server restarts")
            if not is_answer(message):
                return False
            self._to_come -= 1
            return True

        return Hydration(message, heard)

    def _is_welcome(self, message: Message) -> bool:
        return self._answer(message)[0] == "welcome"

    def _is_answer(self, identifier: str, message: Message) -> bool:
        answer, about = self._answer(message)
        return about == identifier and answer in ("confirm_subscription", "reject_subscription")

    def _answer(self, message: Message) -> tuple[str, str]:
        return read_answer(message.data, self._max_size) if message.kind is TEXT else ("", "")


def _ping() -> Message:
    """Returns a ping. Servers send one every 3 s; a client that misses two reconnects."""
    return Message.from_text(json.dumps({"type": "ping", "message": int(time.time())}))


def _is_message_valve(valve: ActioncableValve) -> HydratingValve:
    return valve  # checked by the type checker
