"""Types of option values: numbers, and values that a function parses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

T = TypeVar("T")


class WholeNumber(click.IntRange):
    """A whole number within bounds."""

    name = "whole number"


class Number(click.FloatRange):
    """A number within bounds."""

    name = "number"


class Parsed(click.ParamType[T]):
    """A value that a function parses.

    Args:
        name: the name of the type.
        parse: parses the text; raises ValueError with what is allowed.
    """

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """Reads a value; called by click."""
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


def read_duration(text: str) -> float:
    """Reads seconds from a text such as `250ms`; raises ValueError."""
    from wsgw_core.api.options import parse_duration  # noqa: PLC0415 - slow

    return float(parse_duration(text))


DURATION = Parsed("duration", read_duration)
