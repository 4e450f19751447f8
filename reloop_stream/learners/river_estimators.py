"""river's logistic regression and factorization machine with ReLoop's self-correction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from river import facto, linear_model, optim
from scipy.special import expit

from reloop_stream.learners.river_stamp import LastPrediction, last_prediction, stamp
from reloop_stream.losses import reloop_weight

__all__ = ["ReLoopFMClassifier", "ReLoopLogisticRegression", "SoftLog", "sigmoid"]

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
    """What both estimators share: `p_last` becomes a weight, with which river's own estimator learns."""

    alpha: float

    def _set_alpha(self, alpha: float) -> None:
        if not 0 <= alpha <= 1:  # NaN fails too
            raise ValueError(f"alpha: got {alpha}, must be in [0, 1]")
        self.alpha = alpha

    def _pctr(self, x: Features) -> float:
        """The prediction for the example, with nothing changed."""
        raise NotImplementedError

    def predict_proba_one(self, x: Features, p_last: LastPrediction = None) -> dict[bool, float]:
        """The probabilities of False and True. A `Stamp` given as p_last receives the latter."""
        p = self._pctr(x)
        stamp(p_last, p)
        return {False: 1.0 - p, True: p}

    def learn_one(self, x: Features, y: bool | float, p_last: LastPrediction = None, w: float = 1.0) -> None:
        """Learn an example. p_last: what the last version predicted for it; without it the loss is cross-entropy.

        y: the label, or a soft label in [0, 1] where there is no p_last. w: multiplies the loss.
        """
        last = last_prediction(p_last)
        if last is not None:
            w *= float(reloop_weight(self._pctr(x), last, y, self.alpha))
        super().learn_one(x, y, w=w)  # type: ignore[misc]


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

    def _pctr(self, x: Features) -> float:
        return float(sigmoid(self._raw_dot_one(x)))


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

    def _pctr(self, x: Features) -> float:
        logit, total, squares = self.intercept, np.zeros(self.n_factors), 0.0
        for key, value in self._ohe_cat_features(x).items():
            logit += value * self.weights.get(key, 0.0)
            vector = self.latents.get(key)
            if vector is not None:
                total += value * vector
                squares += value * value * float(vector @ vector)
        return float(sigmoid(logit + 0.5 * (float(total @ total) - squares)))
