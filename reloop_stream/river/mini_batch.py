"""Any of the package's learners as a classifier of river, which learns in mini-batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from river import base

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import DivergedError, EventError
from reloop_stream.events import CLICKED, EXPIRED, Column, ExampleBatch, ExposureBatch, ListColumn, constant
from reloop_stream.features.check import check_number, check_row, encodes
from reloop_stream.learners import Learner, make_learner
from reloop_stream.learners.river_estimators import check_weight
from reloop_stream.learners.river_stamp import LastPrediction, is_probability, last_prediction, stamp

__all__ = ["MiniBatchClassifier"]

SEVERAL = (list, tuple, set, frozenset)
SERVED = 1  # any version but 0, whose stamps count as no last prediction

Features = dict[Any, Any]
Values = dict[str, Any]  # field → text, number or tuple of texts


class _Row(NamedTuple):
    values: Values
    label: bool
    p_last: float | None
    w: float = 1.0


class MiniBatchClassifier(base.Classifier):  # type: ignore[misc]
    """A learner of this package as a classifier of river: examples are kept until there are `batch_size`, then learnt.

    It takes hyper-parameters and makes the learner itself, so that clones are fresh and pickles hold data alone.

    kind, model, embedding, hidden, optimizer, lr, loss, alpha, seed: as in `reloop_stream.config.learner.LearnerConfig`.
    fields: field → category, number or list. Left out: those of the first example that it learns, numbers where they are
    such. A field that a row lacks is an empty text, 0 or an empty list; one that is not listed is not looked at.
    buckets: rows of the embedding table for each category and list field, to which values are hashed.
    base_rate: what is predicted before the first example, and about at first.

    Last predictions come as they do to `ReLoopLogisticRegression`; rows without one are learnt by cross-entropy.

    >>> from river import datasets, evaluate, metrics, preprocessing
    >>> from reloop_stream.river import Stamp
    >>> rows = [(x, y, {"p_last": Stamp()}) for x, y in datasets.Phishing()]
    >>> model = preprocessing.StandardScaler() | MiniBatchClassifier(model="deepfm", lr=0.2, batch_size=8, seed=1)
    >>> round(evaluate.progressive_val_score(rows, model, metrics.LogLoss(), delay=50).get(), 2)
    0.29
    """

    def __init__(
        self,
        kind: str = "torch",
        model: str = "fm",
        embedding: int = 8,
        hidden: tuple[int, ...] = (64, 32),
        optimizer: str = "adagrad",
        lr: float = 0.05,
        loss: str = "reloop",
        alpha: float = 0.2,
        batch_size: int = 32,
        fields: dict[str, str] | None = None,
        buckets: int = 1 << 12,
        base_rate: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.kind = kind
        self.model = model
        self.embedding = embedding
        self.hidden = hidden
        self.optimizer = optimizer
        self.lr = lr
        self.loss = loss
        self.alpha = alpha
        self.batch_size = batch_size
        self.fields = fields
        self.buckets = buckets
        self.base_rate = base_rate
        self.seed = seed
        if batch_size < 1:
            raise ValueError(f"batch_size: got {batch_size}, must be at least 1")
        self._config = LearnerConfig.model_validate(
            {
                "kind": kind,
                "model": {"name": model, "embedding": embedding, "hidden": hidden},
                "optimizer": {"name": optimizer, "lr": lr},
                "loss": {"name": loss, "alpha": alpha},
            }
        )
        self._waiting: list[_Row] = []
        self._kinds: dict[str, str] = {}
        self._learner: Learner | None = None
        if fields is not None:
            if not fields:
                raise ValueError("fields: got none, must name at least one; left out, the first example names them")
            self._begin(fields)

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"batch_size": 8, "seed": 1}

    @property
    def _multiclass(self) -> bool:
        return False

    def _begin(self, kinds: Mapping[str, str]) -> None:
        """Make the learner, in an order of the fields that is not that of the row."""
        self._kinds = {name: kinds[name] for name in sorted(kinds)}
        fields = [
            FieldConfig.model_validate({"name": name, "kind": kind, "buckets": self.buckets})
            for name, kind in self._kinds.items()
        ]
        self._learner = make_learner(self._config, fields, name="mini-batch", seed=self.seed, base_rate=self.base_rate)

    def predict_proba_one(self, x: Features, p_last: LastPrediction = None) -> dict[bool, float]:
        """The probabilities of False and True. A `Stamp` given as p_last receives the latter.

        Raises EventError naming a value that no model can hold, DivergedError where the weights are no longer finite.
        """
        p, values = self.base_rate, _values(x, self._kinds or _kinds(x))
        if self._learner is not None:
            p = float(self._learner.predict(self._columns([values]))[0])
        if math.isnan(p):
            raise DivergedError(
                "MiniBatchClassifier: its weights are no longer finite: lower `lr`, or scale the numbers"
            )
        stamp(p_last, p)
        return {False: 1.0 - p, True: p}

    def learn_one(self, x: Features, y: bool, p_last: LastPrediction = None, w: float = 1.0) -> None:
        """Keep an example, and learn a batch once there is one. p_last: what the last version predicted for the example.

        y: True or False (1 or 0). w: multiplies the loss; an example of weight 0 is not kept. Raises EventError for any
        other label (-1 is none), and naming an unfit value.
        """
        kinds = self._kinds or _kinds(x)
        check_weight(w)
        row = _Row(_values(x, kinds), _label(y), last_prediction(p_last), float(w))
        if not row.w:
            return
        if self._learner is None:
            if not kinds:
                raise EventError("x: has no features, and which there are is not known yet: name them in `fields`")
            self._begin(kinds)
        self._waiting.append(row)
        if len(self._waiting) >= self.batch_size:
            self._learn()

    def _learn(self) -> None:
        assert self._learner is not None
        rows, self._waiting = self._waiting, []
        self._learner.learn(_examples(rows, self._columns([row.values for row in rows])))

    def _columns(self, rows: Sequence[Values]) -> dict[str, Column]:
        return {name: _column(kind, [row[name] for row in rows]) for name, kind in self._kinds.items()}

    def __getstate__(self) -> dict[str, Any]:
        """Parameters, examples that wait, and the learner's state."""
        state = self.__dict__.copy()
        learner = state.pop("_learner")
        return {**state, "_state": None if learner is None else learner.to_bytes()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        learnt = state.pop("_state")
        self.__dict__.update(state, _learner=None)
        if learnt is not None:
            self._begin(self._kinds)
            assert self._learner is not None
            self._learner.restore(learnt)


def _kind(value: Any) -> str:
    """What a value seems to be: a number, several values, or one."""
    if isinstance(value, SEVERAL):
        return "list"
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return "number" if is_number else "category"


def _kinds(x: Features) -> dict[str, str]:
    """What the fields of a row seem to be."""
    check_row(x)
    return {str(name): _kind(value) for name, value in x.items()}


def _values(x: Features, kinds: Mapping[str, str]) -> Values:
    """The fields of a row, in these kinds. Raises EventError naming one that is unfit."""
    check_row(x)
    given = {str(name): value for name, value in x.items()}
    return {name: _value(name, kind, given.get(name)) for name, kind in kinds.items()}


def _text(name: str, value: Any) -> str:
    text = str(value)
    if not encodes(text):
        raise EventError(f"{name}: got {ascii(text)[:50]}, which UTF-8 cannot write")
    return text


def _label(y: Any) -> bool:
    if is_probability(y) and y in (0, 1):
        return bool(y)
    raise EventError(f"y: got {y!r}, labels are True and False (or 1 and 0; -1 is none)")


def _value(name: str, kind: str, value: Any) -> Any:
    if kind == "category":
        return "" if value is None else _text(name, value)
    if kind == "list":
        if value is None:
            return ()
        if not isinstance(value, SEVERAL):
            raise EventError(f"{name}: got {value!r}, must be a list of values; name it a category in `fields`")
        return tuple(sorted(_text(name, one) for one in value))
    if value is None:
        return 0.0
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise EventError(f"{name}: got {value!r}, must be a number; name it a category in `fields`") from None
    check_number(name, number)
    return number


def _column(kind: str, values: Sequence[Any]) -> Column:
    if kind == "number":
        return np.array(values, dtype=np.float64)
    if kind == "category":
        return np.array(values, dtype=object)
    flat = np.array([one for several in values for one in several], dtype=object)
    return ListColumn(flat, np.cumsum([0, *map(len, values)]))


def _examples(rows: Sequence[_Row], features: dict[str, Column]) -> ExampleBatch:
    """The rows as labelled exposures; what no learner looks at is constant."""
    n = len(rows)
    label = np.array([row.label for row in rows], dtype=np.uint8)
    stamped = np.array([row.p_last is not None for row in rows])
    pctr = np.array([0.0 if row.p_last is None else row.p_last for row in rows])
    numbers, text = np.arange(n), constant("", n)
    exposures = ExposureBatch(
        request_id=numbers, exposure_id=numbers, event_time_ms=numbers, user_id=numbers, item_id=numbers, arm=text,
        position=constant(0, n, np.int32), n_candidates=constant(1, n, np.int32), model_name=text,
        model_version=np.where(stamped, SERVED, 0), pctr=pctr, propensity=constant(np.nan, n), features=features,
        weight=np.array([row.w for row in rows]),
    )  # fmt: skip
    return ExampleBatch(exposures, label, numbers, np.where(label == 1, CLICKED, EXPIRED).astype(np.uint8))
