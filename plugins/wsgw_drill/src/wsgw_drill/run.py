"""Runs a drill on the terminal, writes its report, and returns the exit status."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from .admin_api import NotDone
from .drill import Drill, Result
from .event_loop import new_event_loop
from .live_display import LiveDisplay
from .load_client import Refused
from .place import AddressTaken
from .processes.server_process import ProcessFailed
from .report import table_of, write_json

EXIT_AS_EXPECTED = 0
EXIT_NOT_AS_EXPECTED = 1
EXIT_INTERRUPTED = 130
_WIDTH_OF_FILES = 120


def run_drill(
    drill: Drill,
    json_file: Path | None,
    make_display: Callable[[Console, int], LiveDisplay] = LiveDisplay,
) -> int:
    """Runs a drill, shows it on the terminal, and writes its report.

    Args:
        drill: the drill.
        json_file: for the report; None: no report.
        make_display: makes the display from the console and the number of ways.

    Returns:
        The exit status: 0 when everything was as expected, 1 otherwise, 130 when interrupted, and
        the gateway's own status when it does not start.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    try:
        if json_file is not None:  # before the drill, which may take long
            json_file.parent.mkdir(parents=True, exist_ok=True)
            json_file.touch()
        with (
            make_display(console, len(drill.ways)) as display,
            asyncio.Runner(loop_factory=new_event_loop) as runner,
        ):
            result = runner.run(_run(drill, display))
    except ProcessFailed as error:
        console.print(f"Cannot continue the drill: {error}", markup=False)
        return error.status or EXIT_NOT_AS_EXPECTED
    except (AddressTaken, NotDone, Refused, OSError) as error:
        console.print(f"Cannot continue the drill: {error}", markup=False)
        return EXIT_NOT_AS_EXPECTED
    except asyncio.CancelledError:
        console.print("Interrupted; every process of the drill has ended.")
        return EXIT_INTERRUPTED
    _print_result(console, result)
    if json_file is not None:
        try:
            write_json(json_file, drill, result)
        except OSError as error:
            console.print(f"Cannot write the report: {error}", markup=False)
            return EXIT_NOT_AS_EXPECTED
    return EXIT_AS_EXPECTED if result.passed else EXIT_NOT_AS_EXPECTED


async def _run(drill: Drill, display: LiveDisplay) -> Result:
    task = asyncio.current_task()
    if task is not None:
        # Both signals end the drill with a clean-up of its processes.
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await drill.run(display)


def _print_result(console: Console, result: Result) -> None:
    console.print(table_of(result.rows))
    for row in result.rows:
        for note in row.notes:
            console.print(f"{row.way.name}: {note}", markup=False)
    for row in result.rows:
        for failure in row.failures:
            console.print(f"{row.way.name}: {failure}", markup=False, style="red")
        for time in row.slow:
            console.print(f"{row.way.name}: slow: {time}", markup=False, style="yellow")
    for failure in result.growth.failures:
        console.print(failure, markup=False, style="red")
    if result.passed:
        console.print("Everything was as expected.")
        return
    if result.slow_ways:
        pauses = " ".join(f"--pause {name}=DURATION" for name in result.slow_ways)
        console.print(
            "Times are longer on a busy machine: compare with fewer --clients, or set limits of"
            f" your own: {pauses}",
            markup=False,
        )
    if result.has_failed:
        console.print("[bold red]Not everything was as expected.[/]")
    else:
        console.print(
            "[bold yellow]Not everything was as expected. Only times were longer than their limits;"
            " messages and clients were as expected.[/]"
        )
