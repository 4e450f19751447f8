"""The estimators for river: river's own checks, and that the last prediction arrives and does what the loss says."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from river import checks, datasets, drift, evaluate, linear_model, metrics, optim, preprocessing

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import DivergedError, EventError
from reloop_stream.learners import make_learner
from reloop_stream.losses import reloop_weight
from reloop_stream.river import MiniBatchClassifier, ReLoopFMClassifier, ReLoopLogisticRegression, Stamp
from reloop_stream.testing import examples

ESTIMATORS: dict[str, Callable[[], Any]] = {
    "logistic regression": ReLoopLogisticRegression,
    "factorization machine": lambda: ReLoopFMClassifier(seed=1),
    "mini-batches of torch": lambda: MiniBatchClassifier(model="deepfm", batch_size=8),
    "one by one of river": lambda: MiniBatchClassifier(kind="river", model="lr", batch_size=1),
}
# What river's own classes of these skip, each with its reason there.
SKIPPED = {
    "logistic regression": {"check_learn_many_matches_learn_one"},  # river's takes one mean step a batch
    "factorization machine": {"check_shuffle_features_no_impact"},  # vectors are drawn in the order of features
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_it_passes_river_s_own_checks(name: str) -> None:
    model = ESTIMATORS[name]()
    assert model._unit_test_skips() == SKIPPED.get(name, set())
    random.seed(0)  # the checks shuffle
    found = [check for check in checks.yield_checks(model) if check.__name__ not in model._unit_test_skips()]
    assert len(found) > 40
    for check in found:
        check(model.clone())


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_clone_is_fresh_and_a_pickle_goes_on_as_if_it_had_never_stopped(name: str) -> None:
    model, rows = ESTIMATORS[name](), list(datasets.Phishing().take(70))
    for x, y in rows[:43]:
        model.learn_one(x, y, p_last=0.4)
    fresh, again = model.clone(), pickle.loads(pickle.dumps(model))
    assert fresh.predict_proba_one(rows[0][0]) == ESTIMATORS[name]().predict_proba_one(rows[0][0])
    for x, y in rows[43:]:
        assert model.predict_proba_one(x) == again.predict_proba_one(x)
        model.learn_one(x, y)
        again.learn_one(x, y)
    assert model.predict_proba_one(rows[0][0]) == again.predict_proba_one(rows[0][0]) != fresh.predict_proba_one({})


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_prediction_changes_nothing(name: str) -> None:
    def state() -> Any:
        kept = model.__getstate__() if isinstance(model, MiniBatchClassifier) else vars(model)
        names = {"weights", "latents", "intercept", "_state", "_waiting"} & {*kept, *dir(model)}
        return copy.deepcopy({one: kept.get(one, getattr(model, one, None)) for one in names})

    model, rows = ESTIMATORS[name](), list(datasets.Phishing().take(20))
    for x, y in rows:
        model.learn_one(x, y)
    before = state()
    assert len(before) >= 2
    model.predict_proba_one({"never": 1.0, "seen": 2.0})
    assert repr(state()) == repr(before)


@pytest.mark.parametrize("y, p_last, corrects", [(1, 0.9, True), (1, 0.1, False), (0, 0.1, True), (0, 0.9, False)])
def test_the_last_prediction_is_a_weight_on_cross_entropy(y: int, p_last: float, corrects: bool) -> None:
    x = {"a": 1.0, "b": 2.0}
    ours = ReLoopLogisticRegression(alpha=0.5, optimizer=optim.SGD(0.1))
    plain = linear_model.LogisticRegression(optimizer=optim.SGD(0.1))
    ours.learn_one(x, bool(y), p_last=p_last, w=2.0)
    # Both predict 1/2 at first: err = 1/2, so the weight is 1/2, and 1/4 more where the last version erred less.
    plain.learn_one(x, bool(y), w=2.0 * (0.75 if corrects else 0.5))
    assert reloop_weight(0.5, p_last, y, 0.5) == (0.75 if corrects else 0.5)
    assert ours.weights == pytest.approx(plain.weights) and ours.intercept == pytest.approx(plain.intercept)


@pytest.mark.parametrize("y, p_last", [(1, 0.9), (0, 0.9)])
def test_the_factorization_machine_learns_with_the_same_weight(y: int, p_last: float) -> None:
    one, other = (ReLoopFMClassifier(alpha=0.6, n_factors=3, latent_lr=0.1, seed=3) for _ in range(2))
    for x in ({"a": 1, "b": 1}, {"a": 1, "c": 1}, {"a": 1, "b": 1}):
        p = one.predict_proba_one(x)[True]
        one.learn_one(x, y, p_last=p_last)
        other.learn_one(x, y, w=float(reloop_weight(p, p_last, y, 0.6)))
    assert dict(one.weights) == dict(other.weights)
    assert all(np.array_equal(vector, other.latents[key]) for key, vector in one.latents.items())


def test_the_factorization_machine_predicts_what_river_s_does_for_what_it_has_learnt() -> None:
    from river import facto

    ours, plain = ReLoopFMClassifier(seed=5, latent_lr=0.3), facto.FMClassifier(seed=5, latent_optimizer=optim.SGD(0.3))
    rows = [({"user": u, "item": i, "price": 0.5}, u == i) for u in "abc" for i in "abc"] * 5
    for x, y in rows:
        ours.learn_one(x, y)
        plain.learn_one(x, y)
    for x, _ in rows:
        assert ours.predict_proba_one(x)[True] == pytest.approx(plain.predict_proba_one(x)[True], abs=1e-12)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_pipeline_and_a_delay_carry_numbers_and_stamps(name: str) -> None:
    def score(kwargs: Callable[[], dict[str, Any]], delay: int | None) -> float:
        rows = [(x, y, kwargs()) for x, y in datasets.Phishing().take(300)]
        model = preprocessing.StandardScaler() | ESTIMATORS[name]()
        value: float = evaluate.progressive_val_score(rows, model, metrics.LogLoss(), delay=delay).get()
        return value

    without = score(dict, 20)
    assert score(lambda: {"p_last": 0.3}, 20) != without != score(lambda: {"p_last": Stamp()}, 20)
    assert score(lambda: {"p_last": None}, 20) == without


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_stamp_holds_what_was_predicted_before_the_label_came(name: str) -> None:
    model, rows = ESTIMATORS[name](), [(x, y, {"p_last": Stamp()}) for x, y in datasets.Phishing().take(100)]
    said = []
    for step in evaluate.iter_progressive_val_score(
        rows, model, metrics.LogLoss(), step=1, delay=30, yield_predictions=True
    ):
        said.append(step["Prediction"][True])
    assert [kwargs["p_last"].pctr for _, _, kwargs in rows] == said


def test_it_works_within_a_drift_detector_s_wrapper() -> None:
    rows = [(x, y, {"p_last": Stamp()}) for x, y in datasets.Phishing().take(400)]
    rows += [(x, not y, {"p_last": Stamp()}) for x, y in datasets.Phishing().take(400)]

    def score(model: Any) -> float:
        value: float = evaluate.progressive_val_score(copy.deepcopy(rows), model, metrics.Accuracy(), delay=5).get()
        return value

    retraining = drift.DriftRetrainingClassifier(
        ReLoopLogisticRegression(optimizer=optim.SGD(0.02)), drift.binary.DDM(), train_in_background=False
    )
    assert score(retraining) > score(ReLoopLogisticRegression(optimizer=optim.SGD(0.02)))


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("make", [ReLoopLogisticRegression, ReLoopFMClassifier, MiniBatchClassifier])
def test_a_weight_outside_0_and_1_is_an_error(make: Any, alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        make(alpha=alpha)


def test_mini_batches_learn_what_the_learner_learns_from_the_same_batches() -> None:
    kinds = {"price": "number", "user": "category"}
    model = MiniBatchClassifier(model="fm", fields=kinds, batch_size=4, buckets=64, seed=2, lr=0.1, alpha=0.6)
    rows = [({"user": f"u{i % 3}", "price": i / 8}, i % 2, None if i == 5 else 0.3) for i in range(8)]
    for x, y, p_last in rows:
        model.learn_one(x, bool(y), p_last=p_last)

    raw = {"model": {"name": "fm"}, "optimizer": {"lr": 0.1}, "loss": {"name": "reloop", "alpha": 0.6}}
    fields = [FieldConfig.model_validate({"name": name, "kind": kind, "buckets": 64}) for name, kind in kinds.items()]
    learner = make_learner(LearnerConfig.model_validate(raw), fields, name="x", seed=2, base_rate=0.5)
    for four in (rows[:4], rows[4:]):
        features = {
            "user": np.array([x["user"] for x, _, _ in four], dtype=object),
            "price": np.array([x["price"] for x, _, _ in four]),
        }
        version = np.array([int(p_last is not None) for _, _, p_last in four])
        batch = examples(4, features=features, pctr=np.full(4, 0.3), model_version=version)
        learner.learn(replace(batch, label=np.array([y for _, y, _ in four], dtype=np.uint8)))
    expected = learner.predict(features).tolist()
    assert [model.predict_proba_one(x)[True] for x, _, _ in rows[4:]] == pytest.approx(expected, abs=1e-6)


def test_lists_and_missing_fields_are_taken_as_they_come() -> None:
    model = MiniBatchClassifier(batch_size=1, lr=0.5)
    model.learn_one({"tags": ["a", "b"], "user": "u"}, True)
    same_tags, no_tags = model.predict_proba_one({"tags": ["b", "a"], "user": "u"}), model.predict_proba_one({})
    assert same_tags == model.predict_proba_one({"user": "u", "tags": ("a", "b"), "unheard": 1}) != no_tags


def test_a_text_where_a_number_was_is_named() -> None:
    model = MiniBatchClassifier(batch_size=2)
    model.learn_one({"price": 1.5}, True)
    with pytest.raises(ValueError, match=r"price: got 'cheap', must be a number"):
        model.predict_proba_one({"price": "cheap"})


LABELS = {"minus one": -1, "two": 2, "a text": "no", "None": None, "NaN": float("nan"), "an array": np.array([1])}


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_is_no_label_is_refused(name: str, y: Any) -> None:
    with pytest.raises(EventError, match=r"y: got .*labels are True and False"):
        ESTIMATORS[name]().learn_one({"a": 1.0}, y)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_labels_of_any_type_that_are_0_or_1_are_learnt_as_what_they_are(name: str) -> None:
    said = []
    for yes, no in ((True, False), (1, 0), (1.0, 0.0), (np.bool_(True), np.bool_(False)), (np.int64(1), np.uint8(0))):
        model = ESTIMATORS[name]()
        for n in range(40):
            model.learn_one({"odd": 1.0, "even": 0.0} if n % 2 else {"odd": 0.0, "even": 1.0}, yes if n % 2 else no)
        said.append([model.predict_proba_one({"odd": odd, "even": 1 - odd})[True] for odd in (0.0, 1.0)])
    assert said[0][0] < said[0][1] and all(one == pytest.approx(said[0]) for one in said)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e39, -1e39, 10**400])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_number_that_no_model_can_hold_is_refused_and_changes_nothing(name: str, value: float) -> None:
    model = ESTIMATORS[name]()
    for p_last in (None, 0.5):
        with pytest.raises(EventError, match=r"a: got .*must be a (finite )?number"):
            model.learn_one({"a": value, "b": 1.0}, True, p_last=p_last)
    with pytest.raises(EventError, match=r"a: got "):
        model.predict_proba_one({"a": value, "b": 1.0})
    model.learn_one({"a": 1.0, "b": 1.0}, True)
    assert 0 < model.predict_proba_one({"a": 1.0, "b": 1.0})[True] < 1


@pytest.mark.parametrize("p_last", [float("nan"), -0.1, 1.1, "0.5", Stamp(7.0)])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_last_prediction_that_is_no_probability_is_refused(name: str, p_last: Any) -> None:
    with pytest.raises(EventError, match=r"p_last: got .*must be a number in \[0, 1\], a Stamp, or None"):
        ESTIMATORS[name]().learn_one({"a": 1.0}, True, p_last=p_last)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_weight_multiplies_the_loss(name: str) -> None:
    said = []
    for w in (0.0, 1.0, 4.0):
        model = ESTIMATORS[name]()
        for _ in range(40):
            model.learn_one({"a": 1.0}, False)
            model.learn_one({"b": 1.0}, True, w=w)
        said.append(model.predict_proba_one({"b": 1.0})[True])
    assert said[0] < said[1] < said[2]
    with pytest.raises(EventError, match="w: got"):
        ESTIMATORS[name]().learn_one({"a": 1.0}, True, w=-1.0)


@pytest.mark.parametrize("make", [ReLoopLogisticRegression, ReLoopFMClassifier])
def test_weights_and_soft_labels_are_checked(make: Any) -> None:
    make().learn_one({"a": 1.0}, 0.3, w=0)
    for w in (-1.0, float("nan"), None):
        with pytest.raises(EventError, match="w: got"):
            make().learn_one({"a": 1.0}, True, w=w)
    with pytest.raises(EventError, match=r"y: got the soft label 0\.3, with p_last"):
        make().learn_one({"a": 1.0}, 0.3, p_last=0.5)
    with pytest.raises(EventError, match="x: got a value of type list, must be a dictionary"):
        make().learn_one([1.0], True)


def test_a_frame_is_checked_as_a_row_is() -> None:
    X, y = pd.DataFrame({"a": [1.0, 0.0], "b": [0, 1]}), pd.Series([True, False])
    model = ReLoopLogisticRegression(optimizer=optim.SGD(0.5))
    for _ in range(20):
        model.learn_many(X, y, w=pd.Series([1.0, 2.0]))
    said = model.predict_proba_many(X)[True]
    assert said[0] > 0.5 > said[1] and model.predict_many(X).tolist() == [True, False]
    before = dict(model.weights)
    bad: list[tuple[Any, Any, Any, str]] = [
        (X, pd.Series([1, -1]), 1.0, "y: got np.int64"),
        (X, pd.Series(["yes", "no"]), 1.0, "y: got 'no', labels are"),
        (X, y[:1], 1.0, "y, w: have shapes"),
        (X, y, -1.0, "w: got"),
        (X * np.nan, y, 1.0, "a: got nan"),
        (X * 1e39, y, 1.0, r"a: got 1e\+39"),
        (pd.DataFrame({"a": ["x", "y"]}), y, 1.0, "a: got x"),
        ([[1.0], [2.0]], y, 1.0, "X: got a value of type list, must be a data frame"),
    ]
    for frame, labels, w, message in bad:
        with pytest.raises(EventError, match=message):
            model.learn_many(frame, labels, w=w)
    with pytest.raises(EventError, match="a: got nan"):
        model.predict_proba_many(X * np.nan)
    assert dict(model.weights) == before


class Diverged:
    """What is left of a learner whose weights are NaN."""

    def predict(self, features: Any) -> np.ndarray:
        return np.array([np.nan])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_weights_that_have_overflowed_say_so_instead_of_predicting_nan(name: str) -> None:
    model = ESTIMATORS[name]()
    model.learn_one({"a": 1.0}, True)
    if isinstance(model, MiniBatchClassifier):
        model._learner = Diverged()  # type: ignore[assignment]
    else:
        model.intercept = float("nan")
    with pytest.raises(DivergedError, match="its weights are no longer finite"):
        model.predict_proba_one({"a": 1.0})


def test_a_mini_batch_s_first_example_must_say_which_fields_there_are() -> None:
    model = MiniBatchClassifier(batch_size=1)
    assert model.predict_proba_one({}) == {False: 0.5, True: 0.5}
    with pytest.raises(EventError, match="x: has no features, and which there are is not known yet"):
        model.learn_one({}, True)
    with pytest.raises(ValueError, match="fields: got none"):
        MiniBatchClassifier(fields={})
    model.learn_one({"a": 1.0, "tags": ["b"]}, True)
    model.learn_one({}, True)
    for row, message in (
        ({"tags": "b"}, "tags: got 'b', must be a list"),
        ({"tags": ["\ud800"]}, "UTF-8 cannot write"),
    ):
        with pytest.raises(EventError, match=message):
            model.learn_one(row, True)
