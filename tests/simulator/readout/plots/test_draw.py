"""The plots show what was found: their lines are the numbers of the results."""

from __future__ import annotations

from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from simulator.readout.plots.draw import figure, plots_of
from simulator.readout.plots.reliability import bins_of
from simulator.readout.plots.segments import that_tell_most
from simulator.readout.results import Results
from tests.simulator.readout.report import made


def numbers(drawn: object) -> np.ndarray:
    return np.asarray(drawn, dtype=float)


@pytest.fixture(scope="module")
def results() -> Results:
    return made.simulation(3)


def test_what_is_known_has_a_plot_and_what_is_not_has_none(results: Results) -> None:
    assert {"ctr", "uplift", "so_far", "estimators", "segments", "quality", "reliability", "bounds"} <= set(
        plots_of(results)
    )
    assert set(plots_of(made.interrupted())) == {"ctr", "uplift", "quality"}
    assert set(plots_of(made.own_table())) == {"estimators", "segments"}  # it has no days and no predictions
    assert set(plots_of(made.replay())) == {"difference", "quality", "ranking"}


def test_up_to_each_day_the_estimate_its_bounds_and_the_truth_are_drawn_on_one_scale(results: Results) -> None:
    panels = figure(results, "so_far").axes
    for axes, arm in zip(panels, ("reloop", "reloop-alpha-02"), strict=True):
        found = [day.so_far for day in results.days if day.row["arm"] == arm and day.so_far is not None]
        looks = results.sequential[arm]
        estimate, lo, hi, experiment, launch, _ = (numbers(line.get_ydata()) for line in axes.lines)
        np.testing.assert_allclose(estimate, [one.relative for one in found])
        np.testing.assert_allclose(lo, [look.lo for look in looks])
        np.testing.assert_allclose(hi, [look.hi for look in looks])
        assert experiment[0] == results.truth[arm]["experiment"] and launch[0] == results.truth[arm]["launch"]
    assert panels[0].get_ylim() == panels[1].get_ylim()


def test_a_segment_is_full_only_where_its_corrected_p_says_so(results: Results) -> None:
    (axes,) = figure(results, "segments").axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert len(dots) == len(results.segments)
    for dot, one in zip(reversed(dots), results.segments, strict=True):
        hollow = matplotlib.colors.same_color(dot.get_markerfacecolor(), "white")
        assert hollow == (one.adjusted_p >= 0.05) and numbers(dot.get_xdata())[0] == one.estimate.relative
    assert [label.get_text() for label in axes.get_yticklabels()][-1] == "activity: low, reloop"


def test_of_too_many_segments_those_that_tell_most_are_kept_in_their_order(results: Results) -> None:
    p = [0.5, 0.01, 0.9, 0.02, float("nan")]
    one = results.segments[0]
    rows = [one._replace(estimate=one.estimate._replace(p=value)) for value in p]
    assert that_tell_most(rows, 2) == [rows[1], rows[3]] and that_tell_most(rows, 9) == rows


def test_bins_of_next_to_nothing_are_not_drawn(results: Results) -> None:
    one = results.reliability["control"][0]
    found = bins_of(
        replace(results, reliability={"a": [one, one._replace(exposures=99)], "b": [one._replace(exposures=0)]})
    )
    assert found == {"a": [one]}


def test_reliability_and_bounds_are_drawn_as_they_are(results: Results) -> None:
    (axes,) = figure(results, "reliability").axes
    for line, (arm, bins) in zip(axes.lines, results.reliability.items(), strict=False):
        assert line.get_label() == arm
        np.testing.assert_allclose(numbers(line.get_xydata()), numbers([(one.predicted, one.observed) for one in bins]))
    assert results.bounds is not None
    (axes,) = figure(results, "bounds").axes
    for line, (policy, days) in zip(axes.lines, results.bounds.days.items(), strict=True):
        assert line.get_label() == policy
        np.testing.assert_allclose(numbers(line.get_ydata()), numbers([ctr for ctr, _, _ in days.values()]))
