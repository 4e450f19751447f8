"""The truth by hand: of days, of their whole, of the error of an estimator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from simulator.readout.truth import true_uplift, true_uplift_by_day
from simulator.readout.view import RunView, open_run
from tests.simulator.readout.test_undefined import folder_of

ROWS = [
    ("experiment", 2, "00", 100, 10.0), ("experiment", 2, "01", 100, 12.0),
    ("experiment", 3, "00", 300, 30.0), ("experiment", 3, "01", 200, 18.0),
    ("launch", 2, "00", 50, 5.0),
]  # fmt: skip
SHOWN = ([40, 50, 30, 20], [4, 1, 2, 3]), ([60, 20, 40], [4, 6, 3])


@pytest.fixture
def view(tmp_path: Path) -> RunView:
    from simulator.readout.compute import compute

    run = open_run(folder_of(tmp_path / "run", SHOWN, "simulation")).results.run
    truth = pa.table(
        dict(zip(("kind", "day", "arm", "exposures", "expected_clicks"), zip(*ROWS, strict=True), strict=True))
    )
    return RunView(compute(replace(run, truth=truth)))


def test_each_day_is_a_ratio_of_rates_and_the_whole_one_of_sums(view: RunView) -> None:
    run = view.results.run
    assert true_uplift_by_day(run, "01") == {"experiment": pytest.approx({2: 0.2, 3: -0.1})}
    whole = true_uplift(run, "01")
    assert whole["experiment"] == pytest.approx((30 / 300) / (40 / 400) - 1) and whole["launch"] is None
    assert view.true_uplift[["day", "relative"]].to_numpy().tolist() == [
        [2, pytest.approx(0.2)],
        [3, pytest.approx(-0.1)],
    ]


def test_the_error_of_an_estimate_is_its_distance_from_the_experiment_s_truth(view: RunView) -> None:
    results = view.results
    raw = results.uplift["01"]["raw"].relative
    assert results.error["01"]["raw"] == pytest.approx(raw - 0.0)
    row = view.headline.loc["01"]
    assert row["estimator"] == results.headline and row["error"] == pytest.approx(row["relative"] - row["truth"])
    assert f"{abs(raw):.2%} {'above' if raw > 0 else 'below'} the truth" in results.render()
    assert "the truth is +0.00%" in results.sentence("01") or "the truth is -0.00%" in results.sentence("01")


def test_without_a_truth_there_is_no_error(tmp_path: Path) -> None:
    view = open_run(folder_of(tmp_path / "run", SHOWN, "simulation"))
    assert view.results.error == {"01": {}} and view.true_uplift.empty and view.headline["truth"].isna().all()
    assert "the truth" not in str(view) and view.results.truth_days == {"01": {}}
