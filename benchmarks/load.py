"""A seeded stream of exposures and clicks for a topic each, second by second of event time.

    python -m benchmarks.load --bootstrap 127.0.0.1:9092 --seconds 3600 --pace 60

What it appends is a function of its options alone. Topics are created where they are missing. SIGTERM ends it after a
whole second of event time; the number of exposures that it has appended goes to stdout.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

import numpy as np

from reloop_stream.codec.records import encode
from reloop_stream.errors import UnknownTopic
from reloop_stream.events import ClickBatch, ExposureBatch, ListColumn, constant
from reloop_stream.log import EventLog, Partition, open_log

__all__ = ["Load", "append", "create_topics"]

START_MS = 1_700_000_000_000
USERS, ITEMS, TAGS, SLATE = 500, 200, 30, 4
MEAN_DELAY_S = 60.0


class Load:
    """The stream's events: `second(i)` gives those of second i, exposures served in it and clicks made in it.

    per_second: exposures in a second of event time. Call `second` with rising numbers from 0 on.
    """

    def __init__(self, seed: int = 1, per_second: int = 40) -> None:
        self._seed = seed
        self._n = per_second
        self._due: defaultdict[int, list[ClickBatch]] = defaultdict(list)

    def second(self, i: int) -> tuple[ExposureBatch, ClickBatch]:
        rng = np.random.default_rng((self._seed, i))
        n = self._n
        user, item = rng.integers(0, USERS, n), rng.integers(0, ITEMS, n)
        age, lengths = rng.random(n), rng.integers(0, 4, n)
        tags = rng.integers(0, TAGS, int(lengths.sum()))
        logit = np.sin(user * 1.7) + np.cos(item * 0.9) + age - 3
        rate = 1 / (1 + np.exp(-logit))
        exposures = ExposureBatch(
            request_id=i * n + np.arange(n) // SLATE,
            exposure_id=i * n + np.arange(n),
            event_time_ms=START_MS + 1000 * i + np.sort(rng.integers(0, 1000, n)),
            user_id=user,
            item_id=np.array([f"item-{one}" for one in item.tolist()], dtype=object),
            arm=constant("control", n),
            position=(np.arange(n) % SLATE).astype(np.int32),
            n_candidates=constant(30, n, np.int32),
            model_name=constant("before", n),
            model_version=constant(1, n, np.int64),
            pctr=np.clip(rate * rng.uniform(0.5, 1.5, n), 1e-6, 1 - 1e-6),
            propensity=constant(np.nan, n),
            features={
                "user": user,
                "item": np.array([f"item-{one}" for one in item.tolist()], dtype=object),
                "age": age,
                "tags": ListColumn(tags, np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)),
            },
        )
        clicked = np.flatnonzero(rng.random(n) < rate)
        delay_ms = rng.exponential(1000 * MEAN_DELAY_S, len(clicked)).astype(np.int64) + 1
        served_ms = exposures.event_time_ms[clicked]
        clicks = ClickBatch(exposures.exposure_id[clicked], served_ms, served_ms + delay_ms)
        due = (clicks.click_time_ms - START_MS) // 1000
        for at in np.unique(due).tolist():
            self._due[at].append(clicks.take(due == at))
        made = ClickBatch.concat(self._due.pop(i, [clicks.take(np.zeros(0, dtype=np.int64))]))
        return exposures, made.take(np.argsort(made.click_time_ms, kind="stable"))


def append(
    log: EventLog,
    load: Load,
    seconds: Iterable[int],
    *,
    exposures: str = "exposures",
    clicks: str = "clicks",
    encoding: Literal["json", "arrow"] = "json",
    pace: float | None = None,
) -> int:
    """Append the events of these seconds to the two topics; the number of exposures.

    pace: event seconds in a second of wall clock.
    """
    total = 0
    n = len(log.partitions(exposures))
    producer = log.producer()
    began = time.monotonic()
    for done, second in enumerate(seconds):
        if pace is not None:
            time.sleep(max(0.0, began + done / pace - time.monotonic()))
        shown, clicked = load.second(second)
        total += len(shown)
        pairs: tuple[tuple[str, ExposureBatch | ClickBatch], ...] = ((exposures, shown), (clicks, clicked))
        for topic, batch in pairs:
            for number in range(n):
                rows = np.flatnonzero(batch.exposure_id % n == number)
                for payload in encode(batch.take(rows), encoding) if len(rows) else ():
                    producer.append(Partition(topic, number), payload.value, key=payload.key, headers=payload.headers)
    producer.close()
    return total


def create_topics(log: EventLog, topics: Iterable[str], partitions: int) -> None:
    """Create those that are missing."""
    for topic in topics:
        try:
            log.partitions(topic)
        except UnknownTopic:
            log.create_topics({topic: partitions})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT")
    parser.add_argument("--exposures", default="exposures", metavar="TOPIC")
    parser.add_argument("--clicks", default="clicks", metavar="TOPIC")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=3600, help="event time (default: 3600)")
    parser.add_argument("--pace", type=float, help="event seconds in a second of wall clock (default: no limit)")
    parser.add_argument("--per-second", type=int, default=40, help="exposures in an event second (default: 40)")
    parser.add_argument("--encoding", choices=["json", "arrow"], default="json")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    seconds = itertools.takewhile(lambda second: not stop.is_set(), range(chosen.seconds))
    with open_log(f"kafka://{chosen.bootstrap}") as log:
        create_topics(log, (chosen.exposures, chosen.clicks), chosen.partitions)
        total = append(
            log,
            Load(chosen.seed, chosen.per_second),
            seconds,
            exposures=chosen.exposures,
            clicks=chosen.clicks,
            encoding=chosen.encoding,
            pace=chosen.pace,
        )
    print(total)


if __name__ == "__main__":
    main()
