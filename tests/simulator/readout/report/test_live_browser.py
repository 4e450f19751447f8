"""The live page in a browser: it takes in a new day and leaves what its reader has opened, sorted and reached."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from playwright.sync_api import Browser, expect

from simulator.readout.compare import compare
from simulator.readout.report.compared import compare_page
from simulator.readout.report.live import LiveRun, serve
from simulator.run_folder.columns import DAILY_COLUMNS
from simulator.run_folder.tables import read_parquet, write_csv, write_parquet
from simulator.run_folder.writer import RunFolder
from tests.simulator.readout.test_undefined import folder_of

pytestmark = pytest.mark.slow

SHOWN = ([5, 5, 3, 4], [1, 0, 2, 1]), ([5, 2, 6, 3], [2, 0, 1, 2])
SOON_MS = 20_000


def set_days(folder: Path, whole: dict[str, pa.Table], days: int, status: str) -> None:
    """As it was when so many days were complete."""
    for name, table in whole.items():
        write_parquet(folder / name, table.filter(pa.compute.less(table["day"], days)))
    write_csv(folder / "daily.csv", DAILY_COLUMNS, read_parquet(folder / "daily.parquet").to_pylist())
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"status": status}))


def test_a_new_day_comes_in_and_what_the_reader_did_stays(browser: Browser, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", SHOWN, "simulation")
    RunFolder(folder).delete_day_files()
    whole = {name: read_parquet(folder / name) for name in ("daily.parquet", "users.parquet")}
    set_days(folder, whole, 3, "running")
    told: list[str] = []
    with serve(LiveRun(folder)) as address:
        view = browser.new_page(viewport={"width": 1200, "height": 500})
        view.on("console", lambda message: told.append(message.text))
        view.on("pageerror", lambda error: told.append(str(error)))
        view.goto(address)
        live = view.locator("#live")
        expect(live).to_contain_text("live: day 3 of 3 is complete at ")
        view.locator("#days summary").click()
        days = view.locator("#days tbody tr")
        assert days.count() == 3 * 2
        head = view.locator("#days thead th").first
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        view.locator("#days summary").focus()
        view.evaluate("scrollTo(0, 300)")

        set_days(folder, whole, 4, "finished")
        expect(live).to_contain_text("finished: day 4 of 3 is complete", timeout=SOON_MS)
        assert days.count() == 4 * 2 and days.first.locator("th, td").first.inner_text() == "4"
        assert view.locator("#days details").get_attribute("open") is not None and view.evaluate("scrollY") == 300
        assert view.locator("#days thead th").first.get_attribute("aria-sort") == "descending"
        assert view.evaluate("document.activeElement.tagName") == "SUMMARY"
        assert told == []
    expect(live).to_contain_text("nobody serves this page any more", timeout=SOON_MS)
    assert days.count() == 4 * 2
    view.close()


@pytest.mark.parametrize("width, theme", [(1400, "dark"), (400, "light")])
def test_runs_side_by_side_fit_their_screen_and_axe_finds_nothing_serious(
    browser: Browser, tmp_path: Path, width: int, theme: Any
) -> None:
    folders = [folder_of(tmp_path / name, SHOWN, "simulation") for name in ("a", "b")]
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
    view.set_content(compare_page(compare(folders)))
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    view.evaluate(axe)
    found = view.evaluate("axe.run({resultTypes: ['violations']})")
    assert [one["id"] for one in found["violations"] if one["impact"] in ("serious", "critical")] == []
    view.close()
