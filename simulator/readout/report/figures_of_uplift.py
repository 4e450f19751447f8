"""Figures of the effect: by day, up to each day with what it may be held against, and by time since first exposure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from simulator.readout.plots.style import days_of
from simulator.readout.plots.svg.chart import chart
from simulator.readout.plots.svg.interval import reach_of
from simulator.readout.plots.svg.numbers import as_percents, percent
from simulator.readout.plots.svg.parts import Chart, Rule, Series, Stroke
from simulator.readout.plots.svg.scale import Scale, known
from simulator.readout.report.figure import (
    ZERO,
    Entry,
    Figure,
    Panel,
    across_days,
    colour_of,
    has_days,
    shades_of,
)
from simulator.readout.results import ESTIMATOR_LABELS, Results
from simulator.readout.statistics.estimate import UNDEFINED, Estimate
from simulator.readout.statistics.sequential import Look

__all__ = ["novelty", "so_far", "uplift_by_day"]

TESTED = ("aa", "ab")
APART = 0.15  # of a day, between two points of one day
TRUTHS: dict[str, Stroke] = {"experiment": "solid", "launch": "dotted"}


def uplift_by_day(results: Results) -> Figure | None:
    """A panel a treatment: each day's uplift, raw and corrected, and the true one."""
    arms = [arm for arm in results.run.treatments if any(day.uplift for day in days_of(results, arm, TESTED))]
    if not arms or not has_days(results):
        return None
    drawn = {arm: _days_of_uplift(results, arm) for arm in arms}
    across, down = (
        across_days(results, TESTED),
        _reach(one for series in drawn.values() for one in series),
    )
    panels = []
    for arm, series in drawn.items():
        look = _look(
            f"Uplift in CTR of {arm} over {results.run.control}, by day",
            f"{len(series[0].x)} days, each with its 95% interval across users",
        )
        panels.append(Panel(arm, chart(look, series, shades_of(results), [ZERO], across, down)))
    return Figure(
        "uplift-by-day",
        f"Uplift in CTR over {results.run.control}, day by day",
        "Points with 95% intervals across users: raw, and less what the arms differed by in the A/A period. Each interval is "
        "for its own day; the more days there are, the likelier one of them lies beside 0 by luck alone.",
        [
            Entry(ESTIMATOR_LABELS["raw"], -1, "none"),
            Entry(f"{ESTIMATOR_LABELS['ab_minus_aa']}{_in_colour(arms)}", colour_of(results, arms[0]), "none"),
            *_entries_of_truths(kind for arm in arms for kind in results.truth_days.get(arm, {})),
        ],
        panels,
        small=len(panels) > 1,
    )


def so_far(results: Results) -> Figure | None:
    """A panel a treatment: the headline up to each day, with its fixed and its sequential interval, and the truth."""
    arms = [arm for arm in results.run.treatments if any(day.so_far for day in days_of(results, arm, ["ab"]))]
    if not arms or not has_days(results):
        return None
    sequential = any(results.sequential.get(arm) for arm in arms)
    name = ESTIMATOR_LABELS[results.headline]
    # The first looks' bounds are many times wider than what is decided by them: the scale is that of the fixed intervals.
    estimates = [day.so_far for arm in arms for day in days_of(results, arm, ["ab"]) if day.so_far is not None]
    truth_values = [value for arm in arms for value in results.truth.get(arm, {}).values()]
    down = reach_of(((one.lo, one.hi) for one in estimates), [*truth_values, *(one.relative for one in estimates)])
    panels = []
    for arm in arms:
        days = days_of(results, arm, ["ab"])
        found = [day.so_far or UNDEFINED for day in days]
        fixed = _of_estimates(name, [day.row["day"] + 1.0 for day in days], found, colour_of(results, arm))
        truths = [
            Rule(value, f"truth ({kind})", TRUTHS[kind])
            for kind, value in results.truth.get(arm, {}).items()
            if value is not None
        ]
        looks = results.sequential.get(arm, [])
        repeated = Series(
            "sequential interval", [look.day + 1.0 for look in looks], [look.estimate.relative for look in looks],
            [look.lo for look in looks], [look.hi for look in looks],
            colour=colour_of(results, arm), stroke="none", spread="edges", dots=False,
        )  # fmt: skip
        look = _look(f"Uplift in CTR of {arm} over {results.run.control}, up to each day", f"At the end {found[-1]}")
        svg = chart(
            look, [fixed, *([repeated] if looks else [])], [], [ZERO, *truths], across_days(results, ["ab"]), down
        )
        panels.append(Panel(f"{arm}{_verdict(looks)}", svg))
    return Figure(
        "uplift-so-far",
        f"Uplift in CTR over {results.run.control}, up to each day",
        f"{name} from the first day of A/B on. The band is the 95% interval of a test that ends on that day and was never looked at "
        "before."
        + (
            " The dashed lines may be looked at every day: O'Brien–Fleming bounds over the planned days."
            if sequential
            else ""
        ),
        [
            Entry(f"{name}, with its fixed interval{_in_colour(arms)}", colour_of(results, arms[0])),
            *([Entry("sequential interval", colour_of(results, arms[0]), "dashed", dots=False)] if sequential else []),
            *_entries_of_truths(
                kind for arm in arms for kind, value in results.truth.get(arm, {}).items() if value is not None
            ),
        ],
        panels,
        small=len(panels) > 1,
    )


def novelty(results: Results) -> Figure | None:
    """A line a treatment: the uplift by how long ago a user met it first."""
    arms = [
        arm
        for arm in results.run.treatments
        if any(known([of.estimate.relative]) for of in results.novelty.get(arm, []))
    ]
    if not arms:
        return None
    series = []
    for i, arm in enumerate(arms):
        found = results.novelty[arm]
        shift = 0.4 * ((i + 0.5) / len(arms) - 0.5)
        series.append(
            _points(arm, [float(of.day) for of in found], [of.estimate for of in found], colour_of(results, arm), shift)
        )
    if len(arms) > 4:
        series = [one._replace(spread="none") for one in series]
    last = max(of.day for arm in arms for of in results.novelty[arm])
    look = _look("Uplift by days since a user's first exposure", f"0 to {last} days", "days since first exposure")
    look = look._replace(name_of=lambda day: f"{day:g} days since first exposure")
    return Figure(
        "novelty",
        "Does the effect wear off?",
        "A user's day 0 is that of the first exposure in A/B. A novelty effect falls from left to right; a learner that needs time rises.",
        [Entry(arm, colour_of(results, arm), "none") for arm in arms],
        [Panel("", chart(look, series, [], [ZERO], Scale(-0.5, last + 0.5), _reach(series)))],
    )


def _verdict(looks: Sequence[Look]) -> str:
    crossed = next((look.day + 1 for look in looks if look.crossed), None)
    if not looks:
        return ""
    return ": within its sequential bounds" if crossed is None else f": beyond its sequential bounds on day {crossed}"


def _in_colour(arms: Sequence[str]) -> str:
    return ", in the arm's colour" if len(arms) > 1 else ""


def _entries_of_truths(kinds: Iterable[str]) -> list[Entry]:
    return [Entry(f"truth ({kind})", None, TRUTHS[kind], dots=False) for kind in sorted(set(kinds))]


def _words(value: float) -> str:
    return percent(value, sign=True)


def _look(title: str, description: str, x_label: str = "day") -> Chart:
    return Chart(title, description, "relative uplift", x_label, _words, lambda ticks: as_percents(ticks, sign=True))


def _of_estimates(name: str, x: Sequence[float], found: Sequence[Estimate], colour: int) -> Series:
    return Series(name, x, [e.relative for e in found], [e.lo for e in found], [e.hi for e in found], colour)


def _points(name: str, x: Sequence[float], found: Sequence[Estimate | None], colour: int, shift: float) -> Series:
    line = _of_estimates(name, [at + shift for at in x], [UNDEFINED if one is None else one for one in found], colour)
    return line._replace(stroke="none", spread="whiskers", at=x)


def _reach(series: Iterable[Series]) -> Scale:
    """A scale for effects: it holds 0 and every value, and of intervals as much as leaves room for the others."""
    drawn = list(series)
    ends = [
        end for one in drawn if one.lo and one.hi and one.spread != "none" for end in zip(one.lo, one.hi, strict=True)
    ]
    return reach_of(ends, (y for one in drawn for y in one.y))


def _days_of_uplift(results: Results, arm: str) -> list[Series]:
    days = days_of(results, arm, TESTED)
    x = [day.row["day"] + 1.0 for day in days]
    return [
        _points(ESTIMATOR_LABELS["raw"], x, [day.uplift for day in days], -1, -APART),
        _points(ESTIMATOR_LABELS["ab_minus_aa"], x, [day.corrected for day in days], colour_of(results, arm), APART),
        *_truths(results, arm),
    ]


def _truths(results: Results, arm: str) -> list[Series]:
    """The true uplift of each day, by kind."""
    found = []
    for kind, of_days in results.truth_days.get(arm, {}).items():
        x = [day + 1.0 for day in sorted(of_days)]
        y = [of_days[day] for day in sorted(of_days)]
        if any(map(math.isfinite, y)):
            found.append(Series(f"truth ({kind})", x, y, colour=None, stroke=TRUTHS[kind], spread="none", dots=False))
    return found
