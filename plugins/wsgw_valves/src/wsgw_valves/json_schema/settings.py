"""The options of the valve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from wsgw_core.api import FileName, Limits, Options, Size, read_parsed

from .schema import MOST_BYTES, read_schema


class JsonSchemaSettings(Options):
    """A schema for each direction, and the action for other messages."""

    to_backend: FileName | None = Field(
        default=None,
        description="file with the JSON Schema of the client's messages, read again when it has"
        " changed; none: all messages pass",
    )
    to_client: FileName | None = Field(
        default=None, description="the same for the backend's messages"
    )
    action: Literal["close", "discard"] = Field(
        default="close",
        description="what happens to invalid messages: `close` ends the session with 1008,"
        " `discard` drops them",
    )
    max_size: Size = Field(
        default=1024 * 1024, gt=0, description="larger messages are invalid and not parsed"
    )
    binary: Literal["check", "pass"] = Field(
        default="check", description="whether binary messages must be valid JSON too"
    )

    @model_validator(mode="after")
    def _check(self) -> JsonSchemaSettings:
        if self.to_backend is None and self.to_client is None:
            raise ValueError("needs 'to-backend' or 'to-client'")
        return self

    def file_problems(self) -> Iterable[tuple[str, str]]:
        """See Options."""
        for key, file in (("to-backend", self.to_backend), ("to-client", self.to_client)):
            try:
                if file is not None:
                    read_parsed(file, read_schema, MOST_BYTES)
            except ValueError as error:
                yield key, str(error)

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options. Warns if some allowed messages are always invalid."""
        if self.max_size < limits.max_message_size:
            yield "max-size", "is less than limits.max-message-size: no larger message passes"
