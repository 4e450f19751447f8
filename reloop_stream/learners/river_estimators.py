"""river's logistic regression and factorization machine with ReLoop's self-correction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from river import facto, linear_model, optim
from scipy.special import expit

from reloop_stream.errors import DivergedError, EventError
from reloop_stream.events import LARGEST_NUMBER
from reloop_stream.features.check import check_number, check_row
from reloop_stream.learners.river_stamp import LastPrediction, is_probability, last_prediction, stamp
from reloop_stream.losses import reloop_weight

__all__ = ["ReLoopFMClassifier", "ReLoopLogisticRegression", "SoftLog", "check_weight", "sigmoid"]

Features = dict[Any, Any]


class SoftLog(optim.losses.BinaryLoss):  # type: ignore[misc]
    """Cross-entropy whose label may lie between 0 and 1 (distillation); river's `Log` takes 0 and 1 alone.

    >>> SoftLog().gradient(y_true=0.25, y_pred=0.0)
    0.25
    """

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        return np.logaddexp(0.0, y_pred) - y_true * y_pred

    def gradient(self, y_true: Any, y_pred: Any) -> Any:
        return sigmoid(y_pred) - y_true

    def mean_func(self, y_pred: Any) -> Any:
        return sigmoid(y_pred)


def sigmoid(z: Any) -> Any:
    """Of a number, or of an array; river's own is 0 below -30 and 1 above 30."""
    if isinstance(z, np.ndarray):
        return expit(z)
    return 1.0 / (1.0 + math.exp(-z)) if z >= 0 else math.exp(z) / (1.0 + math.exp(z))


class _SelfCorrecting:
    """What both estimators share: `p_last` becomes a weight, with which river's own estimator learns.

    Rows, labels and weights are checked as they come in; `pctr` and `step` are for callers whose rows are checked.
    """

    alpha: float
    takes_texts = False

    def _set_alpha(self, alpha: float) -> None:
        if not 0 <= alpha <= 1:  # NaN fails too
            raise ValueError(f"alpha: got {alpha}, must be in [0, 1]")
        self.alpha = alpha

    def pctr(self, x: Features) -> float:
        """The prediction for the example, with nothing changed."""
        raise NotImplementedError

    def step(self, x: Features, y: float, w: float) -> None:
        """Learn an example by cross-entropy times w."""
        super().learn_one(x, y, w=w)  # type: ignore[misc]

    def predict_proba_one(self, x: Features, p_last: LastPrediction = None) -> dict[bool, float]:
        """The probabilities of False and True. A `Stamp` given as p_last receives the latter.

        Raises EventError naming a value that no model can hold, DivergedError where the weights are no longer finite.
        """
        self._check_row(x)
        p = self.pctr(x)
        if math.isnan(p):
            raise DivergedError(f"{type(self).__name__}: its weights are no longer finite: it learnt numbers too large")
        stamp(p_last, p)
        return {False: 1.0 - p, True: p}

    def learn_one(self, x: Features, y: bool | float, p_last: LastPrediction = None, w: float = 1.0) -> None:
        """Learn an example. p_last: what the last version predicted for it; without it the loss is cross-entropy.

        y: the label, True or False (1 or 0), or a soft label in [0, 1] where there is no p_last. w: multiplies the loss.
        Raises EventError for any other label (-1 is none), and naming a value that no model can hold.
        """
        self._check_row(x)
        check_label(y)
        check_weight(w)
        last = last_prediction(p_last)
        if last is not None:
            if y not in (0, 1):
                raise EventError(f"y: got the soft label {y!r}, with p_last it must be True or False")
            w *= float(reloop_weight(self.pctr(x), last, y, self.alpha))
        self.step(x, y, w)

    def _check_row(self, x: Features) -> None:
        check_row(x)
        for name, value in x.items():
            if not (self.takes_texts and isinstance(value, str)):
                check_number(str(name), value)


def check_label(y: Any) -> None:
    """Raise EventError for what is no label, nor a soft one."""
    if not is_probability(y):
        raise EventError(f"y: got {y!r}, labels are True and False (or 1 and 0; -1 is none)")


def check_weight(w: Any) -> None:
    """Raise EventError for a weight that is below 0, or no number."""
    check_number("w", w)
    if w < 0:
        raise EventError(f"w: got {w!r}, must be at least 0")


class ReLoopLogisticRegression(_SelfCorrecting, linear_model.LogisticRegression):  # type: ignore[misc]
    """river's logistic regression that corrects itself by its last predictions (Cai et al., SIGIR 2022, Eq. 2-4).

    The gradient of ReLoop is that of cross-entropy times a weight, which `reloop_stream.losses.reloop_weight` computes
    from the prediction, the last prediction and the label.

    alpha: weight of the self-correction; cross-entropy has 1 - alpha. All else is as in `LogisticRegression`.
    `learn_many` knows no last predictions and minimises cross-entropy.

    The last prediction comes with the row, as the version that served it has predicted:

    >>> from river import datasets, evaluate, metrics, preprocessing
    >>> served = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    >>> rows = []
    >>> for x, y in datasets.Phishing():
    ...     rows.append((x, y, {"p_last": served.predict_proba_one(x)[True]}))
    ...     served.learn_one(x, y)
    >>> model = preprocessing.StandardScaler() | ReLoopLogisticRegression(alpha=0.2, optimizer=optim.SGD(0.1))
    >>> round(evaluate.progressive_val_score(rows, model, metrics.LogLoss()).get(), 4)
    0.2704

    Or it is made in the loop: a `Stamp` takes the prediction when the row is asked about and gives it back when its label
    comes. With labels at once the model would be compared with itself, so here they take 50 rows:

    >>> from reloop_stream.river import Stamp
    >>> rows = [(x, y, {"p_last": Stamp()}) for x, y in datasets.Phishing()]
    >>> model = preprocessing.StandardScaler() | ReLoopLogisticRegression(alpha=0.2, optimizer=optim.SGD(0.1))
    >>> round(evaluate.progressive_val_score(rows, model, metrics.LogLoss(), delay=50).get(), 4)
    0.2914
    >>> [round(kwargs["p_last"].pctr, 3) for _, _, kwargs in rows[49:53]]
    [0.5, 0.501, 0.562, 0.533]

    Without last predictions it learns by cross-entropy, as river's own does:

    >>> model = preprocessing.StandardScaler() | ReLoopLogisticRegression(alpha=0.2, optimizer=optim.SGD(0.1))
    >>> round(evaluate.progressive_val_score(datasets.Phishing(), model, metrics.LogLoss(), delay=50).get(), 4)
    0.2929
    """

    def __init__(
        self,
        alpha: float = 0.2,
        optimizer: optim.base.Optimizer | None = None,
        l2: float = 0.0,
        intercept_init: float = 0.0,
        intercept_lr: float | optim.base.Scheduler = 0.01,
        clip_gradient: float = 1e12,
        initializer: optim.base.Initializer | None = None,
    ) -> None:
        super().__init__(
            optimizer=optimizer,
            loss=SoftLog(),
            l2=l2,
            intercept_init=intercept_init,
            intercept_lr=intercept_lr,
            clip_gradient=clip_gradient,
            initializer=initializer,
        )
        self._set_alpha(alpha)

    def pctr(self, x: Features) -> float:
        return float(sigmoid(self._raw_dot_one(x)))

    def learn_many(self, X: Any, y: Any, w: Any = 1.0) -> None:
        """Learn a batch by one mean step on cross-entropy: X a data frame of numbers, y a series of labels, w a weight or a
        series of them. Raises EventError as `learn_one` does."""
        _check_frame(X)
        if np.shape(y) != np.shape(X)[:1] or np.shape(w) not in ((), np.shape(y)):
            raise EventError(f"y, w: have shapes {np.shape(y)} and {np.shape(w)}, X has {np.shape(X)[0]} rows")
        for label in np.unique(np.asarray(y)):
            check_label(label)
        for weight in np.unique(np.asarray(w)):
            check_weight(weight)
        super().learn_many(X, y, w=w)

    def predict_proba_many(self, X: Any) -> Any:
        """The probabilities of False and True of a data frame of numbers. Raises as `predict_proba_one` does."""
        _check_frame(X)
        found = super().predict_proba_many(X)
        if np.isnan(np.asarray(found)).any():
            raise DivergedError(f"{type(self).__name__}: its weights are no longer finite: it learnt numbers too large")
        return found


def _check_frame(X: Any) -> None:
    if not hasattr(X, "columns"):
        raise EventError(f"X: got a value of type {type(X).__name__}, must be a data frame")
    values = np.asarray(X)
    if values.dtype.kind in "biuf" and (np.abs(values.astype(np.float64)) <= LARGEST_NUMBER).all():
        return
    for row in values:  # slow, but it names the value
        for name, value in zip(X.columns, row, strict=True):
            check_number(str(name), value)


class ReLoopFMClassifier(_SelfCorrecting, facto.FMClassifier):  # type: ignore[misc]
    """river's factorization machine that corrects itself by its last predictions (Cai et al., SIGIR 2022, Eq. 2-4).

    alpha: weight of the self-correction; cross-entropy has 1 - alpha. Last predictions come as they do to
    `ReLoopLogisticRegression`. All else is as in `FMClassifier`, but for three things: a prediction for values never learnt
    leaves nothing behind (river's draws vectors for them, and keeps them), a clone begins at `intercept_init`, and the
    vectors' optimiser is SGD at `latent_lr`: of an adaptive one river shares one state among all vectors.

    >>> from river import datasets, evaluate, metrics
    >>> from reloop_stream.river import Stamp
    >>> clicks = [({"user": "Ann", "item": "tea"}, True), ({"user": "Ann", "item": "gin"}, False)] * 20
    >>> clicks += [({"user": "Bob", "item": "tea"}, False), ({"user": "Bob", "item": "gin"}, True)] * 20
    >>> rows = [(x, y, {"p_last": Stamp()}) for x, y in clicks * 5]
    >>> model = ReLoopFMClassifier(n_factors=4, latent_lr=0.5, seed=1)
    >>> round(evaluate.progressive_val_score(rows, model, metrics.LogLoss(), delay=8).get(), 4)
    0.0662
    """

    def __init__(
        self,
        alpha: float = 0.2,
        n_factors: int = 10,
        weight_optimizer: optim.base.Optimizer | None = None,
        latent_lr: float | optim.base.Scheduler = 0.01,
        l2_weight: float = 0.0,
        l2_latent: float = 0.0,
        intercept_init: float = 0.0,
        intercept_lr: float | optim.base.Scheduler = 0.01,
        latent_initializer: optim.base.Initializer | None = None,
        clip_gradient: float = 1e12,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            n_factors=n_factors,
            weight_optimizer=weight_optimizer,
            latent_optimizer=optim.SGD(latent_lr),
            loss=SoftLog(),
            l2_weight=l2_weight,
            l2_latent=l2_latent,
            intercept=intercept_init,
            intercept_lr=intercept_lr,
            latent_initializer=latent_initializer,
            clip_gradient=clip_gradient,
            seed=seed,
        )
        self.latent_lr = latent_lr
        self.intercept_init = intercept_init
        self._set_alpha(alpha)

    takes_texts = True

    def pctr(self, x: Features) -> float:
        logit, total, squares = self.intercept, np.zeros(self.n_factors), 0.0
        for key, value in self._ohe_cat_features(x).items():
            logit += value * self.weights.get(key, 0.0)
            vector = self.latents.get(key)
            if vector is not None:
                total += value * vector
                squares += value * value * float(vector @ vector)
        return float(sigmoid(logit + 0.5 * (float(total @ total) - squares)))
