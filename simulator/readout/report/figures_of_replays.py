"""Figures of a replay: how the treatments' predictions differ from the control's, and how the arms rank."""

from __future__ import annotations

from simulator.readout.differences import Differences
from simulator.readout.plots.svg.chart import chart
from simulator.readout.plots.svg.numbers import as_plain, number, signed
from simulator.readout.plots.svg.parts import Chart, Series
from simulator.readout.plots.svg.scale import known
from simulator.readout.report.figure import (
    ZERO,
    Entry,
    Figure,
    Panel,
    across_days,
    arms_of_legend,
    colour_of,
    has_days,
    is_crowded,
    shades_of,
)
from simulator.readout.results import METRIC_LABELS, Results
from simulator.readout.statistics.estimate import NO_DIFFERENCE

__all__ = ["difference", "ranking"]

WIDTH_OF_A_DAY = 0.5  # that the arms' points of one day lie apart over


def difference(results: Results) -> Figure | None:
    """A panel a metric: points are days, lines all measured days so far."""
    arms = [arm for arm in results.run.treatments if arm in results.differences]
    if not arms or not has_days(results):
        return None
    panels = []
    for metric, label in METRIC_LABELS.items():
        series: list[Series] = []
        for i, arm in enumerate(arms):
            shift = WIDTH_OF_A_DAY * ((i + 0.5) / len(arms) - 0.5)
            series += _series(
                arm, results.differences[arm][metric], colour_of(results, arm), shift, is_crowded(results)
            )
        if not any(known(one.y) for one in series):
            continue
        look = Chart(
            f"Difference in {label} to {results.run.control}, by day", "Points are days, lines all measured days so far", "", "day",
            signed, lambda ticks: as_plain(ticks, sign=True), height=200,
        )  # fmt: skip
        panels.append(
            Panel(f"difference in {label}", chart(look, series, shades_of(results), [ZERO], across_days(results)))
        )
    if not panels:
        return None
    return Figure(
        "difference", f"Treatment − {results.run.control}, of the stamps",
        "Points are days, lines all measured days so far, with 95% intervals across blocks of time. Each interval is for its own day; a "
        "line that is watched until it leaves 0 leaves it too often.",
        [*arms_of_legend(results, arms), Entry("a day", -1, "none"), Entry("all days so far", -1, dots=False)],
        panels,
    )  # fmt: skip


def _series(arm: str, found: Differences, colour: int, shift: float, crowded: bool) -> list[Series]:
    days = [day.day + 1.0 for day in found.days]
    of_day = [day.difference for day in found.days]
    course = [day.so_far or NO_DIFFERENCE for day in found.days]
    return [
        Series(
            arm, [day + shift for day in days], [one.mean for one in of_day], [one.lo for one in of_day], [one.hi for one in of_day],
            colour, "none", "none" if crowded else "whiskers", at=days,
        ),
        Series(
            f"{arm}, so far", days, [one.mean for one in course], [one.lo for one in course], [one.hi for one in course],
            colour, spread="none" if crowded else "band", dots=False,
        ),
    ]  # fmt: skip


def ranking(results: Results) -> Figure | None:
    """A panel a metric, of those at several k the first."""
    if results.ranking is None or not has_days(results):
        return None
    metrics: dict[str, tuple[str, str]] = {}
    for name, label in results.ranking.metrics.items():
        metrics.setdefault(name.partition("_at_")[0], (name, label))
    panels = []
    for name, label in metrics.values():
        series = []
        for arm in results.run.arms:
            days = [day for day in results.ranking.days if day.arm == arm]
            found = [day.metrics[name] for day in days]
            series.append(
                Series(
                    arm, [day.day + 1.0 for day in days], [one.value for one in found], [one.lo for one in found],
                    [one.hi for one in found], colour_of(results, arm), spread="none" if is_crowded(results) else "band",
                )
            )  # fmt: skip
        if any(known(one.y) for one in series):
            look = Chart(
                f"{label} by day and arm", "Of the logged slates", "", "day", lambda value: number(value, 5), height=190
            )
            panels.append(Panel(label, chart(look, series, shades_of(results), (), across_days(results))))
    if not panels:
        return None
    return Figure(
        "ranking", "Ranking of the logged slates by day",
        "Each arm ranks the candidates of the logged slates by its stamps, ties drawn. MRR and nDCG are means over slates with a click.",
        arms_of_legend(results), panels,
    )  # fmt: skip
