"""What lies in a snapshot, a checkpoint or a learner's folder, as plain values for people and programs.

No model is built and nothing is run: it works without the plugin that a model needs, and without a broker.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reloop_stream.config import read_yaml
from reloop_stream.errors import StateError
from reloop_stream.learners import digest
from reloop_stream.log import EventLog, Partition
from reloop_stream.service.learner_folder import LearnerFolder
from reloop_stream.service.observer import StreamObserver
from reloop_stream.serving.snapshot_folder import snapshot_versions
from reloop_stream.state.checkpoint import Sections, read_checkpoint
from reloop_stream.state.packing import unpack
from reloop_stream.stream.example_source import PartitionState
from reloop_stream.stream.join import JoinCounts
from reloop_stream.stream.past import Past

__all__ = ["NothingToInspect", "add_lag", "inspect"]


class NothingToInspect(StateError):
    """A path that is no snapshot, no checkpoint, and no folder with one. The message names it."""


def inspect(path: Path) -> dict[str, Any]:
    """What lies at the path: of a file `snapshot` or `checkpoint`, of a folder `settings`, `checkpoint` and `snapshots`.

    Raises NothingToInspect; StateError and ConfigError naming a damaged file.
    """
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise NothingToInspect(f"{path}: no such file or folder")
    data = path.read_bytes()
    try:
        meta, arrays = unpack(data)
        if "sections" in meta:
            return {"checkpoint": _of_checkpoint(path, Sections.from_bytes(data))}
        return {"snapshot": _of_snapshot(path, data, meta, arrays)}
    except StateError as error:
        raise StateError(f"{path}: {error}") from None


def _of_folder(path: Path) -> dict[str, Any]:
    folder = LearnerFolder(path)
    sections = read_checkpoint(folder.checkpoint)
    snapshots = [
        {"learner": learner, "version": version, "path": str(file), "bytes": file.stat().st_size}
        for learner, version, file in snapshot_versions(folder.snapshots if folder.snapshots.is_dir() else path)
    ]
    if sections is None and not snapshots:
        raise NothingToInspect(f"{path}: holds neither a checkpoint nor snapshots; give a learner's folder, or a file")
    found: dict[str, Any] = {}
    if folder.settings.is_file():
        settings = read_yaml(folder.settings)
        found["settings"] = settings if isinstance(settings, Mapping) else {}
    if sections is not None:
        found["checkpoint"] = _of_checkpoint(folder.checkpoint, sections)
    return {**found, "snapshots": snapshots}


def _of_snapshot(path: Path, data: bytes, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """A published version; of a model without its settings what there is."""
    told = {key: meta[key] for key in ("learner", "version", "tick", "watermark_ms", "config", "fields") if key in meta}
    return {"path": str(path), "bytes": len(data), **told, **_of_tensors(data, arrays)}


def _of_tensors(data: bytes, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Digest and tensors; the norm is the root of the sum of squares."""
    tensors = [
        {
            "name": name,
            "type": str(array.dtype),
            "shape": list(array.shape),
            "norm": float(np.linalg.norm(array.astype(np.float64).ravel())),
        }
        for name, array in sorted(arrays.items())
    ]
    try:
        return {"digest": digest(data), "tensors": tensors}
    except StateError:  # a model that keeps its weights in a way of its own
        return {"digest": None, "tensors": tensors}


def _of_checkpoint(path: Path, sections: Sections) -> dict[str, Any]:
    """A worker's checkpoint. Raises StateError where it is another's (a server's, say)."""
    meta, _ = sections.get("worker")
    data = sections.get_bytes("learner")
    of_learner, arrays = unpack(data)
    states = {number: PartitionState.get(sections, number) for number in meta["partitions"]}
    last = Past.from_state(meta["past"]).last
    joins = [state.join for state in states.values()]
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "learner": meta["name"],
        "version": of_learner.get("version"),
        "tick": meta["tick"],
        "watermark_ms": meta["watermark_ms"],
        "seen": {**JoinCounts.total(join.counts for join in joins).as_dict(), "dead": meta["dead"]},
        "waiting": {
            "exposures": sum(len(join.exposures) for join in joins if join.exposures is not None),
            "clicks": sum(len(join.clicks) for join in joins if join.clicks is not None),
        },
        "partitions": [
            {"topic": partition.topic, "partition": partition.number, "next_offset": offset}
            for partition, offset in sorted(last.offsets.items())
        ],
        "metrics": _metrics(sections),
        **_of_tensors(data, arrays),
    }


def _metrics(sections: Sections) -> dict[str, Any]:
    """Progressive metrics, where the worker's observer is that of a stream."""
    if "observer" not in sections:
        return {}
    observer = StreamObserver(every_ms=1)
    try:
        observer.restore(*sections.get("observer"))
    except KeyError:  # the lab's, which counts days and users
        return {}
    return observer.figures()


def add_lag(found: dict[str, Any], log: EventLog) -> None:
    """Add to each partition of a checkpoint the topic's end, and the records between: its lag.

    Raises UnknownTopic where the log lacks one of the partitions, LogUnavailable.
    """
    partitions = found["checkpoint"]["partitions"]
    places = [Partition(one["topic"], one["partition"]) for one in partitions]
    ends = log.end_offsets(places)
    for one, place in zip(partitions, places, strict=True):
        one["end"], one["lag"] = ends[place], ends[place] - one["next_offset"]
