"""The options of a RabbitMQ backend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from wsgw_core.api import (
    Duration,
    FileName,
    HeaderName,
    Limits,
    Options,
    PlainText,
    Size,
    Subprotocols,
    Template,
    TlsClientOptions,
)

PORTS = {"amqp": 5672, "amqps": 5671}
_INSTANCE = "{instance}"
_CONSUMER_TIMEOUT = 1800.0  # RabbitMQ's own default, in seconds
_LONGEST_NAME = 200  # bytes; with values and suffixes at most 255

Event = Literal["connect", "message", "disconnect"]


class RoutingKey(Template):
    """The template of routing keys, with the additional fields `{event}` and `{kind}`."""

    own_fields: ClassVar[tuple[str, ...]] = ("event", "kind")


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("not a URL such as amqp://user:password@host:5672/vhost") from error
    if parts.scheme not in PORTS or not parts.hostname or port == 0:
        raise ValueError("not a URL such as amqp://user:password@host:5672/vhost")
    if parts.query or parts.fragment:
        raise ValueError("has a query or a fragment; use the backend's options instead")
    if "/" in parts.path[1:]:
        raise ValueError("write a slash in the name of a virtual host as %2F")
    return url


def _check_host(host: str) -> str:
    try:
        parts = urlsplit(f"//{host}")
        is_plain = parts.netloc == host and "@" not in host and host.isprintable()
        if parts.hostname and parts.port != 0 and is_plain:
            return host
    except ValueError:
        pass
    raise ValueError(f"{host!r} is not a host or host:port")


def _check_replies(name: str) -> str:
    if _INSTANCE not in name:
        raise ValueError("needs {instance}; otherwise another gateway gets this one's replies")
    return _check_name(name)


def _check_name(name: str) -> str:
    if len(name.encode()) > _LONGEST_NAME:
        raise ValueError(f"is longer than {_LONGEST_NAME} bytes")
    if not name.isprintable():
        raise ValueError("has control characters or other invisible characters")
    return name


Name = Annotated[str, AfterValidator(_check_name)]


class AmqpSettings(Options):
    """One RabbitMQ broker or cluster."""

    url: Annotated[str, AfterValidator(_check_url)] = Field(
        description="address of the broker: `amqp://user:password@host:5672/vhost`, or `amqps://`"
        " with TLS. The default virtual host is `/`"
    )
    hosts: tuple[Annotated[str, AfterValidator(_check_host)], ...] = Field(
        default=(),
        description="further nodes of the cluster, as `host` or `host:port`; wsgw tries all nodes"
        " in turn, beginning with a random one",
    )
    username: PlainText | None = Field(default=None, description="replaces the URL's")
    password: SecretStr | None = Field(default=None, description="replaces the URL's")
    password_file: FileName | None = Field(
        default=None,
        description="file with the password, read at each connect; when it changes, wsgw sends the"
        " new password to the broker (`connection.update-secret`)",
    )
    mechanism: Literal["plain", "external"] = Field(
        default="plain",
        description="`external`: the broker identifies the gateway by its certificate",
    )
    exchange: Name = Field(
        default="wsgw", description="exchange to publish messages to; empty: the default exchange"
    )
    exchange_type: Name = Field(default="topic", min_length=1, description="type of the exchange")
    routing_key: RoutingKey = Field(
        default=RoutingKey("{event}"),
        description="routing key of a message: a [template](templates.md) with the further fields"
        " `{event}` (`connect`, `message`, `disconnect`) and `{kind}` (`text`, `binary`)",
    )
    queue: Name | None = Field(
        default=None, min_length=1, description="queue to declare for the workers"
    )
    queue_type: Literal["quorum", "classic", "stream"] = Field(
        default="quorum", description="type of this queue"
    )
    queue_arguments: dict[str, Any] = Field(
        default={},
        description="further arguments of this queue, such as `x-single-active-consumer`",
    )
    binding_keys: tuple[Name, ...] = Field(
        default=("#",), description="keys that bind this queue to the exchange"
    )
    declare: bool | Literal["passive"] = Field(
        default=True,
        description="whether wsgw declares the exchange, the queue and the dead letters; `passive`:"
        " it only checks that they exist",
    )
    persistent: bool = Field(
        default=True, description="whether messages survive a restart of the broker"
    )
    expiration: Duration | None = Field(
        default=None, ge=0.001, description="the broker drops a message after this time"
    )
    priority: int | None = Field(default=None, ge=0, le=255, description="priority of messages")
    mandatory: bool = Field(
        default=True, description="whether the broker returns messages that reach no queue"
    )
    unroutable: Literal["unavailable", "discard", "close"] = Field(
        default="unavailable",
        description="what happens after a returned message: its session moves to another backend,"
        " wsgw drops the message and counts it, or the session ends with 1011",
    )
    events: tuple[Event, ...] = Field(default=("message",), description="events to publish")
    headers: tuple[HeaderName, ...] = Field(
        default=(), description="headers of the handshake to add to messages, as `http-NAME`"
    )
    subprotocols: Subprotocols = Field(
        default=Subprotocols("first"),
        description="the subprotocol that a session gets; it keeps it after a failover",
    )
    cloudevents: bool | Literal["knative"] = Field(
        default=True,
        description="whether messages have the headers of CloudEvents: `cloudEvents:NAME`, or"
        " `ce-NAME` with `knative`",
    )
    replies: Annotated[str, AfterValidator(_check_replies)] = Field(
        default="wsgw.replies.{instance}",
        description="queue for replies to this gateway; `{instance}` is random",
    )
    replies_durable: bool = Field(
        default=False, description="whether this queue survives the connection"
    )
    replies_expiry: Duration = Field(
        default=300.0,
        ge=1,
        description="the broker keeps a durable queue without a gateway for this long",
    )
    dead_letter_exchange: Name = Field(
        default="wsgw.dead",
        description="exchange for replies that no client gets; empty: they are dropped",
    )
    prefetch: int = Field(
        default=2000, ge=2, le=65535, description="maximum number of unacknowledged replies"
    )
    reply_buffer: Size = Field(
        default=1024 * 1024,
        gt=0,
        description="maximum bytes of replies that wait for one slow client",
    )
    reply_buffer_messages: int | None = Field(
        default=None,
        ge=1,
        description="maximum number of replies that wait for one slow client; default: a tenth of"
        " `prefetch`",
    )
    confirm_timeout: Duration = Field(
        default=10.0, gt=0, description="close the link when a confirm takes longer than this"
    )
    blocked_timeout: Duration | None = Field(
        default=None,
        gt=0,
        description="sessions move when the broker blocks the link for longer than this; none: wsgw"
        " stops reading from clients and waits",
    )
    heartbeat: Duration = Field(
        default=10.0, ge=1, le=60000, description="close a link that is silent for twice this long"
    )
    connect_timeout: Duration = Field(
        default=5.0, gt=0, description="maximum time to connect to one node"
    )
    connection_name: PlainText = Field(
        default="wsgw {backend} {instance}",
        max_length=_LONGEST_NAME,
        description="name of the link for the broker's operators",
    )
    tls: TlsClientOptions | None = None

    @model_validator(mode="after")
    def _check(self) -> AmqpSettings:
        if self.tls is not None and not self.is_secure:
            raise ValueError("'tls' needs a URL that begins with amqps://")
        if self.password is not None and self.password_file is not None:
            raise ValueError("'password' and 'password-file' are both set")
        if self.mechanism == "external" and (self.tls is None or self.tls.certificate is None):
            raise ValueError("'mechanism: external' needs 'tls' with a certificate")
        if self.queue is not None and self.exchange and not self.binding_keys:
            raise ValueError("'binding-keys' is empty: the queue gets no messages")
        return self

    @property
    def is_secure(self) -> bool:
        """Whether wsgw uses TLS."""
        return urlsplit(self.url).scheme == "amqps"

    @property
    def virtual_host(self) -> str:
        """The decoded name of the virtual host."""
        return unquote(urlsplit(self.url).path[1:]) or "/"

    @property
    def nodes(self) -> list[tuple[str, int]]:
        """Host and port of each node; the URL's is the first."""
        parts = [urlsplit(self.url), *(urlsplit(f"//{host}") for host in self.hosts)]
        default = PORTS[parts[0].scheme]
        return [(part.hostname or "", part.port or default) for part in parts]

    @property
    def max_waiting_replies(self) -> int:
        """Maximum replies that wait for one slow client."""
        return self.reply_buffer_messages or max(1, self.prefetch // 10)

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options."""
        if not 0 < limits.slow_client_timeout < _CONSUMER_TIMEOUT:
            text = (
                "a reply may wait for a slow client longer than the broker's consumer_timeout (30"
                " minutes); then it closes the channel. Set limits.slow-client-timeout lower"
            )
            yield "prefetch", text
        if not self.mandatory and self.unroutable != "unavailable":
            yield "unroutable", "has no effect without 'mandatory'"
        if self.exchange == "" and self.queue is not None and str(self.routing_key) != self.queue:
            yield (
                "routing-key",
                f"is not {self.queue!r}: the default exchange needs the name of the queue",
            )
