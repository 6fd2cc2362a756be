"""The clients' request, which reaches the drilled route."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit, urlunsplit

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.http11 import USER_AGENT
from websockets.uri import parse_uri

from wsgw_core.api import ConfigurationError, PathPattern, normal_path
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.patterns import HostPattern, normal_host
from wsgw_core.config.route_options import ANY_VALUE, RouteOptions
from wsgw_core.masking import masked_text

_WORD = "drill"  # stands for the open parts of a pattern
_SEGMENTS: tuple[list[str], ...] = (
    [_WORD],
    [_WORD, _WORD],
    [],
)  # for `**`, in case an earlier route takes the first ones
_UNESCAPED = "/%:@!$&'()*+,;=~"  # RFC 3986 section 3.3


@dataclass(frozen=True)
class Request:
    """The differences of an opening handshake from one for the gateway's URL.

    path: with its query; empty: the URL's.
    host: for `Host`, with an optional port; empty: the URL's.
    headers: in addition to those of every handshake.
    """

    path: str = ""
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def uri(self, url: str) -> str:
        """Returns the URI of the request; the connection still goes to the gateway's host."""
        parts = urlsplit(url)
        if self.path:
            path, _, query = self.path.partition("?")
            parts = parts._replace(path=path, query=query)
        if self.host:
            user, at, _ = parts.netloc.rpartition("@")
            parts = parts._replace(netloc=f"{user}{at}{self.host}")
        return urlunsplit(parts)

    def as_sent(self, url: str) -> tuple[str, Headers]:
        """Returns the target and all headers of the request to the gateway at a URL."""
        request = ClientProtocol(parse_uri(self.uri(url))).connect()
        request.headers.update(self.headers)
        request.headers.setdefault("User-Agent", USER_AGENT)
        return request.path, request.headers

    def shown(self, url: str) -> str:
        """Returns the request as text, without secrets."""
        path, headers = self.as_sent(url)
        text = f"{masked_text(path)} at host {headers['Host']}"
        names = ", ".join(dict.fromkeys(name for name, _ in self.headers))
        return f"{text} with {names}" if names else text


def chosen_route(config: GatewayConfig, name: str | None) -> RouteOptions | None:
    """Returns the route to drill; None: the gateway has none.

    Args:
        config: the gateway's.
        name: the route's id; None: the only one.

    Raises:
        ConfigurationError: the route does not exist, or there are several and no name.
    """
    known = {route.id: route for route in config.routes}
    if name is None and len(known) <= 1:
        return next(iter(known.values()), None)
    if name in known:
        return known[name]
    names = ", ".join(known)
    if name is None:
        raise ConfigurationError(f"routes: choose one of them with --route: {names}")
    known_ones = f"; the routes are: {names}" if names else ": the file has no routes"
    raise ConfigurationError(f"unknown route {name!r}{known_ones}")


def request_for(route: RouteOptions, config: GatewayConfig, url: str, given: Request) -> Request:
    """Returns a request that reaches a route.

    Args:
        route: the route.
        config: the gateway's; earlier routes can take a request.
        url: of the gateway.
        given: what the user has set; the rest follows from the route's conditions.

    Raises:
        ConfigurationError: no such request was found.
    """
    candidates = [_with_headers(route, url, each) for each in _made_up(route, given)]
    taken_by = [_route_of(config, url, each) for each in candidates]
    for request, taker in zip(candidates, taken_by, strict=True):
        if taker is route:
            return request
    taker = taken_by[0]
    whose = "no route" if taker is None else f"route {taker.id}"
    raise ConfigurationError(
        f"a request for {candidates[0].shown(url)} reaches {whose}, not route {route.id};"
        " set --path, --host or --header to reach it"
    )


def _route_of(config: GatewayConfig, url: str, request: Request) -> RouteOptions | None:
    target, headers = request.as_sent(url)
    path, host = normal_path(target), normal_host(headers["Host"])
    return next((each for each in config.routes if each.matches(path, host, headers)), None)


def _made_up(route: RouteOptions, given: Request) -> Iterator[Request]:
    paths = [given.path]
    if not given.path and route.paths:
        paths = [path for pattern in route.paths for path in _paths_of(pattern)]
    hosts = [given.host]
    if not given.host and route.hosts:
        hosts = [_host_of(pattern) for pattern in route.hosts]
    for path, host in itertools.product(paths, hosts):
        yield replace(given, path=path, host=host)


def _paths_of(pattern: PathPattern) -> Iterator[str]:
    for several in _SEGMENTS:
        segments: list[str] = []
        for segment in str(pattern).split("/")[1:]:
            segments += several if segment == "**" else [segment.replace("*", _WORD)]
        decoded = normal_path("/" + "/".join(segments))
        yield quote(decoded, safe=_UNESCAPED)
        if "**" not in str(pattern):
            return


def _host_of(pattern: HostPattern) -> str:
    return f"{_WORD}.{pattern.host}" if pattern.subdomains else pattern.host


def _with_headers(route: RouteOptions, url: str, request: Request) -> Request:
    _, sent = request.as_sent(url)
    missing = tuple(
        (name, _WORD if value == ANY_VALUE else value)
        for name, value in route.headers.items()
        if name not in sent
    )
    return replace(request, headers=(*request.headers, *missing))
