"""Answers heartbeats instead of the backend."""

from __future__ import annotations

from wsgw_core.api import Message, MessageValve, Session

from .settings import HeartbeatSettings


class HeartbeatValve:
    """One for each session.

    Args:
        settings: the valve's options, checked.
        session: what can be known and done.
    """

    def __init__(self, settings: HeartbeatSettings, session: Session) -> None:
        self._session = session
        self._question = Message.from_text(settings.question)
        self._answer = Message.from_text(settings.answer)

    def before_transmit(self, message: Message) -> Message | None:
        """Answers a heartbeat; every other message goes on."""
        if message != self._question:
            return message
        self._session.send_to_client(self._answer)
        return None

    def after_receive(self, message: Message) -> Message:
        """Lets every message through."""
        return message


def _is_valve(valve: HeartbeatValve) -> MessageValve:
    return valve  # checked by the type checker
