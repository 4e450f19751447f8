"""Anything at all for every public call: a refusal that says what is wrong, or finite probabilities of the right shape.

`test_garbage.py` runs this file with numba's compiler off: indices are then numpy's, which says where one is too large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import ReloopError
from reloop_stream.events import ListColumn
from reloop_stream.learners import Learner, make_learner
from reloop_stream.metrics import StreamMetrics
from reloop_stream.river import MiniBatchClassifier, ReLoopFMClassifier, ReLoopLogisticRegression, Stamp
from reloop_stream.serving.publisher import SnapshotPublisher
from reloop_stream.serving.scorer import Scorer
from reloop_stream.serving.scores import Scores
from reloop_stream.serving.snapshot import Published
from reloop_stream.testing import examples

settings.register_profile(
    "garbage", max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("garbage")
pytestmark = pytest.mark.filterwarnings("ignore")  # of numpy, on numbers near the bounds

FIELDS = [
    FieldConfig(name="user", mode="exact", buckets=300),
    FieldConfig(name="item", buckets=50),
    FieldConfig(name="city", mode="growing", buckets=5),
    FieldConfig(name="tags", kind="list", buckets=20),
    FieldConfig(name="price", kind="number"),
]
KINDS: dict[str, dict[str, Any]] = {
    "linear": {"kind": "linear", "model": {"name": "fm", "embedding": 2}},
    "torch": {"model": {"name": "fm", "embedding": 2}},
    "river": {"kind": "river", "model": {"name": "fm", "embedding": 2}},
    "memory": {"kind": "linear", "model": {"name": "fm", "embedding": 2}, "memory": {"arrays": 1, "bits": 2}},
}
ARGUMENTS = ("features", "candidates", "examples", "label", "pctr", "foreign", "rows", "x", "y", "w", "p_last")


def good(n: int) -> dict[str, Any]:
    return {
        "user": np.arange(n),
        "item": np.arange(n) - 2,
        "city": np.array(["Rom", "Ulm", "Bern"] * n, dtype=object)[:n],
        "tags": ListColumn(np.arange(2 * n), np.arange(n + 1) * 2),
        "price": np.linspace(-1, 1, n),
    }


def made(kind: str) -> Learner:
    config = LearnerConfig.model_validate({**KINDS[kind], "loss": {"name": "reloop"}})
    learner = make_learner(config, FIELDS, name="g", seed=1, base_rate=0.1)
    learner.learn(examples(3, features=good(3)))
    learner.publish()
    return learner


@pytest.fixture(scope="module")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scorer]]:
    folder: Path = tmp_path_factory.mktemp("garbage")
    found = {"base rate": Scorer(folder / "none", base_rate=0.1, refresh_s=1000)}
    for kind, raw in KINDS.items():
        config = LearnerConfig.model_validate({**raw, "loss": {"name": "reloop"}})
        published = Published("g", 2, 0, 0, made(kind).publish())
        SnapshotPublisher(config, FIELDS, folder=folder / kind).publish(published)
        found[kind] = Scorer(str(folder / kind), base_rate=0.1, refresh_s=1000)
    yield found
    for scorer in found.values():
        scorer.close()


NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64), st.floats(), st.sampled_from([0, 1, 127, 299, 2**31, 1e30, 1e39, -1e39])
)
SCALARS = st.one_of(
    NUMBERS, st.text(max_size=3), st.none(), st.booleans(), st.sampled_from(["\ud800", b"b", 1j, (), {}])
)
DTYPES = st.sampled_from(
    ["i1", "u1", "i4", ">i8", "u8", "f2", "f4", "f8", "g", "bool", "c16", "M8[s]", "S2", "U2", "O"]
)


@st.composite
def arrays(draw: Any) -> np.ndarray:
    values, dtype = draw(st.lists(SCALARS, max_size=5)), draw(DTYPES)
    try:
        array = np.array(values, dtype=dtype)
    except (ValueError, TypeError, OverflowError, UnicodeEncodeError):
        array = np.arange(len(values)).astype(dtype)
    shape = draw(st.sampled_from(["same", "same", "two", "none", "constant", "backwards", "masked"]))
    if shape == "constant":
        return np.broadcast_to(array[:1].reshape(()), (3,)) if len(array) else array
    if shape == "masked":
        return np.ma.masked_array(array, mask=True)
    return {"same": array, "two": array[:, None], "none": np.array(3), "backwards": array[::-1]}[shape]


LISTS = st.builds(
    ListColumn,
    arrays(),
    st.one_of(arrays(), st.lists(st.integers(-1, 9), max_size=5).map(np.array)),
    st.one_of(st.none(), arrays(), st.lists(NUMBERS, max_size=5)),
)
GARBAGE = st.one_of(arrays(), LISTS, SCALARS, st.lists(SCALARS, max_size=4))
FEATURES = st.one_of(
    st.builds(
        lambda n, wrong, lost: {k: v for k, v in {**good(n), **wrong}.items() if k not in lost},
        st.integers(0, 4),
        st.dictionaries(st.sampled_from(["user", "item", "city", "tags", "price", "more", 3]), GARBAGE, max_size=2),
        st.sets(st.sampled_from(["user", "item", "price"]), max_size=1),
    ),
    GARBAGE,
)
ROWS = st.lists(st.dictionaries(st.sampled_from(["user", "item", "city", "tags", "price"]), GARBAGE), max_size=3)


def outcome(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What the call gives; None where it refuses, which it must do in words."""
    try:
        return call(*arguments, **named)
    except ReloopError as error:
        said = "features" if str(error) else ""
    except (ValueError, TypeError) as error:
        said = str(error)
    assert said.startswith(ARGUMENTS), said
    return None


def are_probabilities(found: np.ndarray, shape: tuple[int, ...]) -> bool:
    return found.shape == shape and bool(((found >= 0) & (found <= 1)).all())


def rows_in(features: Any) -> int:
    return len(features) if isinstance(features, (list, tuple)) else len(next(iter(features.values())))


@given(st.one_of(FEATURES, ROWS))
def test_features_are_scored_or_refused_and_alike_before_and_after_the_first_version(
    scorers: dict[str, Scorer], features: Any
) -> None:
    found = {kind: outcome(scorer.score, features) for kind, scorer in scorers.items()}
    for kind, scores in found.items():
        if scores is not None:
            assert are_probabilities(scores.pctr, (rows_in(features),)), kind
            assert found["base rate"] is not None


CANDIDATES = st.one_of(
    arrays(),
    st.builds(
        lambda shape, values, dtype: np.resize(np.array(values), shape).astype(dtype),
        st.tuples(st.integers(0, 3), st.integers(0, 3)),
        st.lists(st.integers(-1, 4), min_size=1, max_size=9),
        st.sampled_from(["i8", "i4", "u8", ">i4", "f8"]),
    ),
    SCALARS,
)


@given(FEATURES, FEATURES, CANDIDATES, st.booleans(), st.sampled_from(["user", "tags", "price"]))
def test_candidates_are_scored_or_refused(
    scorers: dict[str, Scorer], ours: Any, theirs: Any, candidates: Any, parted: bool, at: str
) -> None:
    if parted and isinstance(ours, dict) and isinstance(theirs, dict):  # so that most requests are whole
        theirs = {name: column for name, column in theirs.items() if name != at}
        ours = {at: ours[at]} if at in ours else ours
    found = {}
    for kind, scorer in scorers.items():
        found[kind] = outcome(scorer.score_candidates, ours, theirs, candidates)
        if found[kind] is not None:
            assert are_probabilities(found[kind].pctr, candidates.shape), kind
            assert found["base rate"] is not None


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(features=FEATURES, wrong=st.data(), n=st.integers(0, 4), foreign=st.one_of(st.none(), GARBAGE))
def test_a_learner_learns_or_refuses_and_goes_on(kind: str, features: Any, wrong: Any, n: int, foreign: Any) -> None:
    learner, batch = made(kind), examples(n, features=good(n))
    names = [field.name for field in fields(batch.exposures)]
    name = wrong.draw(st.sampled_from(["", "features", "label", "label_time_ms", *names]))
    if name == "features":
        batch = replace(batch, exposures=replace(batch.exposures, features=features))
    elif name.startswith("label"):
        batch = replace(batch, **{name: wrong.draw(GARBAGE)})
    elif name:
        batch = replace(batch, exposures=replace(batch.exposures, **{name: wrong.draw(GARBAGE)}))
    before = learner.to_bytes()
    found = outcome(learner.learn, batch, foreign)
    if found is None:
        assert learner.to_bytes() == before
        assert are_probabilities(learner.predict(good(2)), (2,))
    elif outcome(learner.publish) is not None:  # numbers near float32's end may bring it to diverge
        assert are_probabilities(learner.predict(good(2)), (2,))
        assert found.shape == (len(batch),)


STAMP = {"request_id": 1, "exposure_id": np.arange(3), "event_time_ms": 5, "user_id": "u", "item_id": [1, 2, 3], "position": np.arange(3), "n_candidates": 9}  # fmt: skip


@given(st.sampled_from([*STAMP, "arm", "propensity", "weight", "features", "pctr"]), GARBAGE)
def test_a_stamp_is_what_the_contract_says_or_refused(name: str, value: Any) -> None:
    pctr = value if name == "pctr" else np.full(3, 0.1)
    changes = {} if name == "pctr" else {name: value}
    shown = outcome(Scores(pctr, "m", 1).exposures, **{**STAMP, "features": good(3), **changes})
    if shown is not None:
        assert are_probabilities(shown.pctr, (len(pctr),)) and shown.position.dtype == np.int32
        columns = {field.name: getattr(shown, field.name) for field in fields(shown) if field.name != "features"}
        assert all(
            len(column) == len(pctr) for name, column in columns.items() if name != "weight" or column is not None
        )


@given(GARBAGE, GARBAGE, GARBAGE)
def test_metrics_stay_numbers(pctr: Any, label: Any, weight: Any) -> None:
    metrics = StreamMetrics()
    metrics.add(np.array([0.2, 0.7]), np.array([0, 1]))
    outcome(metrics.add, pctr, label)
    outcome(metrics.add, pctr, np.zeros(len(pctr) if isinstance(pctr, np.ndarray) and pctr.ndim else 0))
    outcome(metrics.add, np.array([0.1, 0.2, 0.3]), np.array([0, 1, 1]), weight)
    assert np.isfinite([metrics.auc, metrics.logloss, metrics.ne, metrics.calibration]).all()


@pytest.mark.parametrize("make", [ReLoopLogisticRegression, lambda: ReLoopFMClassifier(n_factors=2, seed=1), lambda: MiniBatchClassifier(batch_size=2, embedding=2, buckets=16)])  # fmt: skip
@given(
    st.lists(
        st.tuples(
            st.one_of(st.dictionaries(st.sampled_from(["a", "b", 3]), GARBAGE), SCALARS),
            st.one_of(st.booleans(), SCALARS),
            st.one_of(st.none(), SCALARS, st.builds(Stamp, SCALARS)),
        ),
        max_size=4,
    )
)
def test_estimators_of_river_learn_and_predict_or_refuse(make: Any, rows: list[Any]) -> None:
    model = make()
    for x, y, p_last in rows:
        outcome(model.learn_one, x, y, p_last=p_last)
        found = outcome(model.predict_proba_one, x)
        if found is not None:
            assert are_probabilities(np.array([found[False], found[True]]), (2,))
