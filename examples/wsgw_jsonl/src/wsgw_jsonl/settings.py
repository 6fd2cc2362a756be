"""The options of a backend of kind `jsonl`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from wsgw_core.api import Duration, Options


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or not parts.port or parts.path or parts.query:
        raise ValueError("not a URL such as jsonl://host:port")
    return url


class JsonLinesSettings(Options):
    """One backend: the address of one application."""

    url: Annotated[str, AfterValidator(_check_url)] = Field(
        description="address of the application"
    )
    connect_timeout: Duration = Field(
        default=5.0, gt=0, description="maximum time to connect and get the first answer"
    )

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The host and port in the URL."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0
