"""What the clients ask for: a request that reaches the route that is drilled."""

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
from wsgw_core.config.host_pattern import HostPattern, normal_host
from wsgw_core.config.route_options import ANY_VALUE, RouteOptions
from wsgw_core.masking import masked_text

_WORD = "drill"  # for what a pattern leaves open
_SEGMENTS: tuple[list[str], ...] = (
    [_WORD],
    [_WORD, _WORD],
    [],
)  # for `**`, if an earlier route takes the first
_UNESCAPED = "/%:@!$&'()*+,;=~"  # RFC 3986 section 3.3


@dataclass(frozen=True)
class Request:
    """An opening handshake, as far as it differs from one for the gateway's URL.

    Attributes:
        path: with its query; empty: that of the URL.
        host: for `Host`, with its port if it is to have one; empty: that of the URL.
        headers: beside those that every handshake has.
    """

    path: str = ""
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def uri(self, url: str) -> str:
        """Returns what is asked for at the gateway's URL; it is at that URL's host all the same."""
        parts = urlsplit(url)
        if self.path:
            path, _, query = self.path.partition("?")
            parts = parts._replace(path=path, query=query)
        if self.host:
            user, at, _ = parts.netloc.rpartition("@")
            parts = parts._replace(netloc=f"{user}{at}{self.host}")
        return urlunsplit(parts)

    def as_sent(self, url: str) -> tuple[str, Headers]:
        """Returns the target and all headers of the request to a gateway at a URL."""
        request = ClientProtocol(parse_uri(self.uri(url))).connect()
        request.headers.update(self.headers)
        request.headers.setdefault("User-Agent", USER_AGENT)
        return request.path, request.headers

    def shown(self, url: str) -> str:
        """Returns it for people, without what may be a secret."""
        path, headers = self.as_sent(url)
        text = f"{masked_text(path)} at host {headers['Host']}"
        names = ", ".join(dict.fromkeys(name for name, _ in self.headers))
        return f"{text} with {names}" if names else text


def chosen_route(config: GatewayConfig, name: str | None) -> RouteOptions | None:
    """Returns the route to drill; None: the gateway has none.

    Args:
        config: of the gateway.
        name: the route's id; it may be left out where there is no choice.

    Raises:
        ConfigurationError: there is no such route, or several and no name.
    """
    known = {route.id: route for route in config.routes}
    if name is None and len(known) <= 1:
        return next(iter(known.values()), None)
    if name in known:
        return known[name]
    names = ", ".join(known)
    if name is None:
        raise ConfigurationError(f"routes: choose the one that is drilled by --route: {names}")
    known_ones = f"; there are: {names}" if names else ": the file has no routes"
    raise ConfigurationError(f"there is no route {name!r}{known_ones}")


def request_for(route: RouteOptions, config: GatewayConfig, url: str, given: Request) -> Request:
    """Returns a request that reaches a route.

    Args:
        route: which.
        config: of the gateway; routes before this one can stand in the way.
        url: where the gateway listens.
        given: what has been decided already; the rest is made up from the route's conditions.

    Raises:
        ConfigurationError: there is no such request, or it takes more invention.
    """
    candidates = [_with_headers(route, url, each) for each in _made_up(route, given)]
    taken_by = [_route_of(config, url, each) for each in candidates]
    for request, taker in zip(candidates, taken_by, strict=True):
        if taker is route:
            return request
    taker = taken_by[0]
    whose = "no route" if taker is None else f"route {taker.id}"
    raise ConfigurationError(
        f"a request for {candidates[0].shown(url)} is for {whose}, not for route {route.id}:"
        " give --path, --host or --header so that clients reach that"
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
