"""Policies judged by a log: every estimator of each, how far the log can be trusted for it, and how that is said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from simulator.readout.statistics.clusters import ratio_difference
from simulator.readout.statistics.estimate import Difference
from simulator.readout.statistics.off_policy import LoggedPolicy, MeanWeight, PolicyValue, estimators, mean_weight
from simulator.run_folder.reader import Run

__all__ = [
    "POLICY_LABELS",
    "Cuts",
    "JudgedPolicy",
    "cuts_of",
    "doubts",
    "judge",
    "judge_arms",
    "policies_as_json",
    "policy_lines",
]

POLICY_LABELS = {"ips": "IPS", "snips": "self-normalised IPS", "dr": "doubly robust", "switch_dr": "switch-DR"}
# Below it 95% intervals cover the truth less often than they say: docs/off-policy.md.
FEW_CLICKS = 30


class Cuts(NamedTuple):
    """clip: weights above it are cut to it. switch: rows above it are left to the model, by switch-DR."""

    clip: float = math.inf
    switch: float = math.inf

    def __str__(self) -> str:
        clip = "no weight is clipped" if math.isinf(self.clip) else f"weights are clipped to {self.clip:g}"
        return clip if math.isinf(self.switch) else f"{clip}, switch-DR switches above {self.switch:g}"


class JudgedPolicy(NamedTuple):
    """What a log says of a policy. values, differences: by the estimator's name; a difference is to the control's policy.

    logged: the mean reward of the same rows, as they were. clicks: how many equal ones would say as much as the weighted
    ones of the log, (Σ w r)² / Σ (w r)².
    """

    values: dict[str, PolicyValue]
    weights: MeanWeight
    logged: float
    clicks: float
    differences: dict[str, Difference]


def judge(log: LoggedPolicy, cuts: Cuts, control: JudgedPolicy | None = None) -> JudgedPolicy:
    """One policy. control: another one, judged by the same clusters or by others."""
    values = estimators(log, cuts.clip, cuts.switch)
    differences = {}
    if control is not None:
        differences = {name: ratio_difference(v.ratio, control.values[name].ratio) for name, v in values.items()}
    weighted = log.weight * log.reward
    squares = float((weighted**2).sum())
    return JudgedPolicy(
        values,
        mean_weight(log),
        float(log.reward.mean()) if len(log.reward) else math.nan,
        float(weighted.sum()) ** 2 / squares if squares else 0.0,
        differences,
    )


def cuts_of(run: Run) -> Cuts:
    """What the run's scenario says of them."""
    asked = (run.config.get("data") or {}).get("off_policy")
    return Cuts() if asked is None else Cuts(asked.get("clip", math.inf), asked["switch"])


def judge_arms(run: Run, cuts: Cuts) -> dict[str, JudgedPolicy]:
    """Each arm's policy over the A/B days, or the A/A days of a run without A/B. Nothing where none was judged."""
    found: dict[str, JudgedPolicy] = {}
    if run.off_policy is None:
        return found
    phase = "ab" if "ab" in run.off_policy["phase"].unique().to_pylist() else "aa"
    rows = run.off_policy.filter(pa.compute.equal(run.off_policy["phase"], phase))
    for arm in (run.control, *run.treatments):
        mine = rows.filter(pa.compute.equal(rows["arm"], arm))
        found[arm] = judge(_log_of(mine), cuts, found.get(run.control))
    return found


def _log_of(rows: pa.Table) -> LoggedPolicy:
    def column(name: str) -> np.ndarray:
        return np.asarray(rows[name].to_numpy(), dtype=np.float64)

    return LoggedPolicy(
        reward=column("click"),
        propensity=column("propensity"),
        target=column("target"),
        q_logged=column("q_logged"),
        q_target=column("q_target"),
        cluster=rows["user_id"].to_numpy(),
    )


def doubts(policies: Mapping[str, JudgedPolicy]) -> list[str]:
    """What makes the estimates unworthy of trust."""
    found = []
    for name, policy in policies.items():
        weights = policy.weights
        if not weights.fits:
            found.append(
                f"the propensities do not fit {name}: its mean weight is {weights.mean:.4g}, p = {weights.p:.2g} for 1; they "
                "are not the log's, or it wants what the log never shows"
            )
        elif policy.clicks < FEW_CLICKS:
            found.append(
                f"the log has few clicks for {name}, as many as {policy.clicks:.0f} of equal weight: its intervals are too "
                f"narrow below some {FEW_CLICKS}"
            )
    return found


def policy_lines(policies: Mapping[str, JudgedPolicy], cuts: Cuts) -> list[str]:
    """For the terminal: a row a policy and estimator."""
    width = max(6, *map(len, policies))
    header = f"{'policy':<{width}}  {'estimator':<19}  {'value':>8}  {'95% interval':<20}  {'ess':>9}  {'cut':>5}"
    differences = any(policy.differences for policy in policies.values())
    lines = [f"value of a policy by the log's propensities ({cuts})"]
    lines.append(header + ("  difference to the control" if differences else ""))
    for name, policy in policies.items():
        lines.append(f"{name:<{width}}  {'as logged':<19}  {_number(policy.logged):>8}")
        for estimator, value in policy.values.items():
            interval = "-" if math.isnan(value.lo) else f"[{_number(value.lo)}, {_number(value.hi)}]"
            line = f"{name:<{width}}  {POLICY_LABELS[estimator]:<19}  {_number(value.estimate):>8}  {interval:<20}"
            line += f"  {value.ess:>9,.1f}  {value.cut:>5.1%}"
            lines.append(f"{line}  {policy.differences[estimator]}" if policy.differences else line)
    return lines


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.5f}"


def policies_as_json(policies: Mapping[str, JudgedPolicy], cuts: Cuts) -> dict[str, Any] | None:
    """None where no policy was judged. Undefined numbers are NaN."""
    if not policies:
        return None
    found: dict[str, Any] = {name: None if math.isinf(value) else value for name, value in cuts._asdict().items()}
    for name, policy in policies.items():
        values = {
            estimator: {key: number for key, number in value._asdict().items() if key != "ratio"}
            for estimator, value in policy.values.items()
        }
        found.setdefault("policies", {})[name] = {
            "logged": policy.logged,
            "clicks": policy.clicks,
            "mean_weight": policy.weights._asdict(),
            "values": values,
            "difference": {estimator: d._asdict() for estimator, d in policy.differences.items()},
        }
    return found
