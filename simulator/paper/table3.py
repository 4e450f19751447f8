"""Table 3: the uplift in CTR of each day of an A/A and an A/B week, with the truth beside it, which the paper could not have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from simulator.errors import ScenarioError
from simulator.paper.as_published import TABLE_3
from simulator.readout.results import Day, Results
from simulator.readout.statistics.estimate import Estimate
from simulator.run_folder.columns import PHASE_LABELS
from simulator.scenario import Scenario, parse_scenario

__all__ = ["CONTROL", "markdown", "with_control"]

CONTROL = "bce_scaled"  # the arm that the paper lacks


def with_control(scenario: Scenario) -> Scenario:
    """The scenario's control and ReLoop arms, and one more: cross-entropy times 1 - alpha. All of equal shares.

    Raises ScenarioError where no arm learns by ReLoop.
    """
    raw: dict[str, Any] = scenario.model_dump(mode="json", exclude_none=True)
    control, *others = raw["arms"]
    reloop = [arm for arm in others if arm["learner"]["loss"]["name"] == "reloop"]
    if not reloop:
        raise ScenarioError(f"arms: none but {control['name']} learns by reloop, which the table is about")
    scale = 1 - reloop[0]["learner"]["loss"]["alpha"]
    learner = {**reloop[0]["learner"], "loss": {"name": "bce", "scale": scale}}
    arms = [control, *reloop, {"name": CONTROL, "learner": learner}]
    return parse_scenario({**raw, "arms": [{**arm, "share": 1 / len(arms)} for arm in arms]})


def markdown(results: Results) -> str:
    """A line a day: in A/A the raw difference, in A/B that of A/B - A/A, with its interval, and the truth; then the week's."""
    arms = results.run.treatments
    titles = ["day", *(title for arm in arms for title in (arm, f"{arm}: truth")), "paper"]
    lines = [titles, ["---"] * len(titles)]
    days: dict[int, dict[str, Day]] = {}
    for day in results.days:
        days.setdefault(day.row["day"], {})[day.row["arm"]] = day
    truth = _true_uplifts(results)
    published = iter(TABLE_3)
    counted: dict[str, int] = {}
    for number, found in sorted(days.items()):
        phase = next(iter(found.values())).row["phase"]
        if phase == "warmup":
            continue
        counted[phase] = counted.get(phase, 0) + 1
        line = [f"{PHASE_LABELS[phase]} {counted[phase]}"]
        for arm in arms:
            line += [_said(found[arm].corrected if phase == "ab" else found[arm].uplift)]
            line += [_percent(truth.get((arm, number), math.nan))]
        lines.append([*line, _percent(next(published, math.nan)) if phase == "ab" else ""])
    week = ["A/B, all days"]
    for arm in arms:
        true = results.truth[arm]["experiment"]
        week += [_said(results.uplift[arm]["ab_minus_aa"]), _percent(math.nan if true is None else true)]
    lines.append([*week, _percent(sum(TABLE_3) / len(TABLE_3))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _true_uplifts(results: Results) -> Mapping[tuple[str, int], float]:
    """(arm, day) → expected clicks an exposure over the control's, of the experiment itself."""
    rates = {
        (row["arm"], row["day"]): row["expected_clicks"] / row["exposures"]
        for row in results.run.truth.to_pylist()
        if row["kind"] == "experiment" and row["exposures"]
    }
    control = {day: rate for (arm, day), rate in rates.items() if arm == results.run.control}
    return {(arm, day): rate / control[day] - 1 for (arm, day), rate in rates.items() if control.get(day)}


def _said(uplift: Estimate | None) -> str:
    if uplift is None or math.isnan(uplift.relative):
        return ""
    return f"{uplift.relative:+.2%} [{uplift.lo:+.2%}, {uplift.hi:+.2%}]".replace("-", "−")


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{value:+.2%}".replace("-", "−")
