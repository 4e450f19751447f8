"""What was found in a run: every figure, computed once from its folder."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simulator.readout.bounds import Bounds
from simulator.readout.checks import Check
from simulator.readout.differences import Differences
from simulator.readout.policies import Cuts, JudgedPolicy
from simulator.readout.ranking import Ranking
from simulator.readout.reliability import ReliabilityBin
from simulator.readout.statistics.catalogue import Catalogue
from simulator.readout.statistics.estimate import Estimate
from simulator.readout.statistics.novelty import SinceFirst
from simulator.readout.statistics.phases import PhaseOfArm
from simulator.readout.statistics.pre_period import AaCheck
from simulator.readout.statistics.segments import SegmentUplift
from simulator.readout.statistics.sequential import Look
from simulator.run_folder.reader import Run

__all__ = ["ESTIMATOR_LABELS", "METRIC_LABELS", "SRM_ALARM", "Alarm", "Day", "Findings"]

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
class Findings:
    """What a run says. Days are numbered from 0, numbers that are not defined NaN.

    uplift: treatment → estimator → Estimate. truth: treatment → kind → relative uplift; None where it is not known.
    alarms: of drift, in order; None where no learner had a monitor. ranking: None where the data have no slates
    to rank. policies: arm → what the log says of it as a policy.

    holm: treatment → p of its headline, corrected over all treatments. sequential: treatment → a look a day of A/B. novelty:
    treatment → by day since first exposure. mde: treatment → the smallest relative uplift that this run's headline finds with
    80% power at 5%. aa: None where there was no A/A period. truth_days: treatment → kind → day → relative uplift.
    error: treatment → estimator → estimate - truth (experiment). bounds: None unless the run kept them. catalogue: arm → over
    the A/B days (those of A/A in a run without A/B, as are bins); catalogue_days: arm → day → of it. reliability: arm → bins."""

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
