"""What can be configured for a backend of kind `http`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from wsgw_core.api import (
    Duration,
    FileName,
    HeaderName,
    Limits,
    Options,
    Size,
    Subprotocols,
    TlsClientOptions,
    UrlTemplate,
)

from .error_rules import ErrorRule
from .fixed_headers import check_name, check_value, headers_in
from .signatures import keys_in, signing_key
from .statuses import Statuses
from .watched_file import read_text

_SCHEME = re.compile(r"https?://")
_FEW_BYTES = 24  # of a key; Standard Webhooks asks for as many
_RETRY = frozenset({408, 425, 429, 502, 503, 504})


def _check_url(url: UrlTemplate) -> UrlTemplate:
    text = str(url)
    if _SCHEME.match(text) is None:
        raise ValueError("not a URL such as https://host:port/path")
    if not text.isascii():
        raise ValueError("has other characters than ASCII; write %C3%BC and the like, and xn--...")
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise ValueError("has a user's name in it; give 'headers' an Authorization instead")
    return url


def _check_secret(secret: SecretStr) -> SecretStr:
    signing_key(secret.get_secret_value())
    return secret


def _check_base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("not a URL such as http://gateway:8081")
    return url.rstrip("/")


def _none_for_true(value: Any) -> Any:
    return None if value is True else value


HttpUrl = Annotated[UrlTemplate, AfterValidator(_check_url)]
EventUrl = Annotated[HttpUrl | Literal[False] | None, BeforeValidator(_none_for_true)]
PassedHeader = Annotated[HeaderName, AfterValidator(check_name)]
SigningSecret = Annotated[SecretStr, AfterValidator(_check_secret)]


class EventOptions(Options):
    """Where each kind of event goes."""

    connect: EventUrl = Field(
        default=None,
        description="URL of connect events, without it `url`; `false`: there are none, and every"
        " client is accepted",
    )
    message: HttpUrl | None = Field(default=None, description="URL of messages; without it `url`")
    disconnect: EventUrl = Field(
        default=None,
        description="URL of disconnect events, without it `url`; `false`: there are none",
    )


class ContentTypeOptions(Options):
    """The media types of what clients send."""

    text: str = Field(
        default="text/plain; charset=utf-8",
        pattern=r"^[\x20-\x7e]+$",
        description="`Content-Type` of text messages",
    )
    binary: str = Field(
        default="application/octet-stream",
        pattern=r"^[\x20-\x7e]+$",
        description="`Content-Type` of binary messages",
    )


class HealthOptions(Options):
    """The request of a health check."""

    method: Literal["OPTIONS", "GET", "HEAD"] = Field(
        default="OPTIONS", description="method of a health check"
    )
    path: str = Field(default="/", pattern=r"^/[\x21-\x7e]*$", description="path of a health check")
    statuses: Statuses = Field(
        default=frozenset(range(200, 500)), description="statuses of a healthy backend"
    )


class HttpSettings(Options):
    """One web application."""

    url: HttpUrl = Field(description="where events go; a template: `{path}` is the client's path")
    pass_query: bool = Field(
        default=False,
        description="whether the client's query, which may hold a token, is appended to the URLs",
    )
    events: EventOptions = EventOptions()
    method: Literal["POST", "PUT"] = Field(default="POST", description="method of messages")
    content_type: ContentTypeOptions = ContentTypeOptions()
    pass_headers: tuple[PassedHeader, ...] = Field(
        default=(), description="headers of the client's handshake that each request has"
    )
    pass_answer_headers: tuple[HeaderName, ...] = Field(
        default=(), description="headers of the connect event's answer that the client gets"
    )
    headers: dict[str, str] = Field(
        default={}, description="headers that each request has, such as `Authorization`"
    )
    headers_file: FileName | None = Field(
        default=None,
        description="file with more of them, a line `Name: value` for each; read again when it"
        " changes",
    )
    signing_secrets: tuple[SigningSecret, ...] = Field(
        default=(),
        description="secrets of Standard Webhooks (`whsec_...`); each request is signed with all"
        " of them",
    )
    signing_secrets_file: FileName | None = Field(
        default=None,
        description="file with one of them on each line, in place of `signing-secrets`; read again"
        " when it changes",
    )
    cloudevents: bool = Field(
        default=True, description="whether each request is a CloudEvent (`ce-...` headers)"
    )
    subprotocols: Subprotocols = Field(
        default=Subprotocols("first"),
        description="the subprotocol of a session to whose connect event the answer names none",
    )
    concurrency: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="messages of one session that are under way at a time; replies keep their"
        " order in any case",
    )
    request_timeout: Duration = Field(
        default=30.0,
        gt=0,
        description="until an answer is complete; of an event stream, until its headers have come",
    )
    connect_timeout: Duration = Field(default=5.0, gt=0, description="until a connection is made")
    retries: int = Field(
        default=2,
        ge=0,
        le=100,
        description="further attempts with a message after one that failed; then the session moves"
        " to another backend, or is closed if the application fails on this message",
    )
    retry_backoff: Duration = Field(
        default=0.1, gt=0, description="pause before the first retry; each one after it is doubled"
    )
    max_retry_backoff: Duration = Field(
        default=5.0, gt=0, description="longest pause between two attempts"
    )
    max_retry_after: Duration = Field(
        default=30.0, description="longest pause that the application can ask for by `Retry-After`"
    )
    retry_statuses: Statuses = Field(
        default=_RETRY, description="statuses of an application that is unavailable"
    )
    on_error: tuple[ErrorRule, ...] = Field(
        default=(), description="what other statuses mean; the first rule with a status counts"
    )
    max_response: Annotated[Size, Field(gt=0)] | None = Field(
        default=None,
        description="bytes of an answer, of a line or of an event, decoded; without it, and at"
        " most, `limits.max-message-size`",
    )
    max_streams: int = Field(
        default=4,
        ge=1,
        le=1000,
        description="event streams of one session; one more ends the oldest",
    )
    max_connections: int = Field(
        default=1000,
        ge=1,
        description="connections to this backend, event streams included; those may be"
        " `max-connections` less `max-connections-per-host`",
    )
    max_connections_per_host: int = Field(
        default=200, ge=1, description="requests to one host under way; more wait for their turn"
    )
    keep_alive: Duration = Field(
        default=15.0, gt=0, description="how long an unused connection is kept"
    )
    state_bytes: Size = Field(
        default=4 * 1024,
        le=64 * 1024,
        description="bytes of the state that the application may have kept for a session; `0`:"
        " none is",
    )
    push_url: Annotated[str, AfterValidator(_check_base_url)] | None = Field(
        default=None,
        description="URL of this gateway's admin API, told to the application in `X-Wsgw-Push`",
    )
    disconnect_retries: int = Field(
        default=5, ge=0, le=100, description="further attempts with a disconnect event"
    )
    disconnect_patience: Duration = Field(
        default=60.0, gt=0, description="how long after the end of a session they are made"
    )
    disconnect_rate: float = Field(default=200.0, gt=0, description="disconnect events a second")
    allow_private: bool | None = Field(
        default=None,
        description="whether addresses that are not public may be connected to; without it, only"
        " where no field of a URL decides about the host",
    )
    health: HealthOptions = HealthOptions()
    tls: TlsClientOptions | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.signing_secrets and self.signing_secrets_file:
            raise ValueError("'signing-secrets' is given by 'signing-secrets-file' too")
        for name, value in self.headers.items():
            check_name(name)
            check_value(name, value)
        if self.max_connections <= self.max_connections_per_host:
            raise ValueError("'max-connections' must be above 'max-connections-per-host'")
        secure = [str(url).startswith("https:") for url in self.urls]
        if self.tls is not None and not any(secure):
            raise ValueError("'tls' needs a URL that begins with https://")
        return self

    @property
    def urls(self) -> tuple[UrlTemplate, ...]:
        """The templates that are in use."""
        events = (self.events.connect, self.events.message, self.events.disconnect)
        given = tuple(url for url in events if isinstance(url, UrlTemplate))
        return given if len(given) == 3 else (self.url, *given)

    @property
    def private_is_allowed(self) -> bool:
        """Whether addresses that are not public may be connected to."""
        if self.allow_private is not None:
            return self.allow_private
        return all(url.constant_host is not None for url in self.urls)

    def file_problems(self) -> Iterable[tuple[str, str]]:
        """See Options."""
        for key, file, parse in (
            ("headers-file", self.headers_file, headers_in),
            ("signing-secrets-file", self.signing_secrets_file, keys_in),
        ):
            try:
                if file is not None:
                    parse(read_text(file))
            except ValueError as error:
                yield key, str(error)
        if self.tls is not None:
            for key, problem in self.tls.file_problems():
                yield f"tls.{key}", problem

    def doubts(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options."""
        if self.max_response is not None and self.max_response > limits.max_message_size:
            yield "max-response", "has no effect above limits.max-message-size"
        keys = (signing_key(each.get_secret_value()) for each in self.signing_secrets)
        if any(len(key) < _FEW_BYTES for key in keys):
            yield "signing-secrets", f"a secret is shorter than the {_FEW_BYTES} bytes it should be"
