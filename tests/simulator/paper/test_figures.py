"""Tables 2 and 3, and Figure 3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import ScenarioError
from simulator.paper import figure3, table2, table3
from simulator.paper.data_sets import read
from simulator.paper.table1 import Plan, rows_of
from simulator.readout.compute import compute
from simulator.run_folder.reader import read_run
from simulator.scenario import find_scenario, load_scenario
from simulator.studies.picture_file import save
from tests.simulator.paper.made import libfm
from tests.simulator.paper.test_table1 import cell

SCALED = (
    "arms=[{name: control, share: 0.34}, {name: reloop, share: 0.33, learner: {loss: {name: reloop, alpha: 0.3}}}, "
)
SCALED += "{name: bce_scaled, share: 0.33, learner: {loss: {name: bce, scale: 0.7}}}]"


def test_time_is_a_ratio_to_cross_entropy_s_in_the_same_round(tmp_path: Path) -> None:
    corpus = read("movielens_tag", str(libfm(tmp_path / "x.libfm", 100)))
    found = table2.time_ratios(corpus, "movielens_tag", "fm", ["bce", "kd"])
    assert found["bce"] == (1, 1, 1) and found["kd"][1] <= found["kd"][0] <= found["kd"][2]
    rows = rows_of([cell("fm", arm, seed, 0.7) for arm in ("bce", "kd") for seed in (1, 2)], 0)
    said = table2.markdown(rows, {"bce": (1, 1, 1), "kd": (1.2, 1.1, 1.3)}).splitlines()
    assert said[2] == "| cross-entropy | 0.7000 ± 0.0000 | 0.3000 ± 0.0000 | 1 | 0.7394 / 0.2959 | 1.000 |"
    assert said[3].endswith("| 1.200 (1.100 to 1.300) | 0.7458 / 0.2743 | 1.018 |")


def test_the_newsfeed_gets_the_scaled_control_and_equal_shares() -> None:
    scenario = table3.with_control(load_scenario(find_scenario("newsfeed")))
    control, reloop, scaled = scenario.arms
    assert {arm.share for arm in scenario.arms} == {1 / 3}
    assert (scaled.learner.loss.name, scaled.learner.loss.scale) == ("bce", 1 - reloop.learner.loss.alpha)
    assert scaled.learner.model_copy(update={"loss": control.learner.loss}) == control.learner
    with pytest.raises(ScenarioError, match="none but cross-entropy learns by reloop"):
        table3.with_control(load_scenario(find_scenario("delayed-feedback")))


@pytest.mark.slow
def test_table_3_has_a_line_a_day_with_the_truth_and_the_week_below(whole: Callable[..., Path]) -> None:
    results = compute(read_run(whole(SCALED)))
    lines = [[part.strip() for part in line.strip("|").split("|")] for line in table3.markdown(results).splitlines()]
    assert lines[0] == ["day", "reloop", "reloop: truth", "bce_scaled", "bce_scaled: truth", "paper"]
    assert [line[0] for line in lines[2:]] == ["A/A 1", "A/B 1", "A/B, all days"]
    aa, ab, week = lines[2:]
    day = next(d for d in results.days if d.row["arm"] == "reloop" and d.row["phase"] == "ab")
    assert day.corrected is not None and ab[1].startswith(f"{day.corrected.relative:+.2%}".replace("-", "−"))
    assert aa[5] == "" and ab[5] == "+1.38%" and week[5] == "+1.46%"
    true = results.truth["reloop"]["experiment"]
    assert true is not None and ab[2] == week[2] == f"{true:+.2%}".replace("-", "−")  # one day of A/B


def test_figure_3_has_a_gain_and_a_band_for_each_alpha(tmp_path: Path) -> None:
    cells = [cell("fm", "bce", seed, 0.7) for seed in (1, 2, 3)]
    cells += [cell("fm", "kd", seed, 0.7 + a / 10 + seed / 999, a) for a in (0.9, 0.1, 0.5) for seed in (1, 2, 3)]
    figure = figure3.draw(rows_of(cells, 0), "frappe")
    (axes,) = figure.axes
    line = next(one for one in axes.lines if one.get_label() == "distillation")
    assert np.asarray(line.get_xdata()).tolist() == [0.1, 0.5, 0.9]
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([a / 10 + 2 / 999 for a in (0.1, 0.5, 0.9)])
    assert len(axes.collections) == 1
    save(figure, tmp_path / "x.png")
    save(figure, tmp_path / "x.svg")
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG" and b"<svg" in (tmp_path / "x.svg").read_bytes()


def test_over_alphas_cross_entropy_is_trained_once_a_seed(tmp_path: Path) -> None:
    plan = Plan(
        "movielens_tag", str(libfm(tmp_path / "x.libfm", 120)), "out_of_fold", {"lr": ["bce", "reloop"]}, 2, None, 1
    )
    rows = figure3.over_alphas(plan, [0.2, 0.7], tmp_path / "out", workers=1, quiet=True)
    assert [(row.cells[0].arm, row.cells[0].alpha, len(row.cells)) for row in rows] == [
        ("bce", 0.0, 2), ("reloop", 0.2, 2), ("reloop", 0.7, 2),
    ]  # fmt: skip
