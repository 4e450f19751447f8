"""Plain torch on the rows of a run: eager scoring of K candidates a request, training on the slate with sparse embeddings
and Adagrad. One process an arm, one thread each. What the loop is measured against."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

import numpy as np

__all__ = ["plain_rate"]

BATCH = 1024


def _arm(sizes: list[int], model: str, requests: int, k: int, slate: int, ready: Any, go: Any, out: Any) -> None:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    d, fields = 8, len(sizes)
    starts = torch.tensor(np.concatenate(([0], np.cumsum(sizes)[:-1])))
    vectors = torch.nn.Embedding(sum(sizes), d, sparse=True)
    first = torch.nn.Embedding(sum(sizes), 1, sparse=True)
    torch.nn.init.normal_(vectors.weight, std=0.01)
    mlp = torch.nn.Sequential(
        torch.nn.Linear(fields * d, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 32),
        torch.nn.ReLU(),
        torch.nn.Linear(32, 1),
    )
    bias = torch.nn.Parameter(torch.zeros(()))
    deep = model == "deepfm"
    parameters = [*vectors.parameters(), *first.parameters(), bias, *(mlp.parameters() if deep else ())]
    optimizer = torch.optim.Adagrad(parameters, lr=0.05, initial_accumulator_value=0.1)

    def logits(slots: Any) -> Any:
        v = vectors(slots)
        pairs = 0.5 * (v.sum(1).square() - v.square().sum(1)).sum(1)
        total = first(slots).squeeze(2).sum(1) + pairs + bias
        return total + mlp(v.flatten(1)).squeeze(1) if deep else total

    rng = np.random.default_rng(1)
    per_tick = 300
    ticks = max(1, requests // per_tick)
    drawn = [
        torch.tensor(np.stack([rng.integers(0, size, per_tick * k) for size in sizes], 1)) + starts for _ in range(4)
    ]
    labels = torch.tensor((rng.random(BATCH) < 0.08).astype(np.float32))
    waiting: list[Any] = []

    def tick(number: int) -> None:
        nonlocal waiting
        slots = drawn[number % len(drawn)]
        with torch.inference_mode():
            best = logits(slots).reshape(per_tick, k).topk(slate, 1).indices
        rows = (best + torch.arange(per_tick)[:, None] * k).clone().flatten()
        waiting.append(slots[rows])
        shown = torch.cat(waiting)
        while len(shown) >= BATCH:
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits(shown[:BATCH]), labels)
            loss.backward()
            optimizer.step()
            shown = shown[BATCH:]
        waiting = [shown]

    for number in range(10):
        tick(number)
    ready.release()
    go.wait()
    started = time.perf_counter()
    for number in range(ticks):
        tick(number)
    out.put(ticks * per_tick * slate / (time.perf_counter() - started))


def plain_rate(sizes: list[int], model: str, exposures: int, k: int, slate: int, arms: int = 2) -> float:
    """Exposures per second over all arms, scoring and training, without the time to start."""
    context = multiprocessing.get_context("spawn")
    ready, go, out = context.Semaphore(0), context.Event(), context.Queue()
    requests = exposures // slate // arms
    processes = [
        context.Process(target=_arm, args=(sizes, model, requests, k, slate, ready, go, out)) for _ in range(arms)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    go.set()
    total = sum(out.get() for _ in processes)
    for process in processes:
        process.join()
    return total
