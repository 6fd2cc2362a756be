"""The gateway's own side."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from ..api import Duration, Options, Size
from ..api.options import HeaderName
from ..websocket import CompressionOptions
from .address import Address, AllowedOrigin, ListenAddress, ProxyNetwork
from .admin_token import AdminToken
from .names import Name
from .server_tls_options import ServerTlsOptions

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
_LoggingLevel = Literal["DEBUG", "INFO", "WARN", "ERROR"]
_LEVELS = {"TRACE": "DEBUG", "WARNING": "WARN", "PANIC": "ERROR", "FATAL": "ERROR"}


def _logging_level(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    level = value.strip().upper()
    level = _LEVELS.get(level, level)
    return level if level in get_args(_LoggingLevel) else value


class FrontendOptions(Options):
    """Where clients connect."""

    id: Name | None = Field(
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
    ping_time: Duration = Field(
        default=30.0,
        description="a client that has been silent for so long is pinged; 0: never",
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
    allow_file_paths: bool = Field(
        default=False,
        description="whether a backend that a call adds may name files of this machine, such as"
        " `tls.ca`. Whoever may call can then have any file read that the gateway can read",
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
        default=64,
        gt=0,
        description="connections at a time; a further one takes the place of the one on which"
        " nothing has been asked for longest, or, when many are busy, of the one that has been so"
        " for longest",
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
    logging_level: Annotated[_LoggingLevel, BeforeValidator(_logging_level)] = "WARN"
