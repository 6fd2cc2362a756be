"""The options of the gateway's frontend, admin API, headers and log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from ..api import Duration, Limits, Options, Size
from ..api.options import HeaderName
from ..websocket import CompressionOptions
from .address import Address, AllowedOrigin, HostName, ListenAddress, ProxyNetwork
from .admin_token import AdminToken
from .names import Name
from .server_tls_options import ServerTlsOptions

_WITHOUT_EFFECT: dict[str, Any] = {"deprecated": True}  # see Options
_BUFFER = Field(
    default=1024,
    description="accepted for wsbalancer's files, without effect: buffers begin small and grow"
    " with the messages; `limits` bounds them",
    json_schema_extra=_WITHOUT_EFFECT,
)

# The names in wsbalancer and in other programs.
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
        description="name for operators; by default made from the address, as for a backend's URL",
    )
    address: ListenAddress = Address("", 8080)
    read_timeout: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description="maximum time for a client to send its request; none:"
        " `limits.handshake-timeout`",
    )
    max_header_bytes: Annotated[Size, Field(gt=0)] | None = Field(
        default=None,
        description="maximum size of the head of a client's request; none:"
        " `limits.max-header-bytes`",
    )
    write_timeout: Duration = Field(
        default=10.0,
        description="accepted for wsbalancer's files, without effect: an answer is a few hundred"
        " bytes, and `limits.close-timeout` closes a client that does not read",
        json_schema_extra=_WITHOUT_EFFECT,
    )
    wite_timeout: Duration = Field(
        default=10.0,
        description="wsbalancer's spelling of `write-timeout`; without effect too",
        json_schema_extra=_WITHOUT_EFFECT,
    )
    keepalive: Literal["per-leg", "end-to-end"] = Field(
        default="per-leg",
        description="who answers the pings of clients: the gateway at once, or their backend, so"
        " that a client notices when no backend serves it",
    )
    ping_time: Duration = Field(
        default=30.0,
        description="ping a client that has been silent for this long; 0: never",
    )
    ping_timeout: Duration = Field(
        default=20.0,
        gt=0,
        description="drop a client from which nothing comes for this long after the ping",
    )
    tls: ServerTlsOptions | None = None
    compression: CompressionOptions = CompressionOptions()
    allowed_origins: tuple[AllowedOrigin, ...] = Field(
        default=(),
        description="sites from which browsers may connect, such as `https://app.example`,"
        " `https://*.example.com` (every host below it) or `null`; none: all. Clients without"
        " `Origin` are not browsers and may always connect",
    )


class AdminOptions(Options):
    """Where operators connect."""

    enabled: bool = Field(default=True, description="`false`: no admin API")
    address: ListenAddress = Address("127.0.0.1", 8081)
    tls: ServerTlsOptions | None = None
    tokens: tuple[AdminToken, ...] = Field(
        default=(),
        description="if there are tokens, every call except health and metrics needs one of them",
    )
    allow_unauthenticated: bool = Field(
        default=False,
        description="without tokens, on an address that other machines can reach: whether every"
        " caller may do everything",
    )
    allowed_hosts: tuple[HostName, ...] = Field(
        default=(),
        description="names, beside addresses and `localhost`, that calls without a token may give"
        " for this gateway in `Host`: `gateway.example`, or `*.example` for every host below it",
    )
    allowed_origins: tuple[AllowedOrigin, ...] = Field(
        default=(),
        description="sites whose pages may call, such as `https://ops.example`, beside pages that"
        " the admin address itself serves",
    )
    allow_file_paths: bool = Field(
        default=False,
        description="whether a call may add a backend that names files of this machine, such as"
        " `tls.ca`. Callers can then make the gateway read any file that it can read",
    )
    read_timeout: Duration = Field(
        default=10.0,
        gt=0,
        description="maximum time for a request to arrive, and for its connection to be idle",
    )
    write_timeout: Duration = Field(
        default=10.0, gt=0, description="maximum time to make and write an answer"
    )
    wite_timeout: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None, description="wsbalancer's spelling of `write-timeout`; takes precedence"
    )
    max_header_bytes: Size = Field(
        default=512 * 1024, gt=0, description="maximum bytes of a request's header"
    )
    max_body_bytes: Size = Field(
        default=64 * 1024, gt=0, description="maximum bytes of a request's body"
    )
    max_connections: int = Field(
        default=64,
        gt=0,
        description="maximum number of connections. When it is reached, close the connection that"
        " has been idle longest; if none is idle, the oldest",
    )

    @model_validator(mode="after")
    def _check_tokens(self) -> AdminOptions:
        names = [token.name for token in self.tokens]
        secrets = [token.token.get_secret_value() for token in self.tokens]
        if len(set(names)) < len(names):
            raise ValueError("two 'tokens' have the same name")
        if len(set(secrets)) < len(secrets):
            raise ValueError("two 'tokens' have the same secret")
        return self

    @property
    def is_open(self) -> bool:
        """Whether every caller may do everything."""
        tls = self.tls
        certified = tls is not None and tls.client_certificates == "required"
        return not self.tokens and (
            self.allow_unauthenticated or certified or self.address.is_loopback
        )

    def warnings(self, limits: Limits) -> Iterator[tuple[str, str]]:
        """See Options."""
        yield from super().warnings(limits)
        if not self.enabled or self.tokens or self.address.is_loopback:
            return
        if self.allow_unauthenticated:
            why = f"everyone who can reach {self.address} controls this gateway"
            yield "allow-unauthenticated", why
        elif not self.is_open:
            why = "other machines can reach this address and no `tokens` are configured"
            yield "address", f"{why}: only health and metrics are served"

    @property
    def answer_timeout(self) -> float:
        """The effective write timeout in seconds."""
        return self.wite_timeout or self.write_timeout


class ServerOptions(Options):
    """The options of the gateway's frontend, admin API, headers and log."""

    frontend: FrontendOptions = FrontendOptions()
    admin: AdminOptions = AdminOptions()
    read_buffer_size: Size = _BUFFER
    write_buffer_size: Size = _BUFFER
    block_headers: tuple[HeaderName, ...] = ()
    reconnect_header: HeaderName = "X-Balancer-Reconnect"
    trusted_proxies: tuple[ProxyNetwork, ...] | None = Field(
        default=None,
        description="networks and addresses of proxies that report who the client is. From them"
        " wsgw extends `X-Forwarded-For` and passes on `X-Forwarded-Proto`, `X-Forwarded-Host` and"
        " the like; from all others it makes them anew. `[]` trusts no proxy",
    )
    trust_received_xff: bool = Field(
        default=True,
        description="without `trusted-proxies`: whether wsgw extends the `X-Forwarded-For` of every"
        " client, or replaces it. Without effect when `trusted-proxies` is set",
    )
    drain_time: Duration = Field(
        default=10.0,
        ge=0,
        description="time over which a stopping gateway closes its clients, so that they do not all"
        " come back at once",
    )
    forwarded: bool = Field(
        default=False,
        description="also send `Forwarded` (RFC 7239) to backends",
    )
    enable_instrumentation: bool = Field(
        default=False,
        description="also show wsbalancer's metrics, under their names",
    )
    logging_format: Literal["console", "json"] = Field(
        default="console", description="one line for each record for people, or one JSON object"
    )
    logging_level: Annotated[_LoggingLevel, BeforeValidator(_logging_level)] = "WARN"
