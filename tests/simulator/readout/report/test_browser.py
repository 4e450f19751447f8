"""The page in a browser: on a telephone and on a wide screen, light and dark, by pointer, by keyboard, and without its script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, Request

from simulator.readout.report.write import page
from simulator.readout.results import Results
from tests.simulator.readout.report import made

pytestmark = pytest.mark.slow

EVIL = "<script>alert('x')</script><img src=x onerror=alert(2)>"
KINDS: dict[str, Callable[[], Results]] = {
    "simulation": lambda: made.simulation(4),
    "sixteen arms": lambda: made.simulation(16, 28),
    "one arm": lambda: made.simulation(1),
    "interrupted": made.interrupted,
    "replay": made.replay,
    "own table": lambda: made.own_table(EVIL),
}
WIDTHS, THEMES = (400, 1400), ("light", "dark")


@contextmanager
def shown(browser: Browser, results: Results, width: int = 1400, **context: Any) -> Iterator[Page]:
    """The page, opened. What it says on its console, what it asks the network for, and what dialogs it opens, fails the test."""
    told: list[str] = []

    def asked(request: Request) -> None:
        if not request.url.startswith(("data:", "about:")):
            told.append(f"request {request.url}")

    def opened_dialog(dialog: Dialog) -> None:
        told.append(f"dialog {dialog.message}")
        dialog.dismiss()

    opened = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **context)
    view = opened.new_page()
    view.on("console", lambda message: told.append(f"console {message.text}"))
    view.on("pageerror", lambda error: told.append(f"error {error}"))
    view.on("dialog", opened_dialog)
    view.on("request", asked)
    view.set_content(page(results))
    yield view
    opened.close()
    assert told == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_page_is_wider_than_its_screen_and_none_asks_for_anything(browser: Browser, kind: str) -> None:
    with shown(browser, KINDS[kind]()) as view:
        for width in WIDTHS:
            view.set_viewport_size({"width": width, "height": 900})
            assert view.evaluate("document.documentElement.scrollWidth") <= width
            charts = view.locator("svg.chart:visible").evaluate_all(
                "all => all.map(one => one.getBoundingClientRect().right)"
            )
            assert all(right <= width for right in charts)
        assert view.locator("main h2").count() >= 4 and view.evaluate("document.scripts.length") == 1


SMALL: dict[str, Callable[[], Results]] = {
    "simulation": lambda: made.simulation(2, 5),
    "replay": lambda: made.replay(2, 4),
    "own table": made.own_table,
}


@pytest.mark.parametrize(
    "kind, width, theme",
    [("simulation", 1400, "light"), ("simulation", 400, "dark"), ("replay", 400, "light"), ("own table", 1400, "dark")],
)
def test_axe_finds_nothing_serious(browser: Browser, kind: str, width: int, theme: Any) -> None:
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    with shown(browser, SMALL[kind](), width, color_scheme=theme) as view:
        view.evaluate(axe)
        found = view.evaluate("axe.run({resultTypes: ['violations']})")
        grave = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        said = [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in grave]
        assert said == [] and len(found["passes"]) > 10


def test_the_theme_is_the_reader_s_and_a_button_turns_it(browser: Browser) -> None:
    def colours(view: Page) -> list[str]:
        return [
            view.locator(place).first.evaluate(f"one => getComputedStyle(one).{name}")
            for place, name in (("body", "backgroundColor"), (".chart .line.c1", "stroke"))
        ]

    seen = {}
    for theme in THEMES:
        with shown(browser, made.simulation(), color_scheme=theme) as view:
            seen[theme] = colours(view)
            view.get_by_role("button", name="Dark or light colours").click()
            seen[f"{theme}, turned"] = colours(view)
    assert seen["light"][0] == "rgb(255, 255, 255)" != seen["dark"][0] and seen["light"][1] != seen["dark"][1]
    assert seen["light, turned"] == seen["dark"] and seen["dark, turned"] == seen["light"]


def test_a_table_is_sorted_by_keyboard_and_says_so(browser: Browser) -> None:
    results = made.simulation(4)
    uplift = {arm: found["cuped"].relative for arm, found in results.uplift.items()}
    with shown(browser, results) as view:
        table = view.locator("#effect table").first
        head = table.get_by_role("columnheader", name="uplift")
        arms = table.locator("tbody th")
        before = arms.all_inner_texts()
        head.get_by_role("button").focus()
        for direction, order in (
            ("descending", sorted(uplift, key=lambda arm: -uplift[arm])),
            ("ascending", sorted(uplift, key=lambda arm: uplift[arm])),
            ("none", before),
        ):
            view.keyboard.press("Enter")
            assert head.get_attribute("aria-sort") == direction and arms.all_inner_texts() == order
        assert before == list(uplift) and before != sorted(uplift, key=lambda arm: uplift[arm])


def test_pointer_and_arrow_keys_read_a_chart_s_values(browser: Browser) -> None:
    results = made.simulation()
    with shown(browser, results) as view:
        plot = view.locator("#figure-ctr .plot")
        box = plot.locator("svg.chart").bounding_box()
        assert box is not None
        left, right = 58, 14  # the chart's own padding; 14 days lie between
        at = box["x"] + left + (box["width"] - left - right) * (9.5 / 14)  # the tenth
        plot.scroll_into_view_if_needed()
        box = plot.locator("svg.chart").bounding_box()
        assert box is not None
        view.mouse.move(at, box["y"] + 100)
        day = {one.row["arm"]: one for one in results.days if one.row["day"] == 9}
        told = plot.locator(".tip").inner_text().split("\n")
        assert told[0] == "day 10" and told[1:] == [
            f"{arm} {one.row['ctr']:.2%} [{one.lo:.2%}, {one.hi:.2%}]" for arm, one in day.items()
        ]
        plot.focus()
        view.keyboard.press("ArrowRight")
        assert plot.locator(".tip").inner_text().startswith("day 11\n")
        view.keyboard.press("Home")
        assert plot.locator("[aria-live]").inner_text().startswith("day 1. control ")
        view.keyboard.press("Escape")
        assert plot.locator(".tip").count() == 0


def test_what_is_pointed_at_in_a_legend_stands_out(browser: Browser) -> None:
    with shown(browser, made.simulation(9, 5)) as view:
        figure = view.locator("#figure-ctr")
        figure.locator(".legend li", has_text="reloop-alpha-08").hover()  # it has the colour of the second arm
        lines = figure.locator(".chart path.line")
        faint = lines.evaluate_all("all => all.map(one => one.classList.contains('faint'))")
        assert faint == [True] * 8 + [False] and figure.locator(".at > .n1:not(.faint)").count() == 0
        view.mouse.move(0, 0)
        assert figure.locator(".faint").count() == 0


def test_the_contents_lead_to_every_section(browser: Browser) -> None:
    with shown(browser, made.simulation(), 400) as view:
        contents = view.get_by_role("navigation", name="Contents, folded")
        links = contents.locator("a")
        assert view.evaluate(
            "[...document.querySelectorAll('main section')].map(one => '#' + one.id)"
        ) == links.evaluate_all("all => all.map(one => one.hash)")
        contents.locator("summary").click()
        links.filter(has_text="Segments").click()
        assert not links.first.is_visible() and view.locator("#segments h2").is_visible()
        view.set_viewport_size({"width": 1400, "height": 900})
        assert view.get_by_role("navigation", name="Contents", exact=True).locator("a").first.is_visible()
        assert not contents.is_visible()


def test_it_prints_on_white_paper_without_its_buttons(browser: Browser) -> None:
    with shown(browser, made.simulation(), color_scheme="dark") as view:
        view.get_by_role("button", name="Dark or light colours").click()
        view.get_by_role("button", name="Dark or light colours").click()
        view.emulate_media(media="print")
        assert view.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not view.get_by_role("navigation").first.is_visible() and not view.locator("#theme").is_visible()
        assert view.locator("#figure-ctr svg.chart").is_visible()
        printed = view.pdf(format="A4")
        assert printed[:4] == b"%PDF" and printed.count(b"/Type /Page\n") >= 4 and len(printed) > 30_000


def test_without_its_script_everything_can_be_read(browser: Browser) -> None:
    results = made.simulation()
    with shown(browser, results, java_script_enabled=False) as view:
        assert view.locator("button:visible").count() == 0
        assert (
            view.locator("#effect tbody tr").count() == 5
            and view.locator("#effect thead th").first.inner_text() == "estimator"
        )
        assert view.locator("#figure-ctr .at title").count() == len(results.days)
