"""A data set laid out in time: which rows belong to which tick, which ticks to which day, which days to which phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from reloop_stream.config import FieldConfig
from reloop_stream.events import ListColumn
from simulator.datasets.config import DataConfig
from simulator.datasets.read import read_rows
from simulator.datasets.rows import ReplayRows
from simulator.errors import DataError
from simulator.experiment.calendar import Calendar
from simulator.scenario import Phase

__all__ = ["ReplayStream"]

DAY_MS = 86_400_000


class ReplayStream:
    """The rows of a data set, and their calendar. The columns are held in memory.

    A tick holds `tick_events` rows, or a few more: rows of one time stay together, and a day begins a tick. A day is a
    day of the data's own clock, days without events left out, or `period_events` rows.

    days: how many each phase has, in their order. fields: what the models see; the data set must offer them.
    base_rate: the share of clicks in the warm-up (in the first tick where there is none): what version 0 predicts.
    """

    def __init__(
        self, config: DataConfig, days: Mapping[Phase, int], fields: Sequence[FieldConfig], attribution_ms: int
    ) -> None:
        rows = read_rows(config, {field.name: field.kind for field in fields})
        _check_fields(fields, rows)
        time_ms = rows.time_ms
        # The first row of each time: the only places where a tick may begin.
        firsts = np.flatnonzero(np.concatenate(([True], time_ms[1:] != time_ms[:-1])))
        if config.period_events is None:
            day = time_ms // DAY_MS
            day_rows = np.flatnonzero(np.concatenate(([True], day[1:] != day[:-1])))
        else:
            day_rows = _snapped(np.arange(0, len(rows), config.period_events), firsts, len(rows))
        phases = _phases(days, config.period_events, len(day_rows), rows.doubt)
        n = int(day_rows[len(phases)]) if len(phases) < len(day_rows) else len(rows)
        if rows.doubt and n < len(rows) / 2:
            raise DataError(f"{rows.doubt} (the {len(phases)} days of the phases hold {n:,} of {len(rows):,} rows)")
        # What is likely to mislead.
        self.warnings = [*([rows.doubt] if rows.doubt else []), *rows.warnings]
        day_rows = day_rows[: len(phases)]
        tick_rows = _snapped(np.arange(0, n, config.tick_events), firsts, n)
        self._starts = np.union1d(tick_rows, day_rows)
        self._starts = np.append(self._starts[self._starts < n], n)
        end_ms = int(time_ms[n - 1]) + 1
        # After the last row one more tick, in which every attribution window closes.
        closing_ms = end_ms + attribution_ms + 1
        bounds_ms = np.concatenate((time_ms[self._starts[:-1]], [end_ms, closing_ms]))
        day_bounds_ms = np.append(time_ms[day_rows], end_ms)
        self.calendar = Calendar(bounds_ms, day_bounds_ms, len(self._starts) - 1, phases)
        self._rows = rows
        warm = phases.count("warmup")
        first = int(day_rows[warm]) if 0 < warm < len(day_rows) else int(self._starts[1])
        self.base_rate = float(np.clip(rows.label[:first].mean(), 0.001, 0.999))

    def tick(self, tick: int) -> tuple[int, ReplayRows]:
        """The number of a tick's first row, and its rows."""
        start, stop = int(self._starts[tick]), int(self._starts[tick + 1])
        return start, self._rows.take(np.arange(start, stop))


def _phases(wanted: Mapping[Phase, int], period_events: int | None, days: int, doubt: str) -> tuple[Phase, ...]:
    phases = tuple(phase for phase, n in wanted.items() for _ in range(n))
    if days < len(phases):
        because = f"\n{doubt}" if doubt and period_events is None else ""
        raise DataError(
            f"data: has {days} days (data.period_events: {period_events}), the phases need {len(phases)}; "
            f"shorten the phases or the periods{because}"
        )
    return phases


def _check_fields(fields: Sequence[FieldConfig], rows: ReplayRows) -> None:
    """What an encoder would refuse in the middle of a run. Costs nothing: kinds are compared, not values."""
    for field in fields:
        if field.name not in rows.features:
            raise DataError(
                f"features: {field.name}: the data set does not offer it; it offers {', '.join(rows.features)}"
            )
        column = rows.features[field.name]
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


def _snapped(rows: np.ndarray, firsts: np.ndarray, n: int) -> np.ndarray:
    """Each row moved on to the next place where a tick may begin; those beyond the end are dropped."""
    spots = np.searchsorted(firsts, rows)
    snapped: np.ndarray = np.unique(firsts[spots[spots < len(firsts)]])
    return snapped[snapped < n]
