"""From a run folder to its results: all statistics, computed once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa

from simulator.readout.differences import differences
from simulator.readout.policies import cuts_of, doubts, judge_arms
from simulator.readout.ranking import rank_arms
from simulator.readout.results import SRM_ALARM, Alarm, Day, Results
from simulator.readout.statistics.ctr import ctr_interval
from simulator.readout.statistics.estimate import Estimate
from simulator.readout.statistics.sample_ratio import srm
from simulator.readout.statistics.uplift import ab_minus_aa, cuped, raw
from simulator.readout.statistics.users import UserSums, user_sums
from simulator.run_folder.reader import Run

__all__ = ["compute"]

QUALITY = ("auc", "logloss", "ne", "calibration")


def compute(run: Run) -> Results:
    """All statistics of a run folder."""
    rows = run.daily.to_pylist()
    sums = {arm: user_sums(run.users, arm) for arm in run.arms} if run.users is not None else {}
    uplift = {}
    for arm in run.treatments if sums and not run.is_replay else []:
        pair = sums[run.control], sums[arm]
        uplift[arm] = {
            "raw": raw(*pair),
            "ab_minus_aa": ab_minus_aa(*pair),
            "cuped": cuped(*pair),
        }
    srm_p = _srm(run)
    cuts = cuts_of(run)
    policies = judge_arms(run, cuts)
    return Results(
        run=run,
        days=_days(run, rows, sums),
        uplift=uplift,
        srm_p=srm_p,
        truth={arm: _truth(run, arm) for arm in run.treatments},
        quality=_quality(run, rows),
        ctr=_ctr_of_phases(run, rows),
        differences=differences(run) if run.is_replay else {},
        alarms=_alarms(run),
        ranking=rank_arms(run),
        policies=policies,
        cuts=cuts,
        notes=_notes(run, rows, srm_p, uplift) + doubts(policies),
    )


def _days(run: Run, rows: list[dict[str, Any]], sums: dict[str, UserSums]) -> list[Day]:
    by_day: dict[tuple[int, str], UserSums] = {}
    if run.users is not None:
        for row in rows:
            by_day[row["day"], row["arm"]] = user_sums(run.users, row["arm"], row["day"])
    found = []
    for row in rows:
        mine = by_day.get((row["day"], row["arm"]))
        if mine is None:
            found.append(Day(row, math.nan, math.nan))
            continue
        _, lo, hi = ctr_interval(mine.exposures, mine.clicks)
        control = by_day.get((row["day"], run.control))
        if row["arm"] == run.control or control is None or run.is_replay:
            found.append(Day(row, lo, hi))
        else:
            corrected = ab_minus_aa(control, mine) if row["phase"] == "ab" else None
            found.append(Day(row, lo, hi, raw(control, mine), corrected))
    return found


def _srm(run: Run) -> float:
    if run.users is None or run.is_paired:
        return math.nan
    pairs = run.users.select(["user_id", "arm"]).group_by(["user_id", "arm"]).aggregate([])
    counts = {row["values"]: row["counts"] for row in pa.compute.value_counts(pairs["arm"]).to_pylist()}
    shares = {arm["name"]: arm.get("share", 1 / len(run.arms)) for arm in run.config["arms"]}
    return srm({arm: counts.get(arm, 0) for arm in shares}, shares)


def _truth(run: Run, arm: str) -> dict[str, float | None]:
    """The true relative uplift of each kind: expected clicks an exposure over those of the control."""
    found: dict[str, float | None] = {}
    truth = run.truth.to_pylist()
    for kind in ("experiment", "launch"):
        rates = {}
        for name in (run.control, arm):
            rows = [row for row in truth if row["kind"] == kind and row["arm"] == name]
            shown = sum(row["exposures"] for row in rows)
            rates[name] = sum(row["expected_clicks"] for row in rows) / shown if shown else math.nan
        relative = rates[arm] / rates[run.control] - 1 if rates[run.control] else math.nan
        found[kind] = None if math.isnan(relative) else relative
    return found


def _measured(run: Run, rows: list[dict[str, Any]], arm: str) -> list[dict[str, Any]]:
    """An arm's A/B days; its A/A days in a run without A/B."""
    mine = [row for row in rows if row["arm"] == arm]
    return [row for row in mine if row["phase"] == "ab"] or [row for row in mine if row["phase"] == "aa"]


def _quality(run: Run, rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Means over days, weighted by exposures."""
    found: dict[str, dict[str, float]] = {}
    for arm in run.arms:
        days = _measured(run, rows, arm)
        weights = np.array([row["exposures"] for row in days], dtype=float)
        found[arm] = {}
        for name in QUALITY:
            values = np.array([math.nan if row[name] is None else row[name] for row in days])
            known = ~np.isnan(values) & (weights > 0)
            found[arm][name] = float(np.average(values[known], weights=weights[known])) if known.any() else math.nan
    return found


def _ctr_of_phases(run: Run, rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for arm in run.arms:
        found[arm] = {}
        for phase in ("warmup", "aa", "ab"):
            days = [row for row in rows if row["arm"] == arm and row["phase"] == phase]
            shown = sum(row["exposures"] for row in days)
            if shown:
                found[arm][phase] = sum(row["clicks"] for row in days) / shown
    return found


def sudden_drifts(run: Run) -> list[float]:
    """When the world changes at once, in days since the beginning."""
    drifts = (run.config.get("world") or {}).get("drift") or []
    return sorted({float(drift["day"]) for drift in drifts if drift["kind"] == "sudden"})


def _alarms(run: Run) -> list[Alarm] | None:
    if run.monitor is None:
        return None
    found = []
    for row in run.monitor.to_pylist():
        if row["alarm"]:
            since = [24 * (row["time"] - day) for day in sudden_drifts(run) if day <= row["time"]]
            read = {name: row[name] for name in Alarm._fields if name in row}
            found.append(Alarm(**read, hours_after_drift=round(since[-1], 4) if since else None))
    return sorted(found, key=lambda alarm: alarm.time)


def _note_of_a_replay(run: Run, rows: list[dict[str, Any]]) -> str:
    what = "so the arms differ in log loss, AUC and calibration, and there is no uplift in CTR"
    if not run.is_paired:
        return f"what was shown did not depend on the arm, {what}"
    mine = _measured(run, rows, run.control)
    shown = sum(row["exposures"] for row in mine)
    ctr = f" (CTR {sum(row['clicks'] for row in mine) / shown:.2%} in each)" if shown else ""
    return f"every arm saw the same {shown:,} events{ctr}, {what}"


def _notes(run: Run, rows: list[dict[str, Any]], srm_p: float, uplift: dict[str, dict[str, Estimate]]) -> list[str]:
    notes = [*run.manifest.warnings, *run.manifest.notes] if run.manifest is not None else []
    if run.status != "finished":
        notes.append(f"the run is {run.status}: the figures cover the days so far")
    if srm_p < SRM_ALARM:
        notes.append(f"sample ratio mismatch (p = {srm_p:.2g}): the arms' numbers of users do not fit their shares")
    if run.is_replay:
        notes.append(_note_of_a_replay(run, rows))
    elif not any(row["phase"] == "ab" for row in rows):
        notes.append("there is no A/B day yet: no uplift")
    elif unknown := [arm for arm, found in uplift.items() if math.isnan(found["raw"].relative)]:
        notes.append(
            f"no uplift of {', '.join(unknown)}: it needs two users and a click in either arm, and users whose CTRs differ"
        )
    elif uplift and all(math.isnan(found["cuped"].relative) for found in uplift.values()):
        notes.append("CUPED and A/B - A/A need an A/A period with clicks")
    known = any(not math.isnan(found["raw"].relative) for found in uplift.values())
    if known:
        notes.append(
            "the intervals are across users; the learners' own randomness, which other seeds would show, is not in them"
        )
    return notes
