"""The options of the valve."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from wsgw_core.api import FileName, Options, Size

from ..json_path import JsonPath
from ..safe_pattern import SafePattern, compiled


class MessageLogSettings(Options):
    """The file, and the contents of the lines."""

    file: FileName | None = Field(
        default=None,
        description="file to append lines to; none: the gateway's log, at level INFO",
    )
    directions: Literal["both", "to-backend", "to-client"] = Field(
        default="both", description="direction of the messages to log"
    )
    content: bool = Field(default=True, description="log the text of messages, not only their size")
    max_text: Size = Field(
        default=4096, gt=0, le=1024 * 1024, description="cut texts at this many bytes"
    )
    redact_paths: tuple[JsonPath, ...] = Field(
        default=(),
        description="values to log as `***`: `$.user.password`, `$..token`, `$.items[*].card`;"
        " messages that are not JSON are logged without their text",
    )
    redact: tuple[SafePattern, ...] = Field(
        default=(), description="regular expressions (RE2); matches are logged as `***`"
    )
    max_redacted: Size = Field(
        default=64 * 1024,
        gt=0,
        description="with `redact-paths` or `redact`, log a larger message without its text",
    )
    buffer: Size = Field(
        default=4 * 1024 * 1024,
        ge=64 * 1024,
        description="maximum bytes of lines that wait to be written; further lines are lost and"
        " counted",
    )
    max_file_size: Size | None = Field(
        default=100 * 1024 * 1024,
        ge=64 * 1024,
        description="size at which the file is renamed to `FILE.1` and a new one begins",
    )
    keep: int = Field(default=5, ge=1, le=1000, description="maximum number of old files to keep")

    @model_validator(mode="after")
    def _check(self) -> MessageLogSettings:
        for name in ("max_file_size", "keep"):
            if self.file is None and name in self.model_fields_set:
                raise ValueError(f"'{name.replace('_', '-')}' needs 'file'")
        try:
            compiled([str(each) for each in self.redact])
        except ValueError as error:
            raise ValueError(f"'redact', all together: {error}") from None
        return self

    def file_problems(self) -> Iterable[tuple[str, str]]:
        """See Options. Checks that the file can be written, without opening it."""
        if self.file is None:
            return
        file = Path(self.file)
        try:
            if not file.parent.is_dir():
                yield "file", f"{file.parent}: no such folder"
            elif file.exists() and not file.is_file():
                yield "file", f"{file}: not a regular file"
            elif not os.access(file if file.exists() else file.parent, os.W_OK):
                yield "file", f"{file}: no permission to write"
        except (OSError, ValueError) as error:
            yield "file", f"{file}: {getattr(error, 'strerror', None) or error}"
