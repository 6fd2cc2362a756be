"""Texts that only some characters may be in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..api.options import HEADER_NAME

_NAME = r"^[A-Za-z0-9._-]{1,128}$"  # it is a label of metrics
_HEADER_VALUE = r"^[!-~]([ -~\t]*[!-~])?$"

Name = Annotated[str, Field(pattern=_NAME)]
"""An id, or whatever else operators call something."""

HeaderValue = Annotated[str, Field(pattern=_HEADER_VALUE)]

PATTERNS_IN_WORDS = {
    _NAME: "letters, digits, '.', '_' and '-' (128 at most)",
    _HEADER_VALUE: "printable ASCII characters, no space at either end",
    HEADER_NAME: "the name of a header: no spaces, colons, quotes or brackets",
}
