"""The results of a run: computed once from its folder, then written, drawn and printed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute

from simulator.readout import statistics
from simulator.readout.folder import Run
from simulator.readout.statistics import CONFIDENCE, Estimate

__all__ = ["Alarm", "Day", "Results", "compute"]

ESTIMATORS = ("raw", "ab_minus_aa", "cuped")
QUALITY = ("auc", "logloss", "ne", "calibration")
PHASE_NAMES = {"warmup": "warm-up", "aa": "A/A", "ab": "A/B"}
SRM_ALARM = 0.001  # the usual bound: an alarm here means that the assignment is broken, not bad luck


@dataclass(frozen=True)
class Day:
    """One day of one arm. row: as in daily.csv. lo, hi: interval of its CTR. uplift, corrected: against control, raw and
    A/B - A/A; None for the control."""

    row: dict[str, Any]
    lo: float
    hi: float
    uplift: Estimate | None = None
    corrected: Estimate | None = None


class Alarm(NamedTuple):
    """A rise of a learner's log loss that its monitor found. time: in days since the beginning, at the end of the tick.
    hours_after_drift: since the last sudden drift of the world; None before there was one. rate: of learning, after it."""

    learner: str
    arm: str
    time: float
    logloss: float | None
    calibration: float | None
    rate: float
    hours_after_drift: float | None

    @property
    def moment(self) -> str:
        """As day and time of day, days counted from 1."""
        minutes = round(self.time * 24 * 60)
        return f"day {minutes // 1440 + 1}, {minutes // 60 % 24}:{minutes % 60:02}"


@dataclass(frozen=True)
class Results:
    """What a run says. uplift: treatment → estimator → Estimate. truth: treatment → kind → relative uplift.
    alarms: of drift, in order; None where no learner had a monitor."""

    run: Run
    days: list[Day]
    uplift: dict[str, dict[str, Estimate]]
    srm_p: float
    truth: dict[str, dict[str, float | None]]
    quality: dict[str, dict[str, float]]
    ctr: dict[str, dict[str, float]]
    differences: dict[str, dict[str, Estimate]]  # of a replay: treatment → auc, logloss
    alarms: list[Alarm] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def headline(self) -> str:
        return "cuped" if any(not math.isnan(u["cuped"].relative) for u in self.uplift.values()) else "raw"

    def to_json(self) -> str:
        """As results.json has it; undefined numbers are null."""
        uplift: dict[str, Any] = {
            arm: {name: _plain(estimate) for name, estimate in estimates.items()} | {"headline": self.headline}
            for arm, estimates in self.uplift.items()
        }
        if self.run.is_replay:
            uplift = {arm: dict.fromkeys((*ESTIMATORS, "headline")) for arm in self.run.treatments}
        differences = {arm: {k: _plain(v) for k, v in found.items()} for arm, found in self.differences.items()}
        content = {
            "uplift": uplift,
            "truth": self.truth,
            "ctr": self.ctr,
            "srm_p": self.srm_p,
            "quality": self.quality,
            "difference_of_quality": differences,
            "alarms": None if self.alarms is None else [alarm._asdict() for alarm in self.alarms],
            "confidence_level": CONFIDENCE,
            "notes": self.notes,
        }
        return json.dumps(_clean(content), indent=2, allow_nan=False) + "\n"

    def render(self) -> str:
        """For the terminal: the daily table, the uplift, where the report lies."""
        lines = [self._daily_table(), ""]
        if self.run.is_replay:
            for arm, found in self.differences.items():
                lines.append(f"{arm} against {self.run.control} (mean difference across days, 95% t interval):")
                lines += [f"  {name:<8} {_difference(e)}" for name, e in found.items()]
        for arm, estimates in self.uplift.items():
            if self.run.is_replay:
                break
            lines.append(f"uplift of {arm} over {self.run.control} in CTR (95% intervals across users):")
            labels = {"raw": "raw", "ab_minus_aa": "A/B - A/A", "cuped": "CUPED"}
            lines += [f"  {labels[name]:<10} {estimate}" for name, estimate in estimates.items()]
            for kind, value in self.truth[arm].items():
                if value is not None:
                    lines.append(f"  {'truth':<10} {value:+.2%} ({kind})")
        for alarm in self.alarms or []:
            drift = "" if alarm.hours_after_drift is None else f", {alarm.hours_after_drift:.4g} h after a sudden drift"
            lines.append(f"drift alarm of {alarm.learner}: {alarm.moment}{drift}")
        lines += [f"note: {note}" for note in self.notes]
        lines += ["", f"report: {self.run.path / 'report.html'}"]
        return "\n".join(lines)

    def _daily_table(self) -> str:
        arms = self.run.arms
        width = max(9, *(len(arm) for arm in arms))
        header = f"{'day':>4}  {'phase':<8}" + "".join(f"  {arm:>{width}}" for arm in arms)
        metrics = ("auc",) if self.run.is_replay else ()
        title = "AUC of the stamps by day and arm" if metrics else "CTR by day and arm"
        lines = [title, header]
        by_day: dict[int, dict[str, Day]] = {}
        for day in self.days:
            by_day.setdefault(day.row["day"], {})[day.row["arm"]] = day
        for number, found in sorted(by_day.items()):
            phase = PHASE_NAMES[next(iter(found.values())).row["phase"]]
            cells = ""
            for arm in arms:
                row = found[arm].row if arm in found else {}
                value = row.get("auc" if metrics else "ctr")
                shown = "-" if value is None else f"{value:.4f}" if metrics else f"{value:.2%}"
                cells += f"  {shown:>{width}}"
            lines.append(f"{number + 1:>4}  {phase:<8}{cells}")
        return "\n".join(lines)


def _difference(estimate: Estimate) -> str:
    if math.isnan(estimate.relative):
        return "-"
    return f"{estimate.relative:+.5f} [{estimate.lo:+.5f}, {estimate.hi:+.5f}], p = {estimate.p:.3f}"


def _plain(estimate: Estimate) -> dict[str, float]:
    return estimate._asdict()


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def compute(run: Run) -> Results:
    """All statistics of a run folder."""
    rows = run.daily.to_pylist()
    sums = {arm: statistics.user_sums(run.users, arm) for arm in run.arms} if run.users is not None else {}
    uplift = {}
    for arm in run.treatments if sums else []:
        pair = sums[run.control], sums[arm]
        uplift[arm] = {
            "raw": statistics.raw(*pair),
            "ab_minus_aa": statistics.ab_minus_aa(*pair),
            "cuped": statistics.cuped(*pair),
        }
    srm_p = _srm(run)
    return Results(
        run=run,
        days=_days(run, rows, sums),
        uplift=uplift,
        srm_p=srm_p,
        truth={arm: _truth(run, arm) for arm in run.treatments},
        quality=_quality(run, rows),
        ctr=_ctr(run, rows),
        differences=_differences(run, rows) if run.is_replay else {},
        alarms=_alarms(run),
        notes=_notes(run, rows, srm_p, uplift),
    )


def _days(run: Run, rows: list[dict[str, Any]], sums: dict[str, statistics.UserSums]) -> list[Day]:
    by_day: dict[tuple[int, str], statistics.UserSums] = {}
    if run.users is not None:
        for row in rows:
            by_day[row["day"], row["arm"]] = statistics.user_sums(run.users, row["arm"], row["day"])
    found = []
    for row in rows:
        mine = by_day.get((row["day"], row["arm"]))
        if mine is None:
            found.append(Day(row, math.nan, math.nan))
            continue
        _, lo, hi = statistics.ctr_interval(mine.exposures, mine.clicks)
        control = by_day.get((row["day"], run.control))
        if row["arm"] == run.control or control is None or run.is_replay:
            found.append(Day(row, lo, hi))
        else:
            corrected = statistics.ab_minus_aa(control, mine) if row["phase"] == "ab" else None
            found.append(Day(row, lo, hi, statistics.raw(control, mine), corrected))
    return found


def _srm(run: Run) -> float:
    if run.users is None:
        return math.nan
    pairs = run.users.select(["user_id", "arm"]).group_by(["user_id", "arm"]).aggregate([])
    counts = {row["values"]: row["counts"] for row in pa.compute.value_counts(pairs["arm"]).to_pylist()}
    shares = {arm["name"]: arm["share"] for arm in run.config["arms"]}
    return statistics.srm({arm: counts.get(arm, 0) for arm in shares}, shares)


def _truth(run: Run, arm: str) -> dict[str, float | None]:
    """The true relative uplift of each kind: expected clicks an exposure over those of the control."""
    found: dict[str, float | None] = {}
    for kind in ("experiment", "launch"):
        rates = {}
        for name in (run.control, arm):
            rows = [row for row in run.truth if row["kind"] == kind and str(row["arm"]) == name]
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


def _ctr(run: Run, rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for arm in run.arms:
        found[arm] = {}
        for phase in ("warmup", "aa", "ab"):
            days = [row for row in rows if row["arm"] == arm and row["phase"] == phase]
            shown = sum(row["exposures"] for row in days)
            if shown:
                found[arm][phase] = sum(row["clicks"] for row in days) / shown
    return found


def _differences(run: Run, rows: list[dict[str, Any]]) -> dict[str, dict[str, Estimate]]:
    """Treatment - control by day, for days of A/B that both have."""
    found: dict[str, dict[str, Estimate]] = {}
    control = {row["day"]: row for row in _measured(run, rows, run.control)}
    for arm in run.treatments:
        mine = {row["day"]: row for row in _measured(run, rows, arm)}
        days = sorted(control.keys() & mine.keys())
        found[arm] = {}
        for name in ("auc", "logloss"):
            pair = [np.array([_number(of[day][name]) for day in days]) for of in (control, mine)]
            found[arm][name] = statistics.paired_days(*pair)
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


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _notes(run: Run, rows: list[dict[str, Any]], srm_p: float, uplift: dict[str, dict[str, Estimate]]) -> list[str]:
    notes = list(run.manifest.get("warnings", []))
    if run.manifest.get("status") != "finished":
        notes.append(f"the run is {run.manifest.get('status')}: the figures cover the days so far")
    if srm_p < SRM_ALARM:
        notes.append(f"sample ratio mismatch (p = {srm_p:.2g}): the arms' numbers of users do not fit their shares")
    if run.is_replay:
        notes.append(
            "what was shown did not depend on the arm, so the arms differ in AUC and log loss and there is no uplift in CTR"
        )
    elif not any(row["phase"] == "ab" for row in rows):
        notes.append("there is no A/B day yet: no uplift")
    elif uplift and all(math.isnan(found["cuped"].relative) for found in uplift.values()):
        notes.append("CUPED and A/B - A/A need an A/A period with clicks")
    if uplift and not run.is_replay:
        notes.append(
            "the intervals are across users; the learners' own randomness, which other seeds would show, is not in them"
        )
    return notes
