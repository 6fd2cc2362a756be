"""The valve `drill-replies`: a drill message counts as delivered when it is answered."""

from __future__ import annotations

from pydantic import Field

from wsgw_core.api import (
    Duration,
    Message,
    Options,
    ReplyExpected,
    Session,
    ValveRegistry,
    hookimpl,
    per_session,
)
from wsgw_core.testing.numbered_message import head_of

WSGW_API = "1.0"
KIND = "drill-replies"


class ReplyOptions(Options):
    """Options of the valve."""

    expires: Duration = Field(
        default=60.0, gt=0, description="maximum time from the acknowledgement to the answer"
    )


class ReplyValve:
    """Finds the message of each answer by client and number, which the answer repeats."""

    def __init__(self, options: ReplyOptions, session: Session) -> None:
        self._expires = options.expires
        self._session = session

    def before_transmit(self, message: Message) -> Message:
        """See MessageValve."""
        return ReplyExpected(message.kind, message.data, head_of(message.data), self._expires)

    def after_receive(self, message: Message) -> Message:
        """See MessageValve."""
        client, _, rest = message.text.partition(" ")
        number = rest.partition(" ")[0]
        if number.isdecimal():  # otherwise the message is pushed
            self._session.answered((client, int(number)))
        return message


@hookimpl
def wsgw_register_valves(registry: ValveRegistry) -> None:
    """Registers the valve's kind."""
    registry.add(KIND, ReplyOptions, per_session(ReplyValve))
