"""Hosts that clients ask for, and patterns for them."""

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


def normal_host(field: str) -> str:
    """Return the host of a `Host` header's value as patterns are matched against it.

    In small letters, without the port and without the dot that may end a full name.
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
        host: in its normal form.
        subdomains: whether hosts below `host` are meant, at any depth, and not `host`.
    """

    host: str
    subdomains: bool = False

    @classmethod
    def parse(cls, value: object) -> HostPattern:
        """Read `chat.example.com`, `*.example.com`, `192.0.2.1` or `[2001:db8::1]`.

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
        """Tell whether a host, as `normal_host` returns it, is meant."""
        if self.subdomains:
            return host.endswith(f".{self.host}") and host[0] != "."
        return host == self.host


def _normal_address(bracketed: str) -> str:
    if not bracketed.endswith("]"):
        raise ValueError("no bracket at its end")
    return f"[{IPv6Address(bracketed[1:-1])}]"
