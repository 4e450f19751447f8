"""Appending events and marks to the log, tick by tick: a tick's records all at once, so that they travel together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reloop_stream.codec.records import Payload, decode, encode, encode_mark
from reloop_stream.events import ClickBatch, ExposureBatch, Mark
from reloop_stream.log import EventLog, Partition, Producer
from reloop_stream.log.topics import Topics

__all__ = ["EventWriter"]


class EventWriter:
    """Appends a server's events when their tick ends. After a crash it leaves out the ticks that are whole in the log already."""

    def __init__(self, log: EventLog, topics: Topics, partitions: Sequence[int], encoding: str) -> None:
        self._log = log
        self._encoding = encoding
        self._places = {
            kind: {n: Partition(topic, n) for n in partitions}
            for kind, topic in (("exposure", topics.exposures), ("click", topics.clicks))
        }
        self._written_through: dict[Partition, int] = {}
        self._producer: Producer | None = None
        self._of_tick: list[tuple[Partition, Payload]] = []

    @property
    def _all(self) -> list[Partition]:
        return [place for places in self._places.values() for place in places.values()]

    def _append(self, kind: str, number: int, batch: ExposureBatch | ClickBatch, tick: int) -> None:
        place = self._places[kind][number]
        if len(batch) and self._written_through.get(place, -1) < tick:
            self._of_tick += [(place, payload) for payload in encode(batch, self._encoding)]  # type: ignore[arg-type]

    def exposures(self, partition: int, batch: ExposureBatch, tick: int) -> None:
        self._append("exposure", partition, batch, tick)

    def clicks(self, partition: int, batch: ClickBatch, tick: int) -> None:
        self._append("click", partition, batch, tick)

    def end_tick(self, tick: int, watermark_ms: int) -> None:
        """Append the tick's events, and the marks that end it in every partition of both topics."""
        mark = encode_mark(Mark(tick, watermark_ms))
        self._of_tick += [(place, mark) for place in self._all if self._written_through.get(place, -1) < tick]
        for left, (place, payload) in zip(range(len(self._of_tick))[::-1], self._of_tick, strict=True):
            self._produce().append(place, payload.value, key=payload.key, headers=payload.headers, more=left > 0)
        self._of_tick.clear()

    def _produce(self) -> Producer:
        if self._producer is None:
            self._producer = self._log.producer()
        return self._producer

    def flush(self) -> None:
        if self._producer is not None:
            self._producer.flush()

    def ends(self) -> list[list[Any]]:
        """After a flush: where this writer's partitions end."""
        return [[p.topic, p.number, offset] for p, offset in self._log.end_offsets(self._all).items()]

    def resume_after(self, ends: Sequence[Sequence[Any]]) -> None:
        """Look at what was written after a checkpoint: ticks whose mark is there are whole, and not written again."""
        mine = set(self._all)
        offsets = {Partition(topic, number): at for topic, number, at in ends if Partition(topic, number) in mine}
        if not offsets:
            return
        stop = self._log.end_offsets(list(offsets))
        unread = {place for place, at in offsets.items() if at < stop[place]}
        reader = self._log.reader({place: offsets[place] for place in unread}) if unread else None
        while reader is not None and unread:
            for record in reader.poll(1.0):
                if record.headers.get("kind") == b"mark":
                    for item in decode([record], "exposure", lambda record, reason: None):
                        if isinstance(item.batch, Mark):
                            self._written_through[record.partition] = item.batch.tick
            position = reader.position()
            unread = {place for place in unread if position[place] < stop[place]}
        if reader is not None:
            reader.close()

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close()
