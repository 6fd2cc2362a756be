"""Names of keys and channels, made from a client's handshake."""

from __future__ import annotations

from typing import ClassVar

from wsgw_core.api import DialRequest, Template


class KeyTemplate(Template):
    """A key, channel or pattern, such as `ocpp:{path.1}`.

    No value has wildcards, braces, slashes or colons, so that a client reaches no name of another
    structure and decides about no hash slot.
    """

    allowed: ClassVar[str] = r"[A-Za-z0-9._~-]{1,128}"
    max_bytes: ClassVar[int] = 512


class InstanceTemplate(KeyTemplate):
    """A name that belongs to one opened backend of one process, such as `wsgw:replies:{instance}`.

    Args:
        text: as the operator writes it.

    Raises:
        ValueError: it has another field than `{instance}`, or is wrong otherwise.
    """

    own_fields: ClassVar[tuple[str, ...]] = ("instance",)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        if self.fields - {"instance"}:
            raise ValueError("has a field of a client; only {instance} makes sense here")

    def of(self, instance: str) -> str:
        """Returns the name of one instance."""
        return self.expand(DialRequest("", "/"), **dict.fromkeys(self.fields, instance))
