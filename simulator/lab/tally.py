"""Counting a day as its labels come in: CTR, users, quality of the stamps, by day and arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reloop_stream.events import ExampleBatch, ExposureBatch, is_constant
from reloop_stream.metrics import StreamMetrics
from reloop_stream.serving.snapshot import Published
from reloop_stream.state.packing import part_of, prefixed
from reloop_stream.updating.base import Trained
from simulator.experiment.calendar import Calendar
from simulator.lab.item_sums import ItemSums
from simulator.lab.open_day import DayOfArm, OpenDay
from simulator.lab.ranking_sums import RankingSums
from simulator.serving.item_facts import ItemFacts

__all__ = ["Tally"]

# Versions whose age is kept: those that may still stamp, and of a learner that serves nobody yet the newest. A run may publish
# hundreds of thousands, and each checkpoint holds what is kept.
MOST_VERSIONS = 1000


def _some(weight: np.ndarray | None, rows: slice | np.ndarray) -> np.ndarray | None:
    return None if weight is None else weight[rows]


class Tally:
    """Sums the examples that a worker releases by day of exposure and arm, and hands on each day once it is complete.

    A click counts on its exposure's day. Metrics are weighted where events carry weights; exposures and clicks are
    counts. Memory holds the open days alone: those whose attribution windows are.

    is_random: for request ids [n], whether the slate was drawn at random in every arm; None where none ever is.
    on_day: receives each finished day of each arm, in the order of days. in_blocks: whether days are cut into the
    calendar's blocks. copies: how many of each event there are, one an arm in a paired replay; what is learnt of one counts in each.
    top, seed:
    how slates that were logged are ranked, see `RankingSums`; no top: there are none. items: what is known of what was shown.
    """

    def __init__(
        self,
        calendar: Calendar,
        arms: Sequence[str],
        attribution_ms: int,
        on_day: Callable[[DayOfArm], None],
        is_random: Callable[[np.ndarray], np.ndarray | None] = lambda request_id: None,
        in_blocks: bool = False,
        copies: int = 1,
        top: Sequence[int] = (),
        seed: int = 0,
        items: ItemFacts | None = None,
    ) -> None:
        self._calendar = calendar
        self._arms = list(arms)
        self._attribution_ms = attribution_ms
        self._on_day = on_day
        self._is_random = is_random
        self._in_blocks = in_blocks
        self._copies = copies
        self._top = top
        self._seed = seed
        self._items = items
        self._open: dict[tuple[int, str], OpenDay] = {}
        self._learnt_ms: dict[str, dict[int, int]] = {}  # by learner and version, of those that have learnt
        self._next_day = 0

    def observe(self, outcomes: ExampleBatch) -> None:
        """Count the stamps of exposures against their final labels."""
        exposures = outcomes.exposures
        for day, arm, mask in self._parts(outcomes):
            rows = slice(None) if mask is None else mask
            sums = self._open_day(day, arm)
            label = outcomes.label[rows]
            pctr = exposures.pctr[rows]
            weight = _some(exposures.weight, rows)
            for block, part in self._blocks(exposures.event_time_ms, rows):
                sums.stamps.setdefault(block, StreamMetrics()).add(pctr[part], label[part], _some(weight, part))
            # All of a request is in one call: its exposures have one time, and so one at which their windows close.
            sums.requests += _different_in(exposures.request_id[rows])
            sums.users.add(exposures.user_id[rows], label)
            self._add_versions(sums, exposures, rows)
            if sums.ranking is not None:
                sums.ranking.add(exposures if mask is None else exposures.take(mask), label)
            if sums.items is not None:
                sums.items.add(exposures, rows, label)
            drawn = self._is_random(exposures.request_id[rows])
            if drawn is not None and drawn.any():
                sums.random.add(pctr[drawn], label[drawn], _some(weight, drawn))
        self._forget_versions(exposures)

    def _forget_versions(self, exposures: ExposureBatch) -> None:
        """Versions rise with time, and so do the exposures that come: what is older than these has served its time."""
        for learner, rows in zip(*_different(exposures.model_name, slice(None)), strict=True):
            if known := self._learnt_ms.get(learner):
                oldest = int(exposures.model_version[rows].min())
                for version in [version for version in known if version < oldest]:
                    del known[version]

    def _add_versions(self, sums: OpenDay, exposures: ExposureBatch, rows: slice | np.ndarray) -> None:
        """Which versions stamped rows, and how old what they had learnt from was."""
        time_ms = exposures.event_time_ms[rows]
        numbers, of_number = _different(exposures.model_version, rows)
        sums.versions.update(numbers)
        for learner, of_learner in zip(*_different(exposures.model_name, rows), strict=True):
            known = self._learnt_ms.get(learner, {})
            for number, mine in zip(numbers, of_number, strict=True):
                if number in known:
                    served_ms = time_ms[_both(of_learner, mine)]
                    sums.aged += len(served_ms)
                    sums.age_ms += int(served_ms.sum()) - len(served_ms) * known[number]

    def published(self, version: Published) -> None:
        """Note what a version had learnt from, before it serves."""
        if version.learnt_ms is not None:
            known = self._learnt_ms.setdefault(version.learner, {})
            known[version.version] = version.learnt_ms
            if len(known) > MOST_VERSIONS:
                del known[min(known)]

    def trained(self, trained: Trained) -> None:
        """Count the progressive predictions of rows that the learner trains on."""
        assert trained.examples is not None
        label, weight = trained.examples.label, trained.examples.exposures.weight
        for day, arm, mask in self._parts(trained.examples, for_each=self._copies > 1):
            rows = slice(None) if mask is None else mask
            self._open_day(day, arm).progressive.add(trained.pctr[rows], label[rows], _some(weight, rows))

    def _parts(self, examples: ExampleBatch, *, for_each: bool = False) -> list[tuple[int, str, np.ndarray | None]]:
        """Cut the rows by day and arm: (day, arm, mask of rows; None for all). for_each: all rows of a day for each arm."""
        times = examples.exposures.event_time_ms
        days = self._calendar.day_of(times)
        first, last = int(days.min()), int(days.max())
        arm_of = examples.exposures.arm
        parts: list[tuple[int, str, np.ndarray | None]] = []
        for day in range(max(first, self._next_day), last + 1):
            in_day = None if first == last else days == day
            for arm in self._arms:
                if for_each:
                    mask = in_day
                elif arm_of.strides == (0,):
                    mask = in_day if arm_of[0] == arm else np.zeros(0, dtype=bool)
                else:
                    mask = arm_of == arm if in_day is None else in_day & (arm_of == arm)
                if mask is None or (len(mask) and mask.any()):
                    parts.append((day, arm, mask))
        return parts

    def _blocks(self, time_ms: np.ndarray, rows: slice | np.ndarray) -> list[tuple[int, slice | np.ndarray]]:
        """Cut rows of one day by block: (block, which of these rows)."""
        if not self._in_blocks:
            return [(0, slice(None))]
        blocks = self._calendar.block_of(time_ms[rows])
        return [(block, blocks == block) for block in np.unique(blocks).tolist()]

    def _open_day(self, day: int, arm: str) -> OpenDay:
        if (day, arm) not in self._open:
            self._open[day, arm] = self._new_day()
        return self._open[day, arm]

    def _new_day(self) -> OpenDay:
        ranking = RankingSums(self._top, self._seed, self._copies) if self._top else None
        return OpenDay(ranking, None if self._items is None else ItemSums(self._items))

    def metrics(self) -> dict[str, Any]:
        """Nothing: the days' rows tell it."""
        return {}

    def end_tick(self, tick: int, watermark_ms: int) -> None:
        """Hand on the days whose last attribution window has closed."""
        ends = self._calendar.day_bounds_ms
        while (
            self._next_day < self._calendar.days and ends[self._next_day + 1] + self._attribution_ms < watermark_ms + 1
        ):
            day, phase = self._next_day, self._calendar.phases[self._next_day]
            for arm in self._arms:
                sums = self._open.pop((day, arm), None) or self._new_day()
                self._on_day(sums.finish(day, phase, arm, in_blocks=self._in_blocks))
            self._next_day += 1

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The open days, and what the versions that may still serve had learnt from."""
        meta: dict[str, Any] = {"next_day": self._next_day, "open": [], "learnt_ms": self._learnt_ms}
        arrays: dict[str, np.ndarray] = {}
        for i, ((day, arm), sums) in enumerate(sorted(self._open.items())):
            entry, of_day = sums.state()
            meta["open"].append({"day": day, "arm": arm, **entry})
            arrays |= prefixed(f"{i}.", of_day)
        return meta, arrays

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `state` gave; of another tally's state (a fork's), only this tally's arms."""
        self._next_day = meta["next_day"]
        # In JSON numbers are texts where they are keys.
        named = meta.get("learnt_ms", {}).items()
        self._learnt_ms = {name: {int(version): ms for version, ms in of.items()} for name, of in named}
        self._open = {}
        for i, entry in enumerate(meta["open"]):
            if entry["arm"] in self._arms:
                sums = self._new_day()
                sums.restore(entry, part_of(f"{i}.", arrays))
                self._open[entry["day"], entry["arm"]] = sums


def _different_in(column: np.ndarray) -> int:
    """How many different values there are; quick where equal ones lie side by side."""
    begins = np.ones(len(column), dtype=bool)
    begins[1:] = column[1:] != column[:-1]
    return len(np.unique(column[begins]))


def _different(column: np.ndarray, rows: slice | np.ndarray) -> tuple[list[Any], list[np.ndarray | slice]]:
    """The different values of a column in some rows, and in which of these each stands: in all where it is the only one."""
    if is_constant(column):
        return column[:1].tolist(), [slice(None)]
    values = column[rows]
    found = np.unique(values).tolist()
    return found, [slice(None)] if len(found) == 1 else [values == value for value in found]


def _both(one: np.ndarray | slice, other: np.ndarray | slice) -> np.ndarray | slice:
    """Rows that are in both; a slice is of all."""
    if isinstance(one, slice):
        return other
    return one if isinstance(other, slice) else one & other
