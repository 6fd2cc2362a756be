"""What can be configured for a backend of kind `http`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    model_validator,
)

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
    read_parsed,
)

from .error_rules import ErrorRule
from .fixed_headers import check_answer_name, check_name, check_passed_name, check_value, headers_in
from .signatures import keys_in, signing_key
from .statuses import Statuses

_SCHEME = re.compile(r"https?://")
_BASE_URL = re.compile(r"[\x21-\x7e]+")
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}( *;[\x20-\x7e]*)?")
_FEW_BYTES = 24  # of a key: the minimum of Standard Webhooks
_RETRY = frozenset({408, 425, 429, 502, 503, 504})


def _without_success(statuses: frozenset[int]) -> frozenset[int]:
    if success := sorted(status for status in statuses if 200 <= status < 300):
        raise ValueError(f"{success[0]} is the status of a delivered message")
    return statuses


def _check_url(url: UrlTemplate) -> UrlTemplate:
    text = str(url)
    if _SCHEME.match(text) is None:
        raise ValueError("not a URL such as https://host:port/path")
    if not text.isascii():
        raise ValueError("has non-ASCII characters; write %C3%BC for ü, and xn--... for a host")
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise ValueError("has a user name; set Authorization in 'headers' instead")
    return url


def _check_secret(secret: SecretStr) -> SecretStr:
    signing_key(secret.get_secret_value())
    return secret


def _check_base_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid or parts.query or parts.fragment or _BASE_URL.fullmatch(url) is None:
        raise ValueError("not a URL such as http://gateway:8081")
    if "@" in parts.netloc:
        raise ValueError("has a user name; remove it, the application sends its own token")
    return url.rstrip("/")


def _parse_event_url(value: Any) -> UrlTemplate | Literal[False] | None:
    if value is None or isinstance(value, bool):
        return False if value is False else None
    if isinstance(value, UrlTemplate):
        return _check_url(value)
    if not isinstance(value, str) or _SCHEME.match(value) is None:
        raise ValueError("neither `false` nor a URL such as https://host:port/path")
    return _check_url(UrlTemplate(value))


def _event_url_text(url: UrlTemplate | Literal[False] | None) -> str | Literal[False] | None:
    return str(url) if isinstance(url, UrlTemplate) else url


def _check_media_type(text: str) -> str:
    if _MEDIA_TYPE.fullmatch(text) is None:
        raise ValueError("not a media type such as application/json")
    return text


HttpUrl = Annotated[UrlTemplate, AfterValidator(_check_url)]
EventUrl = Annotated[
    UrlTemplate | Literal[False] | None,
    PlainValidator(_parse_event_url, json_schema_input_type=UrlTemplate | bool | None),
    PlainSerializer(_event_url_text, when_used="json"),
]
PassedHeader = Annotated[HeaderName, AfterValidator(check_passed_name)]
AnswerHeader = Annotated[HeaderName, AfterValidator(check_answer_name)]
MediaType = Annotated[str, AfterValidator(_check_media_type)]
SigningSecret = Annotated[SecretStr, AfterValidator(_check_secret)]


class EventOptions(Options):
    """The URL of each kind of event."""

    connect: EventUrl = Field(
        default=None,
        description="URL of connect events; none: `url`. `false`: no connect events, and every"
        " client is accepted",
    )
    message: HttpUrl | None = Field(default=None, description="URL of messages; none: `url`")
    disconnect: EventUrl = Field(
        default=None,
        description="URL of disconnect events; none: `url`. `false`: no disconnect events",
    )


class ContentTypeOptions(Options):
    """The media types of what clients send."""

    text: MediaType = Field(
        default="text/plain; charset=utf-8",
        description="`Content-Type` of text messages",
    )
    binary: MediaType = Field(
        default="application/octet-stream",
        description="`Content-Type` of binary messages",
    )


class HealthOptions(Options):
    """The request of a health check."""

    method: Literal["OPTIONS", "GET", "HEAD"] = Field(
        default="OPTIONS", description="method of a health check"
    )
    path: str = Field(
        default="/", pattern=r"^/[\x21\x22\x24-\x7e]*$", description="path of a health check"
    )
    statuses: Statuses = Field(
        default=frozenset(range(200, 500)), description="statuses of a healthy backend"
    )


class HttpSettings(Options):
    """One web application."""

    url: HttpUrl = Field(description="URL for events; a template: `{path}` is the client's path")
    pass_query: bool = Field(
        default=False,
        description="append the client's query, which may hold a token, to the URLs",
    )
    events: EventOptions = EventOptions()
    method: Literal["POST", "PUT"] = Field(default="POST", description="method of messages")
    content_type: ContentTypeOptions = ContentTypeOptions()
    pass_headers: tuple[PassedHeader, ...] = Field(
        default=(), description="headers of the client's handshake to send with each request"
    )
    pass_answer_headers: tuple[AnswerHeader, ...] = Field(
        default=(), description="headers of the answer to the connect event that the client gets"
    )
    headers: dict[str, str] = Field(
        default={}, description="headers to send with each request, such as `Authorization`"
    )
    headers_file: FileName | None = Field(
        default=None,
        description="file with more such headers, one line `Name: value` for each; read again when"
        " it changes",
    )
    signing_secrets: tuple[SigningSecret, ...] = Field(
        default=(),
        description="secrets of Standard Webhooks (`whsec_...`); wsgw signs each request with all"
        " of them",
    )
    signing_secrets_file: FileName | None = Field(
        default=None,
        description="file with one secret on each line, instead of `signing-secrets`; read again"
        " when it changes",
    )
    cloudevents: bool = Field(
        default=True, description="make each request a CloudEvent (`ce-...` headers)"
    )
    subprotocols: Subprotocols = Field(
        default=Subprotocols("first"),
        description="the subprotocol of a session if the answer to the connect event names none",
    )
    concurrency: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="maximum number of messages of one session in flight; replies keep their order"
        " in any case",
    )
    request_timeout: Duration = Field(
        default=30.0,
        gt=0,
        description="maximum time until an answer is complete; for an event stream, until its"
        " headers arrive",
    )
    connect_timeout: Duration = Field(default=5.0, gt=0, description="maximum time to connect")
    retries: int = Field(
        default=2,
        ge=0,
        le=100,
        description="retries of a message; after the last one the session moves to another backend,"
        " or is closed if the application fails on this message",
    )
    retry_backoff: Duration = Field(
        default=0.1, gt=0, description="pause before the first retry; it doubles with each retry"
    )
    max_retry_backoff: Duration = Field(
        default=5.0, gt=0, description="maximum pause between two attempts"
    )
    max_retry_after: Duration = Field(
        default=30.0, description="maximum pause that the application can demand by `Retry-After`"
    )
    retry_statuses: Annotated[Statuses, AfterValidator(_without_success)] = Field(
        default=_RETRY, description="statuses that mean that the application is unavailable"
    )
    on_error: tuple[ErrorRule, ...] = Field(
        default=(),
        description="what other statuses mean; the first rule that has the status decides",
    )
    max_response: Annotated[Size, Field(gt=0)] | None = Field(
        default=None,
        description="maximum decoded bytes of an answer, of a line or of an event; none, and at"
        " most: `limits.max-message-size`",
    )
    max_streams: int = Field(
        default=4,
        ge=1,
        le=1000,
        description="maximum number of event streams of one session; one more ends the oldest",
    )
    max_connections: int = Field(
        default=1000,
        ge=1,
        description="maximum number of connections to this backend; event streams get at most this"
        " minus `max-connections-per-host`",
    )
    max_connections_per_host: int = Field(
        default=200,
        ge=1,
        description="maximum number of requests to one host in flight; more wait for their turn",
    )
    keep_alive: Duration = Field(
        default=15.0, gt=0, description="keep an unused connection for this long"
    )
    state_bytes: Size = Field(
        default=4 * 1024,
        le=64 * 1024,
        description="maximum bytes of state that wsgw keeps for the application in each session;"
        " `0`: none",
    )
    push_url: Annotated[str, AfterValidator(_check_base_url)] | None = Field(
        default=None,
        description="URL of this gateway's admin API, sent to the application in `X-Wsgw-Push`",
    )
    disconnect_retries: int = Field(
        default=5, ge=0, le=100, description="retries of a disconnect event"
    )
    disconnect_patience: Duration = Field(
        default=60.0,
        gt=0,
        description="give up these retries this long after the end of the session",
    )
    disconnect_rate: float = Field(
        default=200.0, gt=0, description="maximum number of disconnect events a second"
    )
    allow_private: bool | None = Field(
        default=None,
        description="whether wsgw may connect to addresses that are not public; none: only if no"
        " field of a URL template determines the host",
    )
    health: HealthOptions = HealthOptions()
    tls: TlsClientOptions | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.signing_secrets and self.signing_secrets_file:
            raise ValueError("'signing-secrets' and 'signing-secrets-file' are both set")
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
        """The URL templates in use."""
        events = (self.events.connect, self.events.message, self.events.disconnect)
        given = tuple(url for url in events if isinstance(url, UrlTemplate))
        return given if len(given) == 3 else (self.url, *given)

    @property
    def private_is_allowed(self) -> bool:
        """Whether wsgw may connect to addresses that are not public."""
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
                    read_parsed(file, parse)
            except ValueError as error:
                yield key, str(error)

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options."""
        if self.max_response is not None and self.max_response > limits.max_message_size:
            yield "max-response", "has no effect above limits.max-message-size"
        keys = (signing_key(each.get_secret_value()) for each in self.signing_secrets)
        if any(len(key) < _FEW_BYTES for key in keys):
            yield "signing-secrets", f"a secret is shorter than {_FEW_BYTES} bytes; use more"
