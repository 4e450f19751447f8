"""Cross-entropy, knowledge distillation and ReLoop's self-correction: value, and gradient with respect to the logit.

Source of the equations: Cai et al., "ReLoop: A Self-Correction Continual Learning Loop for Recommender Systems",
SIGIR 2022. Every function takes numbers or numpy arrays and computes elementwise in float64.

With err = |p - y| and err_last = |p_last - y| the gradient of ReLoop with respect to the logit is that of cross-entropy
times a weight, so any learner that takes sample weights can minimise it; distillation is cross-entropy with a soft label.

Labels that come late (`join.emit: at_once`) show a click twice: as label 0 at serving and as label 1 at the click. The
two corrections for it are of Ktena et al., "Addressing delayed feedback for continuous training with neural networks in
CTR prediction", RecSys 2019: fake negative weighted (fnw) here, fake negative calibration (fnc) in
`reloop_stream.learners.delayed_feedback`.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np

from reloop_stream import plugins
from reloop_stream.config import LOSSES, LossConfig

__all__ = [
    "CONSTANT_WEIGHTS",
    "TIE",
    "WITHOUT_LAST",
    "Loss",
    "bce",
    "d_bce",
    "d_distillation",
    "d_reloop",
    "d_self_correction",
    "distillation",
    "distillation_target",
    "errs_more_by_group",
    "fnw_weight",
    "reloop",
    "reloop_weight",
    "self_correction",
    "target_and_weight",
]

Values: TypeAlias = Any  # a number or an array of them; results have the broadcast shape

# p and p_last closer than this are a tie, which gives no extra weight: a model that scores its own stamp again may
# differ from it by rounding, and rounding must not decide.
TIE = 1e-6
TINY = 1e-12  # keeps the logarithm of a saturated prediction finite
# What learners need not compute. A plugin's loss is in neither.
WITHOUT_LAST = ("bce", "fnw", "fnc")  # never look at the last version's prediction
CONSTANT_WEIGHTS = ("bce", "distillation", "fnc")  # targets and weights do not depend on the prediction


class Loss(Protocol):
    """A loss of a user's own, registered by `reloop_stream.plugins.register_loss`."""

    def __call__(
        self, config: LossConfig, p: np.ndarray, p_last: np.ndarray, y: np.ndarray, has_last: np.ndarray, /
    ) -> tuple[np.ndarray, np.ndarray]:
        """The (soft) label and the weight of each row, float64 [n]: its gradient with respect to the logit is
        weight · (p - label).

        p: float64 [n], the model's predictions before it learns these rows. p_last: float64 [n], those of the last
        version, chosen by `config.p_last`; without meaning where has_last, bool [n], is False. y: float64 [n], 0 or 1.
        `config.options` holds the loss's own settings; `config.alpha` and `config.scale` are its to use or not.
        """


def _check_alpha(alpha: float) -> None:
    if not 0 <= alpha <= 1:  # NaN fails too
        raise ValueError(f"alpha: got {alpha}, must be in [0, 1]")


def bce(p: Values, y: Values) -> Values:
    """Cross-entropy -y·log(p) - (1 - y)·log(1 - p) (Eq. 3); `y` may be a soft label.

    >>> float(round(bce(0.5, 1), 6))
    0.693147
    """
    p = np.clip(np.asarray(p, dtype=np.float64), TINY, 1 - TINY)
    return -(y * np.log(p) + (1 - y) * np.log1p(-p))


def d_bce(p: Values, y: Values) -> Values:
    """Derivative of `bce` with respect to the logit of p: p - y."""
    return np.asarray(p, dtype=np.float64) - y


def self_correction(p: Values, p_last: Values, y: Values) -> Values:
    """How much more the new model errs than the last one did: y·max(p_last - p, 0) + (1 - y)·max(p - p_last, 0) (Eq. 2).

    >>> float(round(self_correction(0.3, 0.5, 1), 6)), float(self_correction(0.3, 0.5, 0))
    (0.2, 0.0)
    """
    gap = np.asarray(p_last, dtype=np.float64) - p
    return y * np.maximum(gap, 0) + (1 - y) * np.maximum(-gap, 0)


def _errs_more(p: Values, p_last: Values, y: Values) -> Values:
    """1 where the new model errs more than the last one, beyond a tie; else 0. For labels 0 and 1."""
    gap = np.asarray(p_last, dtype=np.float64) - p
    return np.where(np.asarray(y) > 0.5, gap, -gap) > TIE


def d_self_correction(p: Values, p_last: Values, y: Values) -> Values:
    """Derivative of `self_correction` with respect to the logit of p; 0 at a tie."""
    p = np.asarray(p, dtype=np.float64)
    return np.where(np.asarray(y) > 0.5, -1.0, 1.0) * p * (1 - p) * _errs_more(p, p_last, y)


def reloop(p: Values, p_last: Values, y: Values, alpha: float) -> Values:
    """alpha · self_correction + (1 - alpha) · bce (Eq. 4). Raises ValueError for alpha outside [0, 1]."""
    _check_alpha(alpha)
    return alpha * self_correction(p, p_last, y) + (1 - alpha) * bce(p, y)


def d_reloop(p: Values, p_last: Values, y: Values, alpha: float) -> Values:
    """Derivative of `reloop` with respect to the logit of p, from the two parts of the loss."""
    _check_alpha(alpha)
    return alpha * d_self_correction(p, p_last, y) + (1 - alpha) * d_bce(p, y)


def reloop_weight(p: Values, p_last: Values, y: Values, alpha: float) -> Values:
    """The weight that turns cross-entropy's gradient into ReLoop's: (1 - alpha) + alpha·(1 - err)·1[err > err_last].

    Exact for labels 0 and 1; lies in [1 - alpha, 1).

    >>> float(round(reloop_weight(p=0.02, p_last=0.01, y=0, alpha=0.2), 6))
    0.996
    """
    _check_alpha(alpha)
    err = np.abs(np.asarray(p, dtype=np.float64) - y)
    return (1 - alpha) + alpha * (1 - err) * _errs_more(p, p_last, y)


def distillation(p: Values, p_last: Values, y: Values, alpha: float) -> Values:
    """alpha · bce(p, p_last) + (1 - alpha) · bce(p, y): knowledge distillation from the last model (Eq. 5)."""
    _check_alpha(alpha)
    return alpha * bce(p, p_last) + (1 - alpha) * bce(p, y)


def distillation_target(p_last: Values, y: Values, alpha: float) -> Values:
    """The soft label (1 - alpha)·y + alpha·p_last: cross-entropy with it is `distillation`."""
    _check_alpha(alpha)
    return (1 - alpha) * y + alpha * np.asarray(p_last, dtype=np.float64)


def d_distillation(p: Values, p_last: Values, y: Values, alpha: float) -> Values:
    """Derivative of `distillation` with respect to the logit of p."""
    return d_bce(p, distillation_target(p_last, y, alpha))


def fnw_weight(p: Values, y: Values) -> Values:
    """The weights of fake negative weighted: 1 + p for a click, (1 - p)·(1 + p) for an exposure not (yet) clicked.

    Ktena et al. 2019: the weights of importance sampling from the stream in which every click is a negative first, to
    that of the true labels, the model's own p in place of the click rate and held constant. Where the rate is q, the
    stream holds q positives for each negative and cross-entropy is least at q / (1 + q); weighted so it is least at q.

    >>> float(round(fnw_weight(0.2, 1), 6)), float(round(fnw_weight(0.2, 0), 6))
    (1.2, 0.96)
    """
    p = np.asarray(p, dtype=np.float64)
    return (1 + p) * np.where(np.asarray(y) > 0.5, 1.0, 1 - p)


def errs_more_by_group(
    p: Values,
    p_last: Values,
    y: Values,
    has_last: np.ndarray,
    group: np.ndarray,
    row_weight: np.ndarray | None = None,
) -> np.ndarray:
    """Whether the new model errs more than the last one on the mean of each row's group, beyond a tie: bool [n].

    The paper's outlook names list-wise and session-based errors. Here the self-correction of a group g, the rows of a
    request or a session, is L_sc(g) = |g| · max(mean of err - mean of err_last, 0) in place of the sum of the items' own
    hinges: an item that errs more is forgiven where the others of its group make up for it. Its gradient with respect
    to the logit of a row is that of the row's own hinge, given to all rows of a group that errs more and to no other.

    group: int [n] from 0. Rows without a last prediction do not count. With a group a row this is the item's own error.
    A group that the end of a batch cuts counts by its parts. row_weight: [n], how often each row counts; None: once.

    >>> p, p_last, y = np.array([0.3, 0.3]), np.array([0.4, 0.1]), np.array([1, 0])  # err .7 .3, err_last .6 .1
    >>> errs_more_by_group(p, p_last, y, np.array([True, True]), group=np.array([0, 0]))
    array([ True,  True])
    """
    gap = np.where(has_last, np.abs(p - y) - np.abs(p_last - y), 0.0)
    counted = has_last if row_weight is None else has_last * row_weight
    sums = np.bincount(group, weights=gap if row_weight is None else gap * row_weight)
    counts = np.bincount(group, weights=counted)
    return np.asarray((sums / np.where(counts > 0, counts, 1) > TIE)[group])


def target_and_weight(
    config: LossConfig,
    p: np.ndarray,
    p_last: np.ndarray,
    y: np.ndarray,
    has_last: np.ndarray,
    group: np.ndarray | None = None,
    row_weight: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What any learner needs: the (soft) label and the weight of each row, float64 [n].

    The gradient with respect to the logit is weight · (p - target). Rows without a last prediction (`has_last` False:
    stamped by the untrained version 0) get cross-entropy. group: int [n], the request or session of each row, where the
    loss compares errors by these (`reloop_stream.learners.last_predictions.groups_of`). row_weight: float64 [n], the
    events' own weights, which multiply the loss, whichever it is; None: each row counts once.
    """
    target, weight = _of_loss(config, p, p_last, y.astype(np.float64, copy=False), has_last, group, row_weight)
    return target, weight if row_weight is None else weight * row_weight


def _of_loss(
    config: LossConfig,
    p: np.ndarray,
    p_last: np.ndarray,
    y: np.ndarray,
    has_last: np.ndarray,
    group: np.ndarray | None,
    row_weight: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The target and the loss's own weight of each row."""
    if config.name not in LOSSES:
        own: Loss = plugins.get("loss", config.name)
        return own(config, p, p_last, y, has_last)
    if config.name == "distillation":
        target = np.where(has_last, distillation_target(p_last, y, config.alpha), y)
        return target, np.full(len(y), config.scale)
    if config.name == "reloop":
        if group is None:
            weight = reloop_weight(p, p_last, y, config.alpha)
        else:
            more = errs_more_by_group(p, p_last, y, has_last, group, row_weight)
            weight = (1 - config.alpha) + config.alpha * (1 - np.abs(p - y)) * more
        return y, config.scale * np.where(has_last, weight, 1.0)
    if config.name == "fnw":
        return y, config.scale * fnw_weight(p, y)
    if config.name in ("bce", "fnc"):
        return y, np.full(len(y), config.scale)
    raise AssertionError(f"loss.name: {config.name} has no target and weight here")
