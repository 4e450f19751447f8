"""Progress of cells on stderr: how many are done, how fast, and the time left."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from reloop_stream.runtime.exits import tell
from simulator.lab.run_progress import LiveProgress

__all__ = ["CellProgress"]


class CellProgress(LiveProgress):
    """A live bar where stderr is a terminal, a line a cell where it is not, nothing when quiet."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        console = Console(stderr=True)
        live = console.is_terminal and not quiet
        self._lines = not live and not quiet
        self._total, self._done, self._began = total, 0, time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not live,
        )
        self._task = self._progress.add_task("starting", total=total, rate="")

    def found(self, n: int) -> None:
        """So many cells were there already: they do not count in the time left."""
        self._total -= n
        self._progress.update(self._task, total=self._total)

    def done(self, said: str) -> None:
        """A cell is done. said: which, and what came of it."""
        self._done += 1
        minutes = max(time.monotonic() - self._began, 1e-3) / 60
        rate = self._done / minutes
        self._progress.update(self._task, description=said, completed=self._done, rate=f"{rate:,.1f}/min")
        if self._lines:
            left = (self._total - self._done) / rate
            tell(f"{said} ({self._done}/{self._total}), {rate:,.1f}/min, {left:.0f} min left")
