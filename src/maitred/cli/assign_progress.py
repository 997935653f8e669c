"""The progress bar of an operations run: nothing at all where there is no terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from maitred.auto_assign.operations import Line, Round
from maitred.cli.assign_report import strategy_words


class Progress:
    """A bar for each round, with how many got tables so far. It is a Watcher of the run."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[got]} with tables"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            refresh_per_second=20,
        )
        self._task: TaskID | None = None
        self._got = 0

    def round_begins(self, begun: Round, /) -> None:
        """Another bar, for this round."""
        self._got = 0
        description = f"round {begun.number}, {strategy_words(begun.strategy)}"
        self._task = self._bars.add_task(description, total=begun.bookings, got=0)

    def line_ends(self, line: Line, /) -> None:
        """One booking on."""
        if self._task is None:
            return
        self._got += line.result in ("succeeded", "planned")
        self._bars.update(self._task, advance=1, got=self._got)

    def stop(self) -> None:
        """Leaves the bars as they are; safe to call twice."""
        self._bars.stop()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()
