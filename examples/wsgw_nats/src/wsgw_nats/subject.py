"""The template of NATS subjects."""

from __future__ import annotations

import re

from wsgw_core.api import Template

_WILDCARD = re.compile(r"[\s*>]")
_RESERVED = ("$", "_INBOX.")


class SubjectTemplate(Template):
    """A subject such as `chat.{path.1}`; a value is a token or a part of one."""

    def check(self, text: str) -> None:
        """See Template."""
        if _WILDCARD.search(text):
            raise ValueError("has a space or a wildcard")
        if not all(text.split(".")):
            raise ValueError("has an empty token")
        if text.startswith(_RESERVED):
            raise ValueError("begins with a reserved name: $ or _INBOX.")
