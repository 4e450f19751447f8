"""The paper's offline protocol: a previous version scores the training rows, the new one learns them beside its scores.

In the paper the previous version has been trained on 90% of the rows that it then scores ("in_sample"): it has seen most of
their labels. A score that was logged at serving never has. Two others say what that is worth: "out_of_fold", where no row
is scored by a version that trained on it, and "serving", where none is scored by a version that trained on later rows.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from reloop_stream.config import LossConfig
from reloop_stream.features.encoder import Encoder
from simulator.paper.names import PLAIN
from simulator.paper.network import Network
from simulator.paper.training import Examples, Last, Recipe, auc, logloss, train

__all__ = ["NEEDS_LAST", "Prepared", "Score", "Source", "evaluate", "last_predictions", "loss_of"]

Source = Literal["in_sample", "out_of_fold", "serving"]

SHARE = 0.9  # of the training rows, that the previous version is trained on
FOLDS = 5
# Arms of one seed share their draws; the previous versions have others, or they would be the new one on fewer rows.
OTHER_DRAWS = 1000


class Prepared(NamedTuple):
    """A data set split and encoded. time_ms: int64, of the training rows; None where the data have no clock."""

    encoder: Encoder
    train: Examples
    valid: Examples
    test: Examples
    time_ms: np.ndarray | None


class Score(NamedTuple):
    """What a trained version gives. valid_auc: what chose its weights, and knobs. auc, logloss: on the test rows."""

    valid_auc: float
    auc: float
    logloss: float


def loss_of(arm: str, alpha: float) -> LossConfig:
    """An arm's loss."""
    return {
        "bce": LossConfig(name="bce"),
        "bce_scaled": LossConfig(name="bce", scale=1 - alpha),
        "kd": LossConfig(name="distillation", alpha=alpha),
        "reloop": LossConfig(name="reloop", alpha=alpha),
    }[arm]


NEEDS_LAST = ("kd", "reloop")


def evaluate(prepared: Prepared, recipe: Recipe, loss: LossConfig, last: Last | None, seed: int) -> Score:
    """Train the new version on all training rows and score the test rows. last: None where the loss has no use for it."""
    n = len(prepared.train)
    last = last or Last(np.zeros(n), np.zeros(n, dtype=bool))
    network, valid_auc = _version(prepared, recipe, loss, np.arange(n), last, seed)
    p = network.predict(prepared.test.rows)
    return Score(valid_auc, auc(prepared.test.label, p), logloss(prepared.test.label, p))


def last_predictions(prepared: Prepared, recipe: Recipe, source: Source, seed: int) -> Last:
    """What the previous version, trained with cross-entropy, says of each training row."""
    n = len(prepared.train)
    p, known = np.zeros(n), np.zeros(n, dtype=bool)
    for number, (learnt, scored) in enumerate(_schedule(prepared, source, seed)):
        nothing = Last(np.zeros(n), np.zeros(n, dtype=bool))
        network, _ = _version(prepared, recipe, loss_of(PLAIN, 0), learnt, nothing, seed + OTHER_DRAWS * (1 + number))
        p[scored] = network.predict(prepared.train.take(scored).rows)
        known[scored] = True
    return Last(p, known)


def _version(
    prepared: Prepared, recipe: Recipe, loss: LossConfig, learnt: np.ndarray, last: Last, seed: int
) -> tuple[Network, float]:
    """A version trained on these of the training rows, and its validation AUC."""
    network = Network(recipe.model, prepared.encoder, float(prepared.train.label.mean()), seed)
    examples = prepared.train.take(learnt)
    return network, train(
        network, recipe, loss, examples, Last(last.p[learnt], last.known[learnt]), prepared.valid, seed
    )


def _schedule(prepared: Prepared, source: Source, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each previous version the training rows that it learns, and those that it scores."""
    n = len(prepared.train)
    if source == "serving":
        assert prepared.time_ms is not None
        parts = np.array_split(np.argsort(prepared.time_ms, kind="stable"), FOLDS)
        return [(np.concatenate(parts[:i]), parts[i]) for i in range(1, FOLDS)]
    order = np.random.default_rng([seed, OTHER_DRAWS]).permutation(n)
    if source == "in_sample":
        return [(order[: round(SHARE * n)], np.arange(n))]
    parts = np.array_split(order, FOLDS)
    return [(np.concatenate(parts[:i] + parts[i + 1 :]), parts[i]) for i in range(FOLDS)]
