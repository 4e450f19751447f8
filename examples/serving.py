"""A small serving process beside a learner: score, stamp, show, and send exposures and clicks to Kafka as JSON.

    python examples/serving.py --bootstrap 127.0.0.1:9092

The feed is made up: groups of users with tastes that nobody tells the model, items with a topic and a quality. What is
a real service's own (requests, candidates, what users do) is in `MadeUpFeed`; what it takes from ReLoop Stream is in
`Service`: a `Scorer`, and the records that a learner reads. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import heapq
import logging
import sys
import time
from typing import Any, NamedTuple

import numpy as np

from reloop_stream import (
    ClickBatch,
    ConfigError,
    EventLog,
    ExposureBatch,
    LogError,
    Partition,
    Scorer,
    StreamMetrics,
    TopicOfSnapshots,
    encode,
)
from reloop_stream.commands.arguments import add_place, log_place, positive
from reloop_stream.runtime.exits import FAILED, INTERRUPTED, OK, say
from reloop_stream.runtime.stopping import stop_on_signals

GROUPS, TOPICS, ITEMS = 20, 12, 240
CANDIDATES, SLATE = 30, 3
RANDOM_SHARE = 0.05  # of requests, so that no item goes without exposures for ever
BASE_RATE = 0.05  # served until the learner has published its first version
CLICK_AFTER_MS = 1500  # at most
STEP_S = 0.05  # requests that come within a step are scored at once
PARTITIONS = 2


class MadeUpFeed:
    """Users and items, equal for equal seeds. A click's logit is the group's taste for the topic plus the item's quality."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.topic = self.rng.integers(0, TOPICS, ITEMS)
        self._taste = self.rng.normal(0.0, 1.2, (GROUPS, TOPICS))
        self._quality = self.rng.normal(-3.6, 0.6, ITEMS)

    def requests(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The users' groups [n], and candidates: items [n, CANDIDATES], all different within a request."""
        candidates = np.argpartition(self.rng.random((n, ITEMS)), CANDIDATES)[:, :CANDIDATES]
        return self.rng.integers(0, GROUPS, n), candidates

    def clicks(self, group: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Whether each exposure is clicked: bool [n]."""
        logit = self._taste[group, self.topic[item]] + self._quality[item]
        clicked: np.ndarray = self.rng.random(len(item)) < 1 / (1 + np.exp(-logit))
        return clicked


class Waiting(NamedTuple):
    """Clicks that come later, the earliest first."""

    due_ms: int
    number: int
    clicks: ClickBatch


class Service:
    """Serves requests by the newest version that a learner has published, and logs what it showed."""

    def __init__(self, log: EventLog, scorer: Scorer, feed: MadeUpFeed, exposures: str, clicks: str) -> None:
        self._scorer = scorer
        self._feed = feed
        self._topics = {ExposureBatch: exposures, ClickBatch: clicks}
        self._producer = log.producer()
        self._waiting: list[Waiting] = []
        # Ids go on rising when the service is started again.
        self._next_request = time.time_ns() // 1000
        self.metrics = StreamMetrics()

    def serve(self, n: int, now_ms: int) -> None:
        """Answer n requests: score their candidates, show the best, stamp what is shown."""
        feed = self._feed
        group, candidates = feed.requests(n)
        items = np.arange(ITEMS)
        scores = self._scorer.score_candidates({"group": group}, {"item": items, "topic": feed.topic}, candidates)
        # In place of a ranking that a business would have.
        rank = np.where(feed.rng.random((n, 1)) < RANDOM_SHARE, feed.rng.random(scores.pctr.shape), scores.pctr)
        best = np.argsort(-rank, axis=1)[:, :SLATE].ravel()
        request = np.repeat(np.arange(n), SLATE)
        item, users = candidates[request, best], group[request]
        request_id = self._next_request + request
        shown = scores[request, best].exposures(
            request_id=request_id,
            exposure_id=request_id * SLATE + np.tile(np.arange(SLATE), n),
            event_time_ms=now_ms,
            user_id=users,
            item_id=item,
            position=np.tile(np.arange(SLATE), n),
            n_candidates=CANDIDATES,
            arm="all",
            features={"group": users, "item": item, "topic": feed.topic[item]},
        )
        self._next_request += n
        self._send(shown)
        self._click(shown, feed.clicks(users, item), now_ms)

    def _click(self, shown: ExposureBatch, clicked: np.ndarray, now_ms: int) -> None:
        self.metrics.add(shown.pctr, clicked)
        after_ms = self._feed.rng.integers(100, CLICK_AFTER_MS, len(shown))
        for row in np.flatnonzero(clicked):
            one = slice(row, row + 1)
            click = ClickBatch(shown.exposure_id[one], shown.event_time_ms[one], now_ms + after_ms[one])
            heapq.heappush(self._waiting, Waiting(int(click.click_time_ms[0]), int(click.exposure_id[0]), click))

    def send_clicks(self, now_ms: float) -> None:
        """Log the clicks whose time has come."""
        due = []
        while self._waiting and self._waiting[0].due_ms <= now_ms:
            due.append(heapq.heappop(self._waiting).clicks)
        if due:
            self._send(ClickBatch.concat(due))

    def _send(self, batch: ExposureBatch | ClickBatch) -> None:
        """An exposure and its clicks go to the same partition number, which is all that a learner asks for."""
        assert isinstance(batch, ExposureBatch | ClickBatch)
        number = batch.exposure_id % PARTITIONS
        for place in range(PARTITIONS):
            for payload in encode(batch.take(number == place), "json"):
                where = Partition(self._topics[type(batch)], place)
                self._producer.append(where, payload.value, key=payload.key, headers=payload.headers)

    def close(self) -> None:
        """Log the clicks that are still to come, and return when all is written."""
        self.send_clicks(np.inf)
        self._producer.close()


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Serve a made-up feed, by what a learner beside it publishes.")
    add_place(parser, required=True)
    parser.add_argument("--exposures", default="exposures", metavar="TOPIC")
    parser.add_argument("--clicks", default="clicks", metavar="TOPIC")
    parser.add_argument("--snapshots-topic", default="reloop.snapshots", metavar="TOPIC")
    parser.add_argument("--rate", type=positive, default=200.0, help="requests a second (default: 200)")
    parser.add_argument("--seconds", type=positive, default=np.inf, help="end after so long (default: never)")
    parser.add_argument("--report-seconds", type=positive, default=5.0, help="between two lines (default: 5)")
    parser.add_argument("--seed", type=int, default=1, help="of users, items and clicks (default: 1)")
    return parser


def report(scorer: Scorer, metrics: StreamMetrics) -> None:
    ctr = metrics.positives / max(metrics.n, 1)
    print(
        f"version {scorer.version:>4}  exposures {metrics.n:>6,}  CTR {ctr:6.2%}  AUC of stamps {metrics.auc:.3f}",
        flush=True,
    )


def run(chosen: Any) -> int:
    """Serve until the time is up, or a signal asks for an end. The exit code."""
    with (
        stop_on_signals("writing the clicks that are to come", chosen.seconds) as stop,
        log_place(chosen).open() as log,
        Scorer(TopicOfSnapshots(log, chosen.snapshots_topic), base_rate=BASE_RATE) as scorer,
    ):
        log.create_topics({chosen.exposures: PARTITIONS, chosen.clicks: PARTITIONS})
        service = Service(log, scorer, MadeUpFeed(chosen.seed), chosen.exposures, chosen.clicks)
        began = reported = time.monotonic()
        served = 0
        try:
            while not stop():
                now = time.monotonic()
                n = int((now - began) * chosen.rate) - served
                if n > 0:
                    service.serve(n, time.time_ns() // 1_000_000)
                    served += n
                service.send_clicks(time.time() * 1000)
                if now - reported >= chosen.report_seconds:
                    report(scorer, service.metrics)
                    reported, service.metrics = now, StreamMetrics()
                time.sleep(STEP_S)
        finally:
            service.close()
        return INTERRUPTED if stop.was_ctrl_c else OK


def main() -> int:
    logging.basicConfig(format="%(levelname)s: %(message)s")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what matters of it, ReLoop Stream says
    try:
        return run(parser().parse_args())
    except KeyboardInterrupt:
        return INTERRUPTED
    except (LogError, ConfigError) as error:
        return say(error, FAILED)


if __name__ == "__main__":
    sys.exit(main())
