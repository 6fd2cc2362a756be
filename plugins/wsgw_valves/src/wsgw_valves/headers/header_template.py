"""The template of a header's value, filled from a client's handshake."""

from __future__ import annotations

from typing import ClassVar

from wsgw_core.api import Template

from ..header_names import is_of_gateway

_NOT_YET = frozenset({"session", "subprotocol"})


class HeaderTemplate(Template):
    """A template for the value of a header, such as `{peer}` or `tenant-{query.team|none}`.

    Values may have any characters except control characters. `{session}` and `{subprotocol}` are
    not available, because there is no session yet.

    Args:
        text: from the configuration.

    Raises:
        ValueError: see Template.
    """

    max_bytes: ClassVar[int] = 8192

    def __init__(self, text: str) -> None:
        super().__init__(text)
        if early := self.fields & _NOT_YET:
            raise ValueError(f"{{{min(early)}}} is not known before a backend has answered")
        for field in sorted(self.fields):
            source, _, name = field.partition(".")
            if source == "header" and is_of_gateway(name):
                raise ValueError(f"{{{field}}} never has a value: gates do not see this header")

    def escape(self, name: str, value: str, before: str) -> str:
        """See Template."""
        return value

    def check(self, text: str) -> None:
        """See Template."""
        if text != text.strip():
            raise ValueError("begins or ends with a space")
        text.encode()  # raises ValueError for lone surrogates
