"""The base of every options model, and the human notations for durations and sizes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+\Z")
_SIZE = re.compile(r"(\d+)\s*b?\Z|(\d+(?:\.\d+)?)\s*([kmg])(i?)b?\Z", re.IGNORECASE)
_POWERS = {"k": 1, "m": 2, "g": 3}


def parse_duration(value: Any) -> Any:
    """Read seconds from `10s`, `1m30s`, `250ms`, or a number of seconds.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, str):
        text = value.strip()
        if text == "0":
            return 0.0
        if not _DURATION.match(text):
            raise ValueError("not a duration such as 10s, 1m30s or 250ms")
        return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
    if isinstance(value, bool):
        raise ValueError("not a duration such as 10s, 1m30s or 250ms")
    return value


def parse_size(value: Any) -> Any:
    """Read bytes from `64KiB`, `1MB`, `512`, or a whole number.

    `KiB` counts 1024 and `kB` 1000, as the standards have it.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, str):
        match = _SIZE.match(value.strip())
        if not match:
            raise ValueError("not a size such as 64KiB, 1MB or 512")
        whole, number, prefix, binary = match.groups()
        if whole:
            return int(whole)
        # Exact where a float is not, and bounded by nothing.
        return int(Fraction(number) * (1024 if binary else 1000) ** _POWERS[prefix.lower()])
    if isinstance(value, bool):
        raise ValueError("not a size such as 64KiB, 1MB or 512")
    return value


HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$")]
Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0)]


class Options(BaseModel):
    """A frozen model whose keys are written with dashes; unknown keys are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        alias_generator=lambda name: name.replace("_", "-"),
        allow_inf_nan=False,
    )

    def file_problems(self) -> Iterable[tuple[str, str]]:
        """Say which files that the options name cannot be used: key, and what is wrong.

        Called by the commands `check` and `run`, after the options themselves were checked. May
        read files, but never touch the network. A model without files leaves it as it is.
        """
        return ()
