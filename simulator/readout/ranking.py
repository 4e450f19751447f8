"""How well each arm ranked the slates of a log, by day and over the A/B period, from sums by user."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from simulator.readout.statistics.clusters import Ratio, ratio, ratio_difference
from simulator.readout.statistics.estimate import Difference
from simulator.run_folder.reader import Run

__all__ = ["RankedArm", "RankedDay", "Ranking", "rank_arms"]


class RankedArm(NamedTuple):
    """A metric of an arm over some days, with its interval across users. difference: to the control; None of itself."""

    value: float
    lo: float
    hi: float
    difference: Difference | None


class RankedDay(NamedTuple):
    """The metrics of an arm on a day, by name."""

    day: int
    arm: str
    metrics: dict[str, RankedArm]


class Ranking(NamedTuple):
    """metrics: names and what people call them. days: of each arm. measured: arm → metric, over the A/B days (A/A days of a run
    without A/B)."""

    metrics: dict[str, str]
    days: list[RankedDay]
    measured: dict[str, dict[str, RankedArm]]

    def as_json(self) -> dict[str, Any]:
        """Undefined numbers are NaN."""
        return {
            "measured": {arm: _as_json(found) for arm, found in self.measured.items()},
            "days": [{"day": day.day, "arm": day.arm, **_as_json(day.metrics)} for day in self.days],
        }


def rank_arms(run: Run) -> Ranking | None:
    """None where the data set has no slates to rank."""
    if run.users is None or "reciprocal_rank" not in run.users.column_names:
        return None
    users, parts = run.users, _parts(run.users.column_names)
    days = []
    for number in sorted(users["day"].unique().to_pylist()):
        of_day = users.filter(pa.compute.equal(users["day"], number))
        days += [RankedDay(number, arm, found) for arm, found in _arms(run, of_day, parts).items()]
    phase = "ab" if "ab" in users["phase"].unique().to_pylist() else "aa"
    measured = _arms(run, users.filter(pa.compute.equal(users["phase"], phase)), parts)
    return Ranking({name: label for name, (label, _, _) in parts.items()}, days, measured)


def _parts(columns: list[str]) -> dict[str, tuple[str, str, str]]:
    """Metric → what it is called, and the sums that it is the ratio of."""
    top = [name.rpartition("_")[2] for name in columns if name.startswith("ndcg_at_")]
    found = {f"ctr_at_{k}": (f"CTR@{k}", f"clicks_at_{k}", f"shown_at_{k}") for k in top}
    found["mrr"] = ("MRR", "reciprocal_rank", "clicked")
    return found | {f"ndcg_at_{k}": (f"nDCG@{k}", f"ndcg_at_{k}", "clicked") for k in top}


def _arms(run: Run, users: pa.Table, parts: dict[str, tuple[str, str, str]]) -> dict[str, dict[str, RankedArm]]:
    """Every arm that has users there."""
    found: dict[str, dict[str, RankedArm]] = {}
    control: dict[str, Ratio] = {}
    for arm in (run.control, *run.treatments):
        mine = users.filter(pa.compute.equal(users["arm"], arm))
        if not len(mine):
            continue
        ratios = {
            name: ratio(_column(mine, above), _column(mine, below), mine["user_id"].to_numpy())
            for name, (_, above, below) in parts.items()
        }
        if arm == run.control:
            control = ratios
        found[arm] = {
            name: RankedArm(
                of.value,
                *of.interval,
                ratio_difference(of, control[name]) if control and arm != run.control else None,
            )
            for name, of in ratios.items()
        }
    return found


def _column(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table[name].to_numpy(), dtype=np.float64)


def _as_json(metrics: dict[str, RankedArm]) -> dict[str, Any]:
    return {
        name: {**found._asdict(), "difference": None if found.difference is None else found.difference._asdict()}
        for name, found in metrics.items()
    }
