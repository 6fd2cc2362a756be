"""Regular expressions of operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import re2

from wsgw_core.api import TextOption


class SafePattern(TextOption):
    """A regular expression whose time is linear in the size of the text (RE2).

    Args:
        text: from the configuration.

    Raises:
        ValueError: the text is not a regular expression, or matches an empty text.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        if compiled([text]).search(b"") is not None:
            raise ValueError("matches an empty text, and so between any two characters")


def compiled(texts: Sequence[str]) -> Any:
    """Compiles one expression for several; raises ValueError."""
    options = re2.Options()
    options.log_errors = False
    whole = texts[0] if len(texts) == 1 else "|".join(f"(?:{text})" for text in texts)
    try:
        return re2.compile(whole.encode(), options)
    except re2.error as error:
        found = error.args[0] if error.args else "not a regular expression"
        text = found.decode(errors="replace") if isinstance(found, bytes) else str(found)
        raise ValueError(f"not a regular expression (RE2): {text}") from None
    except UnicodeEncodeError:
        raise ValueError("not valid text: it has lone surrogates") from None
