"""Whose scores the new version is held to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reloop_stream.config import LossConfig, ModelConfig
from simulator.paper import protocol
from simulator.paper.network import Network
from simulator.paper.protocol import Prepared, Source, evaluate, last_predictions, loss_of
from simulator.paper.training import Examples, Last, Recipe, train
from tests.simulator.paper.made import prepared

RECIPE = Recipe(ModelConfig(name="fm", embedding=4, init_scale=0.1), l2=1e-3, rate=0.03, batch=64)

Told = list[tuple[set[int], set[int]]]


def schedule(monkeypatch: pytest.MonkeyPatch, data: Prepared, source: Source) -> tuple[Told, Last]:
    """For each previous version the training rows that it learnt and that it scored, told by the rows themselves."""
    told: Told = []
    n = len(data.train)
    # Each training row has a label of its own, by which it is known.
    named = data._replace(train=Examples(data.train.rows, np.arange(n)))

    def version(data: Prepared, recipe: Recipe, loss: object, learnt: np.ndarray, last: Last, seed: int) -> object:
        told.append((set(data.train.take(learnt).label.tolist()), set()))
        number = len(told)

        class Scores:
            def predict(self, rows: object) -> np.ndarray:
                return np.full(len(rows), number / 10)  # type: ignore[arg-type]

        return Scores(), 0.5

    monkeypatch.setattr(protocol, "_version", version)
    last = last_predictions(named, RECIPE, source, seed=1)
    for row in np.flatnonzero(last.known).tolist():
        told[round(10 * last.p[row]) - 1][1].add(row)
    return told, last


def test_in_sample_one_version_learns_nine_tenths_and_scores_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepared(tmp_path)
    ((learnt, scored),), last = schedule(monkeypatch, data, "in_sample")
    assert len(learnt) == round(0.9 * len(data.train)) and scored == set(range(len(data.train))) and last.known.all()


def test_out_of_fold_no_version_scores_a_row_that_it_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = prepared(tmp_path)
    told, last = schedule(monkeypatch, data, "out_of_fold")
    every = set(range(len(data.train)))
    assert len(told) == 5 and last.known.all()
    for learnt, scored in told:
        assert not learnt & scored and learnt | scored == every and scored


def test_serving_a_version_learns_earlier_rows_alone_and_the_first_rows_have_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepared(tmp_path)
    time = np.random.default_rng(0).permutation(len(data.train))
    told, last = schedule(monkeypatch, data._replace(time_ms=time), "serving")
    assert last.known.sum() == pytest.approx(0.8 * len(time), abs=1) and not last.known[np.argmin(time)]
    for learnt, scored in told:
        assert max(time[list(learnt)]) < min(time[list(scored)])


def test_the_previous_version_is_trained_as_the_new_one_is(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    n = len(data.train)
    learnt = np.random.default_rng([1, 1000]).permutation(n)[: round(0.9 * n)]
    network = Network(RECIPE.model, data.encoder, float(data.train.label.mean()), 1001)
    nothing = Last(np.zeros(len(learnt)), np.zeros(len(learnt), dtype=bool))
    train(network, RECIPE, LossConfig(), data.train.take(learnt), nothing, data.valid, 1001)
    found = last_predictions(data, RECIPE, "in_sample", seed=1)
    np.testing.assert_array_equal(found.p, network.predict(data.train.rows))


def test_what_the_last_version_said_reaches_the_loss(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    n = len(data.train)
    sure, known = data.train.label.astype(float), np.ones(n, dtype=bool)
    plain = evaluate(data, RECIPE, loss_of("bce", 0.5), None, seed=1)
    assert (
        evaluate(data, RECIPE, loss_of("kd", 0.5), Last(sure, known), seed=1) == plain
    )  # a soft label that is the label
    assert evaluate(data, RECIPE, loss_of("kd", 0.5), Last(1 - sure, known), seed=1).logloss > plain.logloss
    assert (
        evaluate(data, RECIPE, loss_of("reloop", 0.5), Last(sure, ~known), seed=1) == plain
    )  # no score, no correction


def test_the_scaled_control_is_cross_entropy_times_one_minus_alpha() -> None:
    assert loss_of("bce_scaled", 0.3) == LossConfig(name="bce", scale=0.7)
