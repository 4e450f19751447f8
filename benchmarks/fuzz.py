"""Mutated records: none ends a learner, and each is counted once.

    python -m benchmarks.fuzz --records 1000000

Good exposures and clicks in both encodings are damaged at random: bytes flipped, cut, repeated and exchanged; values replaced
by what other tools write and by what no tool should; headers lost, empty, foreign or huge; times of records missing or wrong.
One in five stays as it was. They are read twice: decoded alone, where every record must give events or one dead letter and
never both; and by a learner, which must get to the end with the same events and the same letters.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from reloop_stream.codec.records import Payload, decode, encode
from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.events import EventKind, ListColumn, Mark
from reloop_stream.features.encoder import Encoder
from reloop_stream.learners import make_learner
from reloop_stream.log import Partition
from reloop_stream.log.topics import Topics
from reloop_stream.stream.event_time_feed import EventTimeFeed, FeedEnded, Ticks
from reloop_stream.stream.example_source import JoinedFeed
from reloop_stream.stream.intake import IDS, Intake, ValueType
from reloop_stream.stream.partition_joins import JoinSettings
from reloop_stream.testing import MemoryLog, clicks_on, exposures
from reloop_stream.testing.batches import MINUTE_MS
from reloop_stream.updating import make_updater
from reloop_stream.worker import Worker

__all__ = ["Counted", "fuzz"]

ROUND = 5_000  # records of one log and one learner, so that memory does not grow with their number
GOOD_SHARE = 0.2
SLATE = 10
AT_MS = 1_700_000_000_000
TOPICS = Topics.of("")
FIELDS = [FieldConfig(name="user"), FieldConfig(name="price", kind="number"), FieldConfig(name="tags", kind="list")]
TYPES_OF: dict[str, ValueType] = {**dict.fromkeys(IDS, "integer"), "features.user": "integer", "features.tags": "text"}
# What other tools write for a value, and what no tool should.
NASTY: list[Any] = [
    None, True, False, 0, -1, 1, 1.5, -0.0, 1e39, -1e308, 1 << 31, 1 << 53, 1 << 63, -(1 << 63), 1 << 70, "", "7", "NaN",
    "é" * 50, "a\x00", "\u202e", [], [1], [[1]], ["a", 1], [None], [1.5], {}, {"a": {}}, 1_700_000_000, 1_700_000_000_000_000,
]  # fmt: skip
RAW = [
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b'"\xff"',
    b'"\\ud800"',
    b"[" * 2000 + b"]" * 2000,
    b"01",
    b"1.",
    b"{",
]
HEADERS = [
    ("encoding", b"json"), ("encoding", b"arrow"), ("encoding", b""), ("encoding", b"UTF-8"), ("encoding", b"\xff"),
    ("kind", b"exposure"), ("kind", b"click"), ("kind", b"mark"), ("kind", b"Order"), ("kind", b""),
    ("schema_version", b"1"), ("schema_version", b"2"), ("schema_version", b"1.0"), ("schema_version", b"\xb2"),
    ("trace", b""), ("trace", b"x" * 5000),
]  # fmt: skip


class Counted(NamedTuple):
    """records = alive + dead; events of the alive ones; clicks of them that found no exposure, which are letters too."""

    records: int = 0
    alive: int = 0
    dead: int = 0
    events: int = 0
    unmatched_clicks: int = 0

    def __add__(self, other: tuple[int, ...]) -> Counted:  # type: ignore[override]
        return Counted(*(a + b for a, b in zip(self, other, strict=True)))


class _Written(NamedTuple):
    partition: Partition
    payload: Payload
    timestamp_ms: int | None


def fuzz(records: int, seed: int = 1) -> Iterator[Counted]:
    """What a round after the other gave, so many records in all. Raises AssertionError where a count does not add up, and
    whatever a record brought about."""
    for at in range(0, records, ROUND):
        draw = random.Random(f"{seed} {at}")
        yield _round(_damaged(min(ROUND, records - at), draw))


def _good(draw: random.Random) -> list[tuple[str, Payload]]:
    """Some good records: (topic, record)."""
    encoding: Any = draw.choice(["json", "arrow", "arrow in fewer bytes"])
    n, first = 300 if encoding == "arrow in fewer bytes" else draw.randrange(1, 30), draw.randrange(10_000)
    tags = ListColumn(np.array(["a", "b", "c"] * n, dtype=object), np.arange(0, 3 * n + 1, 3))
    features = {"user": np.arange(n) % 7, "price": np.arange(n) / 3, "tags": tags}
    request_id = first + np.arange(n) // SLATE
    shown = exposures(n, first, first_id=first, at_ms=AT_MS + first * 1000, request_id=request_id, features=features)
    clicks = clicks_on(shown, np.arange(0, n, 4), after_ms=MINUTE_MS)
    written_as: Any = encoding.split()[0]
    return [
        *((TOPICS.exposures, payload) for payload in encode(shown, written_as)),
        *((TOPICS.clicks, payload) for payload in encode(clicks, written_as)),
    ]


def _damaged(n: int, draw: random.Random) -> list[_Written]:
    written: list[_Written] = []
    while len(written) < n:
        for topic, payload in _good(draw):
            if draw.random() > GOOD_SHARE:
                payload = _damage(payload, draw)
            stamp = draw.choice([None, AT_MS + 10**8, AT_MS + 10**8, 0])
            written.append(_Written(Partition(topic, draw.randrange(2)), payload, stamp))
    return written[:n]


def _damage(payload: Payload, draw: random.Random) -> Payload:
    way = draw.randrange(5)
    is_json = payload.headers["encoding"] == b"json"
    if way == 0:
        return payload._replace(headers=_damage_headers(dict(payload.headers), draw))
    if way < 3:
        damage = _damage_json if is_json else _damage_arrow
        return payload._replace(value=damage(payload.value, draw))
    return payload._replace(value=_damage_bytes(payload.value, draw))


def _damage_headers(headers: dict[str, bytes], draw: random.Random) -> dict[str, bytes]:
    for _ in range(draw.randrange(1, 4)):
        if headers and draw.random() < 0.3:
            headers.pop(draw.choice(sorted(headers)))
        name, value = draw.choice(HEADERS)
        headers[name] = value
    return headers


def _damage_bytes(value: bytes, draw: random.Random) -> bytes:
    data = bytearray(value)
    for _ in range(draw.randrange(1, 4)):
        at, to = sorted(draw.randrange(len(data) + 1) for _ in range(2))
        way = draw.randrange(5)
        if way == 0 and data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        elif way == 1:
            del data[at:]
        elif way == 2:
            del data[at : min(to, at + 20)]
        elif way == 3:
            data[at:at] = data[at : min(to, at + 50)]
        else:
            data[at:at] = draw.randbytes(draw.randrange(1, 9))
    return bytes(data)


def _damage_json(value: bytes, draw: random.Random) -> bytes:
    event = json.loads(value)
    of = event if draw.random() < 0.6 or not event.get("features") else event["features"]
    key = draw.choice(sorted(of))
    way = draw.randrange(4)
    if way == 0:
        del of[key]
    elif way == 1:
        of["other" * draw.randrange(3)] = draw.choice(NASTY)
    elif way == 2:
        of[key] = "HERE"
        return json.dumps(event).encode().replace(b'"HERE"', draw.choice(RAW))
    else:
        of[key] = draw.choice(NASTY)
    return json.dumps(event).encode()


def _damage_arrow(value: bytes, draw: random.Random) -> bytes:
    """A record whose columns or constants say something else."""
    batch = pa.ipc.open_stream(value).read_next_batch()
    constants = json.loads(batch.schema.metadata[b"constants"])
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    way = draw.randrange(5)
    if way == 4:
        name = draw.choice(sorted(columns))
        ends = pa.array([draw.choice([0, 1, batch.num_rows, 1 << 20])], pa.int32())
        nested = draw.choice([pa.array([7]), pa.array(["a"]), pa.nulls(1), pa.array([[1]])])
        with contextlib.suppress(pa.ArrowException):
            columns[name] = pa.RunEndEncodedArray.from_arrays(ends, nested)
    elif way == 0:
        constants[draw.choice(sorted({*constants, *columns}))] = draw.choice(
            [[t, draw.choice(NASTY)] for t in TYPES] + NASTY
        )
    elif way == 1:
        columns.pop(draw.choice(sorted(columns)))
    else:
        name = draw.choice(sorted(columns))
        nasty = [one for one in NASTY if not isinstance(one, (dict, list))]
        try:
            columns[name] = pa.array([draw.choice(nasty)] * batch.num_rows)
        except (pa.ArrowException, OverflowError):
            columns[name] = pa.array([None] * batch.num_rows)
    metadata = {**batch.schema.metadata, b"constants": json.dumps(constants).encode()}
    kinds = {name: batch.schema.field(name).metadata for name in batch.schema.names}
    schema = pa.schema(
        [pa.field(name, column.type, metadata=kinds[name]) for name, column in columns.items()], metadata
    )
    sink = pa.BufferOutputStream()
    rows = min(map(len, columns.values()), default=0)
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([column[:rows] for column in columns.values()], schema=schema))
    return bytes(sink.getvalue().to_pybytes())


TYPES = ["text", "<i8", "<f8", "|b1", "<U5", "|O", "|V9", "<M8[ms]", "nonsense"]


def _round(written: list[_Written]) -> Counted:
    log = MemoryLog()
    log.create_topics({topic: 2 if topic in (TOPICS.exposures, TOPICS.clicks) else 1 for topic in TOPICS})
    for place, payload, stamp in written:
        log.append(place, payload, timestamp_ms=stamp)
    intake = Intake(Encoder(FIELDS), TYPES_OF, max_ahead_ms=3_600_000)
    alone = _decoded_alone(log, intake)
    assert alone.records == len(written) == alone.alive + alone.dead, alone
    learnt = _learnt(log, intake)
    assert (learnt.events, learnt.dead) == (alone.events, alone.dead), (alone, learnt)
    return alone._replace(unmatched_clicks=learnt.unmatched_clicks)


def _decoded_alone(log: MemoryLog, intake: Intake) -> Counted:
    counted = Counted()
    kinds: tuple[tuple[str, EventKind], ...] = ((TOPICS.exposures, "exposure"), (TOPICS.clicks, "click"))
    for topic, kind in kinds:
        for partition in log.partitions(topic):
            records = log.reader({partition: 0}).poll(max_records=ROUND)
            dead: list[int] = []
            found = decode(records, kind, lambda record, _, dead=dead: dead.append(record.offset), intake)  # type: ignore[misc]
            alive, events = set(), 0
            for item in found:
                if isinstance(item.batch, Mark):
                    alive.add(item.next_offset - 1)
                else:
                    alive.update(item.offsets.tolist())
                    events += len(item.batch)
            assert dead == sorted(set(dead)) and not alive.intersection(dead)
            counted += (len(records), len(alive), len(dead), events, 0)
    return counted


def _learnt(log: MemoryLog, intake: Intake) -> Counted:
    config = LearnerConfig.model_validate({"kind": "linear", "model": {"name": "lr"}})
    learner = make_learner(config, FIELDS, name="x", seed=1, base_rate=0.1)
    ends = log.end_offsets([*log.partitions(TOPICS.exposures), *log.partitions(TOPICS.clicks)])
    ticks = Ticks(MINUTE_MS, 10 * MINUTE_MS, idle_s=1.0)
    feed = EventTimeFeed(log, TOPICS, [0, 1], ticks, select=intake, ends=ends)
    source = JoinedFeed(feed, TOPICS, JoinSettings(10 * MINUTE_MS, "at_click"))
    worker = Worker(
        "x", log, TOPICS, source, make_updater(config, learner), start_ms=None, publish_every_ms=60 * MINUTE_MS,
        write_examples=True,
    )  # fmt: skip
    while True:
        try:
            worker.work(source.next_tick())
        except FeedEnded:
            break
    counts = worker.counts
    unmatched = counts.unknown_clicks + counts.early_clicks
    letters = log.end_offsets([Partition(TOPICS.dead_letters, 0)])[Partition(TOPICS.dead_letters, 0)]
    assert letters == worker.dead, (letters, worker.dead)
    return Counted(0, 0, worker.dead - unmatched, counts.exposures + counts.clicks, unmatched)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    started, total = time.monotonic(), Counted()
    for counted in fuzz(chosen.records, chosen.seed):
        total += counted
        if not chosen.json:
            print(
                f"\r{total.records:,} records, {total.dead:,} dead, 0 exceptions", end="", file=sys.stderr, flush=True
            )
    result = total._asdict() | {"exceptions": 0, "seconds": round(time.monotonic() - started, 1)}
    print(json.dumps(result) if chosen.json else f"\n{result}")


if __name__ == "__main__":
    main()
