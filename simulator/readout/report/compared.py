"""compare.html: runs side by side, on a page like a run's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from markupsafe import Markup

from simulator.readout.compare import ArmOfRun, Comparison
from simulator.readout.plots.svg.interval import axis_of_intervals, interval_bar, reach_of
from simulator.readout.plots.svg.marks import colour_class
from simulator.readout.plots.svg.numbers import percent, signed
from simulator.readout.report.context import Section
from simulator.readout.report.words import interval_of, signed_percent
from simulator.readout.report.write import render
from simulator.readout.results import ESTIMATOR_LABELS, METRIC_LABELS
from simulator.readout.statistics.estimate import Estimate

__all__ = ["compare_page"]

SECTIONS = [
    Section("compared", "What the runs say"),
    Section("settings", "What differs in their scenarios"),
    Section("folders", "The runs"),
]


class _Row(NamedTuple):
    """A row of the table of uplifts. is_first: whether it begins another arm."""

    arm: ArmOfRun
    is_first: bool
    estimator: str
    value: str
    interval: str
    bar: Markup


def compare_page(comparison: Comparison) -> str:
    """The page as HTML. It stands alone."""
    return render("compare.html.j2", _context(comparison))


def _context(comparison: Comparison) -> dict[str, Any]:
    names = list(dict.fromkeys(arm.arm for arm in comparison.arms))
    treatments = [arm for arm in comparison.arms if arm.over]
    # Differences in log loss are of another unit, and have no place on the axis of uplifts.
    uplifts = [(arm.found, arm.truth) for arm in treatments if isinstance(arm.found, Estimate)]
    reach = reach_of([(found.lo, found.hi) for found, _ in uplifts], [truth for _, truth in uplifts])

    def row(before: ArmOfRun | None, arm: ArmOfRun) -> _Row:
        words: Callable[[float], str] = signed
        value, bar = signed(arm.found[0]), Markup("")
        if isinstance(arm.found, Estimate):
            words, value = signed_percent, percent(arm.found.relative, sign=True)
            bar = interval_bar(*arm.found[:3], reach, names.index(arm.arm), arm.truth)
        return _Row(
            arm,
            before is not None and before.arm != arm.arm,
            {**ESTIMATOR_LABELS, **METRIC_LABELS}[arm.estimator],
            value,
            interval_of(arm.found.lo, arm.found.hi, words),
            bar,
        )

    return {
        "comparison": comparison,
        "sections": SECTIONS,
        "treatments": list(map(row, [None, *treatments], treatments)),
        "heads": [(name, "t") for name in comparison.runs],
        "axis": axis_of_intervals(reach),
        "colour_of": lambda name: colour_class(names.index(name)),
    }
