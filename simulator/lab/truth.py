"""True uplift by launching each arm for everyone: counterfactual worlds that fork from the end of a run's A/A period."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from simulator.experiment.stages import Stage
from simulator.lab.crew import Crew
from simulator.lab.parts import Lab
from simulator.lab.place import RunPlace
from simulator.lab.reports import Report, StageFinished, Told
from simulator.run_folder.manifest import TruthRow
from simulator.scenario import parse_scenario
from simulator.serving.exact_sums import truth_rows

__all__ = ["launches"]

FOLDER = "truth"  # in the run's; gone when all launches are done


def launches(
    run: Lab,
    stages: list[Stage],
    done: Callable[[str], bool],
    watch: Callable[[str], Report],
    should_stop: Callable[[], bool],
) -> Iterator[tuple[str, list[TruthRow]]]:
    """What a launch of each arm would give: everyone on it from the fork on, trained on all of it.

    stages: of the run, with A/B behind the one that it forks from. done: whether a launch, by its name, need not be made
    again. watch: who is told of an arm's progress. Gives each launch's name and its truth, a row a day of A/B.
    """
    place = run.place
    for number, arm in enumerate(run.scenario.arms):
        if done(name := f"launch-{arm.name}"):
            continue
        folder = place.folder / FOLDER / arm.name
        shutil.rmtree(folder, ignore_errors=True)
        launched = RunPlace(folder, "embedded", arm.name, origin=place)
        yield name, _launch(run, number, launched, stages, watch(arm.name), should_stop)
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(place.folder / FOLDER, ignore_errors=True)


def _launch(
    run: Lab,
    number: int,
    place: RunPlace,
    stages: list[Stage],
    watch: Report,
    should_stop: Callable[[], bool],
) -> list[TruthRow]:
    fork, ab = stages[0], stages[1]
    raw: dict[str, Any] = run.scenario.model_dump(mode="json", exclude_none=True)
    arm = run.scenario.arms[number]
    raw["arms"] = [{**raw["arms"][number], "share": 1.0}]
    raw["log"] = {**raw["log"], "url": "embedded", "retention": "window"}
    raw["checkpoint_every_hours"] = 1e6  # a launch that is cut off begins anew
    lab = Lab(parse_scenario(raw), place, run.calendar)  # which with an arm alone would be another
    mine = [role for role in ab.serving if role.arms == (number,)]
    serving = replace(
        mine[0],
        name=arm.name,
        arms=(0,),
        shard=0,
        fork_of=tuple(dict.fromkeys(name for role in mine for name in role.fork_of)),
    )
    learning = replace(
        ab.learning[number], config_of=0, loss_of=0, updating_of=0, partitions=(0,), counts=(0,), arm=0
    )  # fmt: skip
    stage = Stage("ab", ab.first_tick, ab.last_tick, (serving,), (learning,))
    truth: list[TruthRow] = []

    def report(told: Told) -> None:
        watch(told)
        if isinstance(told, StageFinished):
            truth.extend(truth_rows(told.truth, "launch"))

    try:
        lab.log.create_topics(dict.fromkeys(place.topics, 1))
        Crew(lab).run(stage, fork, [((serving,), (learning,))], report, should_stop)
    finally:
        lab.close()
    return truth
