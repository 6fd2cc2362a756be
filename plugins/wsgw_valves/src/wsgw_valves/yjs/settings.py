"""The options of the valve."""

from __future__ import annotations

from pydantic import Field

from wsgw_core.api import Options, Size


class YjsSettings(Options):
    """The limit of memory."""

    max_remembered_bytes: Size = Field(
        default=256 * 1024,
        gt=0,
        description="maximum bytes of what wsgw remembers for a session: its last sync step 1 and"
        " its awareness state; above it wsgw closes the session with 1008",
    )
