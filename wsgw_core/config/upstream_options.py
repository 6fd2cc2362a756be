"""The backends, and whatever else a plugin provides."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from ..api import Duration, Options
from .address import id_from_address
from .names import Name

DEFAULT_BREAKER_THRESHOLD = 10

Policy = Literal["round-robin", "least-connections"]


class Entry(Options):
    """One backend, valve, listener or gate: the kind's plugin checks the keys not named here."""

    model_config = ConfigDict(extra="allow")

    kind: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The keys meant for the plugin."""
        return dict(self.__pydantic_extra__ or {})


_DISCOVERED = "dns+"
_HOST_AND_PORT = re.compile(r"[^/:@\s]+:\d+(?:/.*)?\Z")


def before_fields(url: str) -> str:
    """Return a URL up to the first field of a template; see UrlTemplate."""
    brace = url.find("{", url.rfind("@") + 1)  # a password may have one
    return url if brace < 0 else url[:brace]


def _check_host_and_port(url: str) -> None:
    try:
        login, at, several = urlsplit(before_fields(url)).netloc.rpartition("@")
        each = [urlsplit(f"//{login}{at}{one}") for one in several.split(",")]
        hosts = [(parts.hostname or "", parts.port) for parts in each]
    except ValueError:  # whose text may hold half of a password
        raise ValueError(
            "not a URL such as ws://host:port; in a user's name or password, what is neither letter"
            " nor digit is written as %2F and the like"
        ) from None
    try:
        for host, _ in hosts:
            host.encode("idna")
    except UnicodeError:
        raise ValueError(
            "no name of a host: a part between dots is empty or longer than 63 characters"
        ) from None


class BackendEntry(Entry):
    """One backend. Its kind is `kind` or the scheme of `url`; without an id the URL gives one.

    A URL that begins with `dns+` stands for a backend at each address of its host's name.
    """

    id: Name | None = None
    url: str | None = None
    breaker_threshold: int = Field(
        default=DEFAULT_BREAKER_THRESHOLD,
        description="failures in a row after which the backend is left alone for a while; negative:"
        " never",
    )
    priority: int = Field(
        default=1,
        ge=1,
        description="backends of a higher number are used only when none of a lower one can be had",
    )
    weight: int = Field(
        default=1,
        ge=1,
        description="its share of the sessions among backends of its `priority`: one with 3 gets"
        " three times as many as one with 1",
    )

    @field_validator("url")
    @classmethod
    def _is_one_url(cls, url: str | None) -> str | None:
        if url is not None and any(map(str.isspace, url)):
            raise ValueError("a URL has no spaces; BE_URLS separates several by commas")
        if url is not None and _HOST_AND_PORT.match(url):
            raise ValueError("no scheme, such as ws://host:port")
        if url is not None:
            _check_host_and_port(url)
        return url

    @field_validator("breaker_threshold")
    @classmethod
    def _not_zero(cls, threshold: int) -> int:
        if threshold == 0:
            raise ValueError("a number above 0, or a negative one for no breaker")
        return threshold

    @model_validator(mode="after")
    def _identify(self) -> BackendEntry:
        if self.url is not None and not self.scheme:
            # Without the URL, which may hold a password that cannot be told apart.
            raise ValueError("'url' needs a scheme, such as ws://host:port")
        if not self.kind and not self.scheme:
            found = sorted({*self.model_fields_set, *self.options})
            has = f"has only {', '.join(map(repr, found))}" if found else "is empty"
            raise ValueError(f"needs 'url', or 'kind' and 'id'; it {has}")
        if not self.effective_id:
            why = "'url' names no host" if self.url else "there is no 'url'"
            raise ValueError(f"needs an 'id', since {why} to make one of")
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
        parts = urlsplit(before_fields(self.url or ""))
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
        return self.id or id_from_address(before_fields(self.url or ""))


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

    policy: Policy = Field(
        default="round-robin",
        description="which backend a session gets: each in its turn, or the one with the fewest"
        " connections",
    )
    backends: tuple[BackendEntry, ...] = Field(
        default=(),
        min_length=1,
        description="the backends; at least one, unless each of the `routes` has its own",
    )
    resolve_interval: Duration = Field(
        default=5.0,
        gt=0,
        description="pause between two looks at the addresses of a name (`dns+ws://name:port`);"
        " also the bound of one look",
    )
    resolve_hold: Duration = Field(
        default=30.0,
        description="how long an address may be missing from the answers for a name until its"
        " backend is drained; also how long the last known addresses of a name are used that is not"
        " known any more",
    )
    resolve_timeout: Duration = Field(
        default=1.5,
        gt=0,
        description="how long a dial waits for the addresses of a name that has none yet; keep it"
        " below `failover.hedge-after`. A name with known addresses is waited for 500 ms at most",
    )
