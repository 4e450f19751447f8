"""What the page's templates are given: the sections that have something to say, figures, words, headings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from simulator.readout.plots.segments import that_tell_most
from simulator.readout.plots.svg.marks import colour_class
from simulator.readout.plots.svg.numbers import signed
from simulator.readout.policies import POLICY_LABELS
from simulator.readout.report import figures_of_days, figures_of_predictions, figures_of_replays, figures_of_uplift
from simulator.readout.report.bars import bars_of
from simulator.readout.report.figure import Figure, colour_of, is_crowded
from simulator.readout.report.words import plain_percent, to_digits
from simulator.readout.results import ESTIMATOR_LABELS, METRIC_LABELS, Results
from simulator.readout.statistics.estimate import CONFIDENCE
from simulator.run_folder.columns import PHASE_LABELS

__all__ = ["CHECK_LABELS", "Section", "context_of", "sections_of"]

FIGURES: dict[str, Callable[[Results], Figure | None]] = {
    "so_far": figures_of_uplift.so_far,
    "uplift_by_day": figures_of_uplift.uplift_by_day,
    "novelty": figures_of_uplift.novelty,
    "ctr": figures_of_days.ctr,
    "bounds": figures_of_days.bounds,
    "catalogue": figures_of_days.catalogue,
    "freshness": figures_of_days.freshness,
    "quality": figures_of_predictions.quality,
    "reliability": figures_of_predictions.reliability,
    "monitor": figures_of_predictions.monitor,
    "difference": figures_of_replays.difference,
    "ranking": figures_of_replays.ranking,
}
CHECK_LABELS = {
    "sample_ratio": "Sample ratio",
    "pre_period": "A/A period",
    "peeking": "Peeking",
    "calibration": "Calibration",
    "power": "Power",
    "stream": "Stream",
}


MOST_SEGMENTS = 150  # rows: with more the page is no longer light, and nobody reads it


class Section(NamedTuple):
    """A part of the page. id: of its template too, and what links lead to."""

    id: str
    title: str


def sections_of(results: Results, figures: dict[str, Figure | None]) -> list[Section]:
    """Those that have something to say, in the order of the page."""
    run, manifest = results.run, results.run.manifest
    asked = {
        "result": ("Result", True),
        "effect": ("The effect", _is_known(results) or figures["uplift_by_day"] is not None),
        "differences": ("Differences of the predictions", bool(results.differences)),
        "ranking": ("Ranking", results.ranking is not None),
        "policies": ("The arms as policies", bool(results.policies)),
        "segments": ("Segments", bool(results.segments)),
        "ctr": ("Click-through rate", not run.is_replay and (figures["ctr"] is not None or bool(results.phases))),
        "bounds": ("What there was to win", results.bounds is not None),
        "predictions": ("Predictions", _is_measured(results) or figures["reliability"] is not None),
        "catalogue": ("The catalogue", bool(results.catalogue) or figures["catalogue"] is not None),
        "alarms": ("Alarms of drift", results.alarms is not None),
        "stream": ("The stream", figures["freshness"] is not None or manifest is not None),
        "days": ("All days", run.has_days and bool(results.days)),
        "repeat": ("How to repeat it", manifest is not None),
        "scenario": ("The scenario", manifest is not None),
    }
    return [Section(name, title) for name, (title, there) in asked.items() if there]


def context_of(results: Results) -> dict[str, Any]:
    """By the names that the templates use."""
    run = results.run
    figures = {name: figure(results) for name, figure in FIGURES.items()}
    return {
        "results": results,
        "run": run,
        "manifest": run.manifest,
        "config": run.config_text,
        "kind": "A table of users"
        if run.manifest is None
        else "Replay of a data set"
        if run.is_replay
        else "Simulated feed",
        "span": _span(results),
        "sections": sections_of(results, figures),
        "figures": figures,
        "crowded": is_crowded(results),
        "measured": _is_measured(results),
        "known": _is_known(results),
        "sure": _sure(results),
        "has_truth": any(value is not None for found in results.truth.values() for value in found.values()),
        "segments": that_tell_most(results.segments, MOST_SEGMENTS),
        "by_ctr": _by_ctr(results),
        "phases": PHASE_LABELS,
        "estimators": ESTIMATOR_LABELS,
        "metrics": METRIC_LABELS,
        "policy_labels": POLICY_LABELS,
        "check_labels": CHECK_LABELS,
        "count_heads": _heads(results, "counts"),
        "timing_heads": _heads(results, "timings"),
        "colour_of": lambda arm: colour_class(colour_of(results, arm)) if arm in run.arms else "ink",
        "isnan": math.isnan,
        "signed": signed,
        "plain_percent": plain_percent,
        "to_digits": to_digits,
        **bars_of(results),
    }


def _span(results: Results) -> str:
    """How long each phase was."""
    found = []
    for phase, label in PHASE_LABELS.items():
        n = len({day.row["day"] for day in results.days if day.row["phase"] == phase})
        if n:
            found.append(f"{label} {n} day{'s' if n > 1 else ''}" if results.run.has_days else label)
    return ", ".join(found) or "no day yet"


def _is_measured(results: Results) -> bool:
    """Whether any prediction was judged."""
    return any(not math.isnan(value) for found in results.quality.values() for value in found.values())


def _is_known(results: Results) -> bool:
    """Whether any uplift is defined."""
    return any(not math.isnan(e.relative) for found in results.uplift.values() for e in found.values())


def _sure(results: Results) -> int | None:
    """How many treatments differ from the control by more than luck; None where that is not known of one."""
    known = [p for p in results.holm.values() if not math.isnan(p)]
    return sum(p < 1 - CONFIDENCE for p in known) if known else None


def _by_ctr(results: Results) -> list[tuple[str, float]]:
    """Oracle, random and the arms, the best first."""
    bounds = results.bounds
    if bounds is None:
        return []
    ctr = {"oracle": bounds.oracle_ctr, "random": bounds.random_ctr, **bounds.ctr}
    return sorted(ctr.items(), key=lambda item: -item[1] if math.isfinite(item[1]) else math.inf)


def _heads(results: Results, of: str) -> list[tuple[str, str]]:
    """The columns of what a manifest counted, and of what it timed, as the templates' tables want them."""
    manifest = results.run.manifest
    if manifest is None:
        return []
    if of == "timings":
        return [
            (part, "")
            for part in dict.fromkeys(part for took in manifest.timings.stages.values() for part in took.cpu_s)
        ]
    counts = {} if manifest.counts is None else manifest.counts.by_learner
    return [
        (name.replace("_", " "), "") for name in dict.fromkeys(name for of_one in counts.values() for name in of_one)
    ]
