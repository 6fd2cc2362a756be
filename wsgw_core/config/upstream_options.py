"""The options of backends and health checks, and entries for plugins."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from ..api import Duration, Options
from .address import id_from_address
from .names import Name

DEFAULT_BREAKER_THRESHOLD = 10


class Entry(Options):
    """One backend, valve, listener, gate or policy; its plugin checks all other keys."""

    model_config = ConfigDict(extra="allow")

    kind: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The keys for the plugin."""
        return dict(self.__pydantic_extra__ or {})


_DISCOVERED = "dns+"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,30})://")
_HOST_AND_PORT = re.compile(r"[^/:@\s]+:\d+(?:/.*)?\Z")


def before_fields(url: str) -> str:
    """Returns a URL up to the first template field; see UrlTemplate."""
    brace = url.find("{", url.rfind("@") + 1)  # a password may have one
    return url if brace < 0 else url[:brace]


def _scheme(url: str) -> str:
    match = _SCHEME.match(url)
    return match[1] if match is not None else "ws"


def _check_host_and_port(url: str) -> None:
    try:
        login, at, several = urlsplit(before_fields(url)).netloc.rpartition("@")
        each = [urlsplit(f"//{login}{at}{one}") for one in several.split(",")]
        hosts = [(parts.hostname or "", parts.port) for parts in each]
    except ValueError:  # its text may contain part of a password
        raise ValueError(
            f"not a URL such as {_scheme(url)}://host:port; in a user's name or password, write"
            " characters other than letters and digits as %2F and the like"
        ) from None
    try:
        for host, _ in hosts:
            host.encode("idna")
    except UnicodeError:
        raise ValueError(
            "not a host name: a part between dots is empty or longer than 63 characters"
        ) from None


class BackendEntry(Entry):
    """One backend. Its kind is `kind` or the scheme of `url`; the default id is made from the URL.

    A URL that begins with `dns+` stands for a backend at each address of its host's name.
    """

    id: Name | None = None
    url: str | None = None
    breaker_threshold: int = Field(
        default=DEFAULT_BREAKER_THRESHOLD,
        description="skip the backend for a while after this many failures in a row; negative:"
        " never",
    )
    priority: int = Field(
        default=1,
        ge=1,
        description="backends with a higher number are used only when none with a lower one is"
        " available",
    )
    weight: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="share of the sessions among backends of the same `priority`: a backend with 3"
        " gets three times as many as one with 1",
    )

    @field_validator("url")
    @classmethod
    def _is_one_url(cls, url: str | None) -> str | None:
        if url is not None and any(map(str.isspace, url)):
            raise ValueError("a URL has no spaces; BE_URLS separates URLs with commas")
        if url is not None and not url.isprintable():
            raise ValueError("a URL has no control characters or other invisible characters")
        if url is not None and _HOST_AND_PORT.match(url):
            raise ValueError("the scheme is missing; write for example ws://host:port")
        if url is not None:
            _check_host_and_port(url)
        return url

    @field_validator("breaker_threshold")
    @classmethod
    def _not_zero(cls, threshold: int) -> int:
        if threshold == 0:
            raise ValueError("use a number above 0, or a negative number for no breaker")
        return threshold

    @model_validator(mode="after")
    def _identify(self) -> BackendEntry:
        if self.url is not None and not self.scheme:
            # Does not show the URL, which may contain a password.
            raise ValueError("'url' needs a scheme; write for example ws://host:port")
        if not self.kind and not self.scheme:
            found = sorted({*self.model_fields_set, *self.options})
            has = f"has only {', '.join(map(repr, found))}" if found else "is empty"
            raise ValueError(f"needs 'url', or 'kind' and 'id'; it {has}")
        if not self.effective_id:
            why = "'url' names no host" if self.url else "there is no 'url'"
            raise ValueError(f"needs an 'id', because {why} to make one from")
        if self.discovered and None in self.name_to_resolve:
            raise ValueError("'url' needs a name and a port; write for example dns+ws://name:port")
        return self

    @property
    def discovered(self) -> bool:
        """Whether the entry stands for all addresses of a DNS name."""
        return self.url is not None and self.url.startswith(_DISCOVERED)

    @property
    def plain_url(self) -> str | None:
        """The URL without `dns+`, for the plugin."""
        return self.url.removeprefix(_DISCOVERED) if self.url else None

    @property
    def name_to_resolve(self) -> tuple[str | None, int | None]:
        """The host and the port of the URL."""
        parts = urlsplit(before_fields(self.url or ""))
        return parts.hostname, parts.port

    @property
    def scheme(self) -> str | None:
        """The scheme of the URL without `dns+`."""
        url = self.plain_url
        return urlsplit(url).scheme if url and "://" in url else None

    @property
    def kind_or_scheme(self) -> str:
        """The name under which a plugin must be registered."""
        return self.kind or self.scheme or ""

    @property
    def effective_id(self) -> str:
        """The given id, or the one made from the URL."""
        return self.id or id_from_address(before_fields(self.url or ""))


class ValveEntry(Entry):
    """One valve of the chain."""

    kind: str
    on_error: Literal["close", "discard"] = "close"


class PluginEntry(Entry):
    """One listener or gate."""

    kind: str


class PolicyEntry(Entry):
    """A policy; `hash` alone stands for `{kind: hash}`."""

    kind: str = Field(
        default="round-robin",
        description="`round-robin`, `least-connections`, `random-two`, `hash`, or the kind of a"
        " plugin",
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        return {"kind": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _name_it(self) -> PolicyEntry:
        if self.options and "kind" not in self.model_fields_set:
            keys = ", ".join(map(repr, sorted(self.options)))
            raise ValueError(f"needs 'kind', such as hash; it has only {keys}")
        return self


class HealthOptions(Options):
    """Probes of backends without a session."""

    interval: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None, description="pause between two probes of a backend; none: no probes"
    )
    timeout: Duration = Field(default=5.0, gt=0, description="maximum time of one probe")
    unhealthy_after: int = Field(
        default=2,
        ge=1,
        description="failed probes in a row after which a backend is tried only after all others",
    )
    healthy_after: int = Field(
        default=1, ge=1, description="good probes in a row after which it counts as healthy again"
    )


class UpstreamOptions(Options):
    """The backends."""

    health: HealthOptions = HealthOptions()

    policy: PolicyEntry = PolicyEntry()
    failback: bool = Field(
        default=False,
        description="sessions on a backend with a higher `priority` number return to one with a"
        " lower number, as planned moves at `drain.rate`; in the groups of routes too",
    )
    failback_after: Duration = Field(
        default=30.0,
        gt=0,
        description="how long such a backend must have been healthy without a break before sessions"
        " return to it; also the minimum time a session stays before it returns",
    )
    backends: tuple[BackendEntry, ...] = Field(
        default=(),
        min_length=1,
        description="the backends; at least one, unless each of the `routes` has its own",
    )
    resolve_interval: Duration = Field(
        default=5.0,
        gt=0,
        description="pause between two lookups of a name (`dns+ws://name:port`); also the maximum"
        " time of one lookup",
    )
    resolve_hold: Duration = Field(
        default=30.0,
        description="drain the backend of an address that has been missing from the answers for a"
        " name for this long; also how long the last known addresses of a name are used when the"
        " name no longer exists",
    )
    resolve_timeout: Duration = Field(
        default=1.5,
        gt=0,
        description="maximum wait of a dial for the addresses of a name that has none yet; keep it"
        " below `failover.hedge-after`. With known addresses a dial waits 500 ms at most",
    )
