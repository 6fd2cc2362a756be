"""Answers heartbeats instead of the backend."""

from __future__ import annotations

from wsgw_core.api import Message, MessageValve, Session

from .settings import HeartbeatSettings


class HeartbeatValve:
    """The valve of one session.

    Args:
        settings: the valve's checked options.
        session: the session, to which the valve can send messages.
    """

    def __init__(self, settings: HeartbeatSettings, session: Session) -> None:
        self._session = session
        self._question = Message.from_text(settings.question)
        self._answer = Message.from_text(settings.answer)

    def before_transmit(self, message: Message) -> Message | None:
        """Answers a heartbeat; passes on every other message."""
        if message != self._question:
            return message
        self._session.send_to_client(self._answer)
        return None

    def after_receive(self, message: Message) -> Message:
        """Passes on every message."""
        return message


def _is_valve(valve: HeartbeatValve) -> MessageValve:
    return valve  # checked by the type checker
