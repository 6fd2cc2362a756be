"""What can be configured for a backend of kind `nats`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from wsgw_core.api import Duration, HeaderName, Options, Size, Subprotocols

from .subject import SubjectTemplate

_TOKEN = "[A-Za-z0-9_-]{1,64}"  # noqa: S105 - no password: NATS calls the parts of a subject so


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "nats" or not parts.hostname or parts.path or parts.query:
        raise ValueError("not a URL such as nats://host:4222 or nats://user:password@host")
    _ = parts.port  # raises for one that is none
    return url


class NatsSettings(Options):
    """One backend: a NATS server with JetStream."""

    url: Annotated[str, AfterValidator(_check_url)] = Field(description="where the server listens")
    subject: SubjectTemplate = Field(
        default=SubjectTemplate("wsgw.messages"),
        description="where messages and events of a client are published; a stream must take it",
    )
    inbox: str = Field(
        default="_INBOX",
        pattern=rf"^{_TOKEN}(?:\.{_TOKEN}){{0,3}}$",
        description="first part of the subject at which the gateway takes replies",
    )
    subprotocols: Subprotocols = Field(
        default=Subprotocols("first"), description="which of the client's offers is taken"
    )
    headers: tuple[HeaderName, ...] = Field(
        default=(), description="headers of the client's request that connect events tell"
    )
    window: int = Field(
        default=256, ge=1, le=4096, description="unacknowledged messages of one session"
    )
    reply_buffer: Size = Field(
        default=1024 * 1024, gt=0, description="replies that may wait for one slow client"
    )
    connect_timeout: Duration = Field(
        default=5.0, gt=0, description="bound of connecting and of finding the stream"
    )
    ack_timeout: Duration = Field(
        default=5.0, gt=0, description="how long JetStream may take to acknowledge a message"
    )

    @property
    def server(self) -> SplitResult:
        """The parts of the URL."""
        return urlsplit(self.url)

    @property
    def is_shared(self) -> bool:
        """Whether all clients have the same subject: what JetStream refuses concerns all then."""
        return not self.subject.fields
