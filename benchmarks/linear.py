"""The linear learner beside Vowpal Wabbit and river: events per second of one core, and the log loss of testing, then training.

One seeded stream for all: 10 category fields with 20,000 values, clicked at 16%, whose truth has first-order and pair effects.
Every rule has the same tries for its learning rate, on a stream of another seed. A rival's figure is that of its fastest rule
whose log loss is at most TOLERANCE above ours; where ours is worse than a rival's best by more than that, the command fails.

Timed is the CPU time of one process on one core, with all its threads:
- ours: `learn` on batches as they lie in memory, columns of integers; hashing them is included, and measured alone as well.
- Vowpal Wabbit: its own C++ driver on its text format, run by the Python package as `vw -d FILE` runs it; no event passes
  through Python. A `vw` built from the same source took as long, within 3%, and had the same loss to all its digits. From its
  cache file it was no faster.
- river: `predict_proba_one`, then `learn_one`, on dictionaries that were made before.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
from river import linear_model, optim

from benchmarks.output import arguments, show
from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.events import ExampleBatch, ExposureBatch, constant
from reloop_stream.features.encoder import Encoder
from reloop_stream.learners import make_learner
from reloop_stream.losses import bce
from reloop_stream.runtime.torch_state import one_thread

try:
    from vowpalwabbit import Workspace
except ImportError:
    sys.exit("benchmarks.linear: needs vowpalwabbit; install the project with its extra: pip install -e .[benchmarks]")

SIZES = (10_000, 6_000, 2_500, 1_000, 300, 100, 50, 24, 14, 12)
BUCKETS = 1 << 14  # a field; Vowpal Wabbit has 2^18 for all of them together
FIELDS = [FieldConfig(name=f"f{i}", buckets=BUCKETS) for i in range(len(SIZES))]
EVENTS = 300_000
TRIES = 100_000  # events of a try
BATCH = 8192  # how many examples a call gets; what is learnt does not depend on it
RATES = (0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0)
TOLERANCE = 0.002


class Stream(NamedTuple):
    """columns: int64 [n] a field. rate: the true click rates, [n]. label: uint8 [n]."""

    columns: list[np.ndarray]
    rate: np.ndarray
    label: np.ndarray


class Outcome(NamedTuple):
    """CPU seconds, and the mean log loss of the predictions made before each event was learnt."""

    seconds: float
    log_loss: float


Rule = Callable[[float], Outcome]  # learns a stream from nothing, at this learning rate


def stream(n: int, seed: int) -> Stream:
    """Events of one truth: a weight and a vector a value, as a factorization machine has them."""
    truth = np.random.default_rng(0)
    rng = np.random.default_rng((1, seed))
    columns, logit = [], np.full(n, -2.35)
    total, squares = np.zeros((n, 4)), np.zeros((n, 4))
    for size in SIZES:
        weights, vectors = truth.normal(0, 0.3, size), truth.normal(0, 0.32, (size, 4))
        column = (size * rng.random(n) ** 2).astype(np.int64)  # low values are frequent
        logit += weights[column]
        total += vectors[column]
        squares += vectors[column] ** 2
        columns.append(column)
    rate = 1 / (1 + np.exp(-(logit + 0.5 * (total**2 - squares).sum(1))))
    return Stream(columns, rate, (rng.random(n) < rate).astype(np.uint8))


def batches(of: Stream) -> list[ExampleBatch]:
    found = []
    for at in range(0, len(of.label), BATCH):
        label = of.label[at : at + BATCH]
        features = {f"f{i}": column[at : at + BATCH] for i, column in enumerate(of.columns)}
        n = len(label)
        ids = np.arange(n)
        exposures = ExposureBatch(
            ids, ids, ids, ids, ids, constant("a", n), constant(0, n, np.int32), constant(30, n, np.int32),
            constant("m", n), constant(1, n, np.int64), constant(0.1, n), constant(0.1, n), features,
        )  # fmt: skip
        found.append(ExampleBatch(exposures, label, ids, label))
    return found


def ours(settings: dict[str, Any], data: list[ExampleBatch], rate: float) -> Outcome:
    raw = {"kind": "linear", **settings, "optimizer": {**settings["optimizer"], "lr": rate}}
    learner = make_learner(LearnerConfig.model_validate(raw), FIELDS, name="x", seed=1, base_rate=0.1)
    started = process_time()
    predictions = [learner.learn(batch) for batch in data]
    seconds = process_time() - started
    labels = np.concatenate([batch.label for batch in data])
    return Outcome(seconds, float(bce(np.concatenate(predictions), labels).mean()))


def encoding_seconds(data: list[ExampleBatch]) -> float:
    """What of `ours` goes into hashing."""
    encoder = Encoder(FIELDS)
    started = process_time()
    for batch in data:
        encoder.encode(batch.exposures.features)
    return process_time() - started


def write_text(of: Stream, path: Path) -> Path:
    """The stream as Vowpal Wabbit reads it: a namespace a field."""
    rows = np.stack(of.columns, axis=1).tolist()
    with path.open("w", encoding="ascii") as out:
        for label, row in zip(of.label.tolist(), rows, strict=True):
            out.write("1" if label else "-1")
            out.writelines(f" |{chr(ord('a') + i)} {value}" for i, value in enumerate(row))
            out.write("\n")
    return path


def vowpal_wabbit(options: str, path: Path, rate: float) -> Outcome:
    started = process_time()
    vw = Workspace(
        f"--data {path} --loss_function logistic --bit_precision 18 --learning_rate {rate} --quiet {options}"
    )
    seconds = process_time() - started
    log_loss = vw.get_sum_loss() / vw.get_weighted_examples()
    vw.finish()
    return Outcome(seconds, log_loss)


def dictionaries(of: Stream) -> list[tuple[dict[int, float], bool]]:
    """A key a field and value, as small integers, which river finds fastest."""
    firsts = np.cumsum((0, *SIZES[:-1]))
    keys = (np.stack(of.columns, axis=1) + firsts).tolist()
    return [(dict.fromkeys(row, 1.0), bool(label)) for row, label in zip(keys, of.label.tolist(), strict=True)]


def river(optimizer: Callable[[float], Any], data: list[tuple[dict[int, float], bool]], rate: float) -> Outcome:
    model = linear_model.LogisticRegression(optimizer(rate))
    predictions = []
    started = process_time()
    for x, y in data:
        predictions.append(model.predict_proba_one(x)[True])
        model.learn_one(x, y)
    seconds = process_time() - started
    return Outcome(seconds, float(bce(np.array(predictions), np.array([y for _, y in data])).mean()))


FTRL = {"model": {"name": "lr"}, "optimizer": {"name": "ftrl"}}
FM = {"model": {"name": "fm", "embedding": 8}, "optimizer": {"name": "adagrad"}}
RIVALS = {"vw": ("vw", "vw_adaptive", "vw_sgd"), "river": ("river_adagrad", "river_sgd")}


def rules(of: Stream, folder: Path) -> dict[str, Rule]:
    """Every rule on this stream, by name. Vowpal Wabbit's default is adaptive, normalised and invariant."""
    data, rows, text = batches(of), dictionaries(of), write_text(of, folder / f"{len(of.label)}.txt")
    return {
        "lr": partial(ours, FTRL, data),
        "fm": partial(ours, FM, data),
        "vw": partial(vowpal_wabbit, "", text),
        "vw_adaptive": partial(vowpal_wabbit, "--adaptive", text),
        "vw_sgd": partial(vowpal_wabbit, "--sgd", text),
        "river_adagrad": partial(river, optim.AdaGrad, rows),
        "river_sgd": partial(river, optim.SGD, rows),
    }


def measure(pairs: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        tries = rules(stream(TRIES, seed=1), Path(folder))
        rates = {name: min(RATES, key=lambda rate: rule(rate).log_loss) for name, rule in tries.items()}
        events = stream(EVENTS, seed=2)
        timed = rules(events, Path(folder))
        outcomes = [{name: rule(rates[name]) for name, rule in timed.items()} for _ in range(pairs)]
        encoding = statistics.median(encoding_seconds(batches(events)) for _ in range(pairs))
    seconds = {name: statistics.median(one[name].seconds for one in outcomes) for name in timed}
    loss = {name: outcomes[0][name].log_loss for name in timed}
    figures: dict[str, float] = {}
    for rival, names in RIVALS.items():
        equal = [name for name in names if loss[name] <= loss["lr"] + TOLERANCE]
        figures[f"lr_over_{rival}"] = min(seconds[name] for name in equal) / seconds["lr"] if equal else math.nan
    for name in timed:
        figures[f"{name}_events_per_s"] = EVENTS / seconds[name]
    for name in ("lr", "fm"):
        figures[f"{name}_events_per_s_without_encoding"] = EVENTS / (seconds[name] - encoding)
    figures |= {f"{name}_log_loss": loss[name] for name in timed}
    figures["bayes_log_loss"] = float(bce(events.rate, events.rate).mean())
    return figures | {f"{name}_rate": rate for name, rate in rates.items()}


@one_thread()
def main() -> None:
    chosen = arguments(__doc__)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    figures = measure(chosen.pairs)
    show(figures, chosen.json)
    best = min(figures[f"{name}_log_loss"] for names in RIVALS.values() for name in names)
    if figures["lr_log_loss"] > best + TOLERANCE:
        sys.exit(f"benchmarks.linear: log losses are not equal: ours {figures['lr_log_loss']:.4f}, the best {best:.4f}")


if __name__ == "__main__":
    main()
