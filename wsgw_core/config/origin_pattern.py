"""The site that a page comes from (RFC 6454), or a pattern for such sites."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.\-]*)://(?P<any>\*\.)?([a-z0-9._\-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?"
)
_LITERALS = ("null", "file://")  # what sandboxes and pages without a host send
_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


@dataclass(frozen=True, slots=True)
class OriginPattern:
    """One origin, or the hosts below one.

    Attributes:
        scheme, host, port: in their normal form; a literal is its own scheme.
        subdomains: whether hosts below `host` are meant, and not `host`.
    """

    scheme: str
    host: str = ""
    port: str = ""
    subdomains: bool = False

    @classmethod
    def parse(cls, value: object) -> OriginPattern:
        """Read `https://app.example`, `https://*.example.com:8443`, or `null`.

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
