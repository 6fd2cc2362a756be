"""The option -c, and loading the configuration that it names."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from wsgw_core.masking import masked_url

if TYPE_CHECKING:
    from wsgw_core.loading.configuration import Configuration

_WHOLE = "YAML or TOML file. Default: only the environment (WSGW_..., BE_URLS, ...)."
_CommandT = TypeVar("_CommandT", bound=Callable[..., Any])


def config_option(text: str = _WHOLE) -> Callable[[_CommandT], _CommandT]:
    """Returns the option's decorator.

    Args:
        text: the help text.
    """
    return click.option(
        "-c",
        "-config",  # as wsbalancer has it
        "--config",
        "file",
        # The loader checks whether it can be read, together with the other problems.
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=text,
    )


class CommandWithFile(click.Command):
    """Refuses arguments, and says that the file needs the option -c."""

    allow_extra_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuses arguments; called by click."""
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            ctx.fail(f"unexpected argument {masked_url(rest[0])!r}; name the file with -c FILE")
        return rest


def load(file: Path | None) -> Configuration:
    """Loads and checks the configuration, and sets up logging; see `load_configuration`.

    Raises:
        ConfigurationError: with all problems.
    """
    from wsgw_core.process.log_output import set_up_logging  # noqa: PLC0415 - slow

    set_up_logging("WARN")
    loaded = read(file)
    server = loaded.config.server
    set_up_logging(server.logging_level, server.logging_format)
    return loaded


def read(file: Path | None) -> Configuration:
    """Loads and checks the configuration; see `load_configuration`."""
    with _hidden("django", "flask", "jinja2"):
        from wsgw_core.loading.configuration import load_configuration  # noqa: PLC0415 - slow

    return load_configuration(file, os.environ)


@contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Lets no import find these packages, unless they are imported already.

    dynaconf would import them for those who use both, which is a sixth of a start. A plugin that
    needs one is imported later, and finds it.
    """
    hidden = cast("dict[str, ModuleType | None]", sys.modules)
    absent = [name for name in names if name not in hidden]
    hidden.update(dict.fromkeys(absent))
    try:
        yield
    finally:
        for name in absent:
            del hidden[name]
