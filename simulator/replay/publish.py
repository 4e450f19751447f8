"""Feeding a log with a data set's events, for learners in other processes, as a service of one's own would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from reloop_stream.codec.records import encode
from reloop_stream.events import ClickBatch, Column, ExposureBatch
from reloop_stream.log import EventLog, Partition
from reloop_stream.serving.scores import Scores
from simulator.datasets.rows import ReplayRows
from simulator.replay.pace import Pace
from simulator.replay.stream import ReplayStream

__all__ = ["Published", "Target", "publish"]

ARM = "all"


@dataclass(frozen=True, slots=True)
class Target:
    """Where events go. An exposure and its click lie in partitions of one number."""

    exposures: str
    clicks: str
    partitions: int
    encoding: str


@dataclass(slots=True)
class Published:
    """What was written so far. time_ms: of the last event. version: the newest that stamped."""

    exposures: int = 0
    clicks: int = 0
    time_ms: int = 0
    version: int = 0


def publish(
    stream: ReplayStream,
    log: EventLog,
    target: Target,
    score: Callable[[Mapping[str, Column]], Scores],
    pace: Pace,
    told: Callable[[Published], None] = lambda published: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Published:
    """Stamp each tick's rows, and append exposures and clicks when they are due.

    score: by the version that serves. Without marks: as a stranger's topics have none. Stops between two ticks. Raises LogError.
    """
    done = Published()
    log.create_topics({target.exposures: target.partitions, target.clicks: target.partitions})
    producer = log.producer()
    try:
        for tick in range(stream.calendar.serving_ticks):
            first, rows = stream.tick(tick)
            if not pace.wait(int(rows.time_ms[0]), should_stop):
                break
            ids = np.arange(first, first + len(rows), dtype=np.int64)
            exposures = exposures_of(score(rows.features), rows, ids)
            clicked = np.flatnonzero(rows.label)
            clicks = ClickBatch(ids[clicked], rows.time_ms[clicked], rows.time_ms[clicked])
            for topic, batch in ((target.exposures, exposures), (target.clicks, clicks)):
                number = batch.exposure_id % target.partitions
                for n in range(target.partitions):
                    for payload in encode(batch.take(number == n), target.encoding):  # type: ignore[arg-type]
                        place = Partition(topic, n)
                        producer.append(place, payload.value, key=payload.key, headers=payload.headers, more=True)
            producer.flush()
            done.exposures += len(ids)
            done.clicks += len(clicked)
            done.time_ms, done.version = int(rows.time_ms[-1]), int(exposures.model_version[0])
            told(done)
    finally:
        producer.close()
    return done


def exposures_of(scores: Scores, rows: ReplayRows, ids: np.ndarray) -> ExposureBatch:
    """The rows as exposures with their stamps."""
    return scores.exposures(
        request_id=ids if rows.request_id is None else rows.request_id,
        exposure_id=ids,
        event_time_ms=rows.time_ms,
        user_id=rows.user_id,
        item_id=rows.item_id,
        arm=ARM,
        position=0 if rows.position is None else rows.position,
        n_candidates=1,
        propensity=np.nan if rows.propensity is None else rows.propensity,
        features=rows.features,
        weight=rows.weight,
    )
