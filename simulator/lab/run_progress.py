"""Progress on stderr: day, phase, CTR (of a replay: log loss) per arm so far, exposures per second, time left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from reloop_stream.runtime.exits import tell
from simulator.run_folder.columns import PHASE_LABELS

__all__ = ["LiveProgress", "ReadingProgress", "RunProgress"]

RATE_WINDOW_S = 5.0  # the rate shown is that of the last seconds: it differs between phases


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Any) -> Text:
        rate = task.fields.get("rate")
        return Text("" if not rate else f"{rate:,.0f} {self._unit}/s", style="cyan")


class LiveProgress:
    """Shows `_progress` while it is entered."""

    _progress: Progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class ReadingProgress(LiveProgress):
    """How many rows of a data set were read, and how fast, while a run begins: where stderr is a terminal, and not when quiet."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("reading the data: {task.completed:,.0f} rows"),
            _Rate("rows"),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._began = time.monotonic()
        self._task: TaskID = self._progress.add_task("", total=None)

    def rows(self, rows: int) -> None:
        """So many were read so far."""
        rate = rows / max(time.monotonic() - self._began, 1e-9)
        self._progress.update(self._task, completed=rows, rate=rate)


class RunProgress(LiveProgress):
    """A live bar where stderr is a terminal, a line a finished day where it is not, nothing when quiet.

    of_replay: whether arms differ in log loss, and not in CTR.
    """

    def __init__(self, ticks: int, days: int, arms: Sequence[str], *, of_replay: bool, quiet: bool) -> None:
        self._name, self._form = ("log loss", "{:.4f}") if of_replay else ("CTR", "{:.2%}")
        self._of_replay = of_replay
        self._days = days
        self._arms = list(arms)
        self._phase = ""
        self._ticks = ticks
        self._exposures: dict[str, int] = {}
        self._tick: dict[str, int] = {}
        self._recent: deque[tuple[float, int]] = deque()
        self._so_far: dict[str, tuple[float, int]] = {}
        self._label = "starting"
        self._shown_days: dict[int, dict[str, float]] = {}
        console = Console(stderr=True)
        self._live = console.is_terminal and not quiet
        self._lines = not quiet and not self._live
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=14),
            _Rate("exposures"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._task: TaskID = self._progress.add_task(self._label, total=ticks)

    def tick(self, source: str, tick: int, exposures: int, day: int, phase: str) -> None:
        """A process served up to `tick`, `exposures` in all."""
        self._tick[source], self._exposures[source] = tick, exposures
        now, total = time.monotonic(), sum(self._exposures.values())
        self._recent.append((now, total))
        while now - self._recent[0][0] > RATE_WINDOW_S and len(self._recent) > 2:
            self._recent.popleft()
        (begun, before) = self._recent[0]
        span = now - begun
        rate = (total - before) / span if span > 0 else None
        so_far = ((arm, *self._so_far.get(arm, (0, 0))) for arm in self._arms)
        means = "  ".join(f"{arm} {self._form.format(total / shown)}" for arm, total, shown in so_far if shown)
        self._label = f"day {day + 1}/{self._days} {PHASE_LABELS[phase]}  {means}"
        # Processes move at their own pace; the slowest says how far the run is.
        self._progress.update(self._task, description=self._label, completed=min(self._tick.values()) + 1, rate=rate)

    def next_stage(self) -> None:
        """Forget who served: the processes share the work out anew."""
        self._tick.clear()

    def day(self, row: Mapping[str, Any]) -> None:
        """A day of one arm is complete. The mean shown is that of the phase so far."""
        if row["phase"] != self._phase:
            self._phase = row["phase"]
            self._so_far.clear()
        total, shown = self._so_far.get(row["arm"], (0.0, 0))
        value = row["logloss"] if self._of_replay else row["ctr"]
        if row["exposures"]:
            self._so_far[row["arm"]] = (total + value * row["exposures"], shown + row["exposures"])
        if not self._lines:
            return
        seen = self._shown_days.setdefault(row["day"], {})
        seen[row["arm"]] = value
        if len(seen) == len(self._arms):
            means = "  ".join(f"{arm} {self._form.format(seen[arm])}" for arm in self._arms)
            tell(f"day {row['day'] + 1}/{self._days} {PHASE_LABELS[row['phase']]}: {self._name} {means}")
            del self._shown_days[row["day"]]

    def note(self, text: str) -> None:
        """A line that stays."""
        if self._live:
            self._progress.console.print(text, highlight=False)
        elif self._lines:
            tell(text)
