"""The valve alone."""

from __future__ import annotations

from typing import cast

from wsgw_heartbeat.settings import HeartbeatSettings
from wsgw_heartbeat.valve import HeartbeatValve

from wsgw_core.api import Message, Session


class ListeningSession:
    """As much of a session as the valve uses."""

    def __init__(self) -> None:
        self.sent_to_client: list[str] = []

    def send_to_client(self, message: Message) -> None:
        self.sent_to_client.append(message.text)


def make_valve(session: ListeningSession) -> HeartbeatValve:
    return HeartbeatValve(HeartbeatSettings(answer="here"), cast("Session", session))


def test_a_heartbeat_is_answered_and_goes_no_further() -> None:
    session = ListeningSession()
    assert make_valve(session).before_transmit(Message.from_text("ping")) is None
    assert session.sent_to_client == ["here"]


def test_other_messages_pass_both_ways() -> None:
    session = ListeningSession()
    valve = make_valve(session)
    message = Message.from_text("pinging")
    assert valve.before_transmit(message) is message
    assert valve.after_receive(message) is message
    assert session.sent_to_client == []
