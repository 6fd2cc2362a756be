"""Templates of keys and channels, filled from a client's handshake."""

from __future__ import annotations

from typing import ClassVar

from wsgw_core.api import DialRequest, Template


class KeyTemplate(Template):
    """A key, channel or pattern, such as `ocpp:{path.1}`.

    Values have no wildcards, braces, slashes or colons. So a client can neither reach a name of
    another form nor choose a hash slot.
    """

    allowed: ClassVar[str] = r"[A-Za-z0-9._~-]{1,128}"
    max_bytes: ClassVar[int] = 512


class InstanceTemplate(KeyTemplate):
    """A name that belongs to one opened backend of one process, such as `wsgw:replies:{instance}`.

    Args:
        text: from the configuration.

    Raises:
        ValueError: it has another field than `{instance}`, or is not a valid template.
    """

    own_fields: ClassVar[tuple[str, ...]] = ("instance",)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        if self.fields - {"instance"}:
            raise ValueError("has a field of the client; only {instance} is allowed here")

    def of(self, instance: str) -> str:
        """Returns the name of one instance."""
        return self.expand(DialRequest("", "/"), **dict.fromkeys(self.fields, instance))
