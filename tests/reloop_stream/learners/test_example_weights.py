"""An event's weight multiplies its example's loss, in every learner and by every loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reloop_stream.config import LOSSES, LearnerConfig
from reloop_stream.errors import EventError
from reloop_stream.events import ExampleBatch
from reloop_stream.learners import digest, make_learner
from reloop_stream.learners.base import Learner
from reloop_stream.learners.error_memory import RememberingLearner
from tests.reloop_stream.learners.test_learners import FIELDS, batch

SGD = {"optimizer": {"name": "sgd", "lr": 0.3}}
FTRL = {"optimizer": {"name": "ftrl", "lr": 0.3}}
KINDS: dict[str, dict[str, Any]] = {
    "torch": {"model": {"name": "deepfm", "embedding": 4, "hidden": [8]}, **SGD},
    "river lr": {"kind": "river", "model": {"name": "lr"}, **SGD},
    "river fm": {"kind": "river", "model": {"name": "fm", "embedding": 4}, **SGD},
    "linear lr": {"kind": "linear", "model": {"name": "lr"}, **FTRL},
    "linear fm": {"kind": "linear", "model": {"name": "fm", "embedding": 4}},
}
BY_LOSS = [{"name": name, "alpha": 0.5} for name in LOSSES] + [{"name": "reloop", "alpha": 0.5, "level": "list"}]
IDS = [" ".join(map(str, loss.values())) for loss in BY_LOSS]


def learner(kind: str, loss: dict[str, Any], **more: Any) -> Learner:
    config = LearnerConfig.model_validate({**KINDS[kind], "loss": loss, **more})
    return make_learner(config, FIELDS, name="x", seed=1, base_rate=0.2)


def learnt(one: Learner, *batches: ExampleBatch) -> str:
    for examples in batches:
        one.learn(examples)
    return digest(one.to_bytes())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", BY_LOSS, ids=IDS)
def test_a_weight_of_1_is_none_and_a_weight_of_2_doubles_the_loss(kind: str, loss: dict[str, Any]) -> None:
    def weighted(weight: float) -> list[ExampleBatch]:
        return [batch(40, seed, weight=np.full(40, weight)) for seed in (1, 2)]

    plain = learnt(learner(kind, loss), batch(40, 1), batch(40, 2))
    assert learnt(learner(kind, loss), *weighted(1.0)) == plain
    assert learnt(learner(kind, {**loss, "scale": 0.5}), *weighted(2.0)) == plain
    assert learnt(learner(kind, loss), *weighted(2.0)) != plain


@pytest.mark.parametrize("loss", BY_LOSS, ids=IDS)
def test_a_step_on_weighted_rows_is_that_on_rows_which_come_so_often(loss: dict[str, Any]) -> None:
    weight = np.array([1, 3, 2, 1] * 10)
    weighted = batch(40, seed=3, weight=weight.astype(float))
    repeated = batch(40, seed=3).take(np.repeat(np.arange(40), weight))
    # The mean is over rows, whatever they weigh.
    rate = 0.3 * len(repeated) / len(weighted)
    once, often = learner("torch", loss), learner("torch", loss, optimizer={"name": "sgd", "lr": rate})
    once.learn(weighted)
    often.learn(repeated)
    features = weighted.exposures.features
    assert once.predict(features) == pytest.approx(often.predict(features), abs=1e-6)
    unweighted = learner("torch", loss)
    unweighted.learn(batch(40, seed=3))
    assert once.predict(features) != pytest.approx(unweighted.predict(features), abs=1e-3)


@pytest.mark.parametrize("loss", BY_LOSS[:-1], ids=IDS[:-1])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "torch"])
def test_each_row_has_its_own_weight(kind: str, loss: dict[str, Any]) -> None:
    """One after the other: a batch of weighted rows is learnt as each alone by a learner with its loss scaled."""
    weight = np.array([0.25, 1.0, 0.5] * 8)
    data = batch(24, seed=4)
    whole, step = learner(kind, loss), learner(kind, loss)
    whole.learn(batch(24, seed=4, weight=weight))
    for row in range(24):
        scaled = learner(kind, {**loss, "scale": weight[row]})
        scaled.restore(step.to_bytes())
        scaled.learn(data.part(slice(row, row + 1)))
        step.restore(scaled.to_bytes())
    features = data.exposures.features
    # fnw's weight is by the prediction from before the batch, in which the rows before have not been learnt.
    if not (kind.startswith("linear") and loss["name"] == "fnw"):
        assert whole.predict(features) == pytest.approx(step.predict(features), abs=1e-6)


def test_an_error_memory_counts_a_row_as_often_as_it_weighs() -> None:
    weight = np.array([1, 3] * 20)
    sums = []
    for data in (batch(40, 5, weight=weight.astype(float)), batch(40, 5).take(np.repeat(np.arange(40), weight))):
        one = learner("linear fm", {"name": "bce"}, memory={"arrays": 2, "bits": 3})
        assert isinstance(one, RememberingLearner)
        one.publish()
        one.remember(data)
        sums.append(one._memory.sums)
    assert sums[0][0, :, 0].sum() == weight.sum()
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-12)


@pytest.mark.parametrize(
    "weight, message",
    [
        (np.array([1.0, 0.0]), r"weight: got 0.0 to 1.0, must be above 0"),
        (np.array([1.0, np.nan]), "weight: got nan to nan"),
        (np.array([1.0, 1e39]), r"weight: got 1.0 to 1e\+39"),
        (np.array([1, 2]), "weight: got values of numpy kind 'i'"),
        (np.array([1.0]), "weight: has 1 rows, must have 2"),
    ],
)
def test_what_is_no_weight_is_refused(weight: Any, message: str) -> None:
    with pytest.raises(EventError, match=message):
        learner("torch", {"name": "bce"}).learn(batch(2, weight=weight))
