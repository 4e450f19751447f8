"""A chart stands where its numbers say: places by hand, gaps, bands, whiskers, and what is beyond or not defined."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

from simulator.readout.plots.svg.chart import chart
from simulator.readout.plots.svg.numbers import percent
from simulator.readout.plots.svg.parts import Chart, Rule, Series, Shade
from simulator.readout.plots.svg.scale import Scale

LOOK = Chart("CTR", "Two days", "CTR", "day", percent, height=100)
ACROSS, DOWN = Scale(0, 4), Scale(0, 1)
NAN = math.nan


def drawn(*series: Series, look: Chart = LOOK, **also: object) -> ET.Element:
    return ET.fromstring(chart(look, series, across=ACROSS, down=DOWN, **also))  # type: ignore[arg-type]


def paths(svg: ET.Element, kind: str) -> list[str]:
    return [one.get("d", "") for one in svg.iter("path") if kind in (one.get("class") or "").split()]


def groups(svg: ET.Element) -> dict[str, ET.Element]:
    return {one.get("data-name", ""): one for one in svg.iter("svg") if one.get("class") == "at"}


def test_a_value_stands_at_its_share_of_the_width_and_of_the_height() -> None:
    svg = drawn(Series("a", [1, 2], [0.25, 1.0]))
    assert paths(svg, "line") == ["M250 75L500 0"]
    found = groups(svg)
    assert [(name, one.get("x")) for name, one in found.items()] == [("day 1", "25.00%"), ("day 2", "50.00%")]
    (circle,) = found["day 1"].iter("circle")
    assert (circle.get("cx"), circle.get("cy")) == (None, "75")
    assert [one.text for one in found["day 1"].iter("title")] == ["a 25.00%"]


def test_what_is_not_defined_is_a_gap_in_line_and_band_and_has_no_mark() -> None:
    y = [0.1, 0.2, NAN, 0.4, 0.5]
    svg = drawn(Series("a", [0, 1, 2, 3, 4], y, [v - 0.1 for v in y], [v + 0.1 for v in y]))
    assert paths(svg, "line") == ["M0 90L250 80M750 60L1000 50"]
    assert paths(svg, "band") == ["M0 100L250 90L250 70L0 80zM750 70L1000 60L1000 40L750 50z"]
    assert list(groups(svg)) == ["day 0", "day 1", "day 3", "day 4"]


def test_a_band_needs_both_of_its_edges() -> None:
    svg = drawn(Series("a", [0, 1, 2], [0.5, 0.5, 0.5], [0.4, NAN, 0.4], [0.6, 0.6, NAN]))
    assert paths(svg, "band") == ["M0 60L0 40z"]


def test_points_that_are_shifted_are_read_together_each_with_its_whisker() -> None:
    series = [
        Series(name, [2 + shift], [0.5], [0.25], [0.75], colour, "none", "whiskers", at=[2])
        for name, shift, colour in (("a", -0.2, -1), ("b", 0.2, 1))
    ]
    (group,) = groups(drawn(*series)).values()
    assert [one.get("class") for one in group] == ["beside", "c1 n1"]
    assert [one.get("cx") for one in group.iter("circle")] == ["-5.00%", "5.00%"]
    assert [(one.get("x1"), one.get("y1"), one.get("y2")) for one in group.iter("line")] == [
        ("-5.00%", "75", "25"), ("5.00%", "75", "25"),
    ]  # fmt: skip
    assert [one.text for one in group.iter("title")] == ["a 50.00% [25.00%, 75.00%]", "b 50.00% [25.00%, 75.00%]"]


def test_edges_are_two_dashed_lines_and_an_interval_alone_is_read_without_its_middle() -> None:
    svg = drawn(Series("bounds", [1], [0.5], [0.0], [1.0], stroke="none", spread="edges", dots=False))
    assert paths(svg, "dashed") == ["M250 100", "M250 0"]
    assert [one.text for one in svg.iter("title")] == ["bounds [0.00%, 100.00%]"]


def test_arms_beyond_the_seventh_have_its_colours_again_with_other_marks() -> None:
    (group,) = groups(drawn(*(Series(f"{i}", [1], [0.5], colour=i) for i in (0, 7, 14)))).values()
    assert [one.get("class") for one in group] == ["c0 n0", "c0 n7", "c0 n14"]
    marks = [one.get("d") for one in group.iter("path")]
    assert len(list(group.iter("circle"))) == 1 and len(set(marks)) == 2


def test_a_quiet_line_is_drawn_and_not_read() -> None:
    svg = drawn(Series("a", [1, 2], [0.5, 0.5], quiet=True))
    assert len(paths(svg, "line")) == 1 and groups(svg) == {}


def test_shades_and_rules_lie_where_they_say_and_are_cut_off_at_the_ends() -> None:
    shades = [
        Shade(-1, 1, "A/A", "aa"),
        Shade(5, 6, "beyond", "ab"),
        Shade(1, 1.1, "narrow", "ab"),
        Shade(3, 3, "drift", "moment"),
    ]
    rules = [Rule(0.5, "truth", "solid", lo=2), Rule(NAN, "unknown")]
    svg = drawn(Series("a", [1], [0.5]), shades=shades, rules=rules)
    assert [(one.get("x"), one.get("width")) for one in svg.iter("rect")] == [("0.00%", "25.00%"), ("25.00%", "2.50%")]
    assert [(one.get("x1"), one.get("x2")) for one in svg.iter("line") if one.get("class") == "moment"] == [
        ("75.00%", "75.00%")
    ]
    assert paths(svg, "rule") == ["M500 50L1000 50"]
    said = [one.text for one in svg.iter("text") if (one.get("class") or "").startswith("phase")]
    assert said == ["A/A"]


def test_a_chart_of_nothing_says_so_without_a_scale() -> None:
    svg = ET.fromstring(chart(LOOK, [Series("a", [1, 2], [NAN, NAN])]))
    assert "not defined" in [one.text for one in svg.iter("text")] and not list(svg.iter("line"))
    assert ET.fromstring(chart(LOOK, [])).tag == "svg"


def test_one_value_and_equal_values_have_a_scale() -> None:
    for y in ([0.3], [0.3, 0.3], [0.0, 0.0]):
        svg = ET.fromstring(chart(LOOK, [Series("a", [1.0, 2.0][: len(y)], y)]))
        assert all(0 < float(one.get("cy", "nan")) < 100 for one in svg.iter("circle"))


def test_names_are_escaped_wherever_they_stand() -> None:
    evil = '<script>&"'
    look = LOOK._replace(title=evil, description=evil, y_label=evil, x_label=evil, name_of=lambda _: evil)
    svg = chart(look, [Series(evil, [1], [0.5])], [Shade(0, 4, evil, "aa")], across=ACROSS, down=DOWN)
    assert evil not in svg and "<script" not in svg
    assert ET.fromstring(svg).get("aria-label") == f"{evil}. {evil}"


def test_a_scale_holds_all_that_is_drawn_and_not_the_intervals_that_are_not() -> None:
    hidden = Series("b", [1], [0.2], [-9.0], [9.0], spread="none")
    svg = ET.fromstring(chart(LOOK, [Series("a", [1], [0.5], [0.1], [0.9]), hidden], rules=[Rule(0.0, "zero")]))
    labels = [one.text for one in svg.iter("text") if (one.text or "").replace(".", "").isdigit()]
    assert {"0.0", "0.2", "0.4", "0.6", "0.8"} <= set(labels)


def test_a_whisker_ends_where_the_picture_does() -> None:
    svg = drawn(Series("a", [1], [0.5], [-50.0], [1e21], spread="whiskers"))
    (group,) = groups(svg).values()
    assert [(one.get("y1"), one.get("y2")) for one in group.iter("line")] == [("100", "0")]
    assert [one.text for one in group.iter("title")] == ["a 50.00% [−5000.00%, >9999%]"]


def test_many_days_leave_some_labels_to_wide_pages() -> None:
    svg = ET.fromstring(chart(LOOK, [Series("a", list(range(1, 29)), [0.5] * 28)]))
    labels = [one for one in svg.iter("text") if re.fullmatch(r"\d+", one.text or "")]
    kept = [one for one in labels if one.get("class") != "more"]
    assert 5 <= len(kept) <= 10 and len(labels) > len(kept)
