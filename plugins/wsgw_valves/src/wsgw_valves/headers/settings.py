"""The options of the gate."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from wsgw_core.api import HeaderName, Options

from .header_template import HeaderTemplate

_OF_THE_CONNECTION = frozenset(
    {
        *("connection", "content-length", "expect", "host", "keep-alive", "te", "trailer"),
        *("transfer-encoding", "upgrade", "proxy-connection"),
    }
)
_RESERVED = ("sec-websocket-", "x-wsgw-")


def _not_ours(name: str) -> str:
    lower = name.lower().replace("_", "-")
    if lower in _OF_THE_CONNECTION or lower.startswith(_RESERVED):
        raise ValueError("the gateway sets this header itself; choose another name")
    return name


OwnHeader = Annotated[HeaderName, AfterValidator(_not_ours)]


class HeadersSettings(Options):
    """The changes of headers for the backend and for the client's answer."""

    remove: tuple[HeaderName, ...] = Field(
        default=(), description="client headers that wsgw does not send to the backend"
    )
    set: dict[OwnHeader, HeaderTemplate] = Field(
        default={},
        description="headers to send to the backend, in place of client headers with these names",
    )
    add: dict[OwnHeader, HeaderTemplate] = Field(
        default={}, description="headers to send to the backend in addition"
    )
    answer: dict[OwnHeader, HeaderTemplate] = Field(
        default={}, description="headers to add to the answer (101) to the client"
    )

    @model_validator(mode="after")
    def _check(self) -> HeadersSettings:
        if not (self.remove or self.set or self.add or self.answer):
            raise ValueError("needs 'remove', 'set', 'add' or 'answer'")
        return self
