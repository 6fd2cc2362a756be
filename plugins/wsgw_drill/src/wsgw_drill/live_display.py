"""Shows the progress of a drill on the terminal."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from .report import table_of
from .row import Row
from .stage import Stage


class LiveDisplay:
    """A context manager that shows the table so far, and the current round below it.

    If the output is not a terminal, it prints a line for each round.

    Args:
        console: the output.
        ways: number of ways.
    """

    def __init__(self, console: Console, ways: int) -> None:
        self._console = console
        self._ways = ways
        self._done: list[Row] = []
        self._current: tuple[Row, Stage] | None = None
        self._spinner = Spinner("dots")
        self._start = time.monotonic()
        self._live = Live(
            get_renderable=self._render, console=console, refresh_per_second=8, transient=True
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def round_begins(self, row: Row, stage: Stage) -> None:
        """See Audience."""
        self._current = (row, stage)

    def round_ends(self, row: Row) -> None:
        """See Audience."""
        self._current = None
        if row not in self._done:
            self._done.append(row)
        if not self._console.is_terminal:
            outcome = "; ".join((*row.failures, *row.slow)) or "as expected"
            self._console.print(f"{self._elapsed()} {row.way.name}: {outcome}", markup=False)

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._start:6.1f} s"

    def _render(self) -> Group | Table:
        table = table_of(self._done)
        if self._current is None:
            return table
        row, stage = self._current
        sent = sum(record.sent for record in stage.records)
        answered = sum(len(record.answered) for record in stage.records)
        self._spinner.update(
            text=f"{self._elapsed()}  [bold]{row.way.name}[/]: {row.way.summary}; {stage.broken} of"
            f" {stage.plan.breaks} breaks, {len(stage.clients)} clients, {sent} messages sent,"
            f" {answered} answered ({len(self._done)} of {self._ways} ways done)"
        )
        return Group(table, self._spinner) if self._done else Group(self._spinner)
