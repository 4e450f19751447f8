"""Everything that compares the treatments with the control of a split test, from their users' rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from simulator.readout.results import Results
from simulator.readout.statistics.estimate import Estimate
from simulator.readout.statistics.multiplicity import holm
from simulator.readout.statistics.novelty import since_first
from simulator.readout.statistics.power import detectable
from simulator.readout.statistics.pre_period import pre_period
from simulator.readout.statistics.segment_values import activity_before, of_rows, of_users, tenure
from simulator.readout.statistics.segments import Segment, segment_uplifts
from simulator.readout.statistics.sequential import looks_of
from simulator.readout.statistics.uplift import ESTIMATORS
from simulator.readout.statistics.users import ArmRows, Users, group_users
from simulator.run_folder.columns import USERS_COLUMNS
from simulator.run_folder.reader import Run

__all__ = ["compared"]


def compared(results: Results, users: Users) -> Results:
    """The results with uplifts, looks, segments, novelty, and what else needs two arms."""
    run, arms = results.run, users.arms
    control, treatments = arms[run.control], {arm: arms[arm] for arm in run.treatments}
    whole = control.sums(control.of_phase("ab"))
    sums = {arm: rows.sums(rows.of_phase("ab")) for arm, rows in treatments.items()}
    results = replace(
        results, uplift={arm: {name: of(whole, one) for name, of in ESTIMATORS.items()} for arm, one in sums.items()}
    )
    headline = {arm: found[results.headline] for arm, found in results.uplift.items()}
    days = sorted({day.row["day"] for day in results.days if day.row["phase"] == "ab"}) if run.has_days else []
    planned = (run.config.get("phases") or {}).get("ab_days", 0)
    so_far = {arm: _so_far(results.headline, control, rows, days) for arm, rows in treatments.items()}
    return replace(
        results,
        days=[replace(day, so_far=so_far.get(day.row["arm"], {}).get(day.row["day"])) for day in results.days],
        holm=holm({arm: found.p for arm, found in headline.items()}),
        mde={arm: detectable(found.log_error) for arm, found in headline.items()},
        error={arm: _errors(results, arm) for arm in run.treatments},
        aa=pre_period(control, treatments) if treatments else None,
        sequential={arm: looks_of(days, [*found.values()], planned) for arm, found in so_far.items() if days},
        novelty={arm: since_first(control, rows) for arm, rows in treatments.items() if days},
        segments=segment_uplifts(_segments(run, users), run.control, run.treatments),
    )


def _so_far(headline: str, control: ArmRows, treatment: ArmRows, days: list[int]) -> dict[int, Estimate]:
    """The headline from the first of the days up to each of them."""
    pairs = zip(control.running(days), treatment.running(days), strict=True)
    return {day: ESTIMATORS[headline](*pair) for day, pair in zip(days, pairs, strict=True)}


def _errors(results: Results, arm: str) -> dict[str, float]:
    """How far each estimator is from the truth; nothing where that is not known."""
    truth = results.truth[arm]["experiment"]
    return {} if truth is None else {name: found.relative - truth for name, found in results.uplift[arm].items()}


def _segments(run: Run, users: Users) -> Iterator[Segment]:
    """All that the run knows of its users, and what it showed them."""
    assert run.users is not None
    known = [] if run.segments is None else run.segments.column_names
    if "activity" not in known:
        yield activity_before(users)
    yield tenure(users)
    if run.segments is not None:
        yield from of_users(users, run.segments, but=("arm",))
    own = [name for name in run.users.column_names if name not in USERS_COLUMNS] if run.manifest is None else []
    yield from of_rows(users, run.users, own)
    if run.topics is not None:
        yield from of_rows(group_users(run.topics, run.arms), run.topics, ("topic",), codes=True)
