"""What can be configured: frozen models with their defaults.

`config_file` reads files and variables into these; who embeds the gateway makes them directly.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from .admin_token import AdminToken
from .api import Duration, Limits, Options, Size
from .api.options import HeaderName
from .drain_options import DrainOptions
from .origin_pattern import OriginPattern
from .server_tls_options import ServerTlsOptions
from .websocket import CompressionOptions

DEFAULT_BREAKER_THRESHOLD = 10


class Address(NamedTuple):
    """Where to listen; an empty host means every interface, IPv4 and IPv6."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^\[\]:/\s]*)):(\d{1,5})\Z")


def parse_address(value: Any) -> Any:
    """Read `host:port`, `:port` or `[ipv6]:port`; port 0 lets the system choose.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, tuple):
        return value
    match = _ADDRESS.match(value.strip()) if isinstance(value, str) else None
    if not match or int(match[3]) > 65535:
        raise ValueError("not an address such as 127.0.0.1:8080, :8080 or [::1]:8080")
    return Address(match[1] or match[2], int(match[3]))


_TEXT = WithJsonSchema({"type": "string"})  # whatever it is made into

ListenAddress = Annotated[Address, BeforeValidator(parse_address), PlainSerializer(str), _TEXT]

AllowedOrigin = Annotated[
    OriginPattern,
    BeforeValidator(OriginPattern.parse),
    PlainSerializer(str),
    _TEXT,
]


def parse_network(value: Any) -> Any:
    """Read `10.0.0.0/8`, `2001:db8::/32` or a single address.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, (IPv4Network, IPv6Network)):
        return value
    try:
        return ip_network(value.strip() if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(
            "not a network such as 10.0.0.0/8 or 2001:db8::/32 (no bits set behind the prefix),"
            " nor an address such as 192.0.2.7"
        ) from None


ProxyNetwork = Annotated[
    IPv4Network | IPv6Network, BeforeValidator(parse_network), PlainSerializer(str), _TEXT
]


def id_from_address(text: str) -> str:
    """Make the id of something that was given none: `ws://a:1` and `a:1` give `a-1`."""
    netloc = urlsplit(text).netloc.rpartition("@")[2] if "//" in text else text
    return re.sub(r"[^A-Za-z0-9]", "-", netloc)


_WITHOUT_EFFECT: dict[str, Any] = {"deprecated": True}  # see Options
_BUFFER = Field(
    default=1024,
    description="accepted for wsbalancer's files, without effect: buffers begin small and grow"
    " with the messages, which `limits` bounds",
    json_schema_extra=_WITHOUT_EFFECT,
)
_WRITE_TIMEOUT = Field(
    default=10.0,
    description="accepted for wsbalancer's files, without effect: an answer is a few hundred bytes,"
    " and a client that does not read is closed after `limits.close-timeout`",
    json_schema_extra=_WITHOUT_EFFECT,
)
_WITE_TIMEOUT = Field(
    default=10.0,
    description="how wsbalancer spells `write-timeout`; without effect as well",
    json_schema_extra=_WITHOUT_EFFECT,
)


# What wsbalancer, and others, call them.
_LEVELS = {"TRACE": "DEBUG", "WARNING": "WARN", "PANIC": "ERROR", "FATAL": "ERROR"}


def _logging_level(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    level = value.strip().upper()
    return _LEVELS.get(level, level)


class FrontendOptions(Options):
    """Where clients connect."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] | None = Field(
        default=None,
        description="the name for operators; by default that of the address, as of a backend's URL",
    )
    address: ListenAddress = Address("", 8080)
    read_timeout: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description="how long a client may take to send its request; none:"
        " `limits.handshake-timeout`",
    )
    max_header_bytes: Annotated[Size, Field(gt=0)] | None = Field(
        default=None,
        description="bound of the head of a client's request; none: `limits.max-header-bytes`",
    )
    write_timeout: Duration = _WRITE_TIMEOUT
    wite_timeout: Duration = _WITE_TIMEOUT
    keepalive: Literal["per-leg", "end-to-end"] = Field(
        default="per-leg",
        description="who answers the pings of clients: the gateway at once, or their backend, so"
        " that a client notices when it is not served",
    )
    ping_time: Annotated[Duration, Field(gt=0)] | None = Field(
        default=30.0,
        description="a client that has been silent for so long is pinged; none: never",
    )
    ping_timeout: Duration = Field(
        default=20.0,
        gt=0,
        description="a client of which nothing comes for so long after the ping is dropped",
    )
    tls: ServerTlsOptions | None = None
    compression: CompressionOptions = CompressionOptions()
    allowed_origins: tuple[AllowedOrigin, ...] = Field(
        default=(),
        description="sites from which browsers may connect, such as `https://app.example`,"
        " `https://*.example.com` (every host below it) or `null`; none: all. Clients that send no"
        " `Origin` are no browsers and are always let in",
    )


class AdminOptions(Options):
    """Where operators connect."""

    enabled: bool = Field(default=True, description="`false`: nothing listens for operators")
    address: ListenAddress = Address("127.0.0.1", 8081)
    tls: ServerTlsOptions | None = None
    tokens: tuple[AdminToken, ...] = Field(
        default=(),
        description="with one or more, every call needs one of them, but for health and metrics",
    )
    allow_unauthenticated: bool = Field(
        default=False,
        description="without tokens, on an address that other machines reach: whether everybody"
        " who reaches it may do everything",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="names, beside addresses and `localhost`, by which calls without a token may"
        " name this gateway in `Host`",
    )
    allowed_origins: tuple[AllowedOrigin, ...] = Field(
        default=(),
        description="sites whose pages may call, such as `https://ops.example`, beside those that"
        " the admin address itself serves",
    )
    read_timeout: Duration = Field(
        default=10.0,
        gt=0,
        description="how long a request may take to come, and its connection idle",
    )
    write_timeout: Duration = Field(
        default=10.0, gt=0, description="how long an answer may take to be made and written"
    )
    wite_timeout: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None, description="how wsbalancer spells `write-timeout`; it goes first"
    )
    max_header_bytes: Size = Field(
        default=512 * 1024, gt=0, description="bytes of a request's header"
    )
    max_body_bytes: Size = Field(default=64 * 1024, gt=0, description="bytes of a request's body")
    max_connections: int = Field(
        default=64, gt=0, description="connections at a time; further ones wait"
    )

    @model_validator(mode="after")
    def _check_tokens(self) -> AdminOptions:
        names = [token.name for token in self.tokens]
        secrets = [token.token.get_secret_value() for token in self.tokens]
        if len(set(names)) < len(names):
            raise ValueError("two of the 'tokens' have the same name")
        if len(set(secrets)) < len(secrets):
            raise ValueError("two of the 'tokens' are the same")
        return self

    @property
    def answer_timeout(self) -> float:
        """Seconds that an answer may take."""
        return self.wite_timeout or self.write_timeout


class ServerOptions(Options):
    """The gateway's own side."""

    frontend: FrontendOptions = FrontendOptions()
    admin: AdminOptions = AdminOptions()
    read_buffer_size: Size = _BUFFER
    write_buffer_size: Size = _BUFFER
    block_headers: tuple[HeaderName, ...] = ()
    reconnect_header: HeaderName = "X-Balancer-Reconnect"
    trusted_proxies: tuple[ProxyNetwork, ...] | None = Field(
        default=None,
        description="networks and addresses of proxies that tell who the client is: from them"
        " `X-Forwarded-For` is continued, and `X-Forwarded-Proto`, `X-Forwarded-Host` and the like"
        " are passed on; from all others they are made anew. `[]` trusts nobody",
    )
    trust_received_xff: bool = Field(
        default=True,
        description="without `trusted-proxies`: whether the `X-Forwarded-For` of every client is"
        " continued, or replaced; with them it means nothing",
    )
    drain_time: Duration = Field(
        default=10.0,
        ge=0,
        description="how long a gateway that is told to stop takes to close its clients, so that"
        " they do not all come back at once",
    )
    forwarded: bool = Field(
        default=False,
        description="whether backends are sent `Forwarded` (RFC 7239) too",
    )
    enable_instrumentation: bool = Field(
        default=False,
        description="whether wsbalancer's metrics are shown beside wsgw's own, under their names",
    )
    logging_format: Literal["console", "json"] = Field(
        default="console", description="one line a record for people, or one JSON object a line"
    )
    logging_level: Annotated[
        Literal["DEBUG", "INFO", "WARN", "ERROR"], BeforeValidator(_logging_level)
    ] = "WARN"


class Entry(Options):
    """One backend, valve, listener or gate: the kind's plugin checks the keys not named here."""

    model_config = ConfigDict(extra="allow")

    kind: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The keys meant for the plugin."""
        return dict(self.__pydantic_extra__ or {})


_DISCOVERED = "dns+"


class BackendEntry(Entry):
    """One backend. Its kind is `kind` or the scheme of `url`; without an id the URL gives one.

    A URL that begins with `dns+` stands for a backend at each address of its host's name.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] | None = None
    url: str | None = None
    breaker_threshold: int = Field(
        default=DEFAULT_BREAKER_THRESHOLD,
        description="failures in a row after which the backend is left alone for a while; negative:"
        " never",
    )

    @field_validator("breaker_threshold")
    @classmethod
    def _not_zero(cls, threshold: int) -> int:
        if threshold == 0:
            raise ValueError("a number above 0, or a negative one for no breaker")
        return threshold

    @model_validator(mode="after")
    def _identify(self) -> BackendEntry:
        if self.url is not None and not self.scheme:
            raise ValueError("'url' needs a scheme, such as ws://host:port")
        if not self.kind and not self.scheme:
            raise ValueError("needs 'url', or 'kind' and 'id'")
        if not self.id and not (self.url and id_from_address(self.url)):
            raise ValueError("needs an 'id', since 'url' does not give one")
        if self.discovered and None in self.name_to_resolve:
            raise ValueError("'url' needs a name and a port, such as dns+ws://name:port")
        return self

    @property
    def discovered(self) -> bool:
        """Whether it stands for all addresses of a name."""
        return self.url is not None and self.url.startswith(_DISCOVERED)

    @property
    def plain_url(self) -> str | None:
        """The URL as the kind knows it."""
        return self.url.removeprefix(_DISCOVERED) if self.url else None

    @property
    def name_to_resolve(self) -> tuple[str | None, int | None]:
        """The host and the port of the URL."""
        parts = urlsplit(self.url or "")
        return parts.hostname, parts.port

    @property
    def scheme(self) -> str | None:
        """The scheme of the URL, that of a kind."""
        url = self.plain_url
        return urlsplit(url).scheme if url and "://" in url else None

    @property
    def kind_or_scheme(self) -> str:
        """What to look for among the registered kinds."""
        return self.kind or self.scheme or ""

    @property
    def effective_id(self) -> str:
        """The id given, or the one that the URL gives."""
        return self.id or id_from_address(self.url or "")


class ValveEntry(Entry):
    """One valve of the chain."""

    kind: str
    on_error: Literal["close", "discard"] = "close"


class ComponentEntry(Entry):
    """One listener or gate."""

    kind: str


class HealthOptions(Options):
    """Probes of backends without a session."""

    interval: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None, description="pause between two probes of a backend; none: no probes"
    )
    timeout: Duration = Field(default=5.0, gt=0, description="bound of one probe")
    unhealthy_after: int = Field(
        default=2,
        ge=1,
        description="failed probes in a row after which a backend is offered behind all others",
    )
    healthy_after: int = Field(
        default=1, ge=1, description="good probes in a row that make it as good as others again"
    )


class UpstreamOptions(Options):
    """The backends."""

    health: HealthOptions = HealthOptions()

    backends: tuple[BackendEntry, ...] = Field(default=(), min_length=1, validate_default=True)
    resolve_interval: Duration = Field(
        default=5.0,
        gt=0,
        description="pause between two looks at the addresses of a name (`dns+ws://name:port`);"
        " also the bound of one look",
    )

    @model_validator(mode="after")
    def _unique_ids(self) -> UpstreamOptions:
        ids = [backend.effective_id for backend in self.backends]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"backend id used twice: {', '.join(twice)}")
        return self


class FailoverOptions(Options):
    """What happens when a backend is lost."""

    enabled: bool = True
    hold: Duration = Field(
        default=30.0, ge=0, description="how long a client is kept without a backend"
    )
    stable: Duration = Field(
        default=1.0, ge=0, description="how long a new connection must last to end a failover"
    )
    dial_timeout: Duration = Field(default=10.0, gt=0, description="bound of one dial")
    max_concurrent_dials: int = Field(
        default=100,
        gt=0,
        description="dials of one backend at once, those for new clients included; the rest wait"
        " for their turn",
    )
    dial_spacing: Duration = Field(
        default=0.01,
        ge=0,
        description="how long, on average, a dial that is over makes the next one wait, if there is"
        " one that waits",
    )
    backoff: Duration = Field(
        default=0.05, gt=0, description="pause after a failed round of dials, at first"
    )
    max_backoff: Duration = Field(
        default=1.0, gt=0, description="pause after a failed round, at most"
    )
    ping_timeout: Duration = Field(
        default=5.0, gt=0, description="how long a liveness check may stay unanswered"
    )
    retry_statuses: tuple[int, ...] = Field(
        default=(408, 421, 425, 429),
        description="answers during a failover that make another backend be tried",
    )
    delivery: Literal["at-least-once", "at-most-once"] = Field(
        default="at-least-once",
        description="whether what a lost backend had not acknowledged is sent to the next one, or"
        " given up and counted",
    )
    max_replays: int = Field(
        default=3,
        ge=1,
        description="a session ends with 1011 when so many backends were lost while the same"
        " message was alone under way, after it had been among others at three losses",
    )


class LimitOptions(Options):
    """Bounds of what one client or backend can cost."""

    max_header_bytes: Size = Field(default=64 * 1024, gt=0)
    max_header_count: int = Field(
        default=100, gt=0, description="header lines of a client's request"
    )
    handshake_timeout: Duration = Field(default=10.0, gt=0)
    max_sessions: int | None = Field(
        default=None,
        gt=0,
        description="clients at a time, those in their handshake included; none: as many as the"
        " limit of open files allows",
    )
    max_sessions_per_address: int | None = Field(
        default=None,
        gt=0,
        description="of them from one address, or one IPv6 network of 64 bits; none: not bounded",
    )
    max_handshakes_per_second: int | None = Field(
        default=None, gt=0, description="new clients a second; none: not bounded"
    )
    client_idle_timeout: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description="a client of which nothing is received for so long is closed; none: never",
    )
    slow_client_timeout: Annotated[Duration, Field(gt=0)] | None = Field(
        default=60.0,
        description="a client that does not read what waits for it is closed after so long;"
        " none: never",
    )
    max_session_life: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description="a client is closed after so long, or up to a tenth earlier; none: never",
    )
    max_message_size: Size = Field(
        default=1024 * 1024, gt=0, description="bytes of one message, after decompression"
    )
    max_fragments: int = Field(default=4096, gt=0, description="frames of one message")
    ledger_messages: int = Field(default=4096, gt=0)
    ledger_bytes: Size = Field(default=2 * 1024 * 1024, gt=0)
    write_high_water: Size = Field(default=64 * 1024, gt=0)
    close_timeout: Duration = Field(default=10.0, gt=0)
    valve_queue: int = Field(default=256, gt=0, description="messages that wait for an async valve")
    valve_timeout: Duration = Field(
        default=10.0, gt=0, description="bound of one call of an async valve"
    )

    def for_plugins(self) -> Limits:
        """Return the part that plugins work within."""
        return Limits(
            max_message_size=self.max_message_size,
            max_fragments=self.max_fragments,
            ledger_messages=self.ledger_messages,
            ledger_bytes=self.ledger_bytes,
            write_high_water=self.write_high_water,
            close_timeout=self.close_timeout,
        )


class GatewayConfig(Options):
    """The whole configuration."""

    server: ServerOptions = ServerOptions()
    upstream: UpstreamOptions
    valves: tuple[ValveEntry, ...] = ()
    listeners: tuple[ComponentEntry, ...] = ()
    gates: tuple[ComponentEntry, ...] = ()
    failover: FailoverOptions = FailoverOptions()
    drain: DrainOptions = DrainOptions()
    limits: LimitOptions = LimitOptions()
