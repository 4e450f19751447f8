"""What a run showed, with the propensities that it logged and the clicks that came: read from its log, where that was kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from reloop_stream.codec.records import decode
from reloop_stream.events import ClickBatch, ExposureBatch
from reloop_stream.log import EventLog, open_log
from reloop_stream.log.topics import Topics
from simulator.errors import RunFolderError
from simulator.run_folder.reader import Run

__all__ = ["Shown", "read_shown"]


class Shown(NamedTuple):
    """Exposures, [n] each, as `ExposureBatch` has them. click: bool, whether a click came within the attribution window."""

    arm: np.ndarray
    user_id: np.ndarray
    position: np.ndarray
    n_candidates: np.ndarray
    propensity: np.ndarray
    click: np.ndarray


def read_shown(run: Run) -> Shown:
    """All exposures of the run, once each. Held in memory: about 100 bytes each. Raises RunFolderError, LogUnavailable."""
    if run.manifest is None:
        raise RunFolderError(f"{run.path}: a table of users has no events")
    log = run.config["log"]
    if log["retention"] != "all":
        raise RunFolderError(
            f"{run.path}: kept no events but those that its learners might read again; run the scenario with --set log.retention=all"
        )
    events = run.path / "events" if run.manifest.log == "embedded" else run.manifest.log
    topics = Topics.of(run.manifest.prefix)
    with open_log(events, settings=log.get("kafka")) as opened:
        exposures = [
            batch for batch in _batches(opened, topics.exposures, "exposure") if isinstance(batch, ExposureBatch)
        ]
        clicks = [batch for batch in _batches(opened, topics.clicks, "click") if isinstance(batch, ClickBatch)]
    if not exposures:
        raise RunFolderError(f"{run.path}: its log holds no exposure")
    window_ms = round(run.config["join"]["attribution_hours"] * 3_600_000)
    in_time = [batch.exposure_id[batch.click_time_ms - batch.event_time_ms <= window_ms] for batch in clicks]
    exposure_id = np.concatenate([batch.exposure_id for batch in exposures])
    _, once = np.unique(exposure_id, return_index=True)  # a run that went on wrote an unfinished tick again
    once.sort()

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(batch, name) for batch in exposures])[once]

    columns = {name: column(name) for name in Shown._fields if name != "click"}
    clicked = np.concatenate([*in_time, exposure_id[:0]])
    return Shown(**columns, click=np.isin(exposure_id[once], clicked))


def _batches(log: EventLog, topic: str, kind: Literal["exposure", "click"]) -> Iterator[object]:
    partitions = log.partitions(topic)
    ends = log.end_offsets(partitions)
    reader = log.reader(log.begin_offsets(partitions))
    try:
        while any(at < ends[place] for place, at in reader.position().items()):
            for decoded in decode(reader.poll(1.0), kind, lambda record, reason: None):
                yield decoded.batch
    finally:
        reader.close()
