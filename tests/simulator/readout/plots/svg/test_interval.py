"""The bar of a row lies where its numbers say."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from simulator.readout.plots.svg.interval import axis_of_intervals, interval_bar
from simulator.readout.plots.svg.scale import Scale

REACH = Scale(-0.02, 0.02)


def lines(svg: str, kind: str) -> list[tuple[str | None, str | None]]:
    found = (one for one in ET.fromstring(svg).iter("line") if kind in (one.get("class") or ""))
    return [(one.get("x1"), one.get("x2")) for one in found]


def test_a_bar_reaches_from_lo_to_hi_over_zero_and_beside_the_truth() -> None:
    svg = interval_bar(0.01, 0.0, 0.015, REACH, 1, truth=-0.01)
    assert lines(svg, "reach") == [("50.00%", "87.50%")] and lines(svg, "zero") == [("50.00%", "50.00%")]
    assert lines(svg, "truth") == [("25.00%", "25.00%")]
    assert [one.get("cx") for one in ET.fromstring(svg).iter("circle")] == ["75.00%"] and "arrow" not in svg


def test_what_is_beyond_is_cut_off_with_an_arrow_on_its_side() -> None:
    svg = interval_bar(0.03, -0.01, 0.5, REACH)
    assert lines(svg, "reach") == [("25.00%", "100.00%")] and svg.count("arrow") == 1
    assert interval_bar(0.0, -1, 1, REACH).count("arrow") == 2


def test_an_estimate_that_is_not_defined_has_no_bar_and_a_truth_alone_is_a_tick() -> None:
    nothing = interval_bar(math.nan, math.nan, math.nan, REACH)
    assert lines(nothing, "reach") == [] and lines(nothing, "zero") != []
    assert lines(interval_bar(math.nan, math.nan, math.nan, REACH, truth=math.nan), "truth") == []
    assert lines(interval_bar(math.nan, math.nan, math.nan, REACH, truth=0.02), "truth") == [("100.00%", "100.00%")]


def test_an_axis_has_as_many_labels_as_have_room() -> None:
    short = [one.text for one in ET.fromstring(axis_of_intervals(REACH)).iter("text")]
    long = list(
        ET.fromstring(axis_of_intervals(Scale(0.1, 0.10002), lambda ticks: [f"{t:.6f}" for t in ticks])).iter("text")
    )
    assert short == ["−2%", "−1%", "0%", "+1%", "+2%"] and 1 <= len(long) <= 3
