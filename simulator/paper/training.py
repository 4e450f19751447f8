"""Training offline, as the open benchmark does (BARS, Zhu et al. 2022, by FuxiCTR): many passes, stopped by validation.

Adam over all weights, the embedding table's regulariser over the whole table, the rate cut by ten and counted towards the
end whenever validation AUC has not risen, and the weights of the best pass put back.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import scipy.stats
import torch

from reloop_stream import losses
from reloop_stream.config import LossConfig, ModelConfig
from reloop_stream.features.encoder import Encoded
from reloop_stream.losses import target_and_weight
from reloop_stream.runtime.torch_state import drawing_from
from simulator.paper.network import Network, take

__all__ = ["Examples", "Last", "Plateau", "Recipe", "auc", "logloss", "one_pass", "regularise", "train"]

LEAST_RISE = 1e-6  # of validation AUC, to count as one
LEAST_RATE = 1e-6
CUT = 0.1
PATIENCE = 2
LARGEST_NORM = 10.0  # of all gradients together: larger ones are scaled down to it
MOST_PASSES = 100


class Recipe(NamedTuple):
    """How a model is trained. l2: λ of the regulariser λ/2·‖table‖². batch: rows a step."""

    model: ModelConfig
    l2: float
    rate: float = 1e-3
    batch: int = 4096


class Examples(NamedTuple):
    """Encoded rows and their labels, uint8 [n]."""

    rows: Encoded
    label: np.ndarray

    def take(self, index: np.ndarray) -> Examples:
        return Examples(take(self.rows, index), self.label[index])

    def __len__(self) -> int:
        return len(self.label)


class Last(NamedTuple):
    """What the previous version predicted. p: float64 [n]. known: bool [n], False where it predicted nothing."""

    p: np.ndarray
    known: np.ndarray


def auc(label: np.ndarray, p: np.ndarray) -> float:
    """Area under the ROC curve, ties counting half: by ranks, exact (Mann and Whitney 1947).

    >>> auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    positive = label.astype(bool)
    n = int(positive.sum())
    above = scipy.stats.rankdata(p)[positive].sum() - n * (n + 1) / 2
    return float(above / (n * (len(label) - n)))


def logloss(label: np.ndarray, p: np.ndarray) -> float:
    """Mean cross-entropy in nats."""
    return float(losses.bce(p, label).mean())


class Plateau:
    """What follows from each pass's validation AUC: whether it is the best, the rate, and when to stop.

    A pass that has not risen above the best cuts the rate by ten; the second in a row is the last.

    >>> plateau = Plateau(torch.optim.SGD([torch.zeros(1)], lr=0.1))
    >>> [(plateau.rises(value), round(plateau.rate, 6), plateau.is_over) for value in (0.7, 0.6, 0.8, 0.8, 0.8)]
    [(True, 0.1, False), (False, 0.01, False), (True, 0.01, False), (False, 0.001, False), (False, 0.0001, True)]
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._best = -np.inf
        self._without = 0
        self._cuts = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, "max", CUT, patience=0, threshold=LEAST_RISE, threshold_mode="abs", min_lr=LEAST_RATE
        )

    @property
    def rate(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    @property
    def is_over(self) -> bool:
        return self._without >= PATIENCE

    def rises(self, value: float) -> bool:
        """Take in a pass's AUC; whether it is the best so far."""
        self._cuts.step(value)
        rises = value > self._best + LEAST_RISE
        self._without = 0 if rises else self._without + 1
        self._best = value if rises else self._best
        return rises


def train(
    network: Network, recipe: Recipe, loss: LossConfig, examples: Examples, last: Last, valid: Examples, seed: int
) -> float:
    """Train to the best pass by validation, whose weights the network has then; the AUC that they had there.

    The loss enters by its gradient with respect to the logit (`reloop_stream.losses`), as in every learner of the project.
    seed: of the order of rows and of dropout, so that the arms of a seed differ by their loss alone.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.rate, fused=True)
    plateau, rng = Plateau(optimizer), np.random.default_rng(seed)
    best, best_auc = copy.deepcopy(network.state_dict()), -np.inf
    for number in range(MOST_PASSES):
        with drawing_from(seed * MOST_PASSES + number, torch.device("cpu")):
            one_pass(network, recipe, loss, examples, last, optimizer, rng.permutation(len(examples)))
        found = auc(valid.label, network.predict(valid.rows))
        if plateau.rises(found):
            best, best_auc = copy.deepcopy(network.state_dict()), found
        if plateau.is_over:
            break
    network.load_state_dict(best)
    return best_auc


def one_pass(
    network: Network,
    recipe: Recipe,
    loss: LossConfig,
    examples: Examples,
    last: Last,
    optimizer: torch.optim.Optimizer,
    order: np.ndarray,
) -> None:
    network.train()
    for at in range(0, len(order), recipe.batch):
        index = order[at : at + recipe.batch]
        if len(index) == 1:  # has no variance, which batch norm needs; it will be elsewhere in the next pass
            break
        logit = network(take(examples.rows, index))
        p = torch.sigmoid(logit.detach().double()).numpy()
        target, weight = target_and_weight(loss, p, last.p[index], examples.label[index], last.known[index])
        optimizer.zero_grad()
        logit.backward(torch.from_numpy((weight * (p - target) / len(index)).astype(np.float32)))
        regularise(network, recipe.l2)
        torch.nn.utils.clip_grad_norm_(network.parameters(), LARGEST_NORM)
        optimizer.step()


def regularise(network: Network, l2: float) -> None:
    """Add the gradient of l2/2·‖table‖², over the whole table."""
    assert network.table.grad is not None
    network.table.grad.add_(network.table.detach(), alpha=l2)
