"""The options of a Redis backend."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from wsgw_core.api import (
    Duration,
    FileName,
    HeaderName,
    Limits,
    Options,
    PlainText,
    Size,
    Subprotocols,
    TlsClientOptions,
)

from .names import InstanceTemplate, KeyTemplate
from .password_file import read_password
from .server_address import ServerAddress

Event = Literal["connect", "message", "disconnect"]


def _check_url(url: str) -> str:
    ServerAddress.parse(url)
    return url


def _check_client_name(name: InstanceTemplate) -> InstanceTemplate:
    if not str(name).isascii() or " " in str(name):
        raise ValueError("has a space or a non-ASCII character; Redis refuses both")
    return name


class RedisSettings(Options):
    """One Redis server, or the master of Sentinels."""

    url: Annotated[str, AfterValidator(_check_url)] = Field(
        description="`redis://[user[:password]@]host[:port][/db]`, `rediss://` with TLS,"
        " `unix:///path?db=0`, or `redis+sentinel://h1:26379,h2:26379/MASTER[/db]`"
    )
    username: PlainText | None = Field(default=None, description="user (ACL); default: the URL's")
    password: str | None = Field(
        default=None, min_length=1, description="password; default: the URL's"
    )
    password_file: FileName | None = Field(
        default=None,
        description="file with the password, read at each connect, so that it can change",
    )
    sentinel_username: PlainText | None = Field(default=None, description="user at the Sentinels")
    sentinel_password: str | None = Field(
        default=None, min_length=1, description="password at the Sentinels"
    )
    sentinel_password_file: FileName | None = Field(
        default=None, description="file with that password, read at each connect"
    )
    mode: Literal["stream", "pubsub"] = Field(
        default="stream",
        description="`stream`: add messages to a stream, at least once; `pubsub`: publish them to a"
        " channel, at most once",
    )
    stream: KeyTemplate = Field(
        default=KeyTemplate("wsgw:events"), description="stream for messages"
    )
    max_length: int | None = Field(
        default=None,
        gt=0,
        description="trim the stream to about this many entries at each message (`MAXLEN ~`),"
        " including entries that no worker has read; without it and `max-age`, workers delete what"
        " they have handled",
    )
    max_age: Duration | None = Field(
        default=None,
        gt=0,
        description="trim entries older than this (`MINID ~`), including entries that no worker has"
        " read",
    )
    events: tuple[Event, ...] = Field(
        default=("message",),
        description="events to add to the stream: `connect`, `message`, `disconnect`",
    )
    headers: tuple[HeaderName, ...] = Field(
        default=(), description="headers of the opening handshake to add to entries"
    )
    headers_on: Literal["all", "connect"] = Field(
        default="all",
        description="whether all entries carry these headers, or only connect entries",
    )
    subprotocols: Subprotocols = Field(
        default=Subprotocols("first"),
        description="the subprotocol that a client gets: its first offer, `none`, or the first of"
        " this list that it offers",
    )
    replies: InstanceTemplate = Field(
        default=InstanceTemplate("wsgw:replies:{instance}"),
        description="stream of replies; `{instance}` is random for each process",
    )
    replies_expiry: Duration = Field(
        default=3600.0,
        ge=4,
        description="Redis removes the reply stream of a dead gateway after this time",
    )
    replies_grace: Duration = Field(
        default=30.0,
        ge=0,
        description="keep reading replies for this long after the backend was removed, while its"
        " sessions live on at other backends",
    )
    read_count: int = Field(
        default=256, gt=0, le=10_000, description="maximum number of replies in one read"
    )
    dead_letters: PlainText | Literal[False] = Field(
        default="wsgw:dead-letters",
        description="stream for replies without a session; `false`: only count them",
    )
    dead_letters_length: int = Field(
        default=10_000, gt=0, description="trim that stream to about this many entries (`MAXLEN ~`)"
    )
    reply_buffer: Size = Field(
        default=1024 * 1024,
        gt=0,
        description="maximum bytes of replies that wait for one slow client; beyond it wsgw closes"
        " the session with 1008",
    )
    wait_replicas: int = Field(
        default=0,
        ge=0,
        description="number of replicas that must have a message before it counts as delivered",
    )
    wait_timeout: Duration = Field(
        default=1.0,
        ge=0.001,
        description="maximum time for these replicas to confirm; after it Redis counts as"
        " unavailable",
    )
    publish: KeyTemplate = Field(
        default=KeyTemplate("wsgw:{session}"),
        description="mode `pubsub`: channel for messages",
    )
    subscribe: tuple[KeyTemplate, ...] = Field(
        default=(), description="channels whose messages a session gets"
    )
    psubscribe: tuple[KeyTemplate, ...] = Field(
        default=(), description="patterns of channels whose messages a session gets"
    )
    require_subscribers: bool = Field(
        default=False,
        description="mode `pubsub`: a message that reaches no subscriber counts as not delivered",
    )
    binary: Literal["auto", "text", "binary"] = Field(
        default="auto",
        description="type of messages from a channel: `auto` sends text if the bytes are valid"
        " UTF-8",
    )
    connect_timeout: Duration = Field(
        default=5.0,
        gt=0,
        description="maximum time to connect, authenticate and make the first write",
    )
    command_timeout: Duration = Field(
        default=5.0, gt=0, description="a connection without an answer for this long counts as lost"
    )
    health_interval: Duration = Field(
        default=10.0, gt=0, description="ping a connection that is silent for this long"
    )
    max_batch: int = Field(
        default=512, gt=0, le=100_000, description="maximum number of messages in one write"
    )
    client_name: Annotated[InstanceTemplate, AfterValidator(_check_client_name)] = Field(
        default=InstanceTemplate("wsgw:{instance}"),
        description="name of the connections in `CLIENT LIST`",
    )
    tls: TlsClientOptions | None = None

    @cached_property
    def address(self) -> ServerAddress:
        """The parsed `url`."""
        return ServerAddress.parse(self.url)

    @property
    def uses_channels(self) -> bool:
        """Whether sessions have subscriptions."""
        return bool(self.subscribe or self.psubscribe)

    @model_validator(mode="after")
    def _check(self) -> RedisSettings:
        if self.tls is not None and not self.address.secure:
            raise ValueError("'tls' needs a URL that begins with rediss:// or rediss+sentinel://")
        for name in ("password", "sentinel_password"):
            if getattr(self, name) is not None and getattr(self, f"{name}_file") is not None:
                key = name.replace("_", "-")
                raise ValueError(f"'{key}' and '{key}-file' are both set")
        sentinel = {"sentinel_username", "sentinel_password", "sentinel_password_file"}
        if not self.address.master and sentinel & self.model_fields_set:
            raise ValueError("'sentinel-...' needs a URL that begins with redis+sentinel://")
        if self.max_length is not None and self.max_age is not None:
            raise ValueError("'max-length' and 'max-age' are both set; Redis trims by one")
        if "instance" not in self.replies.fields:
            raise ValueError("'replies' needs {instance}: two gateways must not share a stream")
        if "message" not in self.events:
            raise ValueError("'events' must have 'message'; otherwise no message reaches Redis")
        if self.mode == "pubsub":
            self._check_pubsub()
        elif self.require_subscribers or "publish" in self.model_fields_set:
            raise ValueError("'publish' and 'require-subscribers' need 'mode: pubsub'")
        return self

    def _check_pubsub(self) -> None:
        streams = (
            *("stream", "max_length", "max_age", "events", "headers", "headers_on"),
            *("replies", "replies_expiry", "replies_grace", "read_count"),
            *("dead_letters", "dead_letters_length", "wait_replicas", "wait_timeout"),
        )
        given = [name.replace("_", "-") for name in streams if name in self.model_fields_set]
        if given:
            raise ValueError(f"'{given[0]}' is for streams and has no effect with 'mode: pubsub'")

    def file_problems(self) -> Iterable[tuple[str, str]]:
        """See Options."""
        for key in ("password", "sentinel_password"):
            file = getattr(self, f"{key}_file")
            try:
                if file is not None:
                    read_password(file)
            except ValueError as error:
                yield f"{key.replace('_', '-')}-file", str(error)

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options. Warns of options that lose messages."""
        for key, value in (("max-length", self.max_length), ("max-age", self.max_age)):
            if value is not None:
                yield key, "trims messages that no worker has read, without a trace"
        if self.mode == "pubsub" and not self.uses_channels:
            yield "subscribe", "is empty: clients get no messages"
        if self.dead_letters == "wsgw:probe":
            yield "dead-letters", "is the stream of the gateway's test writes; choose another name"
