"""Counting a day as its labels come in: CTR, users, quality of the stamps, by day and arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reloop_stream.events import ExampleBatch
from reloop_stream.metrics import StreamMetrics
from reloop_stream.state.packing import part_of, prefixed
from reloop_stream.updating.base import Trained
from simulator.experiment.calendar import Calendar
from simulator.lab.ranking_sums import RankingSums

__all__ = ["DayOfArm", "Tally"]


@dataclass(frozen=True, slots=True)
class DayOfArm:
    """A finished day of one arm: its row of `daily.csv`, its users' counts [n], and its rows of `blocks.csv`. ranking: further
    sums of the users, [n] each, where slates were ranked."""

    row: dict[str, Any]
    user_id: np.ndarray
    exposures: np.ndarray
    clicks: np.ndarray
    blocks: Sequence[Mapping[str, Any]] = ()
    ranking: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(slots=True)
class _OpenDay:
    """Sums of one day and arm, while labels still come. stamps: by block of the day; one where it is not cut."""

    ranking: RankingSums
    stamps: dict[int, StreamMetrics] = field(default_factory=dict)
    progressive: StreamMetrics = field(default_factory=StreamMetrics)
    random: StreamMetrics = field(default_factory=StreamMetrics)
    requests: int = 0
    versions: set[int] = field(default_factory=set)
    users: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)

    def add_users(self, user_id: np.ndarray, clicks: np.ndarray) -> None:
        self.users.append(_sum_by_user(user_id, np.ones(len(user_id), dtype=np.int64), clicks.astype(np.int64)))

    def users_in_one(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if len(self.users) != 1:
            columns = (
                [np.concatenate(c) for c in zip(*self.users, strict=True)]
                if self.users
                else [np.zeros(0, np.int64)] * 3
            )
            self.users = [_sum_by_user(*columns)]
        return self.users[0]


def _sum_by_user(
    user_id: np.ndarray, exposures: np.ndarray, clicks: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    unique, inverse = np.unique(user_id, return_inverse=True)
    n = len(unique)
    exposure_sums = np.bincount(inverse, weights=exposures, minlength=n).astype(np.int64)
    return unique, exposure_sums, np.bincount(inverse, weights=clicks, minlength=n).astype(np.int64)


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
    how slates that were logged are ranked, see `RankingSums`; no top: there are none.
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
        self._open: dict[tuple[int, str], _OpenDay] = {}
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
            sums.requests += len(np.unique(exposures.request_id[rows]))
            sums.versions.update(np.unique(exposures.model_version[rows]).tolist())
            sums.add_users(exposures.user_id[rows], label)
            if self._top:
                sums.ranking.add(exposures if mask is None else exposures.take(mask), label)
            drawn = self._is_random(exposures.request_id[rows])
            if drawn is not None and drawn.any():
                sums.random.add(pctr[drawn], label[drawn], _some(weight, drawn))

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

    def _open_day(self, day: int, arm: str) -> _OpenDay:
        if (day, arm) not in self._open:
            self._open[day, arm] = self._new_day()
        return self._open[day, arm]

    def _new_day(self) -> _OpenDay:
        return _OpenDay(RankingSums(self._top, self._seed, self._copies))

    def metrics(self) -> dict[str, Any]:
        """Nothing: the days' rows tell it."""
        return {}

    def end_tick(self, tick: int, watermark_ms: int) -> None:
        """Hand on the days whose last attribution window has closed."""
        ends = self._calendar.day_bounds_ms
        while (
            self._next_day < self._calendar.days and ends[self._next_day + 1] + self._attribution_ms < watermark_ms + 1
        ):
            for arm in self._arms:
                self._on_day(self._finish(self._next_day, arm, self._open.pop((self._next_day, arm), self._new_day())))
            self._next_day += 1

    def _finish(self, day: int, arm: str, sums: _OpenDay) -> DayOfArm:
        user_id, exposures, clicks = sums.users_in_one()
        stamps, progressive, random = StreamMetrics(), sums.progressive, sums.random
        for _, block in sorted(sums.stamps.items()):
            stamps.merge(block)
        shown, clicked = int(exposures.sum()), int(clicks.sum())
        row = {
            "day": day,
            "phase": self._calendar.phases[day],
            "arm": arm,
            "users": len(user_id),
            "requests": sums.requests,
            "exposures": shown,
            "clicks": clicked,
            "ctr": clicked / shown if shown else float("nan"),
            "auc": stamps.auc,
            "logloss": stamps.logloss,
            "ne": stamps.ne,
            "calibration": stamps.calibration,
            "model_versions": len(sums.versions),
            "progressive_auc": progressive.auc,
            "progressive_logloss": progressive.logloss,
            "progressive_calibration": progressive.calibration,
            "random_exposures": random.n,
            "random_auc": random.auc,
            "random_calibration": random.calibration,
        }
        blocks = _rows_of_blocks(row, stamps, sums.stamps) if self._in_blocks else ()
        ranking = {}
        if self._top:  # the same users, in the same order
            ranking = dict(zip(sums.ranking.columns, sums.ranking.in_one()[1].T, strict=True))
        return DayOfArm(row, user_id, exposures, clicks, blocks, ranking)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The open days. Text user ids travel in the mapping, numbers in the arrays."""
        meta: dict[str, Any] = {"next_day": self._next_day, "open": []}
        arrays: dict[str, np.ndarray] = {}
        for i, ((day, arm), sums) in enumerate(sorted(self._open.items())):
            user_id, exposures, clicks = sums.users_in_one()
            entry = {"day": day, "arm": arm, "requests": sums.requests, "versions": sorted(sums.versions)}
            entry["blocks"] = sorted(sums.stamps)
            if user_id.dtype == np.int64:
                arrays[f"{i}.user_id"] = user_id
            else:
                entry["user_id"] = user_id.tolist()
            arrays[f"{i}.exposures"], arrays[f"{i}.clicks"] = exposures, clicks
            if self._top:
                arrays[f"{i}.ranking"] = sums.ranking.in_one()[1]
            for block, stamps in sums.stamps.items():
                arrays |= prefixed(f"{i}.stamps.{block}.", stamps.state())
            for name in ("progressive", "random"):
                arrays |= prefixed(f"{i}.{name}.", getattr(sums, name).state())
            meta["open"].append(entry)
        return meta, arrays

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `state` gave; of another tally's state (a fork's), only this tally's arms."""
        self._next_day = meta["next_day"]
        self._open = {}
        for i, entry in enumerate(meta["open"]):
            if entry["arm"] not in self._arms:
                continue
            sums = self._new_day()
            sums.requests, sums.versions = entry["requests"], set(entry["versions"])
            user_id = arrays[f"{i}.user_id"] if f"{i}.user_id" in arrays else np.array(entry["user_id"], dtype=object)
            sums.users = [(user_id, arrays[f"{i}.exposures"], arrays[f"{i}.clicks"])]
            if self._top:
                sums.ranking.restore(user_id, arrays[f"{i}.ranking"])
            # A state of before days were cut into blocks has each in one.
            places = {block: f"{i}.stamps.{block}." for block in entry.get("blocks", ())}
            for block, prefix in (places if "blocks" in entry else {0: f"{i}.stamps."}).items():
                sums.stamps[block] = StreamMetrics()
                sums.stamps[block].restore(part_of(prefix, arrays))
            for name in ("progressive", "random"):
                getattr(sums, name).restore(part_of(f"{i}.{name}.", arrays))
            self._open[entry["day"], entry["arm"]] = sums


def _rows_of_blocks(
    day: Mapping[str, Any], whole: StreamMetrics, blocks: Mapping[int, StreamMetrics]
) -> list[dict[str, Any]]:
    """A row a block, in their order. day: its row of `daily.csv`; whole: all blocks in one."""
    place = {name: day[name] for name in ("day", "phase", "arm")}
    return [
        {
            **place,
            "block": number,
            "exposures": block.n,
            "clicks": block.positives,
            **block.sums._asdict(),
            "auc_without": whole.without(block).auc,
        }
        for number, block in sorted(blocks.items())
    ]
