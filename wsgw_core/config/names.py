"""Option types for names, and descriptions of patterns for error messages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..api.options import HEADER_NAME, HEADER_VALUE

_NAME = r"^[A-Za-z0-9._-]{1,128}$"  # it is a label of metrics

Name = Annotated[str, Field(pattern=_NAME)]
"""An id or another name that operators choose."""

PATTERNS_IN_WORDS = {
    _NAME: "letters, digits, '.', '_' and '-' (128 at most)",
    HEADER_VALUE: "printable ASCII characters, no space at either end",
    HEADER_NAME: "the name of a header: no spaces, colons, quotes or brackets",
}
