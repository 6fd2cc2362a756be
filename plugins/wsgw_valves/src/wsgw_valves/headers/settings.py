"""The options of the gate."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from wsgw_core.api import HeaderName, Options

from ..header_names import OwnHeader, distinct
from .header_template import HeaderTemplate

Templates = Annotated[dict[OwnHeader, HeaderTemplate], AfterValidator(distinct)]


class HeadersSettings(Options):
    """The changes of headers for the backend and for the client's answer."""

    remove: tuple[HeaderName, ...] = Field(
        default=(), description="client headers that wsgw does not send to the backend"
    )
    set: Templates = Field(
        default={},
        description="headers to send to the backend, in place of client headers with these names",
    )
    add: Templates = Field(default={}, description="headers to send to the backend in addition")
    answer: Templates = Field(
        default={}, description="headers to add to the answer (101) to the client"
    )

    @model_validator(mode="after")
    def _check(self) -> HeadersSettings:
        if not (self.remove or self.set or self.add or self.answer):
            raise ValueError("needs 'remove', 'set', 'add' or 'answer'")
        return self
