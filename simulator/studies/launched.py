"""Launched worlds: each arm for everyone, from one and the same past on, without a test between them.

A warm-up and A/A period is run once; from its end every arm forks into a world of its own, in which all users are its and
its learner trains on all of them. Draws are counter-based, so all worlds meet the same requests, candidates and luck.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from simulator.errors import ScenarioError
from simulator.experiment.stages import plan_stages
from simulator.lab.crew import Crew
from simulator.lab.parts import Lab
from simulator.lab.place import RunPlace
from simulator.lab.reports import DayClosed, Report, Told
from simulator.lab.truth import launches
from simulator.scenario import Scenario
from simulator.studies.worlds import RARELY_H

__all__ = ["LaunchedDay", "launch_all"]

NOBODY = 1e-9  # of the users: an arm's share before it is launched for all


class LaunchedDay(NamedTuple):
    """A day of A/B in an arm's world. expected_clicks: the sum of click probabilities. auc, logloss, calibration: of the stamps;
    random_auc: of those of random slates. None where it is not defined."""

    arm: str
    day: int
    exposures: int
    expected_clicks: float
    auc: float | None
    logloss: float | None
    calibration: float | None
    random_auc: float | None

    @property
    def true_ctr(self) -> float:
        return self.expected_clicks / self.exposures


def launch_all(scenario: Scenario, folder: Path, should_stop: Callable[[], bool] = lambda: False) -> list[LaunchedDay]:
    """What each arm of a simulated scenario would give, had it been launched for everyone after A/A.

    folder: for the worlds' files while they run; gone afterwards. Raises ScenarioError for a replay, and for a scenario without
    days before or in A/B; Stopped.
    """
    shutil.rmtree(folder, ignore_errors=True)
    raw = scenario.model_dump(mode="json", exclude_none=True)
    raw["arms"] = [{**arm, "share": NOBODY} for arm in raw["arms"]]
    raw["arms"][0]["share"] = 1 - NOBODY * (len(raw["arms"]) - 1)
    raw["checkpoint_every_hours"] = RARELY_H
    raw["log"] = {"url": "embedded", "encoding": "arrow"}
    place = RunPlace(folder, "embedded", scenario.name)
    before = Lab.from_raw(raw, place)
    try:
        if not before.feed.has_truth:
            raise ScenarioError(f"{scenario.name}: a replay has no truth; launched worlds need a simulated one")
        stages = plan_stages(before.scenario, before.calendar)
        if len(stages) < 2:
            raise ScenarioError(f"{scenario.name}: phases: launched worlds need days before A/B, and days of A/B")
        before.log.create_topics(dict.fromkeys(place.topics, len(raw["arms"])))
        fork = stages[0]
        Crew(before).run(fork, None, [(fork.serving, fork.learning)], lambda told: None, should_stop)
        return _launch_each(before, stages, should_stop)
    finally:
        before.close()
        shutil.rmtree(folder, ignore_errors=True)


def _launch_each(run: Lab, stages: list[Any], should_stop: Callable[[], bool]) -> list[LaunchedDay]:
    closed: dict[tuple[str, int], Any] = {}

    def watch(arm: str) -> Report:
        def report(told: Told) -> None:
            if isinstance(told, DayClosed):
                closed[arm, told.row["day"]] = told.row

        return report

    found = []
    for _, truth in launches(run, stages, lambda name: False, watch, should_stop):
        for row in truth:
            day = closed[row.arm, row.day]
            quality = (day[name] for name in ("auc", "logloss", "calibration", "random_auc"))
            found.append(LaunchedDay(row.arm, row.day, row.exposures, row.expected_clicks, *quality))
    return found
