"""The commands of `wsgw`: the core's own, and those that other distributions add."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wsgw_core.plugins.entry_points import distribution_of, error_text

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

COMMAND_GROUP = "wsgw.commands"
"""The group of entry points whose names are commands, and whose values click's commands."""

_ACCEPT_ALL_ARGUMENTS = {"ignore_unknown_options": True, "allow_extra_args": True}


class Commands(click.Group):
    """Adds the commands of other distributions, found by entry points.

    Imports only the command that is run. A broken command reports its error when it is run.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns all names; called by click."""
        return sorted({*super().list_commands(ctx), *added_commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Finds a command, the core's own first; called by click."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        found = added_commands().get(cmd_name)
        return None if found is None else _load(cmd_name, found)


def added_commands() -> dict[str, list[EntryPoint]]:
    """Returns the commands of other distributions by name, without importing them."""
    from importlib import metadata  # noqa: PLC0415 - slow

    different: dict[tuple[str, str, str, str], EntryPoint] = {}
    for entry_point in metadata.entry_points(group=COMMAND_GROUP):
        key = (entry_point.name, *distribution_of(entry_point), entry_point.value)
        different.setdefault(key, entry_point)
    added: dict[str, list[EntryPoint]] = {}
    for entry_point in different.values():
        added.setdefault(entry_point.name, []).append(entry_point)
    return added


def _load(name: str, found: list[EntryPoint]) -> click.Command:
    if len(found) > 1:
        whose = ", ".join(sorted(" ".join(distribution_of(each)) for each in found))
        return _unusable(
            name, f"several distributions add the command {name!r}: {whose}; uninstall all but one"
        )
    source = f"the command {name!r} ({found[0].value}) of {' '.join(distribution_of(found[0]))}"
    try:
        command: object = found[0].load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - any error of the module
        return _unusable(name, f"{source}: cannot be imported: {error_text(error)}", error)
    if not isinstance(command, click.Command):
        return _unusable(name, f"{source}: is not a click command")
    return command


def _unusable(name: str, problem: str, cause: BaseException | None = None) -> click.Command:
    def tell() -> None:
        from wsgw_core.api import PluginError  # noqa: PLC0415 - slow

        raise PluginError(problem) from cause

    return click.Command(
        name,
        callback=tell,
        short_help="Unusable: run it to see why.",
        context_settings=dict(_ACCEPT_ALL_ARGUMENTS),
        add_help_option=False,
    )
