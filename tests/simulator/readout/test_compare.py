"""Runs side by side: what differs, arms matched by name, and what cannot be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

import simulator
from simulator.readout.compare import COMPARE_COLUMNS, compare
from simulator.readout.compute import compute
from simulator.run_folder.reader import read_run
from simulator.run_folder.tables import read_csv, read_parquet, write_parquet
from simulator.run_folder.writer import RunFolder
from simulator.scenario import parse_scenario, to_yaml
from tests.conftest import TINY
from tests.simulator.readout.test_undefined import folder_of
from tests.simulator.runs import lab

ONE = ([5, 5, 3, 4], [1, 0, 2, 1]), ([5, 2, 6, 3], [2, 0, 1, 2])
OTHER = ([5, 5, 3, 4], [1, 1, 2, 1]), ([5, 2, 6, 3], [2, 0, 1, 1])


def run_of(path: Path, shown: Any = ONE, kind: str = "simulation", **changes: Any) -> Path:
    """A run folder made by hand, of arms 00 and 01 (or what `arms` names them), with these sections of its scenario."""
    folder = folder_of(path, shown, kind)
    raw = yaml.safe_load(TINY) | {"arms": [{"name": "00"}, {"name": "01"}]} | changes
    (folder / "config.yaml").write_text(to_yaml(parse_scenario(raw)))
    if other := {arm["name"] for arm in raw["arms"]} - {"00", "01"}:
        RunFolder(folder).delete_day_files()
        for name in ("daily.parquet", "users.parquet"):
            table = read_parquet(folder / name)
            arms = pa.array([min(other) if arm == "01" else arm for arm in table["arm"].to_pylist()])
            write_parquet(folder / name, table.set_column(table.column_names.index("arm"), "arm", arms))
    return folder


def arms_of(**learner_of_01: Any) -> list[dict[str, Any]]:
    return [{"name": "00"}, {"name": "01", "learner": learner_of_01}]


def test_only_what_differs_is_shown_and_what_an_arm_inherits_once(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", seed={"world": 1}, arms=arms_of(loss={"name": "reloop", "alpha": 0.2}))
    learner = yaml.safe_load(TINY)["learner"] | {"publish_every_hours": 6}
    b = run_of(tmp_path / "b", seed={"world": 2}, learner=learner, arms=arms_of(loss={"name": "reloop", "alpha": 0.5}))
    assert compare([a, b]).settings == {
        "seed.world": ["1", "2"],
        "learner.publish_every_hours": ["4.0", "6.0"],
        "arms.01.learner.loss.alpha": ["0.2", "0.5"],
    }
    assert compare([a, a]).settings == {} and "their scenarios are the same" in compare([a, a]).render()


def test_a_value_that_one_arm_inherits_and_another_sets_differs_only_if_it_does(tmp_path: Path) -> None:
    learner = yaml.safe_load(TINY)["learner"]
    a = run_of(tmp_path / "a", learner=learner | {"publish_every_hours": 6})
    b = run_of(tmp_path / "b", arms=arms_of(publish_every_hours=6))
    assert compare([a, b]).settings == {"learner.publish_every_hours": ["6.0", "4.0"]}


def test_arms_are_matched_by_name_wherever_they_stand(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a"), run_of(tmp_path / "b", OTHER, arms=[{"name": "01"}, {"name": "00"}])
    found = compare([a, b])
    assert [(arm.arm, arm.run, arm.over) for arm in found.arms] == [
        ("00", "a", ""), ("00", "b", "01"), ("01", "a", "00"), ("01", "b", ""),
    ]  # fmt: skip
    assert found.arms[2].found == compute(read_run(a)).uplift["01"]["raw"]
    assert found.arms[1].found == compute(read_run(b)).uplift["00"]["raw"]
    assert any("the control is 00 in a, 01 in b" in note for note in found.notes)
    assert [(arm.arm, arm.run, arm.over) for arm in compare([a, b], "00").arms if arm.over] == [
        ("01", "a", "00"), ("01", "b", "00"),
    ]  # fmt: skip


def test_other_arms_and_another_kind_are_said(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a")
    b = run_of(tmp_path / "b", arms=[{"name": "00"}, {"name": "x"}])
    c = run_of(tmp_path / "c", kind="replay")
    notes = compare([a, b, c]).notes
    assert "arm 01 is not in b" in notes and "arm x is not in a, c" in notes
    assert any(note.startswith("a is a simulation, b is a simulation, c is a replay") for note in notes)


def test_the_table_has_the_readout_s_numbers_and_so_have_the_files(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a"), run_of(tmp_path / "b", OTHER)
    out = tmp_path / "out"
    done = lab("compare", a, b, "--out", out)
    assert done.code == 0, done.err
    table = read_csv(out / "compare.csv", COMPARE_COLUMNS)
    rows = {(row["arm"], row["run"]): row for row in table.to_pylist()}
    page = (out / "compare.html").read_text()
    for name, folder in (("a", a), ("b", b)):
        results = compute(read_run(folder))
        uplift = results.uplift["01"]["raw"]
        row = rows["01", name]
        assert (row["estimate"], row["lo"], row["hi"], row["p"]) == tuple(uplift)
        assert row["ctr"] == results.ctr["01"]["ab"] and row["estimator"] == "raw"
        assert f"{uplift.relative:+.2%} [{uplift.lo:+.2%}, {uplift.hi:+.2%}]" in done.out
        shown = [f"<td>{uplift.relative:+.2%}", f"<td>[{uplift.lo:+.2%}, {uplift.hi:+.2%}]"]
        assert all(text.replace("-", "−") in page for text in shown)
    assert rows["00", "a"]["estimate"] is None  # it is the baseline


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "x" / "run"), run_of(tmp_path / "y" / "run", seed={"world": 2})
    assert list(compare([a, b]).runs) == [str(a), str(b)]
    assert compare([a, b]).settings == {"seed.world": ["1", "2"]}


def test_the_page_escapes_what_runs_are_named(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "<script>alert(1)<"), run_of(tmp_path / "b")
    assert lab("compare", a, b, "--out", tmp_path / "out").code == 0
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)&lt;" in page


def test_mistakes_are_named(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a")
    no_run, no_arm, alone = lab("compare", a, tmp_path), lab("compare", a, a, "--baseline", "z"), lab("compare", a)
    assert no_run.code == no_arm.code == alone.code == 2
    assert "is no run folder" in no_run.err and "the arms are 00, 01" in no_arm.err
    (tmp_path / "file").write_text("")
    done = lab("compare", a, a, "--out", tmp_path / "file")
    assert done.code == 2 and f"{tmp_path / 'file'}: cannot be written" in done.err


def test_in_a_notebook_they_are_tables_and_views_in_hand_will_do(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a"), run_of(tmp_path / "b<i>", OTHER, seed={"world": 2})
    view = simulator.compare(simulator.open_run(a), b)
    assert view.settings.to_dict("index") == {"seed.world": {"a": "1", "b<i>": "2"}} and view.notes == []
    found = {(arm.arm, arm.run): arm for arm in compare([a, b]).arms}
    assert view.arms.index.tolist() == list(found)
    for key, arm in found.items():
        assert view.arms["ctr"].loc[key] == arm.ctr
        assert view.arms["estimate"].loc[key] == pytest.approx(arm.found[0], nan_ok=True)
    assert str(view) == compare([a, b]).render() and "2 runs side by side" in repr(view)
    assert "b&lt;i&gt;" in view._repr_html_() and "b<i>" not in view._repr_html_()
    assert "Their scenarios are the same" in simulator.compare(a, a)._repr_html_()


@pytest.mark.slow
def test_a_real_run_beside_itself_with_another_alpha(whole: Any, tmp_path: Path) -> None:
    a, b = whole(), whole("arms.1.learner.loss.alpha=0.9")
    found = compare([a, b])
    assert found.settings == {"arms.reloop.learner.loss.alpha": ["0.3", "0.9"]}
    truths = [arm.truth for arm in found.arms if arm.arm == "reloop"]
    assert None not in truths and truths[0] != truths[1]
