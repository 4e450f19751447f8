"""The results of a run: what was found, as it is written and printed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from simulator.readout.differences import DayDifference
from simulator.readout.findings import ESTIMATOR_LABELS, METRIC_LABELS, SRM_ALARM, Alarm, Day, Findings
from simulator.readout.policies import policies_as_json
from simulator.readout.statistics.estimate import CONFIDENCE
from simulator.readout.words import render, sentence

__all__ = ["ESTIMATOR_LABELS", "METRIC_LABELS", "SRM_ALARM", "Alarm", "Day", "Results", "without_nan"]


@dataclass(frozen=True)
class Results(Findings):
    """What a run says."""

    def sentence(self, arm: str) -> str:
        """A treatment's headline in one sentence, with its interval and, where it is known, the truth."""
        return sentence(self, arm)

    def to_json(self) -> str:
        """As results.json has it; undefined numbers are null."""
        uplift: dict[str, Any] = {
            arm: {**estimates, "headline": self.headline} for arm, estimates in self.uplift.items()
        }
        if self.run.is_replay:
            uplift = {arm: dict.fromkeys((*ESTIMATOR_LABELS, "headline")) for arm in self.run.treatments}
        whole = {arm: {k: v.whole._asdict() for k, v in of.items()} for arm, of in self.differences.items()}
        by_day = {
            arm: {k: [_as_dict(day) for day in v.days] for k, v in of.items()} for arm, of in self.differences.items()
        }
        content = {
            "uplift": uplift,
            "baseline": self.run.control,
            "sentences": {arm: self.sentence(arm) for arm in self.run.treatments},
            "holm": self.holm,
            "mde": self.mde,
            "truth": self.truth,
            "error": self.error,
            "truth_days": self.truth_days,
            "checks": self.checks,
            "aa": self.aa,
            "phases": self.phases,
            "days": [_day(day) for day in self.days],
            "sequential": self.sequential,
            "segments": self.segments,
            "novelty": self.novelty,
            "bounds": self.bounds,
            "catalogue": self.catalogue,
            "catalogue_days": self.catalogue_days,
            "reliability": self.reliability,
            "ctr": self.ctr,
            "srm_p": self.srm_p,
            "quality": self.quality,
            "difference_of_quality": whole,
            "difference_of_quality_by_day": by_day,
            "alarms": self.alarms,
            "ranking": None if self.ranking is None else self.ranking.as_json(),
            "off_policy": policies_as_json(self.policies, self.cuts),
            "confidence_level": CONFIDENCE,
            "notes": self.notes,
        }
        return json.dumps(without_nan(content), indent=2, allow_nan=False) + "\n"

    def render(self) -> str:
        """For the terminal: the daily table, the uplift, what to doubt, where the report lies."""
        return render(self)


def _day(day: Day) -> dict[str, Any]:
    told = {"day": day.row["day"], "phase": day.row["phase"], "arm": day.row["arm"], "ctr": day.row["ctr"]}
    return told | {"lo": day.lo, "hi": day.hi, "uplift": day.uplift, "ab_minus_aa": day.corrected, "so_far": day.so_far}


def _as_dict(day: DayDifference) -> dict[str, Any]:
    so_far = None if day.so_far is None else day.so_far._asdict()
    return {"day": day.day, "phase": day.phase, **day.difference._asdict(), "so_far": so_far}


def without_nan(value: Any) -> Any:
    """For JSON: named tuples are objects, numbers that are not finite null."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
