"""Publishing versions: to a folder, to a topic, or to both."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.log import EventLog, Partition, Producer
from reloop_stream.serving.snapshot import Published, snapshot_bytes
from reloop_stream.serving.snapshot_folder import snapshot_file, snapshot_versions
from reloop_stream.serving.snapshot_topic import snapshot_parts
from reloop_stream.state.files import write_atomic

__all__ = ["SnapshotPublisher"]


class SnapshotPublisher:
    """Writes each version of a learner to a folder, to a topic, or to both.

    folder: gets FOLDER/<learner>-<version>.safetensors, whole or not at all; of older files the newest `keep` stay.
    log, topic: the same bytes go to partition 0 of the topic in parts, whose headers say of which version they are. On
    the embedded log a partition has one producer at a time, so there nothing else may write to it.

    Publishing a version again, as a learner does that was killed before its checkpoint, changes nothing for readers.
    """

    def __init__(
        self,
        config: LearnerConfig,
        fields: Sequence[FieldConfig],
        *,
        folder: str | PathLike[str] | None = None,
        log: EventLog | None = None,
        topic: str | None = None,
        keep: int = 5,
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep: got {keep}, must be >= 1")
        self._config = config
        self._fields = list(fields)
        self._folder = None if folder is None else Path(folder)
        self._log = log
        self._topic = topic
        self._keep = keep
        self._producer: Producer | None = None

    def publish(self, published: Published) -> None:
        """Return when readers can see the version. Raises OSError naming the file, LogError."""
        data = snapshot_bytes(published, self._config, self._fields)
        if self._folder is not None:
            write_atomic(snapshot_file(self._folder, published.learner, published.version), data)
            self._forget_old(self._folder, published)
        if self._log is not None and self._topic is not None:
            self._append(self._log, Partition(self._topic, 0), published, data)

    def _forget_old(self, folder: Path, published: Published) -> None:
        older = [p for learner, version, p in snapshot_versions(folder)
                 if learner == published.learner and version <= published.version]  # fmt: skip
        for path in older[self._keep :]:
            path.unlink(missing_ok=True)

    def _append(self, log: EventLog, place: Partition, published: Published, data: bytes) -> None:
        if self._producer is None:
            self._producer = log.producer()
        for key, part, headers in snapshot_parts(published, data):
            self._producer.append(place, part, key=key.encode(), headers=headers, more=True)
        self._producer.flush()

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close()
