"""From a run folder to its results: all statistics, computed once."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np

from simulator.readout.bounds import bounds_of
from simulator.readout.checking import checks_of
from simulator.readout.comparison import compared
from simulator.readout.differences import differences
from simulator.readout.policies import cuts_of, doubts, judge_arms
from simulator.readout.ranking import rank_arms
from simulator.readout.reliability import reliability_of
from simulator.readout.results import SRM_ALARM, Alarm, Day, Results
from simulator.readout.statistics.catalogue import catalogue_by_day, over_days
from simulator.readout.statistics.ctr import ctr_interval
from simulator.readout.statistics.estimate import Estimate
from simulator.readout.statistics.phases import phases_of
from simulator.readout.statistics.sample_ratio import srm
from simulator.readout.statistics.uplift import ab_minus_aa, raw
from simulator.readout.statistics.users import ArmRows, Users, group_users
from simulator.readout.truth import true_uplift, true_uplift_by_day
from simulator.run_folder.reader import Run

__all__ = ["compute"]

QUALITY = ("auc", "logloss", "ne", "calibration")


def compute(run: Run) -> Results:
    """All statistics of a run folder."""
    rows = run.daily.to_pylist()
    users = None if run.users is None else group_users(run.users, run.arms)
    cuts = cuts_of(run)
    policies = judge_arms(run, cuts)
    measured = "ab" if any(row["phase"] == "ab" for row in rows) else "aa"
    results = Results(
        run=run,
        days=_days(run, rows, users.arms if users else {}),
        uplift={},
        srm_p=_srm(run, users),
        truth={arm: true_uplift(run, arm) for arm in run.treatments},
        quality=_quality(run, rows),
        ctr=_ctr_of_phases(run, rows),
        differences=differences(run) if run.is_replay else {},
        alarms=_alarms(run),
        ranking=rank_arms(run),
        policies=policies,
        cuts=cuts,
        phases=phases_of(users.arms) if users else [],
        bounds=bounds_of(run),
        catalogue={} if run.items is None else over_days(run.items, measured),
        catalogue_days={} if run.items is None else catalogue_by_day(run.items),
        reliability=reliability_of(run, measured),
        truth_days={arm: true_uplift_by_day(run, arm) for arm in run.treatments},
    )
    if users and not run.is_replay:
        results = compared(results, users)
    notes = _notes(run, rows, results.srm_p, results.uplift) + doubts(policies)
    return replace(results, notes=notes, checks=checks_of(results))


def _days(run: Run, rows: list[dict[str, Any]], arms: dict[str, ArmRows]) -> list[Day]:
    """Each day of each arm alone, and against the control's."""
    found = []
    for _, of_day in groupby(rows, lambda row: row["day"]):
        mine = list(of_day)
        sums = {row["arm"]: arms[row["arm"]].sums(arms[row["arm"]].day == row["day"]) for row in mine if arms}
        for row in mine:
            if row["arm"] not in sums:
                found.append(Day(row, math.nan, math.nan))
                continue
            one, control = sums[row["arm"]], sums.get(run.control)
            day = Day(row, *ctr_interval(one.exposures, one.clicks)[1:])
            if row["arm"] != run.control and control is not None and not run.is_replay:
                corrected = ab_minus_aa(control, one) if row["phase"] == "ab" else None
                day = replace(day, uplift=raw(control, one), corrected=corrected)
            found.append(day)
    return found


def _srm(run: Run, users: Users | None) -> float:
    if users is None or run.is_paired:
        return math.nan
    shares = {arm["name"]: arm.get("share", 1 / len(run.arms)) for arm in run.config["arms"]}
    return srm({arm: len(rows.who) for arm, rows in users.arms.items()}, shares)


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
    notes = [*run.manifest.warnings, *run.manifest.notes] if run.manifest is not None else [*run.notes]
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
        notes.append("CUPED and A/B - A/A need an A/A period with clicks of the users of A/B")
    known = any(not math.isnan(found["raw"].relative) for found in uplift.values())
    if known and run.manifest is not None:
        notes.append(
            "the intervals are across users; the learners' own randomness, which other seeds would show, is not in them"
        )
    return notes
