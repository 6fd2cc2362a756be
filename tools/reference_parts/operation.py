"""What operators see: commands, admin API, ways of the drill, states, close codes."""

from __future__ import annotations

from collections.abc import Iterator

import click
from policy_spread import table
from wsgw_drill.ways import DEFAULT, WAYS, Bound

from wsgw_core.admin.calls import CALLS
from wsgw_core.cli.main import wsgw
from wsgw_core.relay.session.session_state import mermaid
from wsgw_core.websocket import session_ends


def all_commands() -> dict[str, click.Command]:
    """Returns the command and its subcommands, those of other distributions behind the core's."""
    context = click.Context(wsgw)
    names = [
        *wsgw.commands,
        *(each for each in wsgw.list_commands(context) if each not in wsgw.commands),
    ]
    found = {name: wsgw.get_command(context, name) for name in names}
    return {"": wsgw, **{name: command for name, command in found.items() if command is not None}}


def commands() -> Iterator[str]:
    """Yields what --help says of each command."""
    for name, command in all_commands().items():
        full_name = f"wsgw {name}".strip()
        context = click.Context(
            command, info_name=full_name, max_content_width=80, terminal_width=80
        )
        context.help_option_names = ["-h", "--help"]
        command._help_option = None  # noqa: SLF001 - click caches the converter of the first caller
        yield f"## `{full_name}`"
        yield ""
        yield "```text"
        yield command.get_help(context)
        yield "```"
        yield ""


def ways() -> Iterator[str]:
    """Yields the ways of the drill, with the special expectations of each."""
    pauses = {
        Bound.NONE: "",
        Bound.DEATH: "50 ms",
        Bound.SILENCE: "`ack-interval` + `ping-timeout` + 100 ms",
    }
    yield "| way | what is broken | median pause at most |"
    yield "|---|---|---|"
    for way in WAYS.values():
        short = " (short set)" if way.name in DEFAULT else ""
        yield f"| `{way.name}`{short} | {way.summary} | {pauses[way.expectation.pause]} |"


def admin_calls() -> Iterator[str]:
    """Yields the calls of the admin API."""
    yield "| call | role | meaning | unknown id |"
    yield "|---|---|---|---|"
    for call in CALLS:
        role = f"`{call.role}`" if call.role else "none"
        path = call.path.replace("{id}", "ID")
        yield f"| `{call.method} {path}` | {role} | {call.meaning} | {call.unknown or '-'} |"


def session_closes() -> Iterator[str]:
    """Yields which close code each side of a session sees at which event."""
    yield "| what happens | the client sees | the backend sees |"
    yield "|---|---|---|"
    for end in session_ends.TABLE:
        yield f"| {' | '.join(end.row())} |".replace("|  |", "| |")


def state_diagram() -> Iterator[str]:
    """Yields the states of a session."""
    yield "```mermaid"
    yield mermaid()
    yield "```"


def policy_spread() -> Iterator[str]:
    """Yields how evenly policies spread sessions, and how many move."""
    yield from table()
