"""The names of a new plugin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from ..api import ConfigurationError
from ..config.problems import found_text

_PREFIX = "wsgw-"
_KIND = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40  # characters; lines of the templates that hold it stay within the linter's limit
_OUR_OWN = "core"  # its distribution would be the gateway itself


@dataclass(frozen=True, slots=True)
class PluginName:
    """The names of the parts of a new distribution.

    Attributes:
        kind: the kind in the configuration, such as `rate-limit`; for a backend also its scheme.
    """

    kind: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Checks the name that an author has chosen; accepts the prefix `wsgw-`.

        Raises:
            ConfigurationError: it cannot be the name of a kind and a package.
        """
        kind = text.removeprefix(_PREFIX)
        if kind == _OUR_OWN:
            raise ConfigurationError(f"{text!r} is taken: {_PREFIX}{kind} is the gateway itself")
        if not _is_kind(kind):
            raise ConfigurationError(
                f"{found_text(text)} cannot be a plugin's name: use up to {_LONGEST} lower-case"
                f" letters, digits and single dashes, and begin with a letter{_suggestion(text)}"
            )
        return cls(kind)

    @property
    def distribution(self) -> str:
        """The distribution and its folder, such as `wsgw-rate-limit`."""
        return f"{_PREFIX}{self.kind}"

    @property
    def identifier(self) -> str:
        """The kind as a part of names in Python and of metrics, such as `rate_limit`."""
        return self.kind.replace("-", "_")

    @property
    def package(self) -> str:
        """The package, such as `wsgw_rate_limit`."""
        return f"wsgw_{self.identifier}"


def _is_kind(text: str) -> bool:
    return len(text) <= _LONGEST and _KIND.fullmatch(text) is not None


def _suggestion(text: str) -> str:
    """Suggests a valid name: lower case, with dashes between the words."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", text[: 2 * _LONGEST])
    kind = re.sub(r"[\s_-]+", "-", words.lower()).strip("-").removeprefix(_PREFIX)
    return f"; did you mean {kind!r}?" if _is_kind(kind) and kind != _OUR_OWN else ""
