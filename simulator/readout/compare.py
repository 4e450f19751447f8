"""Runs side by side: what differs in their scenarios, and what each says of its arms, which are matched by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simulator.readout.compute import compute
from simulator.readout.results import ESTIMATOR_LABELS, METRIC_LABELS, Results
from simulator.readout.statistics.estimate import UNDEFINED, Difference, Estimate
from simulator.readout.text_table import text_table
from simulator.run_folder.reader import read_run
from simulator.run_folder.tables import write_csv

__all__ = ["COMPARE_COLUMNS", "ArmOfRun", "Comparison", "compare", "compare_results", "flat", "write_compare_csv"]

COMPARE_COLUMNS = (
    "run", "arm", "over", "estimator", "estimate", "lo", "hi", "p", "truth", "ctr", "auc", "logloss", "calibration",
)  # fmt: skip
ABSENT = "-"  # what a run shows at a key that its scenario does not have


class ArmOfRun(NamedTuple):
    """What a run says of one of its arms, over its measured days: A/B, or A/A where there is no A/B.

    found: the uplift over `over` by the run's headline estimator; of a replay the difference in log loss; undefined of
    the baseline, whose `over` and `estimator` are "". truth: the true uplift (`experiment`), where a simulator knows it.
    """

    run: str
    arm: str
    over: str
    estimator: str
    found: Estimate | Difference
    truth: float | None
    ctr: float | None
    auc: float
    logloss: float
    calibration: float

    @property
    def row(self) -> dict[str, Any]:
        """As compare.csv has it: by COMPARE_COLUMNS."""
        numbers = dict(zip(("estimate", "lo", "hi", "p"), self.found, strict=True))
        return {**self._asdict(), **numbers}


class Comparison(NamedTuple):
    """runs: name → results, in the order asked for. settings: each key that the scenarios do not agree on → its value in each
    run, as text. arms: by arm, then by run. notes: what makes the runs hard to compare."""

    runs: dict[str, Results]
    settings: dict[str, list[str]]
    arms: list[ArmOfRun]
    notes: list[str]

    def render(self) -> str:
        """For the terminal."""
        names = list(self.runs)
        lines = [f"{name}: {of.run.path} ({of.run.config['name']}, {of.run.status})" for name, of in self.runs.items()]
        lines += ["", "what differs in their scenarios" if self.settings else "their scenarios are the same"]
        if self.settings:
            lines += text_table(("key", *names), [[key, *values] for key, values in self.settings.items()])
        header = ("arm", "run", "uplift in CTR", "estimator", "truth", "CTR", "AUC", "log loss", "calibration")
        lines += ["", *text_table(header, [_cells(arm) for arm in self.arms], right=range(4, 9))]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def compare(runs: Sequence[Path | Results], baseline: str | None = None) -> Comparison:
    """Put runs side by side: run folders, or what was read of them before.

    baseline: the arm that the others are compared with, in every folder; each one's first where it is None. Raises
    RunFolderError.
    """
    found = [compute(read_run(run, baseline)) if isinstance(run, Path) else run for run in runs]
    paths = [of.run.path for of in found]
    names = [path.resolve().name for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    return compare_results(dict(zip(names, found, strict=True)))


def compare_results(runs: dict[str, Results]) -> Comparison:
    """The same for results in hand, by the names that they are shown under."""
    arms = dict.fromkeys(arm for of in runs.values() for arm in of.run.arms)
    return Comparison(
        runs,
        _differing([of.run.config for of in runs.values()]),
        [_arm(name, of, arm) for arm in arms for name, of in runs.items() if arm in of.run.arms],
        list(_notes(runs, list(arms))),
    )


def _differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The keys that the scenarios do not agree on. What an arm has from `learner`, which has keys of its own, is not said
    again."""
    general = [flat({key: value for key, value in config.items() if key != "arms"}) for config in configs]
    found = {key: [one.get(key, ABSENT) for one in general] for of in general for key in of}
    arms = [
        {arm["name"]: flat({k: v for k, v in arm.items() if k != "name"}) for arm in config["arms"]}
        for config in configs
    ]
    for named, inherited in zip(arms, general, strict=True):
        for name, keys in named.items():
            for key, value in keys.items():
                if inherited.get(key) != value:
                    found[f"arms.{name}.{key}"] = [of.get(name, {}).get(key, ABSENT) for of in arms]
    return {key: values for key, values in found.items() if len(set(values)) > 1}


def flat(config: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as one level of dotted keys, with values as texts.

    >>> flat({"seed": {"world": 1}, "drift": [{"day": 3}], "plugins": [], "name": "b"})
    {'seed.world': '1', 'drift.0.day': '3', 'plugins': '[]', 'name': 'b'}
    """
    return dict(_leaves("", config))


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        value = dict(enumerate(value))
    if isinstance(value, Mapping) and value:
        for key, one in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), one)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value)


def _arm(name: str, results: Results, arm: str) -> ArmOfRun:
    run, quality, ctr = results.run, results.quality[arm], results.ctr[arm]
    found: Estimate | Difference = UNDEFINED
    estimator, truth = "", None
    if arm in results.uplift:
        estimator = results.headline
        found, truth = results.uplift[arm][estimator], results.truth[arm]["experiment"]
    elif arm in results.differences:
        estimator, found = "logloss", results.differences[arm]["logloss"].whole
    return ArmOfRun(
        name, arm, "" if arm == run.control else run.control, estimator, found, truth, ctr.get("ab", ctr.get("aa")),
        quality["auc"], quality["logloss"], quality["calibration"],
    )  # fmt: skip


def _cells(arm: ArmOfRun) -> list[str]:
    label = {**ESTIMATOR_LABELS, **METRIC_LABELS}.get(arm.estimator, "").replace("−", "-")
    found = f"{arm.found} over {arm.over}" if arm.over else "the baseline"
    numbers = [_text(arm.truth, "+.2%"), _text(arm.ctr, ".2%"), _text(arm.auc, ".4f"), _text(arm.logloss, ".4f")]
    return [arm.arm, arm.run, found, label, *numbers, _text(arm.calibration, ".3f")]


def _text(value: float | None, form: str) -> str:
    return ABSENT if value is None or value != value else format(value, form)


def _notes(runs: Mapping[str, Results], arms: Sequence[str]) -> Iterator[str]:
    kinds = {name: "replay" if of.run.is_replay else "simulation" for name, of in runs.items()}
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{name} is a {kind}" for name, kind in kinds.items())
        yield f"{said}: a replay has no uplift in CTR, and its AUC is of other events"
    for arm in arms:
        if without := [name for name, of in runs.items() if arm not in of.run.arms]:
            yield f"arm {arm} is not in {', '.join(without)}"
    controls = {name: of.run.control for name, of in runs.items()}
    if len(set(controls.values())) > 1:
        said = ", ".join(f"{control} in {name}" for name, control in controls.items())
        yield f"the control is {said}: uplifts over different arms are not compared"
    for name, of in runs.items():
        if of.run.status != "finished":
            yield f"{name} is {of.run.status}: its figures cover the days so far"


def write_compare_csv(comparison: Comparison, path: Path) -> None:
    """A row an arm and run, by COMPARE_COLUMNS."""
    write_csv(path, COMPARE_COLUMNS, [arm.row for arm in comparison.arms])
