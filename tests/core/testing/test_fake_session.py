"""FakeSession records its calls."""

from __future__ import annotations

from wsgw_core.api import Close, Message, Session
from wsgw_core.testing.fake_session import FakeSession


def test_calls_are_recorded() -> None:
    session = FakeSession()
    message = Message.from_text("A")

    session.send_to_client(message)
    session.send_to_backend(message)
    session.answered(7)
    session.close(4000, "bye")
    session.fail_over()
    session.state["seen"] = 1

    assert (session.sent_to_client, session.sent_to_backend) == ([message], [message])
    assert (session.answers, session.closes) == ([7], [Close(4000, "bye")])
    assert (session.failovers, session.state) == (1, {"seen": 1})


def test_attributes_can_be_set_and_are_those_of_a_session() -> None:
    session = FakeSession(path="/room", route="eu", subprotocol="ocpp1.6")

    assert (session.path, session.route, session.subprotocol) == ("/room", "eu", "ocpp1.6")
    assert isinstance(session, Session)
