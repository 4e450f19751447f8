"""A data set laid out in time: which rows belong to which tick, which ticks to which day, which days to which phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from reloop_stream.config import FieldConfig
from reloop_stream.events import Column, ListColumn
from simulator.datasets.catalogue import Catalogue
from simulator.datasets.config import DataConfig
from simulator.datasets.prepared import Prepared, prepare
from simulator.datasets.read import open_source
from simulator.datasets.rows import ReplayRows
from simulator.errors import DataError
from simulator.experiment.calendar import Calendar
from simulator.scenario import Phase, Scenario

__all__ = ["ReplayStream", "prepare_rows"]

DAY_MS = 86_400_000


def prepare_rows(scenario: Scenario, folder: Path, told: Callable[[int], None] = lambda rows: None) -> Prepared:
    """The data of a scenario, made ready in a new folder, as far as its phases can need them.

    told: hears how many rows were read so far. Raises DataError.
    """
    config = scenario.data
    assert config is not None and scenario.features is not None
    source = open_source(config, {field.name: field.kind for field in scenario.features})
    if not source.has_users and not scenario.is_paired and len(scenario.arms) > 1:
        raise DataError(
            f"experiment.design: split: {config.path} tells no user from another, so that one arm would get every event; say "
            "paired, or name data.user where the format has it"
        )
    every = config.period_events
    # A day begins with a slate or a time of its own, so that the last may need a few rows more.
    wanted = None if every is None else (sum(scenario.phases.days.values()) + 1) * every
    return prepare(source, config, folder, wanted, told)


class ReplayStream:
    """The rows of a data set, and their calendar. Memory holds a block of rows.

    A tick holds `tick_events` rows, or a few more: rows of one time stay together, and a day begins a tick. A day is a
    day of the data's own clock, days without events left out, or `period_events` rows.

    days: how many each phase has, in their order. fields: what the models see; the data set must offer them.
    has_slates: whether rows share requests. base_rate: the share of clicks in the warm-up (in the first tick where there is
    none): what version 0 predicts. notes: order, and which rows are left out. warnings: what is likely to mislead.
    """

    @classmethod
    def of(cls, scenario: Scenario, prepared: Prepared) -> ReplayStream:
        """The stream of a scenario with data."""
        assert scenario.data is not None and scenario.features is not None
        return cls(prepared, scenario.data, scenario.phases.days, scenario.features, scenario.attribution_ms)

    def __init__(
        self,
        prepared: Prepared,
        config: DataConfig,
        days: Mapping[Phase, int],
        fields: Sequence[FieldConfig],
        attribution_ms: int,
    ) -> None:
        first_row = prepared.rows(0, 1)
        _check_fields(fields, first_row.features)
        self.has_slates = first_row.request_id is not None
        self._prepared = prepared
        facts, rows = prepared.facts, len(prepared)
        ticks, day_starts = _Places(config.tick_events), _Places(config.period_events)
        end_ms = 0
        for time_ms, _ in prepared.times_and_labels():
            ticks.add(time_ms)
            day_starts.add(time_ms)
            end_ms = int(time_ms[-1]) + 1
        day_rows, day_ms = day_starts.found()
        phases = _phases(days, config.period_events, len(day_rows), facts.doubt)
        n = int(day_rows[len(phases)]) if len(phases) < len(day_rows) else rows
        if facts.doubt and n < rows / 2:
            raise DataError(f"{facts.doubt} (the {len(phases)} days of the phases hold {n:,} of {rows:,} rows)")
        self.warnings = [*([facts.doubt] if facts.doubt else []), *facts.warnings]
        self.notes = [*facts.notes]
        if n < rows:
            self.notes.append(
                f"{rows - n:,} of {rows:,} rows were left out: they lie after the {len(phases)} days of the phases"
            )
        if n < rows:
            end_ms = self._prepared.time_ms(n - 1) + 1
        day_rows, day_ms = day_rows[: len(phases)], day_ms[: len(phases)]
        tick_rows, tick_ms = ticks.found()
        starts, index = np.unique(np.concatenate((tick_rows[tick_rows < n], day_rows)), return_index=True)
        self._starts = np.append(starts, n)
        # After the last row one more tick, in which every attribution window closes.
        closing_ms = end_ms + attribution_ms + 1
        start_ms = np.concatenate((tick_ms[tick_rows < n], day_ms))[index]
        bounds_ms = np.concatenate((start_ms, [end_ms, closing_ms]))
        self.calendar = Calendar(bounds_ms, np.append(day_ms, end_ms), len(starts), phases)
        warm = phases.count("warmup")
        first = int(day_rows[warm]) if 0 < warm < len(day_rows) else int(self._starts[1])
        self.base_rate = float(np.clip(self._click_rate(first), 0.001, 0.999))

    @property
    def catalogue(self) -> Catalogue | None:
        """What could have been shown; None where that is not known."""
        return self._prepared.catalogue

    @property
    def rows(self) -> int:
        """How many rows the phases hold."""
        return int(self._starts[-1])

    def tick(self, tick: int) -> tuple[int, ReplayRows]:
        """The number of a tick's first row, and its rows."""
        start, stop = int(self._starts[tick]), int(self._starts[tick + 1])
        return start, self._prepared.rows(start, stop)

    def _click_rate(self, rows: int) -> float:
        clicks, left = 0, rows
        for _, label in self._prepared.times_and_labels():
            clicks += int(label[:left].sum())
            left -= min(left, len(label))
            if not left:
                break
        return clicks / rows


class _Places:
    """Where ticks or days begin: at the first row of a time, each `every` rows, or, without it, on each day of the clock."""

    def __init__(self, every: int | None) -> None:
        self._every = every
        self._passed = 0
        self._last_ms: int | None = None
        self._wanted = 0  # the next multiple of `every` whose place is not found yet
        self._rows: list[np.ndarray] = []
        self._times: list[np.ndarray] = []

    def add(self, time_ms: np.ndarray) -> None:
        """The times of the next rows, rising."""
        is_first = np.concatenate(([time_ms[0] != self._last_ms], time_ms[1:] != time_ms[:-1]))
        at = np.flatnonzero(is_first)
        if self._every is None:
            before = None if self._last_ms is None else self._last_ms // DAY_MS
            day = time_ms[at] // DAY_MS
            at = at[np.concatenate(([day[0] != before], day[1:] != day[:-1]))] if len(at) else at
        elif len(at):
            # Each wanted row moves on to the next place where a tick may begin.
            wanted = np.arange(self._wanted, self._passed + int(at[-1]) + 1, self._every)
            if len(wanted):
                self._wanted = int(wanted[-1]) + self._every
            at = at[np.unique(np.searchsorted(at + self._passed, wanted))]
        self._rows.append(at + self._passed)
        self._times.append(time_ms[at])
        self._passed += len(time_ms)
        self._last_ms = int(time_ms[-1])

    def found(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows int64 and their times."""
        return np.concatenate(self._rows), np.concatenate(self._times)


def _phases(wanted: Mapping[Phase, int], period_events: int | None, days: int, doubt: str) -> tuple[Phase, ...]:
    phases = tuple(phase for phase, n in wanted.items() for _ in range(n))
    if days < len(phases):
        because = f"\n{doubt}" if doubt and period_events is None else ""
        raise DataError(
            f"data: has {days} days (data.period_events: {period_events}), the phases need {len(phases)}; "
            f"shorten the phases or the periods{because}"
        )
    return phases


def _check_fields(fields: Sequence[FieldConfig], offered: Mapping[str, Column]) -> None:
    """What an encoder would refuse in the middle of a run. Costs nothing: kinds are compared, not values."""
    for field in fields:
        if field.name not in offered:
            raise DataError(f"features: {field.name}: the data set does not offer it; it offers {', '.join(offered)}")
        column = offered[field.name]
        is_list = isinstance(column, ListColumn)
        if is_list != (field.kind == "list"):
            held = "lists" if is_list else "single values"
            raise DataError(
                f"features: {field.name}: is a {field.kind}, the data set has {held} there; say another kind"
            )
        kind = column.values.dtype.kind if isinstance(column, ListColumn) else column.dtype.kind
        if kind == "O" and (field.kind == "number" or field.mode == "exact"):
            needs = "kind: number" if field.kind == "number" else "mode: exact"
            raise DataError(
                f"features: {field.name}: {needs} needs numbers, the data set has texts there; say kind: category, mode: hashed"
            )
