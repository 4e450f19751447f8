"""What a replication says, as a text and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from simulator.readout.results import ESTIMATOR_LABELS, without_nan
from simulator.readout.statistics.estimate import Difference
from simulator.readout.statistics.power import users_needed
from simulator.studies.across_seeds import across_seeds
from simulator.studies.experiments import AA
from simulator.studies.replicate import AA_OWN, Replication
from simulator.studies.scoring import RULES, Rate, Score, crossings, power_curve, rate, score
from simulator.studies.text_table import aligned, number

__all__ = ["Findings", "findings", "to_json", "to_text"]

AA_LABELS = {AA: "one learner for all arms: users' luck alone", AA_OWN: "a learner an arm: the learners' luck too"}
PHASES = {"ab": "A/B findings", "aa": "A/A, one learner", AA_OWN: "A/A, a learner an arm"}


class Findings(NamedTuple):
    """What is found of one treatment, its arms trained on one kind of data.

    truth: uplift of the experiment, across seeds. scores: estimator → score. aa: A/A estimator → false positives. rules: phase →
    rule → how often it ended a test with a finding. apart: estimator → estimate - uplift of a launch, across seeds. power: estimator
    → (users, power) for the mean truth. needed: estimator → users who find the mean truth in 80% of tests.
    """

    data: str
    arm: str
    truth: Difference
    launch: Difference
    scores: dict[str, Score]
    aa: dict[str, Rate]
    rules: dict[str, dict[str, Rate]]
    apart: dict[str, Difference]
    power: dict[str, list[tuple[float, float]]]
    needed: dict[str, float]


def findings(found: Replication) -> list[Findings]:
    """Of every kind of training data and treatment."""
    arms = [arm.name for arm in found.scenario.arms[1:]]
    return [_of(found, data, arm) for data in found.data for arm in arms]


def _of(found: Replication, data: str, arm: str) -> Findings:
    assert found.scenario.world is not None
    users = found.scenario.world.users.n
    scores, apart, power, needed = {}, {}, {}, {}
    mine = found.arms[(found.arms["data"] == data) & (found.arms["arm"] == arm)]
    truth = across_seeds(mine["uplift"].to_numpy(float))
    for name in ESTIMATOR_LABELS:
        estimates = found.estimates(data, arm, name)
        launched = np.array(found.truths(data, arm, name, "launch"))
        scores[name] = score(estimates, found.truths(data, arm, name))
        apart[name] = across_seeds(np.array([one.relative for one in estimates]) - launched)
        error = scores[name].log_error
        power[name] = power_curve(truth.mean, error, users)
        needed[name] = users_needed(truth.mean, error, users) if error > 0 and truth.mean > -1 else math.nan
    aa = {}
    for name in AA_LABELS:
        where = (found.data[0] if name == AA else "own", arm, name)
        aa[name] = score(found.estimates(*where), found.truths(*where)).rejected
    launched = np.array(found.truths(data, arm, "raw", "launch"))
    return Findings(
        data, arm, truth, across_seeds(launched), scores, aa, _rules(found, data, arm), apart, power, needed
    )


def _rules(found: Replication, data: str, arm: str) -> dict[str, dict[str, Rate]]:
    rules = {}
    for phase in PHASES:
        looks = found.looks[(found.looks["arm"] == arm) & (found.looks["phase"] == phase)]
        if phase == "ab":
            looks = looks[looks["data"] == data]
        ended = [crossings(of_seed.sort_values("day")["p"].to_numpy(float)) for _, of_seed in looks.groupby("seed")]
        if ended:
            rules[phase] = {rule: rate(sum(one[rule] for one in ended), len(ended)) for rule in RULES}
    return rules


def to_json(found: Replication, all_findings: list[Findings]) -> str:
    """As replicate.json has it; what is not defined is null."""
    content = {
        "scenario": found.scenario.name,
        "seeds": list(found.seeds),
        "tuned": None if found.tuned is None else [_plain(choice) for choice in found.tuned.choices],
        "findings": [_plain(one._asdict()) for one in all_findings],
    }
    return json.dumps(without_nan(content), indent=2, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Named tuples as mappings, wherever they are."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def to_text(found: Replication, all_findings: list[Findings]) -> str:
    """For the terminal."""
    seeds = list(found.seeds)
    lines = [f"{found.scenario.name} in {len(seeds)} worlds, seeds {seeds[0]} to {seeds[-1]}"]
    if found.tuned is not None:
        lines += ["", str(found.tuned)]
    for one in all_findings:
        lines += ["", *_of_arm(found, one)]
    if any(not math.isnan(one.launch.mean) for one in all_findings):
        lines += ["", "estimate - true uplift of a launch, by what the arms train on (95% intervals across seeds):"]
        titles = ["arm", "data", *ESTIMATOR_LABELS]
        table = [[one.arm, one.data, *(_apart(one.apart[name]) for name in ESTIMATOR_LABELS)] for one in all_findings]
        lines += _indented([titles, *table], left=2)
    return "\n".join(lines)


def _of_arm(found: Replication, one: Findings) -> Iterator[str]:
    control = found.scenario.control.name
    yield f"{one.arm} over {control}, arms trained on {one.data} data"
    yield f"  true uplift: {_apart(one.truth)} across seeds: whether the method is better"
    errors = [f"{name} +-{1.96 * found_.log_error:.2%}" for name, found_ in one.scores.items() if found_.log_error > 0]
    yield f"  an interval across users, which speaks of one test's models alone: {', '.join(errors) or '-'}"
    titles = [
        "estimator",
        "mean estimate",
        "bias",
        "interval covers truth",
        "p < 5%",
        "error claimed",
        "error made",
        "users for 80% power",
    ]
    table = [titles]
    for name, of in one.scores.items():
        needed = one.needed[name]
        table.append(
            [
                name,
                number(of.estimate.mean, "+.2%"),
                _apart(of.bias),
                str(of.coverage),
                str(of.rejected),
                number(of.log_error, ".2%"),
                number(of.spread, ".2%"),
                "-" if not math.isfinite(needed) else f"{needed:,.0f}",
            ]
        )
    yield from _indented(table, left=1)
    if any(of.undefined for of in one.scores.values()):
        worlds = ", ".join(f"{name} {of.undefined}" for name, of in one.scores.items() if of.undefined)
        yield f"  worlds in which an estimator claims nothing: {worlds}"
    is_first = one.data == found.data[0]  # of several kinds of data: they have the A/A periods in common
    known = {name: label for name, label in AA_LABELS.items() if is_first and one.aa[name].n}
    if known:
        yield "  false positives at 5% in A/A days, raw:"
        yield from _indented([[label, str(one.aa[name])] for name, label in known.items()], left=2, by=4)
    if one.rules:
        yield "  looking every day, tests that end with a finding:"
        phases = [phase for phase in PHASES if phase in one.rules and (is_first or phase == "ab")]
        table = [["rule", *(PHASES[phase] for phase in phases)]]
        table += [[rule, *(str(one.rules[phase][rule]) for phase in phases)] for rule in RULES]
        yield from _indented(table, left=1, by=4)


def _indented(table: list[list[str]], left: int, by: int = 2) -> list[str]:
    return [f"{' ' * by}{line}" for line in aligned(table, left).splitlines()]


def _apart(found: Difference) -> str:
    if math.isnan(found.mean):
        return "-"
    return f"{found.mean:+.2%}" if math.isnan(found.lo) else f"{found.mean:+.2%} [{found.lo:+.2%}, {found.hi:+.2%}]"
