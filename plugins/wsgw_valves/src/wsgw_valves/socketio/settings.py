"""What can be configured for the valve."""

from __future__ import annotations

from pydantic import Field, field_validator

from wsgw_core.api import Duration, Options, Size

from ..json_path import JsonPath


class RoomRule(Options):
    """How clients join and leave rooms of one sort: events of the application's own."""

    namespace: str = Field(
        default="/", pattern=r"^/[^,?]*$", description="where these events are sent"
    )
    join: str = Field(
        min_length=1, description="the event that joins a room; the next server gets it again"
    )
    leave: str | None = Field(
        default=None, min_length=1, description="the event that leaves it; none: nothing does"
    )
    key: JsonPath = Field(
        default=JsonPath("$[0]"),
        description="where the events' arguments have what names the room, such as `$[0].room`",
    )

    @field_validator("key")
    @classmethod
    def _check(cls, key: JsonPath) -> JsonPath:
        if not key.is_single:
            raise ValueError("names more than one value")
        return key


class SocketioSettings(Options):
    """What is remembered, and what is waited for."""

    rooms: tuple[RoomRule, ...] = Field(default=(), description="how clients join and leave rooms")
    wait_for_acks: bool = Field(
        default=True,
        description="whether an event with an acknowledgement is sent again until the server has"
        " acknowledged it",
    )
    expires: Duration = Field(
        default=60.0,
        gt=0,
        description="what has no answer after this time, although the server has it, is not sent"
        " again",
    )
    max_remembered_bytes: Size = Field(
        default=256 * 1024,
        gt=0,
        description="what is remembered of a session: namespaces and rooms, each with 200 bytes"
        " beside its packet; more ends it with 1008",
    )
    max_attachments: int = Field(
        default=100,
        ge=1,
        description="binary attachments of a packet; one more ends the session with 1009",
    )
    max_attached: Size = Field(
        default=16 * 1024 * 1024,
        gt=0,
        description="bytes of a packet with its attachments; more end the session with 1009",
    )
