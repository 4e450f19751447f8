"""Reading a run folder out: what is written, and what a damaged folder says."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from reloop_stream.config import apply_overrides
from simulator.errors import RunFolderError
from simulator.lab.run import start_run
from simulator.readout import read_out
from simulator.readout.compute import compute
from simulator.readout.plots.draw import plots_of
from simulator.readout.results import Alarm
from simulator.run_folder.reader import read_run
from simulator.scenario import parse_scenario
from tests.conftest import TINY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three arms, one with a name that HTML must escape, were names not restricted."""
    raw: dict[str, Any] = yaml.safe_load(TINY)
    raw["arms"] = [{"name": name, "share": share} for name, share in (("control", 0.5), ("b", 0.25), ("c", 0.25))]
    out = tmp_path_factory.mktemp("runs") / "run"
    start_run(parse_scenario(raw), out, command="python -m simulator run '<b>x</b>.yaml'", workers=1, quiet=True)
    return out


def copy_of(folder: Path, to: Path) -> Path:
    import shutil

    shutil.copytree(folder, to)
    return to


def test_every_promised_file_is_written_and_well_formed(finished: Path, tmp_path: Path) -> None:
    out = copy_of(finished, tmp_path / "run")
    results = read_out(out)
    found = json.loads((out / "results.json").read_text())
    assert set(found["uplift"]) == {"b", "c"} == set(found["truth"]) and 0 < found["srm_p"] <= 1
    for arm in ("b", "c"):
        for name in ("raw", "ab_minus_aa", "cuped"):
            estimate = found["uplift"][arm][name]
            assert estimate["lo"] < estimate["relative"] < estimate["hi"] and 0 <= estimate["p"] <= 1
    for name in ("ctr", "uplift", "quality", "estimators"):
        assert (out / "plots" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert xml.etree.ElementTree.parse(out / "plots" / f"{name}.svg").getroot().tag.endswith("svg")
    page = (out / "report.html").read_text()
    assert "<b>x</b>" not in page and "&lt;b&gt;x&lt;/b&gt;" in page
    assert set(re.findall(r"https?://[^\"']+", page)) == {"http://www.w3.org/2000/svg"}  # it stands alone
    assert "uplift of b over control" in results.render() and "uplift of c over control" in results.render()


def test_reading_out_again_gives_the_same_results_plots_and_page(finished: Path, tmp_path: Path) -> None:
    out = copy_of(finished, tmp_path / "run")

    def written() -> dict[str, bytes]:
        read_out(out)
        return {
            path.name: path.read_bytes()
            for path in (out / "results.json", out / "report.html", *(out / "plots").iterdir())
        }

    first = written()
    assert len(first) == 2 + 2 * len(plots_of(compute(read_run(out)))) and written() == first


def test_the_daily_table_can_be_computed_again_from_the_users(finished: Path) -> None:
    users, daily = pq.read_table(finished / "users.parquet"), pq.read_table(finished / "daily.parquet")
    sums = users.group_by(["day", "arm"]).aggregate([("clicks", "sum"), ("exposures", "sum"), ("user_id", "count")])
    by_key = {(row["day"], row["arm"]): row for row in sums.to_pylist()}
    for row in daily.to_pylist():
        again = by_key[row["day"], row["arm"]]
        assert (again["clicks_sum"], again["exposures_sum"]) == (row["clicks"], row["exposures"])
        assert again["user_id_count"] == row["users"] and row["ctr"] == row["clicks"] / row["exposures"]


def test_a_run_that_stopped_half_way_is_read_out_and_says_so(finished: Path, tmp_path: Path) -> None:
    out = copy_of(finished, tmp_path / "run")
    manifest = json.loads((out / "manifest.json").read_text()) | {"status": "interrupted"}
    (out / "manifest.json").write_text(json.dumps(manifest))
    for name in ("daily", "users"):
        table = pq.read_table(out / f"{name}.parquet")
        pq.write_table(table.filter(pa.compute.less(table["day"], 2)), out / f"{name}.parquet")
    results = read_out(out)
    assert "the run is interrupted: the figures cover the days so far" in results.notes
    assert "there is no A/B day yet: no uplift" in results.notes
    assert json.loads((out / "results.json").read_text())["uplift"]["b"]["cuped"]["relative"] is None


@pytest.mark.parametrize(
    "damage, message",
    [
        ("no daily", "daily.parquet: no such file; the run ended before its first day was complete"),
        ("no column", "daily.parquet: has no column 'ctr'"),
        ("no manifest", "is no run folder (there is no manifest.json in it)"),
        ("bad manifest", "manifest.json: is not valid JSON"),
    ],
)
def test_what_is_missing_is_named(finished: Path, tmp_path: Path, damage: str, message: str) -> None:
    out = copy_of(finished, tmp_path / "run")
    if damage == "no daily":
        (out / "daily.parquet").unlink()
    elif damage == "no column":
        pq.write_table(pq.read_table(out / "daily.parquet").drop_columns(["ctr"]), out / "daily.parquet")
    elif damage == "no manifest":
        (out / "manifest.json").unlink()
    else:
        (out / "manifest.json").write_text("{")
    with pytest.raises(RunFolderError) as caught:
        read_out(out)
    assert message in str(caught.value)


def test_one_arm_has_no_uplift_and_still_a_report(tmp_path: Path) -> None:
    raw = apply_overrides(yaml.safe_load(TINY), ["arms=[{name: only, share: 1.0}]", "phases.warmup_days=0"])
    out = tmp_path / "run"
    start_run(parse_scenario(raw), out, command="", workers=1, quiet=True)
    results = read_out(out)
    assert results.uplift == {} and (out / "report.html").exists() and "CTR by day and arm" in results.render()


def test_alarms_are_in_results_plot_and_report(tmp_path: Path) -> None:
    raw: dict[str, Any] = yaml.safe_load(TINY)
    raw["world"]["drift"] = [{"kind": "sudden", "target": "base_rate", "magnitude": 3, "day": 2.5}]
    raw["learner"]["monitor"] = {"detector": "page_hinkley", "block": 20, "delta": 0.02, "threshold": 1, "rolling": 200}
    raw["arms"][0]["name"] = "1"  # a name that looks like a number stays a name
    out = tmp_path / "run"
    start_run(parse_scenario(raw), out, command="test", workers=1, quiet=True)
    results = read_out(out)
    found = json.loads((out / "results.json").read_text())["alarms"]
    after = [alarm for alarm in found if alarm["hours_after_drift"] is not None]
    assert {alarm["learner"] for alarm in after} == {"1", "reloop"} == {alarm["arm"] for alarm in after}
    for alarm in after:
        assert alarm["hours_after_drift"] == pytest.approx(24 * (alarm["time"] - 2.5)) and alarm["time"] > 2.5
    assert (out / "plots" / "monitor.png").read_bytes()[:4] == b"\x89PNG"
    page, said = (out / "report.html").read_text(), results.render()
    assert "Alarms of drift" in page and f"{after[0]['hours_after_drift']:.1f} h" in page
    assert "drift alarm of reloop: day 3, " in said and "h after a sudden drift" in said


def test_a_run_without_monitors_says_nothing_of_alarms(finished: Path, tmp_path: Path) -> None:
    out = copy_of(finished, tmp_path / "run")
    read_out(out)
    assert json.loads((out / "results.json").read_text())["alarms"] is None
    assert "Alarms of drift" not in (out / "report.html").read_text()
    assert not (out / "monitor.csv").exists() and not (out / "plots" / "monitor.svg").exists()


def test_the_moment_of_an_alarm_is_a_day_and_a_time_of_day() -> None:
    alarm = Alarm("x", "x", 6 + 13.5 / 24, None, None, 1.0, None)
    assert alarm.moment == "day 7, 13:30"
