"""The results of a run: computed once from its folder, then written, drawn and printed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simulator.readout.bounds import Bounds
from simulator.readout.checks import Check
from simulator.readout.differences import DayDifference, Differences
from simulator.readout.policies import Cuts, JudgedPolicy, policies_as_json, policy_lines
from simulator.readout.ranking import Ranking
from simulator.readout.reliability import ReliabilityBin
from simulator.readout.statistics.catalogue import Catalogue
from simulator.readout.statistics.estimate import CONFIDENCE, Estimate
from simulator.readout.statistics.novelty import SinceFirst
from simulator.readout.statistics.phases import PhaseOfArm
from simulator.readout.statistics.pre_period import AaCheck
from simulator.readout.statistics.segments import SegmentUplift
from simulator.readout.statistics.sequential import Look
from simulator.run_folder.columns import PHASE_LABELS
from simulator.run_folder.reader import Run

__all__ = ["ESTIMATOR_LABELS", "METRIC_LABELS", "SRM_ALARM", "Alarm", "Day", "Results", "without_nan"]

ESTIMATOR_LABELS = {"raw": "raw", "ab_minus_aa": "A/B − A/A", "cuped": "CUPED"}
METRIC_LABELS = {"logloss": "log loss", "auc": "AUC", "calibration": "calibration"}  # of a replay's differences
SRM_ALARM = 0.001  # the usual bound: an alarm here means that the assignment is broken, not bad luck


@dataclass(frozen=True)
class Day:
    """One day of one arm. row: as in daily.csv. lo, hi: interval of its CTR. uplift, corrected: against control, raw and
    A/B - A/A; None for the control. so_far: the headline from the first A/B day up to this one; None on other days."""

    row: dict[str, Any]
    lo: float
    hi: float
    uplift: Estimate | None = None
    corrected: Estimate | None = None
    so_far: Estimate | None = None


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
    """What a run says. Days are numbered from 0, numbers that are not defined NaN.

    uplift: treatment → estimator → Estimate. truth: treatment → kind → relative uplift; None where it is not known.
    alarms: of drift, in order; None where no learner had a monitor. ranking: None where the data have no slates
    to rank. policies: arm → what the log says of it as a policy.

    holm: treatment → p of its headline, corrected over all treatments. sequential: treatment → a look a day of A/B. novelty:
    treatment → by day since first exposure. mde: treatment → the smallest relative uplift that this run's headline finds with
    80% power at 5%. aa: None where there was no A/A period. truth_days: treatment → kind → day → relative uplift.
    error: treatment → estimator → estimate - truth (experiment). bounds: None unless the run kept them. catalogue: arm → over
    the A/B days; catalogue_days: arm → day → of it. reliability: arm → bins, over the A/B days."""

    run: Run
    days: list[Day]
    uplift: dict[str, dict[str, Estimate]]
    srm_p: float
    truth: dict[str, dict[str, float | None]]
    quality: dict[str, dict[str, float]]
    ctr: dict[str, dict[str, float]]
    differences: dict[str, dict[str, Differences]]  # of a replay: treatment → logloss, auc, calibration
    alarms: list[Alarm] | None = None
    ranking: Ranking | None = None
    policies: dict[str, JudgedPolicy] = field(default_factory=dict)
    cuts: Cuts = field(default_factory=Cuts)
    notes: list[str] = field(default_factory=list)
    holm: dict[str, float] = field(default_factory=dict)
    sequential: dict[str, list[Look]] = field(default_factory=dict)
    phases: list[PhaseOfArm] = field(default_factory=list)
    segments: list[SegmentUplift] = field(default_factory=list)
    novelty: dict[str, list[SinceFirst]] = field(default_factory=dict)
    mde: dict[str, float] = field(default_factory=dict)
    aa: AaCheck | None = None
    checks: list[Check] = field(default_factory=list)
    truth_days: dict[str, dict[str, dict[int, float]]] = field(default_factory=dict)
    error: dict[str, dict[str, float]] = field(default_factory=dict)
    bounds: Bounds | None = None
    catalogue: dict[str, Catalogue] = field(default_factory=dict)
    catalogue_days: dict[str, dict[int, Catalogue]] = field(default_factory=dict)
    reliability: dict[str, list[ReliabilityBin]] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        return "cuped" if any(not math.isnan(u["cuped"].relative) for u in self.uplift.values()) else "raw"

    def sentence(self, arm: str) -> str:
        """A treatment's headline in one sentence, with its interval and, where it is known, the truth."""
        if self.run.is_replay:
            return self._sentence_of_a_replay(arm)
        found = self.uplift.get(arm, {}).get(self.headline)
        if found is None or math.isnan(found.relative):
            return f"Nothing can be said of {arm}'s uplift in CTR over {self.run.control}."
        if found.lo <= 0 <= found.hi:
            side = "cannot be told from 0"
        elif self.holm.get(arm, found.p) >= 1 - CONFIDENCE:
            side = "is no longer sure once all arms are counted"
        else:
            side = "is more than luck"
        said = (
            f"{arm} changes CTR by {found.relative:+.2%} against {self.run.control} "
            f"(95% interval {found.lo:+.2%} to {found.hi:+.2%}, {ESTIMATOR_LABELS[self.headline]}), which {side}"
        )
        truth = self.truth.get(arm, {}).get("experiment")
        return f"{said}." if truth is None else f"{said}; the truth is {truth:+.2%}."

    def _sentence_of_a_replay(self, arm: str) -> str:
        found = self.differences[arm]["logloss"].whole if arm in self.differences else None
        if found is None or math.isnan(found.mean):
            return f"Nothing can be said of how {arm} differs from {self.run.control}."
        side = "is better" if found.hi < 0 else "is worse" if found.lo > 0 else "cannot be told from 0"
        return (
            f"{arm}'s log loss differs from {self.run.control}'s by {found.mean:+.5f} "
            f"(95% interval {found.lo:+.5f} to {found.hi:+.5f}), which {side}."
        )

    def to_json(self) -> str:
        """As results.json has it; undefined numbers are null."""
        uplift: dict[str, Any] = {
            arm: {name: estimate._asdict() for name, estimate in estimates.items()} | {"headline": self.headline}
            for arm, estimates in self.uplift.items()
        }
        if self.run.is_replay:
            uplift = {arm: dict.fromkeys((*ESTIMATOR_LABELS, "headline")) for arm in self.run.treatments}
        whole = {arm: {k: v.whole._asdict() for k, v in of.items()} for arm, of in self.differences.items()}
        by_day = {
            arm: {k: [_as_dict(day) for day in v.days] for k, v in of.items()} for arm, of in self.differences.items()
        }
        content = {
            "uplift": uplift,
            "truth": self.truth,
            "ctr": self.ctr,
            "srm_p": self.srm_p,
            "quality": self.quality,
            "difference_of_quality": whole,
            "difference_of_quality_by_day": by_day,
            "alarms": None if self.alarms is None else [alarm._asdict() for alarm in self.alarms],
            "ranking": None if self.ranking is None else self.ranking.as_json(),
            "off_policy": policies_as_json(self.policies, self.cuts),
            "confidence_level": CONFIDENCE,
            "notes": self.notes,
        }
        return json.dumps(without_nan(content), indent=2, allow_nan=False) + "\n"

    def render(self) -> str:
        """For the terminal: the daily table, the uplift, where the report lies."""
        lines = [self._daily_table(), ""]
        for arm, found in self.differences.items():
            lines.append(f"{arm} - {self.run.control}, of the stamps (95% intervals across blocks of time):")
            lines += [f"  {METRIC_LABELS[name]:<11} {difference.whole}" for name, difference in found.items()]
        for arm, estimates in self.uplift.items():
            lines.append(f"uplift of {arm} over {self.run.control} in CTR (95% intervals across users):")
            # A terminal may have no minus sign of its own.
            labels = {name: label.replace("−", "-") for name, label in ESTIMATOR_LABELS.items()}
            lines += [f"  {labels[name]:<10} {estimate}" for name, estimate in estimates.items()]
            for kind, value in self.truth[arm].items():
                if value is not None:
                    lines.append(f"  {'truth':<10} {value:+.2%} ({kind})")
        for alarm in self.alarms or []:
            drift = "" if alarm.hours_after_drift is None else f", {alarm.hours_after_drift:.4g} h after a sudden drift"
            lines.append(f"drift alarm of {alarm.learner}: {alarm.moment}{drift}")
        if self.ranking is not None:
            lines += ["", *self._ranking_table(self.ranking)]
        if self.policies:
            lines += ["", *policy_lines(self.policies, self.cuts)]
        lines += [f"note: {note}" for note in self.notes]
        lines += ["", f"report: {self.run.path / 'report.html'}"]
        return "\n".join(lines)

    def _ranking_table(self, ranking: Ranking) -> list[str]:
        width = max(7, *map(len, self.run.arms))
        lines = [f"ranking of the logged slates (95% intervals across users; differences to {self.run.control})"]
        for name, label in ranking.metrics.items():
            for arm, metrics in ranking.measured.items():
                found = metrics[name]
                line = f"  {label:<8}  {arm:<{width}}  {found.value:.5f} [{found.lo:.5f}, {found.hi:.5f}]"
                lines.append(line if found.difference is None else f"{line}  {found.difference}")
        return lines

    def _daily_table(self) -> str:
        """CTR by day and arm; of a replay, the control's log loss and how far the others' are from it."""
        arms = self.run.arms
        shown = "logloss" if self.run.is_replay else "ctr"
        cells: dict[int, dict[str, str]] = {}
        phases: dict[int, str] = {}
        for day in self.days:
            value, number = day.row.get(shown), day.row["day"]
            text = "-" if value is None else f"{value:.4f}" if self.run.is_replay else f"{value:.2%}"
            cells.setdefault(number, {})[day.row["arm"]] = text
            phases[number] = PHASE_LABELS[day.row["phase"]]
        for arm, found in self.differences.items():
            for of_day in found[shown].days:
                apart = of_day.difference
                text = f"{apart.mean:+.4f} +/-{(apart.hi - apart.lo) / 2:.4f}"
                cells[of_day.day][arm] = "-" if math.isnan(apart.mean) else text
        title = "CTR by day and arm"
        if self.differences:
            title = f"log loss of the stamps by day: {self.run.control}'s, and the others' less it (95% intervals)"
        elif self.run.is_replay:
            title = "log loss of the stamps by day"
        width = max(17 if self.differences else 9, *(len(arm) for arm in arms))
        lines = [title, f"{'day':>4}  {'phase':<8}" + "".join(f"  {arm:>{width}}" for arm in arms)]
        for number, of_arm in sorted(cells.items()):
            row = "".join(f"  {of_arm.get(arm, '-'):>{width}}" for arm in arms)
            lines.append(f"{number + 1:>4}  {phases[number]:<8}{row}")
        return "\n".join(lines)


def _as_dict(day: DayDifference) -> dict[str, Any]:
    so_far = None if day.so_far is None else day.so_far._asdict()
    return {"day": day.day, "phase": day.phase, **day.difference._asdict(), "so_far": so_far}


def without_nan(value: Any) -> Any:
    """For JSON: numbers that are not finite are null."""
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_nan(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
