"""The sums of one day and arm while labels still come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reloop_stream.clock import HOUR_MS
from reloop_stream.metrics import StreamMetrics
from reloop_stream.state.packing import part_of, prefixed
from simulator.lab.item_sums import ItemSums
from simulator.lab.ranking_sums import RankingSums
from simulator.run_folder.columns import RELIABILITY_EDGES
from simulator.run_folder.key_counts import Counted, KeyCounts

__all__ = ["DayOfArm", "OpenDay"]

NAMES = ("progressive", "random")


@dataclass(frozen=True, slots=True)
class DayOfArm:
    """A finished day of one arm: its row of `daily.csv`, its users' counts [n], its rows of `blocks.csv`, and its part in
    those of `reliability.csv`. ranking: further sums of the users, [n] each, where slates were ranked. items, topics: columns
    of its rows of `items.parquet`, and of its part in those of `topics.parquet`; None where nothing is known of items."""

    row: dict[str, Any]
    user_id: np.ndarray
    exposures: np.ndarray
    clicks: np.ndarray
    blocks: Sequence[Mapping[str, Any]] = ()
    reliability: Sequence[Mapping[str, Any]] = ()
    ranking: Mapping[str, np.ndarray] = field(default_factory=dict)
    items: Mapping[str, np.ndarray] | None = None
    topics: Mapping[str, np.ndarray] | None = None


@dataclass(slots=True)
class OpenDay:
    """stamps: by block of the day; one where it is not cut. ranking: None where no slates are ranked. items: None where nothing
    is known of them.

    aged, age_ms: exposures that a version stamped which had learnt something, and the sum of how long before each that was.
    """

    ranking: RankingSums | None
    items: ItemSums | None
    stamps: dict[int, StreamMetrics] = field(default_factory=dict)
    progressive: StreamMetrics = field(default_factory=StreamMetrics)
    random: StreamMetrics = field(default_factory=StreamMetrics)
    requests: int = 0
    aged: int = 0
    age_ms: int = 0
    versions: set[int] = field(default_factory=set)
    users: KeyCounts = field(default_factory=KeyCounts)

    def finish(self, day: int, phase: str, arm: str, *, in_blocks: bool) -> DayOfArm:
        """All of the day, once its labels are known. in_blocks: whether it was cut into blocks."""
        user_id, exposures, clicks = self.users.counted()
        stamps, progressive, random = StreamMetrics(), self.progressive, self.random
        for _, block in sorted(self.stamps.items()):
            stamps.merge(block)
        shown, clicked = int(exposures.sum()), int(clicks.sum())
        row = {
            "day": day,
            "phase": phase,
            "arm": arm,
            "users": len(user_id),
            "requests": self.requests,
            "exposures": shown,
            "clicks": clicked,
            "ctr": clicked / shown if shown else float("nan"),
            "auc": stamps.auc,
            "logloss": stamps.logloss,
            "ne": stamps.ne,
            "calibration": stamps.calibration,
            "model_versions": len(self.versions),
            "progressive_auc": progressive.auc,
            "progressive_logloss": progressive.logloss,
            "progressive_calibration": progressive.calibration,
            "random_exposures": random.n,
            "random_auc": random.auc,
            "random_calibration": random.calibration,
            "staleness_hours": self.age_ms / self.aged / HOUR_MS if self.aged else float("nan"),
        }
        ranking = {}
        if self.ranking is not None:  # the same users, in the same order
            ranking = dict(zip(self.ranking.columns, self.ranking.in_one()[1].T, strict=True))
        return DayOfArm(
            row,
            user_id,
            exposures,
            clicks,
            _rows_of_blocks(row, stamps, self.stamps) if in_blocks else (),
            _rows_of_reliability(stamps),
            ranking,
            None if self.items is None else self.items.by_item(day),
            None if self.items is None else self.items.by_topic(),
        )

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Text user ids travel in the mapping, numbers in the arrays."""
        user_id, exposures, clicks = self.users.counted()
        meta: dict[str, Any] = {
            "requests": self.requests,
            "versions": sorted(self.versions),
            "aged": self.aged,
            "age_ms": self.age_ms,
            "blocks": sorted(self.stamps),
        }
        arrays = {"exposures": exposures, "clicks": clicks}
        if user_id.dtype == np.int64:
            arrays["user_id"] = user_id
        else:
            meta["user_id"] = user_id.tolist()
        if self.ranking is not None:
            arrays["ranking"] = self.ranking.in_one()[1]
        if self.items is not None:
            arrays |= prefixed("of_items.", self.items.state())
        for block, stamps in self.stamps.items():
            arrays |= prefixed(f"stamps.{block}.", stamps.state())
        for name in NAMES:
            arrays |= prefixed(f"{name}.", getattr(self, name).state())
        return meta, arrays

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `state` gave. One of before items or ages were counted leaves these out of the day."""
        self.requests, self.versions = meta["requests"], set(meta["versions"])
        self.aged, self.age_ms = meta.get("aged", 0), meta.get("age_ms", 0)
        user_id = arrays["user_id"] if "user_id" in arrays else np.array(meta["user_id"], dtype=object)
        self.users = KeyCounts(Counted(user_id, arrays["exposures"], arrays["clicks"]))
        if self.ranking is not None:
            self.ranking.restore(user_id, arrays["ranking"])
        of_items = part_of("of_items.", arrays)
        if self.items is not None and of_items:
            self.items.restore(of_items)
        elif not of_items:
            self.items = None
        # A state of before days were cut into blocks has each in one.
        places = {block: f"stamps.{block}." for block in meta.get("blocks", ())}
        for block, prefix in (places if "blocks" in meta else {0: "stamps."}).items():
            self.stamps[block] = StreamMetrics()
            self.stamps[block].restore(part_of(prefix, arrays))
        for name in NAMES:
            getattr(self, name).restore(part_of(f"{name}.", arrays))


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


def _rows_of_reliability(stamps: StreamMetrics) -> list[dict[str, Any]]:
    """A row a bin of pCTR that holds any."""
    binned = stamps.binned(np.array(RELIABILITY_EDGES))
    columns = (column.tolist() for column in binned)
    return [
        {"bin": number, "exposures": weight, "predicted": predicted, "clicks": labels}
        for number, (weight, labels, predicted) in enumerate(zip(*columns, strict=True))
        if weight
    ]
