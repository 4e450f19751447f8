"""The results in words and tables, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from simulator.readout.bounds import Bounds
from simulator.readout.findings import ESTIMATOR_LABELS, METRIC_LABELS, Findings
from simulator.readout.policies import policy_lines
from simulator.readout.ranking import Ranking
from simulator.readout.statistics.estimate import CONFIDENCE, p_text
from simulator.readout.statistics.power import POWER
from simulator.run_folder.columns import PHASE_LABELS

__all__ = ["render", "sentence"]


def sentence(results: Findings, arm: str) -> str:
    """A treatment's headline in one sentence, with its interval and, where it is known, the truth."""
    control = results.run.control
    if results.run.is_replay:
        apart = results.differences[arm]["logloss"].whole if arm in results.differences else None
        if apart is None or math.isnan(apart.mean):
            return f"Nothing can be said of how {arm} differs from {control}."
        side = "is better" if apart.hi < 0 else "is worse" if apart.lo > 0 else "cannot be told from 0"
        return (
            f"{arm}'s log loss differs from {control}'s by {apart.mean:+.5f} "
            f"(95% interval {apart.lo:+.5f} to {apart.hi:+.5f}), which {side}."
        )
    found = results.uplift.get(arm, {}).get(results.headline)
    if found is None or math.isnan(found.relative):
        return f"Nothing can be said of {arm}'s uplift in CTR over {control}."
    if found.lo <= 0 <= found.hi:
        side = "cannot be told from 0"
    elif results.holm.get(arm, found.p) >= 1 - CONFIDENCE:
        side = "is no longer sure once all arms are counted"
    else:
        side = "is more than luck"
    said = (
        f"{arm} changes CTR by {found.relative:+.2%} against {control} "
        f"(95% interval {found.lo:+.2%} to {found.hi:+.2%}, {ESTIMATOR_LABELS[results.headline]}), which {side}"
    )
    truth = results.truth.get(arm, {}).get("experiment")
    return f"{said}." if truth is None else f"{said}; the truth is {truth:+.2%}."


def render(results: Findings) -> str:
    """The daily table, the uplift, what to doubt, where the report lies."""
    run = results.run
    lines = [*_daily_table(results), ""] if run.has_days else []
    lines += [*_phase_table(results), ""] if results.phases and not run.is_replay else []
    for arm, found in results.differences.items():
        lines.append(f"{arm} - {run.control}, of the stamps (95% intervals across blocks of time):")
        lines += [f"  {METRIC_LABELS[name]:<11} {difference.whole}" for name, difference in found.items()]
    for arm in results.uplift:
        lines += _uplift_lines(results, arm)
    if results.bounds is not None:
        lines += _bounds_lines(results, results.bounds)
    if results.catalogue:
        lines += _catalogue_lines(results)
    for alarm in results.alarms or []:
        drift = "" if alarm.hours_after_drift is None else f", {alarm.hours_after_drift:.4g} h after a sudden drift"
        lines.append(f"drift alarm of {alarm.learner}: {alarm.moment}{drift}")
    if results.ranking is not None:
        lines += ["", *_ranking_table(results, results.ranking)]
    if results.policies:
        lines += ["", *policy_lines(results.policies, results.cuts)]
    lines += [
        f"{check.verdict} ({check.name.replace('_', ' ')}): {check.says} {check.do}"
        for check in results.checks
        if check.verdict != "good"
    ]
    lines += [f"note: {note}" for note in results.notes]
    if (page := run.path / "report.html").exists():
        lines += ["", f"report: {page}"]
    return "\n".join(lines).replace("−", "-")  # a terminal may have no minus sign of its own


def _bounds_lines(results: Findings, bounds: Bounds) -> Iterator[str]:
    """What random slates and the oracle would have earned, and how far each arm came."""
    width = max(map(len, bounds.ctr))
    yield f"what there was to win: random slates {bounds.random_ctr:.2%}, an oracle {bounds.oracle_ctr:.2%} (expected CTR)"
    for arm, ctr in bounds.ctr.items():
        line = f"  {arm:<{width}}  {ctr:.2%}, {bounds.share[arm]:.1%} of the way"
        if arm in bounds.regained:
            way = 100 * (bounds.share[arm] - bounds.share[results.run.control])
            line += f": {way:+.2f} points, and {bounds.regained[arm]:+.2%} of what {results.run.control} left to win"
        yield line


def _catalogue_lines(results: Findings) -> Iterator[str]:
    """What of the catalogue each arm shows."""
    width = max(map(len, results.catalogue))
    yield "catalogue: of the live items shown a day, Gini of exposures, exposures that were of new items"
    for arm, found in results.catalogue.items():
        yield f"  {arm:<{width}}  {found.coverage:.1%}, {found.gini:.3f}, {found.new_share:.2%}"


def _uplift_lines(results: Findings, arm: str) -> Iterator[str]:
    """The headline first, each estimate with its error where the truth is known."""
    yield f"uplift of {arm} over {results.run.control} in CTR (95% intervals across users):"
    estimates, errors = results.uplift[arm], results.error.get(arm, {})
    for name in sorted(estimates, key=lambda name: name != results.headline):
        error = errors.get(name, math.nan)
        off = "" if math.isnan(error) else f"; {abs(error):.2%} {'above' if error > 0 else 'below'} the truth"
        yield f"  {ESTIMATOR_LABELS[name]:<10} {estimates[name]}{off}"
    for kind, value in results.truth[arm].items():
        if value is not None:
            yield f"  {'truth':<10} {value:+.2%} ({kind})"
    holm, mde = results.holm.get(arm, math.nan), results.mde.get(arm, math.nan)
    if len(results.uplift) > 1 and not math.isnan(holm):
        yield f"  {'corrected':<10} {p_text(holm)} (Holm, {len(results.uplift)} treatments)"
    if not math.isnan(mde):
        yield f"  {'finds':<10} uplifts from {mde:.2%} on, in {POWER:.0%} of the cases"


def _table(
    title: str, head: str, arms: Sequence[str], rows: Iterable[tuple[str, Mapping[str, str]]], least: int
) -> list[str]:
    """A column an arm; a dash where a row has nothing of it."""
    width = max(least, *(len(arm) for arm in arms))
    lines = [title, head + "".join(f"  {arm:>{width}}" for arm in arms)]
    return lines + [label + "".join(f"  {of_arm.get(arm, '-'):>{width}}" for arm in arms) for label, of_arm in rows]


def _phase_table(results: Findings) -> list[str]:
    cells: dict[str, dict[str, str]] = {}
    for row in results.phases:
        text = "-" if math.isnan(row.ctr) else f"{row.ctr:.2%} +/-{(row.hi - row.lo) / 2:.2%}"
        cells.setdefault(row.phase, {})[row.arm] = text
    rows = [(f"{'':>4}  {PHASE_LABELS[phase]:<8}", of_arm) for phase, of_arm in cells.items()]
    title = "CTR by phase and arm (95% intervals across users)"
    return _table(title, f"{'':>4}  {'phase':<8}", results.run.arms, rows, 15)


def _daily_table(results: Findings) -> list[str]:
    """CTR by day and arm; of a replay, the control's log loss and how far the others' are from it."""
    run = results.run
    shown = "logloss" if run.is_replay else "ctr"
    cells: dict[int, dict[str, str]] = {}
    phases: dict[int, str] = {}
    for day in results.days:
        value, number = day.row.get(shown), day.row["day"]
        text = "-" if value is None else f"{value:.4f}" if run.is_replay else f"{value:.2%}"
        cells.setdefault(number, {})[day.row["arm"]] = text
        phases[number] = PHASE_LABELS[day.row["phase"]]
    for arm, found in results.differences.items():
        for of_day in found[shown].days:
            apart = of_day.difference
            text = f"{apart.mean:+.4f} +/-{(apart.hi - apart.lo) / 2:.4f}"
            cells[of_day.day][arm] = "-" if math.isnan(apart.mean) else text
    title = "CTR by day and arm"
    if results.differences:
        title = f"log loss of the stamps by day: {run.control}'s, and the others' less it (95% intervals)"
    elif run.is_replay:
        title = "log loss of the stamps by day"
    rows = [(f"{number + 1:>4}  {phases[number]:<8}", of_arm) for number, of_arm in sorted(cells.items())]
    return _table(title, f"{'day':>4}  {'phase':<8}", run.arms, rows, 17 if results.differences else 9)


def _ranking_table(results: Findings, ranking: Ranking) -> list[str]:
    width = max(7, *map(len, results.run.arms))
    lines = [f"ranking of the logged slates (95% intervals across users; differences to {results.run.control})"]
    for name, label in ranking.metrics.items():
        for arm, metrics in ranking.measured.items():
            found = metrics[name]
            line = f"  {label:<8}  {arm:<{width}}  {found.value:.5f} [{found.lo:.5f}, {found.hi:.5f}]"
            lines.append(line if found.difference is None else f"{line}  {found.difference}")
    return lines
