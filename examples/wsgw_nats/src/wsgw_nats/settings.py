"""The options of a backend of kind `nats`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from wsgw_core.api import Duration, HeaderName, Options, Size, Subprotocols

from .subject import SubjectTemplate

_TOKEN = "[A-Za-z0-9_-]{1,64}"  # noqa: S105 - not a password: a part of a NATS subject


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "nats" or not parts.hostname or parts.path or parts.query:
        raise ValueError("not a URL such as nats://host:4222 or nats://user:password@host")
    _ = parts.port  # raises ValueError for an invalid port
    return url


class NatsSettings(Options):
    """One backend: a NATS server with JetStream."""

    url: Annotated[str, AfterValidator(_check_url)] = Field(description="address of the server")
    subject: SubjectTemplate = Field(
        default=SubjectTemplate("wsgw.messages"),
        description="subject of a client's messages and events; a stream must take it",
    )
    inbox: str = Field(
        default="_INBOX",
        pattern=rf"^{_TOKEN}(?:\.{_TOKEN}){{0,3}}$",
        description="first part of the subjects for replies to the gateway",
    )
    subprotocols: Subprotocols = Field(
        default=Subprotocols("first"), description="the subprotocol that a client gets"
    )
    headers: tuple[HeaderName, ...] = Field(
        default=(), description="headers of the client's request to add to connect events"
    )
    window: int = Field(
        default=256, ge=1, le=4096, description="maximum unacknowledged messages of one session"
    )
    reply_buffer: Size = Field(
        default=1024 * 1024, gt=0, description="maximum bytes that wait for one slow client"
    )
    connect_timeout: Duration = Field(
        default=5.0, gt=0, description="maximum time to connect and find the stream"
    )
    ack_timeout: Duration = Field(
        default=5.0, gt=0, description="maximum time for JetStream to acknowledge a message"
    )

    @property
    def server(self) -> SplitResult:
        """The parts of the URL."""
        return urlsplit(self.url)

    @property
    def is_shared(self) -> bool:
        """Whether all clients have the same subject; then each refusal concerns all clients."""
        return not self.subject.fields
