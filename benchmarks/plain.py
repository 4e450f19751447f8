"""Plain torch on the rows of a run: eager scoring of K candidates a request, training on the slate with sparse embeddings
and Adagrad. One process an arm, one thread each. What the loop is measured against. Of a replay, whose rows are given, each is
scored and trained on."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from reloop_stream.clock import DAY_MS
from reloop_stream.features.encoder import Encoder
from simulator.datasets.prepared import Prepared
from simulator.lab.parts import Lab
from simulator.lab.place import RunPlace
from simulator.replay.stream import ReplayStream
from simulator.serving.simulated_feed import SimulatedFeed

__all__ = ["plain_rate"]

BATCH = 1024
ROWS_A_CALL = 9000  # eager scoring is fastest at some thousand rows a call
REQUESTS_A_CALL = ROWS_A_CALL // 30
WARM_UP_CALLS = 10


def _slots(raw: dict[str, Any], place: Path, arm: int) -> list[np.ndarray]:
    """What the run's arm scores: int64 [requests, K, fields] a call, rows of one embedding table."""
    lab = Lab.from_raw(raw, RunPlace(place, "embedded", "plain"))
    feed = lab.feed
    if isinstance(feed, SimulatedFeed):
        return _candidate_slots(lab, feed, arm)
    encoder, stream = Encoder(feed.fields), ReplayStream.of(lab.scenario, Prepared(lab.place.rows))
    ticks = [encoder.encode(stream.tick(tick)[1].features).slots for tick in range(stream.calendar.serving_ticks)]
    slots = np.concatenate(ticks)[:, None, :]
    return [slots[at : at + ROWS_A_CALL] for at in range(0, len(slots), ROWS_A_CALL)]


def _candidate_slots(lab: Lab, feed: SimulatedFeed, arm: int) -> list[np.ndarray]:
    world, encoder = feed.world, Encoder(feed.fields)
    request_fields, item_fields = world.request_fields, world.item_fields
    names = encoder.names
    users = feed.arm_of_user == arm
    calls = []
    for number in range(lab.scenario.days * DAY_MS // lab.scenario.tick_ms):
        tick = world.tick(number, users)
        slots = np.empty((*tick.candidates.shape, len(names)), dtype=np.int64)
        requests = encoder.encode_some(tick.request_features, request_fields).slots
        items = encoder.encode_some(tick.item_features, item_fields).slots
        slots[:, :, [i for i, name in enumerate(names) if name in request_fields]] = requests[:, None, :]
        slots[:, :, [i for i, name in enumerate(names) if name in item_fields]] = items[tick.candidates]
        calls += [slots[at : at + REQUESTS_A_CALL] for at in range(0, len(slots), REQUESTS_A_CALL)]
    return calls


def _arm(raw: dict[str, Any], place: Path, arm: int, ready: Any, go: Any, out: Any) -> None:
    import torch

    calls = [torch.from_numpy(slots) for slots in _slots(raw, place, arm)]
    torch.sparse.check_sparse_tensor_invariants.disable()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    d, fields, slate = 8, calls[0].shape[2], raw.get("serving", {}).get("slate", 1)
    rows = 1 + max(int(slots.max()) for slots in calls)
    vectors = torch.nn.Embedding(rows, d, sparse=True)
    first = torch.nn.Embedding(rows, 1, sparse=True)
    torch.nn.init.normal_(vectors.weight, std=0.01)
    mlp = torch.nn.Sequential(
        torch.nn.Linear(fields * d, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 32),
        torch.nn.ReLU(),
        torch.nn.Linear(32, 1),
    )
    bias = torch.nn.Parameter(torch.zeros(()))
    deep = raw["learner"]["model"]["name"] == "deepfm"
    parameters = [*vectors.parameters(), *first.parameters(), bias, *(mlp.parameters() if deep else ())]
    optimizer = torch.optim.Adagrad(parameters, lr=0.05, initial_accumulator_value=0.1)

    def logits(slots: Any) -> Any:
        v = vectors(slots)
        pairs = 0.5 * (v.sum(1).square() - v.square().sum(1)).sum(1)
        total = first(slots).squeeze(2).sum(1) + pairs + bias
        return total + mlp(v.flatten(1)).squeeze(1) if deep else total

    labels = torch.tensor((np.random.default_rng(1).random(BATCH) < 0.08).astype(np.float32))
    waiting: list[Any] = []

    def call(slots: Any) -> None:
        nonlocal waiting
        requests, k, _ = slots.shape
        flat = slots.flatten(0, 1)
        with torch.inference_mode():
            best = logits(flat).reshape(requests, k).topk(slate, 1).indices
        chosen = (best + torch.arange(requests)[:, None] * k).clone().flatten()
        waiting.append(flat[chosen])
        shown = torch.cat(waiting)
        while len(shown) >= BATCH:
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits(shown[:BATCH]), labels)
            loss.backward()
            optimizer.step()
            shown = shown[BATCH:]
        waiting = [shown]

    for slots in calls[:WARM_UP_CALLS]:
        call(slots)
    ready.release()
    go.wait()
    started = perf_counter()
    for slots in calls:
        call(slots)
    out.put(sum(len(slots) for slots in calls) * slate / (perf_counter() - started))


def plain_rate(raw: dict[str, Any], place: Path = Path()) -> float:
    """Exposures per second over all arms of a scenario, scoring and training, without the time to start.

    place: of a replay the folder in which its rows are prepared.
    """
    context = multiprocessing.get_context("spawn")
    ready, go, out = context.Semaphore(0), context.Event(), context.Queue()
    arms = range(len(raw["arms"]))
    processes = [context.Process(target=_arm, args=(raw, place, arm, ready, go, out)) for arm in arms]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    go.set()
    total = sum(out.get() for _ in processes)
    for process in processes:
        process.join()
    return float(total)
