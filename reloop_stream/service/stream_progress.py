"""Progress of a learner on stderr: event time, examples, rate, lag, version, metrics of late."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from reloop_stream.clock import shown
from reloop_stream.runtime.exits import tell
from reloop_stream.service.service import Status
from reloop_stream.worker import Worker

__all__ = ["StreamProgress"]


class StreamProgress:
    """A live line where stderr is a terminal, a line a checkpoint where it is not, nothing when quiet."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._is_live = console.is_terminal and not quiet
        self._lines = not quiet and not self._is_live
        self._live = Live(Text("starting"), console=console, transient=True, auto_refresh=False)

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_live:
            self._live.stop()

    def begin(self, folder: Path, worker: Worker) -> None:
        """The learner is about to read its first tick."""
        counts = worker.counts
        place = "from the beginning" if not counts.exposures else f"behind {counts.exposures:,} exposures"
        self._say(f"learning in {folder}, {place}")

    def show(self, status: Status) -> None:
        """Show how it is doing."""
        at = shown(status.watermark_ms)
        counts = status.counts
        text = (
            f"{at}  {status.learnt:,} learnt  {status.rate:,.0f}/s  lag {status.lag:,}  version {status.version}  "
            f"AUC {status.auc:.4f}  log loss {status.logloss:.4f}"
        )
        odd = {
            "late": counts.late,
            "dead": status.dead,
            "duplicate": counts.duplicate_exposures + counts.duplicate_clicks,
            "stale": counts.stale,
        }
        text += "".join(f"  {name} {n:,}" for name, n in odd.items() if n)
        if self._is_live:
            self._live.update(Text(text), refresh=True)
        elif self._lines and status.is_saved:
            tell(text)

    def _say(self, text: str) -> None:
        if self._is_live:
            self._live.console.print(text, highlight=False)
        elif self._lines:
            tell(text)
