"""The options of the valve."""

from __future__ import annotations

from pydantic import Field, field_validator

from wsgw_core.api import Duration, Options, PlainText, Size

from ..json_path import JsonPath


class RoomRule(Options):
    """How clients join and leave rooms of one kind, with the application's own events."""

    namespace: str = Field(
        default="/", pattern=r"^/[^,?\x00-\x1f\x7f]*$", description="namespace of these events"
    )
    join: PlainText = Field(description="event that joins a room; the next server gets it again")
    leave: PlainText | None = Field(
        default=None, description="event that leaves a room; none: no event does"
    )
    key: JsonPath = Field(
        default=JsonPath("$[0]"),
        description="path to the room's name in the arguments of these events, such as `$[0].room`",
    )

    @field_validator("key")
    @classmethod
    def _check(cls, key: JsonPath) -> JsonPath:
        if not key.is_single:
            raise ValueError("finds more than one value")
        return key


class SocketioSettings(Options):
    """The rooms, the limits of memory, and the times for answers."""

    rooms: tuple[RoomRule, ...] = Field(default=(), description="how clients join and leave rooms")
    wait_for_acks: bool = Field(
        default=True,
        description="whether wsgw sends an event that requests an acknowledgement again until the"
        " server has acknowledged it",
    )
    expires: Duration = Field(
        default=60.0,
        gt=0,
        description="wsgw does not send an acknowledged event again if it has no answer after this"
        " time",
    )
    max_remembered_bytes: Size = Field(
        default=256 * 1024,
        gt=0,
        description="maximum bytes that wsgw remembers for a session: namespaces and rooms, each"
        " with 200 bytes besides its packet; above it wsgw closes the session with 1008",
    )
    max_attachments: int = Field(
        default=100,
        ge=1,
        description="maximum binary attachments of a packet; above it wsgw closes the session with"
        " 1009",
    )
    max_attached: Size = Field(
        default=16 * 1024 * 1024,
        gt=0,
        description="maximum bytes of a packet with attachments; above it wsgw closes the session"
        " with 1009",
    )
