"""How much there was to win: what an oracle and what chance would have earned with the same requests."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from simulator.run_folder.columns import BOUND_POLICIES
from simulator.run_folder.reader import Run

__all__ = ["Bounds", "bounds_of"]


class Bounds(NamedTuple):
    """policy: `oracle`, `random` or an arm. All CTRs are expected ones, over the A/B days.

    ctr: of each arm. share: arm → (CTR - random) / (oracle - random). regained: treatment → its true uplift as a share of
    the distance from the control to the oracle: of the control's regret. As a share of that from random to oracle it is the
    difference of the arms' shares. quality: policy → (AUC, log loss) of the world's own probabilities on what it showed, a mean
    over days by exposures. days: policy → day → (CTR, AUC, log loss).
    """

    oracle_ctr: float
    random_ctr: float
    ctr: dict[str, float]
    share: dict[str, float]
    regained: dict[str, float]
    quality: dict[str, tuple[float, float]]
    days: dict[str, dict[int, tuple[float, float, float]]]


def bounds_of(run: Run) -> Bounds | None:
    """None where the run kept none. An arm's CTR is that of everyone on its model, where that truth is known, as the bounds are of
    everyone's requests; else that of its own users."""
    if run.bounds is None:
        return None
    rows: dict[str, list[dict[str, Any]]] = {policy: [] for policy in (*BOUND_POLICIES, *run.arms)}
    for row in run.bounds.to_pylist():
        rows[row["policy"]].append(row)
    oracle, random = (_ctr(rows[policy]) for policy in BOUND_POLICIES)
    truth = [row for row in run.truth.to_pylist() if row["kind"] == "experiment"]
    everyone = {(row["arm"], row["day"]): row for row in truth}
    judged = {arm: [everyone.get((arm, row["day"]), row) for row in rows[arm]] for arm in run.arms}
    ctr = {arm: _ctr(of) for arm, of in judged.items()}
    control = ctr[run.control]
    return Bounds(
        oracle,
        random,
        ctr,
        {arm: _ratio(ctr[arm] - random, oracle - random) for arm in run.arms},
        {arm: _ratio(ctr[arm] - control, oracle - control) for arm in run.treatments},
        {policy: (_mean(of, "auc"), _mean(of, "logloss")) for policy, of in rows.items()},
        {
            policy: {
                row["day"]: (_ctr([of_day]), _number(row["auc"]), _number(row["logloss"]))
                for row, of_day in zip(of, judged.get(policy, of), strict=True)
            }
            for policy, of in rows.items()
        },
    )


def _ctr(rows: list[dict[str, Any]]) -> float:
    return _ratio(sum(row["expected_clicks"] for row in rows), sum(row["exposures"] for row in rows))


def _mean(rows: list[dict[str, Any]], name: str) -> float:
    known = [row for row in rows if row[name] is not None]
    return _ratio(sum(row["exposures"] * row[name] for row in known), sum(row["exposures"] for row in known))


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _ratio(above: float, below: float) -> float:
    return above / below if below else math.nan
