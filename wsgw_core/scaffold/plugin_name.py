"""The names of a new plugin."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from typing import Self

from ..api import ConfigurationError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40  # characters; folder, package and class repeat it


@dataclass(frozen=True, slots=True)
class PluginName:
    """What the parts of a new distribution are called.

    Attributes:
        kind: the kind in the configuration, such as `rate-limit`; for a backend also the URL scheme.
        distribution: the distribution and its folder, such as `wsgw-rate-limit`.
        package: such as `wsgw_rate_limit`.
        class_prefix: such as `RateLimit`.
        identifier: the kind as a part of names in Python and of metrics, such as `rate_limit`.
    """

    kind: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check the name that an author gives; `wsgw-` before it is accepted.

        Raises:
            ConfigurationError: it cannot be the name of a kind, a package and a class.
        """
        kind = text.removeprefix("wsgw-")
        if not _NAME.fullmatch(kind) or len(kind) > _LONGEST or keyword.iskeyword(kind):
            raise ConfigurationError(
                f"{text!r} cannot be a plugin's name: use up to {_LONGEST} lower-case letters,"
                " digits and single dashes, beginning with a letter, such as rate-limit"
            )
        return cls(kind)

    @property
    def distribution(self) -> str:
        """The distribution and its folder."""
        return f"wsgw-{self.kind}"

    @property
    def identifier(self) -> str:
        """The kind as a part of names in Python and of metrics."""
        return self.kind.replace("-", "_")

    @property
    def package(self) -> str:
        """The package."""
        return f"wsgw_{self.identifier}"

    @property
    def class_prefix(self) -> str:
        """The beginning of its classes' names."""
        return "".join(part.capitalize() for part in self.kind.split("-"))
