"""Patterns for the hosts that clients request, and for the origins of pages (RFC 6454)."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address

_NAME = re.compile(r"(?P<any>\*\.)?(?P<host>[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?)\.?")
_NO_HOST = (
    "not a host such as chat.example.com, *.example.com, 192.0.2.1 or [2001:db8::1]"
    " (no scheme, no port; write non-ASCII letters as xn--...)"
)
_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.\-]*)://(?P<any>\*\.)?([a-z0-9._\-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?"
)
_LITERALS = ("null", "file://")  # sent by sandboxes and by pages without a host
_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


def normal_host(field: str) -> str:
    """Returns the host of a `Host` header in the form that patterns match.

    The form is lower case, without the port and without a trailing dot.
    """
    text = field.lower()
    if not text.startswith("["):
        return text.partition(":")[0].removesuffix(".")
    address = text.partition("]")[0] + "]"
    with suppress(ValueError):
        return _normal_address(address)
    return address


@dataclass(frozen=True, slots=True)
class HostPattern:
    """One host, or all hosts below one.

    Attributes:
        host: the host in its normal form.
        subdomains: whether the pattern means all hosts below `host`, and not `host` itself.
    """

    host: str
    subdomains: bool = False

    @classmethod
    def parse(cls, value: object) -> HostPattern:
        """Reads `chat.example.com`, `*.example.com`, `192.0.2.1` or `[2001:db8::1]`.

        Raises:
            ValueError: anything else.
        """
        if isinstance(value, cls):
            return value
        small = value.strip().lower() if isinstance(value, str) else ""
        if small.startswith("["):
            try:
                return cls(_normal_address(small))
            except ValueError:
                raise ValueError(_NO_HOST) from None
        match = _NAME.fullmatch(small)
        if match is None:
            raise ValueError(_NO_HOST)
        return cls(match["host"], match["any"] is not None)

    def __str__(self) -> str:
        return f"*.{self.host}" if self.subdomains else self.host

    def matches(self, host: str) -> bool:
        """Returns whether the pattern matches a host, as returned by `normal_host`."""
        if self.subdomains:
            return host.endswith(f".{self.host}") and host[0] != "."
        return host == self.host


@dataclass(frozen=True, slots=True)
class OriginPattern:
    """One origin, or all hosts below one.

    Attributes:
        scheme, host, port: the parts in their normal form; a literal is its own scheme.
        subdomains: whether the pattern means all hosts below `host`, and not `host` itself.
    """

    scheme: str
    host: str = ""
    port: str = ""
    subdomains: bool = False

    @classmethod
    def parse(cls, value: object) -> OriginPattern:
        """Reads `https://app.example`, `https://*.example.com:8443`, or `null`.

        Raises:
            ValueError: anything else.
        """
        if isinstance(value, cls):
            return value
        small = str(value).strip().lower()
        if small in _LITERALS:
            return cls(small)
        match = _ORIGIN.fullmatch(small)
        if match is None:
            raise ValueError(
                "not an origin such as https://app.example, https://app.example:8443,"
                ' https://*.example.com or "null" (no path; an empty list allows all)'
            )
        scheme, host, port = match[1], match[3], match[4]
        port = port.lstrip("0") if port else _DEFAULT_PORTS.get(scheme, "")
        return cls(scheme, host, port, match["any"] is not None)

    def __str__(self) -> str:
        if self.scheme in _LITERALS:
            return self.scheme
        port = "" if self.port == _DEFAULT_PORTS.get(self.scheme, "") else f":{self.port}"
        return f"{self.scheme}://{'*.' if self.subdomains else ''}{self.host}{port}"

    def matches(self, origin: OriginPattern) -> bool:
        """Returns whether the pattern matches one origin."""
        if not self.subdomains:
            return origin == self
        same = (origin.scheme, origin.port) == (self.scheme, self.port)
        return same and origin.host.endswith(f".{self.host}")


def _normal_address(bracketed: str) -> str:
    if not bracketed.endswith("]"):
        raise ValueError("no bracket at its end")
    return f"[{IPv6Address(bracketed[1:-1])}]"
