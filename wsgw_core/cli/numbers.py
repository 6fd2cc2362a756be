"""Numbers on the command line, called so in help and errors."""

from __future__ import annotations

import click


class WholeNumber(click.IntRange):
    """A whole number within bounds."""

    name = "whole number"


class Number(click.FloatRange):
    """A number within bounds."""

    name = "number"
