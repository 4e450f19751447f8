"""Table 2: AUC, log loss and time of distillation and ReLoop beside cross-entropy's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from reloop_stream.runtime.torch_state import one_thread
from reloop_stream.state.files import write_atomic
from simulator.paper.as_published import TABLE_2
from simulator.paper.data_sets import Corpus, prepare, read
from simulator.paper.names import ARMS, PLAIN
from simulator.paper.network import Network
from simulator.paper.protocol import Prepared, loss_of
from simulator.paper.recipes import ALPHA, recipe_of
from simulator.paper.table1 import Plan, Row, spread, table_1
from simulator.paper.training import Last, one_pass

__all__ = ["markdown", "table_2", "time_ratios"]

ROUNDS = 21


def table_2(plan: Plan, out: Path, workers: int | None = None, *, quiet: bool = False) -> str:
    """The table in Markdown; see `table_1` for what it trains, writes and raises. Writes table2.md too."""
    rows = table_1(plan, out, workers, quiet=quiet)
    (model,) = plan.arms
    said = markdown(rows, time_ratios(read(plan.data_set, plan.path), plan.data_set, model, plan.arms[model]))
    write_atomic(out / "table2.md", f"{said}\n".encode())
    return said


def time_ratios(
    corpus: Corpus, data_set: str, model: str, arms: Sequence[str]
) -> dict[str, tuple[float, float, float]]:
    """The processor's time for a pass over the training rows over cross-entropy's: median and quartiles over rounds.

    In each round the arms take their pass one after the other, in an order that turns, on one thread; a ratio is of one round,
    so that what else the machine does meanwhile falls on all of them. The last version's scores are there already, as a log
    has them.
    """
    prepared, recipe = prepare(corpus, seed=1), recipe_of(data_set, model)
    n = len(prepared.train)
    last = Last(np.random.default_rng(1).uniform(0.01, 0.99, n), np.ones(n, dtype=bool))
    seconds: dict[str, list[float]] = {arm: [] for arm in arms}
    with one_thread():
        learners = {arm: _learner(prepared, model, data_set) for arm in arms}
        for number in range(-1, ROUNDS):  # the first is to warm up
            turn = number % len(arms)
            for arm in (*arms[turn:], *arms[:turn]):
                network, optimizer = learners[arm]
                began = time.process_time()
                one_pass(network, recipe, loss_of(arm, ALPHA), prepared.train, last, optimizer, np.arange(n))
                if number >= 0:
                    seconds[arm].append(time.process_time() - began)
    ratios = {arm: [a / b for a, b in zip(found, seconds[PLAIN], strict=True)] for arm, found in seconds.items()}
    quartiles = {arm: statistics.quantiles(found, n=4) for arm, found in ratios.items()}
    return {arm: (middle, low, high) for arm, (low, middle, high) in quartiles.items()}


def _learner(prepared: Prepared, model: str, data_set: str) -> tuple[Network, torch.optim.Optimizer]:
    recipe = recipe_of(data_set, model)
    network = Network(recipe.model, prepared.encoder, 0.5, seed=1)
    return network, torch.optim.Adam(network.parameters(), lr=recipe.rate, fused=True)


def markdown(rows: Sequence[Row], ratios: Mapping[str, tuple[float, float, float]]) -> str:
    """The arms over seeds, the time of each, and the paper's figures, which are of its own production data."""
    titles = ["", "AUC", "log loss", "time of a pass", "paper: AUC / log loss", "paper: time"]
    lines = [titles, ["---"] * len(titles)]
    for row in rows:
        arm = row.cells[0].arm
        median, low, high = ratios[arm]
        line = [ARMS[arm], *(spread(row.of(name)) for name in ("auc", "logloss"))]
        line.append("1" if arm == PLAIN else f"{median:.3f} ({low:.3f} to {high:.3f})")
        auc, logloss, more = TABLE_2.get(arm, (None, None, None))
        line += [f"{auc:.4f} / {logloss:.4f}", f"{1 + more:.3f}"] if auc is not None and more is not None else ["", ""]
        lines.append(line)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
