"""What can be configured for the valve."""

from __future__ import annotations

from pydantic import Field

from wsgw_core.api import Options, Size


class YjsSettings(Options):
    """A bound for what is remembered."""

    max_remembered_bytes: Size = Field(
        default=256 * 1024,
        gt=0,
        description="what is remembered of a session: its last sync step 1, and what the client"
        " says of itself; more ends it with 1008",
    )
