"""The commands of `wsgw`: the core's own, and those that other distributions add."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wsgw_core.plugins.entry_points import distribution_of, error_text

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

COMMAND_GROUP = "wsgw.commands"
"""The group of entry points whose names are commands, and whose values click's commands."""

_WHATEVER_COMES_BEHIND = {"ignore_unknown_options": True, "allow_extra_args": True}


class Commands(click.Group):
    """Finds commands of other distributions by entry points.

    Only the one that is asked for is imported, and none of them for a command of the core. One that
    is broken tells so when it is called; nothing else suffers.
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
    """Returns what other distributions add, by name; nothing of it is imported."""
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
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's module may do anything
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
        context_settings=dict(_WHATEVER_COMES_BEHIND),
        add_help_option=False,
    )
