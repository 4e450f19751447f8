"""The page as text: what stands in it for each kind of run, that it stands alone, and that nothing in it can break out."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import resources

import pyarrow as pa
import pytest

from simulator.readout.report.write import page
from simulator.readout.results import Results
from tests.simulator.readout.report import made

EVIL = "<script>alert('x')</script> & \"b\""
KINDS: dict[str, Callable[[], Results]] = {
    "simulation": made.simulation,
    "four arms": lambda: made.simulation(4, 21),
    "one arm": lambda: made.simulation(1),
    "interrupted": made.interrupted,
    "replay": made.replay,
    "own table": made.own_table,
}


def sections(text: str) -> dict[str, str]:
    """Section → its HTML."""
    parts = re.split(r'<section id="([\w-]+)"', text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(
    "kind, there",
    [
        ("simulation", "result effect segments ctr bounds predictions catalogue alarms stream days repeat scenario"),
        ("one arm", "result ctr bounds predictions catalogue alarms stream days repeat scenario"),
        ("interrupted", "result effect ctr predictions stream days repeat scenario"),
        ("replay", "result differences ranking policies predictions stream days repeat scenario"),
        ("own table", "result effect segments ctr"),
    ],
)
def test_a_page_has_the_sections_that_have_something_to_say(kind: str, there: str) -> None:
    found = sections(page(KINDS[kind]()))
    assert list(found) == there.split()
    for name, content in found.items():
        assert len(re.sub(r"<[^>]*>", "", content).split()) > 5, name


@pytest.mark.parametrize("kind", KINDS)
def test_no_table_is_empty_no_number_is_nan_and_every_id_is_there_once(kind: str) -> None:
    text = page(KINDS[kind]())
    assert re.search(r"<tbody>\s*</tbody>", text) is None
    body = re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.DOTALL)
    assert re.search(r"\b(nan|None|undefined)\b", body) is None
    ids = re.findall(r' id="([^"]+)"', body)
    assert len(ids) == len(set(ids)) and set(re.findall(r'href="#([^"]+)"', body)) <= set(ids)


def test_every_row_has_as_many_cells_as_its_table_has_columns() -> None:
    seen = 0
    for kind in KINDS.values():
        for table in re.findall(r"<table.*?</table>", page(kind()), re.DOTALL):
            columns = len(re.findall(r"<th scope=\"col\"", table))
            for row in table.split("<tbody>")[1].split("<tr")[1:]:
                seen += 1
                assert len(re.findall(r"<(?:th|td)\b", row)) == columns, row
    assert seen > 300


def test_the_headline_its_checks_and_the_estimates_are_said_as_they_are() -> None:
    results = made.simulation()
    found = sections(page(results))
    cuped = results.uplift["reloop"]["cuped"]
    assert f"{cuped.relative:+.2%}".replace("-", "−") in found["result"] and "the truth is +1.50%" in found["result"]
    for check in results.checks:
        assert (
            html.escape(check.says, quote=True).replace("&#x27;", "&#39;") in found["result"]
            and f'class="{check.verdict}"' in found["result"]
        )
    assert "<code>python -m simulator power</code>" in found["result"]
    bold = re.findall(r'<tr class="main">(.*)', found["effect"])
    assert (
        len(bold) == 1
        and "CUPED" in bold[0]
        and f"{results.error['reloop']['cuped']:+.2%}".replace("-", "−") in bold[0]
    )


def test_with_many_arms_the_headline_counts_those_that_stand_after_holm() -> None:
    results = replace(made.simulation(6), holm={"reloop": 0.01, "reloop-alpha-02": 0.2})
    assert "5 arms against control: 1 is more than luck" in page(results)


def test_a_run_that_stopped_says_so_in_its_head() -> None:
    assert '<span class="stopped">interrupted</span>' in page(made.interrupted())
    assert "stopped" not in page(made.simulation()).split("<main>")[0].split("</style>")[1]


def test_whatever_a_table_of_one_s_own_names_its_arms_and_values_is_text() -> None:
    text = page(made.own_table(EVIL))
    assert EVIL not in text and text.count("<script>") == 1 == text.count("</script>")
    assert text.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;b&#34;") > 8


def test_a_scenario_is_text_too() -> None:
    text = page(made.simulation())
    assert "<b>α</b>" not in text and "&lt;b&gt;α&lt;/b&gt;" in sections(text)["scenario"]


def test_sixteen_arms_over_four_weeks_are_a_page_below_a_mebibyte() -> None:
    assert len(page(made.simulation(16, 28)).encode()) < 2**20


def test_a_monitor_that_read_ten_thousand_ticks_leaves_the_page_light() -> None:
    results = made.simulation(2, 14)
    assert results.run.monitor is not None
    ticks = results.run.monitor.to_pylist()
    many = [row | {"time": row["time"] + i / 1000} for row in ticks for i in range(60)]
    monitor = pa.Table.from_pylist(many, schema=results.run.monitor.schema)
    text = page(replace(results, run=replace(results.run, monitor=monitor)))
    assert len(text) < len(page(results)) + 50_000 and text.count("alarm of reloop 0.3") == 60


def test_of_very_many_segments_those_are_shown_that_tell_most() -> None:
    results = made.simulation(2)
    one = results.segments[0]
    many = [one._replace(value=f"v{i}", estimate=one.estimate._replace(p=1 - i / 1000)) for i in range(400)]
    text = sections(page(replace(results, segments=many)))["segments"]
    assert (
        "Of 400 rows the 150 with the smallest p" in text
        and ">v399<" in text
        and ">v250<" in text
        and ">v249<" not in text
    )


def test_the_same_results_are_the_same_page() -> None:
    assert page(made.simulation()) == page(made.simulation())


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance of #rrggbb."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_and_lines_stand_out_from_the_paper_in_both_themes() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    css = resources.files("simulator.readout.report").joinpath("page.css").read_text()
    colours = {name: pair for name, *pair in re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)", css)}
    assert {f"c{i}" for i in range(7)} | {"ink", "soft", "link", "good", "warn", "bad"} <= set(colours)
    for theme in (0, 1):
        for paper in ("paper", "tint", "shade"):
            for text in ("ink", "soft", "link", "good", "warn", "bad"):
                assert contrast(colours[text][theme], colours[paper][theme]) >= 4.5, (text, paper, theme)
            for arm in range(7):
                assert contrast(colours[f"c{arm}"][theme], colours[paper][theme]) >= 3, (arm, paper, theme)
