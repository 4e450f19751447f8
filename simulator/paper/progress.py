"""Progress of a table on stderr: cells done, and the time left."""

from __future__ import annotations

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
        self._total, self._done = total, 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not live,
        )
        self._task = self._progress.add_task("starting", total=total)

    def found(self, n: int) -> None:
        """So many cells were there already: they do not count in the time left."""
        self._total -= n
        self._progress.update(self._task, total=self._total)

    def done(self, name: str, auc: float | None) -> None:
        """A cell is trained. auc: None for a previous version, which is only asked."""
        self._done += 1
        said = name if auc is None else f"{name}: AUC {auc:.4f}"
        self._progress.update(self._task, description=said, completed=self._done)
        if self._lines:
            tell(f"{said} ({self._done}/{self._total})")
