"""Results as a run of any size would have them, made in a moment: for the tests of the page, and for looking at it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from simulator.readout.bounds import Bounds
from simulator.readout.checks import Check
from simulator.readout.differences import DayDifference, Differences
from simulator.readout.policies import JudgedPolicy
from simulator.readout.ranking import RankedArm, RankedDay, Ranking
from simulator.readout.reliability import ReliabilityBin
from simulator.readout.results import Alarm, Day, Results
from simulator.readout.statistics.catalogue import Catalogue
from simulator.readout.statistics.clusters import Ratio
from simulator.readout.statistics.estimate import Difference, Estimate
from simulator.readout.statistics.novelty import SinceFirst
from simulator.readout.statistics.off_policy import MeanWeight, PolicyValue
from simulator.readout.statistics.phases import PhaseOfArm
from simulator.readout.statistics.pre_period import AaCheck
from simulator.readout.statistics.segments import SegmentUplift
from simulator.readout.statistics.sequential import Look
from simulator.run_folder.columns import MONITOR_COLUMNS, TRUTH_COLUMNS
from simulator.run_folder.manifest import Counts, Manifest, StageTimings, Timings
from simulator.run_folder.reader import Run

__all__ = ["interrupted", "names_of", "own_table", "replay", "simulation"]

Status = Literal["running", "finished", "interrupted", "failed"]


def names_of(n: int) -> list[str]:
    """Names of so many arms, the control first."""
    return ["control", "reloop", *(f"reloop-alpha-{i:02}" for i in range(2, n))][:n]


def phase_of(day: int, days: int) -> str:
    return "warmup" if day < max(1, days // 7) else "aa" if day < (days + 1) // 2 else "ab"


def manifest_of(kind: Literal["simulation", "replay"], status: Status, arms: list[str]) -> Manifest:
    per_learner = {"examples": 1_234_567, "clicks": 98_765, "late": 12, "duplicates": 3, "dead": 0}
    return Manifest(
        scenario="made", kind=kind, status=status, command="python -m simulator run made.yaml --seed 7 --set 'name=\"x\"'",
        seeds={"world": 7, "model": 7, "salt": "7"}, log="embedded", prefix="made", git="0123456789ab",
        versions={"python": "3.11.7", "numpy": "2.4.6", "torch": "2.15.0"}, warnings=["shares differ: data volume is confounded"],
        stages_done=["aa", "ab"], truth=[], learners={}, notes=[],
        timings=Timings(61.5, {"aa": StageTimings(30.5, {"serve": 12.25, "learn": 9.5}), "ab": StageTimings(31.0, {"serve": 14.0, "learn": 11.0})}, 812),
        digests=dict.fromkeys(arms, "ab" * 32) if status == "finished" else None,
        counts=Counts({"exposures": 4_600_000, "clicks": 431_000, "dead-letters": 2}, dict.fromkeys(arms, per_learner))
        if status == "finished" else None,
    )  # fmt: skip


def run_of(arms: list[str], kind: Literal["simulation", "replay"], status: Status, **tables: Any) -> Run:
    config = {
        "name": "made", "arms": [{"name": name, "share": 1 / len(arms), "note": "<b>α</b>"} for name in arms],
        "world": {"drift": [{"kind": "sudden", "day": 3.5}]},
    }  # fmt: skip
    nothing = pa.table({name: [] for name in TRUTH_COLUMNS})
    manifest = manifest_of(kind, status, arms)
    return Run(Path("runs/made"), config, manifest, pa.table({"day": []}), None, nothing, **tables)


def around(draws: np.random.Generator, middle: float, width: float) -> Estimate:
    """An estimate near a value, with a 95% interval of half this width, and the p that belongs to it."""
    value = float(middle + draws.normal() * width / 2)
    return Estimate(value, value - width, value + width, math.erfc(abs(value) / width * 1.96 / math.sqrt(2)))


def day_of(draws: np.random.Generator, day: int, days: int, arm: str, i: int, treated: float) -> Day:
    phase = phase_of(day, days)
    in_ab = phase == "ab"
    ctr = 0.12 + 0.008 * math.sin(day) + draws.normal() * 0.001 + (0.12 * treated if in_ab else 0.0)
    auc, learnt = 0.64 + 0.05 * (1 - math.exp(-day / 4)), 0.55 - 0.06 * (1 - math.exp(-day / 4))
    row: dict[str, Any] = {
        "day": day, "phase": phase, "arm": arm, "users": 5300 + 7 * day, "requests": 14_400, "exposures": 144_000,
        "clicks": int(144_000 * ctr), "ctr": ctr, "auc": auc - 0.002 * i, "logloss": learnt + 0.001 * i, "ne": 0.94,
        "calibration": 1 + draws.normal() * 0.02, "model_versions": 1 + day % 3, "progressive_auc": auc + 0.004,
        "progressive_logloss": learnt - 0.004, "progressive_calibration": 1.01, "random_exposures": 1400, "random_auc": 0.6,
        "random_calibration": 1.02, "staleness_hours": 12 + draws.normal(),
    }  # fmt: skip
    if i == 0 or phase == "warmup":
        return Day(row, ctr - 0.002, ctr + 0.002)
    effect = treated if in_ab else 0.0
    so_far = around(draws, effect, 0.03 / math.sqrt(1 + day - days // 2)) if in_ab else None
    corrected = around(draws, effect, 0.02) if in_ab else None
    return Day(row, ctr - 0.002, ctr + 0.002, around(draws, effect, 0.03), corrected, so_far)


def segments_of(draws: np.random.Generator, treatments: list[str]) -> list[SegmentUplift]:
    values = {"activity": ["low", "middle", "high"], "tenure": ["new", "known"], "topic": [str(i) for i in range(6)]}
    found = []
    for arm in treatments:
        for segment, of in values.items():
            for i, value in enumerate(of):
                estimate = around(draws, 0.01 * i, 0.02 + 0.3 * (value == "new"))
                found.append(
                    SegmentUplift(segment, value, arm, 4000 - 100 * i, 90_000, estimate, min(1.0, 8 * estimate.p))
                )
    return found


def simulation(arms: int = 2, days: int = 14, status: Status = "finished", seed: int = 0) -> Results:
    """A simulated run of which everything is known."""
    draws = np.random.default_rng(seed)
    names = names_of(arms)
    treatments = names[1:]
    treated = {arm: 0.015 - 0.004 * i for i, arm in enumerate(treatments)}
    found = [
        day_of(draws, day, days, arm, i, treated.get(arm, 0.0)) for day in range(days) for i, arm in enumerate(names)
    ]
    tested = [day for day in range(days) if phase_of(day, days) == "ab"]
    uplift = {
        arm: {
            name: around(draws, effect, width)
            for name, width in (("raw", 0.02), ("ab_minus_aa", 0.013), ("cuped", 0.012))
        }
        for arm, effect in treated.items()
    }
    looks = {
        arm: [
            Look(
                at.row["day"], (i + 1) / len(tested), at.so_far, 2.04 * math.sqrt(len(tested) / (i + 1)),
                at.so_far.relative - 0.06 / (i + 1), at.so_far.relative + 0.06 / (i + 1), i == len(tested) - 1,
            )
            for i, at in enumerate(day for day in found if day.row["arm"] == arm and day.so_far is not None) if at.so_far is not None
        ]
        for arm in treatments
    }  # fmt: skip
    expected = {"oracle": 0.19, "random": 0.08, **{arm: 0.12 * (1 + treated.get(arm, 0.0)) for arm in names}}
    monitor = [
        {"learner": arm, "arm": arm, "tick": t, "day": t // 12, "time": t / 12, "auc": 0.6, "logloss": 0.3 + 0.1 * math.exp(-t / 30),
         "calibration": 1.0, "estimate": 0.0, "alarm": t == 60, "rate": 1.0}
        for arm in names for t in range(12 * days)
    ]  # fmt: skip
    run = run_of(names, "simulation", status)
    if status == "finished" and arms <= 4:
        run = replace(run, monitor=pa.table({name: [row[name] for row in monitor] for name in MONITOR_COLUMNS}))
    bins = [0.01, 0.03, 0.06, 0.1, 0.2, 0.4]
    return Results(
        run=run, days=found, uplift=uplift, srm_p=0.41,
        truth={arm: {"experiment": effect, "launch": 1.2 * effect} for arm, effect in treated.items()},
        quality={arm: {"auc": 0.69, "logloss": 0.31, "ne": 0.94, "calibration": 1.01} for arm in names},
        ctr={arm: {"warmup": 0.08, "aa": 0.12, "ab": 0.122} for arm in names}, differences={},
        alarms=[Alarm(arm, arm, 5.0, 0.31, 1.02, 1.0, 36.0) for arm in names] if run.monitor is not None else None,
        notes=["the intervals are across users; the learners' own randomness is not in them"],
        holm={arm: min(1.0, len(treatments) * uplift[arm]["cuped"].p) for arm in treatments}, sequential=looks,
        phases=[PhaseOfArm(phase, arm, 5300, 900_000, 108_000, 0.12, 0.118, 0.122) for phase in ("warmup", "aa", "ab") for arm in names],
        segments=segments_of(draws, treatments),
        novelty={arm: [SinceFirst(day, 5000 - 300 * day, around(draws, treated[arm], 0.02)) for day in range(len(tested))] for arm in treatments},
        mde=dict.fromkeys(treatments, 0.017), aa=AaCheck(dict.fromkeys(treatments, 0.6), alarm=False),
        checks=[
            Check("sample_ratio", "good", "The arms' numbers of users fit their shares (p = 0.41).", ""),
            Check("pre_period", "good", "The arms did not differ in the A/A period (p = 0.60).", ""),
            Check("peeking", "warn", "The fixed interval leaves 0 on day 9, the sequential bounds do not.", "Decide on the planned last day, or by the sequential bounds."),
            Check("calibration", "good", "Predictions over clicks are 1.01.", ""),
            Check("power", "bad", "This run finds an uplift of 1.70% with 80% power; what it found is smaller.", "Run twice as many users: `python -m simulator power`."),
            Check("stream", "good", "12 late, 3 duplicate and no dead events of 4,600,000.", ""),
        ],
        truth_days={
            arm: {"experiment": {day: effect * (0.5 + 0.1 * i) for i, day in enumerate(tested)}, "launch": dict.fromkeys(tested, 1.2 * effect)}
            for arm, effect in treated.items()
        },
        error={arm: {name: one.relative - treated[arm] for name, one in of.items()} for arm, of in uplift.items()},
        bounds=Bounds(
            0.19, 0.08, {arm: expected[arm] for arm in names}, {arm: (expected[arm] - 0.08) / 0.11 for arm in names},
            {arm: (expected[arm] - 0.12) / 0.07 for arm in treatments}, dict.fromkeys(expected, (0.78, 0.28)),
            {
                policy: {day: (ctr * (1 + 0.05 * math.sin(day)), 0.74 + 0.01 * math.sin(day + i), 0.29) for day in tested}
                for i, (policy, ctr) in enumerate(expected.items())
            },
        ),
        catalogue=dict.fromkeys(names, Catalogue(0.81, 0.62, 0.11)),
        catalogue_days={
            arm: {day: Catalogue(0.5 + 0.01 * day + 0.02 * i, 0.6 + 0.01 * i, 0.1 - 0.01 * i) for day in range(days)}
            for i, arm in enumerate(names)
        },
        reliability={
            arm: [ReliabilityBin(p, (1.15 - 0.1 * i) * p, (1.05 - 0.1 * i) * p, (1.25 - 0.1 * i) * p, 10_000) for p in bins]
            for i, arm in enumerate(names)
        },
    )  # fmt: skip


def interrupted() -> Results:
    """A run that stopped on an A/A day: there is no uplift yet, and no counts."""
    whole = simulation(status="interrupted")
    days = [replace(day, so_far=None) for day in whole.days if day.row["day"] < 5]
    undefined = {name: Estimate(math.nan, math.nan, math.nan, math.nan) for name in ("raw", "ab_minus_aa", "cuped")}
    return Results(
        run=whole.run, days=days, uplift={"reloop": undefined}, srm_p=0.4, truth={"reloop": {"experiment": None, "launch": None}},
        quality=whole.quality, ctr={arm: {"warmup": 0.08} for arm in whole.run.arms}, differences={},
        notes=["the run is interrupted: the figures cover the days so far", "there is no A/B day yet: no uplift"],
    )  # fmt: skip


def replay(arms: int = 3, days: int = 8) -> Results:
    """A paired replay of slates with propensities: differences, ranking and policies, no uplift."""
    draws = np.random.default_rng(1)
    names = names_of(arms)
    rows = [day_of(draws, day, days, arm, 0, 0.0) for day in range(days) for arm in names]

    def apart(width: float) -> Difference:
        return Difference(*around(draws, 0.002, width))

    def differences() -> Differences:
        of_days = [
            DayDifference(day, phase, apart(0.004), apart(0.002) if phase == "ab" else None)
            for day in range(days) if (phase := phase_of(day, days)) != "warmup"
        ]  # fmt: skip
        return Differences(apart(0.001), of_days)

    def ranked(arm: str) -> dict[str, RankedArm]:
        one = RankedArm(0.31, 0.30, 0.32, None if arm == "control" else Difference(0.01, 0.002, 0.018, 0.01))
        return dict.fromkeys(("ctr_at_1", "mrr", "ndcg_at_3"), one)

    def judged(arm: str) -> JudgedPolicy:
        ratio = Ratio(0.0051, np.zeros(0), np.zeros(0), 0.0)
        value = PolicyValue(0.0051, 0.0042, 0.0060, 1234.5, 1000, 0.01, ratio)
        apart_from = {} if arm == "control" else {"ips": Difference(0.0004, -0.0002, 0.001, 0.2)}
        return JudgedPolicy({"ips": value, "dr": value}, MeanWeight(1.01, 0.98, 1.04, 0.5), 0.0049, 120.0, apart_from)

    labels = {"ctr_at_1": "CTR@1", "mrr": "MRR", "ndcg_at_3": "nDCG@3"}
    return Results(
        run=run_of(names, "replay", "finished"), days=rows, uplift={}, srm_p=math.nan, truth={arm: {} for arm in names[1:]},
        quality={arm: {"auc": 0.69, "logloss": 0.31, "ne": 0.94, "calibration": 1.01} for arm in names},
        ctr={arm: {"ab": 0.12} for arm in names},
        differences={arm: {metric: differences() for metric in ("logloss", "auc", "calibration")} for arm in names[1:]},
        ranking=Ranking(labels, [RankedDay(day, arm, ranked(arm)) for day in range(days) for arm in names], {arm: ranked(arm) for arm in names}),
        policies={arm: judged(arm) for arm in names},
        notes=["every arm saw the same 1,000 events, so the arms differ in log loss, AUC and calibration"],
    )  # fmt: skip


def own_table(evil: str = "b") -> Results:
    """A table of one's own: no manifest, no days, no model; its arms and values are named as anyone likes."""
    whole = simulation()
    control, treated = "control", evil
    estimates = whole.uplift["reloop"]
    rows = [
        {"day": i, "phase": phase, "arm": arm, "users": 500, "exposures": 9000, "clicks": 900, "ctr": 0.1, "requests": None,
         "auc": None, "logloss": None, "ne": None, "calibration": None}
        for i, phase in enumerate(("aa", "ab")) for arm in (control, treated)
    ]  # fmt: skip
    config = {"name": evil, "arms": [{"name": control}, {"name": treated}]}
    nothing = pa.table({name: [] for name in TRUTH_COLUMNS})
    run = Run(Path("mine.csv"), config, None, pa.table({"day": []}), None, nothing, has_days=False)
    return Results(
        run=run, days=[Day(row, 0.09, 0.11) for row in rows], uplift={treated: estimates}, srm_p=0.5, truth={treated: {}},
        quality={arm: dict.fromkeys(("auc", "logloss", "ne", "calibration"), math.nan) for arm in (control, treated)},
        ctr={arm: {"aa": 0.1, "ab": 0.1} for arm in (control, treated)}, differences={}, notes=[evil],
        holm={treated: 0.04}, mde={treated: 0.02},
        phases=[PhaseOfArm(phase, arm, 500, 9000, 900, 0.1, 0.09, 0.11) for phase in ("aa", "ab") for arm in (control, treated)],
        segments=[SegmentUplift("device", evil, treated, 300, 5000, estimates["raw"], 0.3)],
        checks=[Check("sample_ratio", "good", evil, "")],
    )  # fmt: skip
