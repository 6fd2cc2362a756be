"""Names of headers that gates can see and set, as options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import AfterValidator

from wsgw_core.api import HeaderName

_OF_THE_CONNECTION = frozenset(
    {
        *("connection", "content-length", "expect", "host", "keep-alive", "te", "trailer"),
        *("transfer-encoding", "upgrade", "http2-settings"),
        *("proxy-authenticate", "proxy-authorization", "proxy-connection"),
    }
)
_RESERVED = ("sec-websocket-", "x-wsgw-")

T = TypeVar("T")


def is_of_gateway(name: str) -> bool:
    """Returns whether the gateway keeps a header to itself: no gate sees it, none can set it."""
    lower = name.lower().replace("_", "-")
    return lower in _OF_THE_CONNECTION or lower.startswith(_RESERVED)


def _not_set_by_gateway(name: str) -> str:
    if is_of_gateway(name):
        raise ValueError("the gateway sets this header itself; choose another name")
    return name


def _seen_by_gates(name: str) -> str:
    if is_of_gateway(name):
        raise ValueError("gates do not see this header; routes can compare 'Host'")
    return name


def distinct(headers: Mapping[str, T]) -> Mapping[str, T]:
    """Returns headers of different names; raises ValueError if two are spellings of one name."""
    names: dict[str, str] = {}
    for name in headers:
        other = names.setdefault(name.lower().replace("_", "-"), name)
        if other != name:
            raise ValueError(f"{other!r} and {name!r} are the same header")
    return headers


OwnHeader = Annotated[HeaderName, AfterValidator(_not_set_by_gateway)]
SeenHeader = Annotated[HeaderName, AfterValidator(_seen_by_gates)]
