"""Events ⇄ records. Two encodings, named in the header `encoding`: `json`, an event a record, and `arrow`, a batch a record.

Reading checks everything that the event contract promises. A record that breaks it is handed to `on_dead` with the
reason, and reading goes on: nothing that a record holds may end whoever reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np

from reloop_stream.codec import arrow_format, json_format
from reloop_stream.errors import EventError, StateError
from reloop_stream.events import (
    LATEST_MS,
    SCHEMA_VERSION,
    AnyBatch,
    ClickBatch,
    EventKind,
    ExampleBatch,
    ExposureBatch,
    Mark,
    check,
    constant,
)
from reloop_stream.log import Partition, Record

__all__ = [
    "Decoded",
    "Encoding",
    "Payload",
    "batch_from_bytes",
    "batch_to_bytes",
    "dead_letter",
    "decode",
    "encode",
    "encode_mark",
    "reason_of",
]

Encoding = Literal["json", "arrow"]
OnDead: TypeAlias = Callable[[Record, str], None]
# Checks a batch beyond the contract, and may keep only some of its features. Also gets when each row's record was written,
# int64 [n], where the log knows. Raises EventError.
Select: TypeAlias = Callable[[Any, np.ndarray | None], Any]

# Keeps an arrow record of slim events (about 100 bytes a row) below the 8 MiB that topics allow.
MAX_ROWS = 1 << 16
MAX_REASON = 2000  # letters of a dead letter's reason: it repeats values, and a value may be long
RECORD_OVERHEAD = 200  # bytes that Kafka adds to a record and the batch that it travels in, with some to spare

FRAMING_BYTES = 5  # of what a schema registry's serialisers put before an Avro, Protobuf or JSON value

KIND_OF: dict[type, EventKind] = {ExposureBatch: "exposure", ClickBatch: "click", ExampleBatch: "example"}
KINDS = {*KIND_OF.values(), "mark"}


class Payload(NamedTuple):
    """A record to append, without its place."""

    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]


class Decoded(NamedTuple):
    """Events of one partition, in order.

    next_offset: the offset after the last record that they came from. offsets: int64 [n], of each row's record; empty
    for a mark.
    """

    partition: Partition
    batch: AnyBatch | Mark
    next_offset: int
    offsets: np.ndarray


class _MarkEvent(msgspec.Struct, forbid_unknown_fields=True):
    schema_version: int
    tick: int
    watermark_ms: int


_decode_mark = msgspec.json.Decoder(_MarkEvent).decode
_NO_OFFSETS = np.zeros(0, dtype=np.int64)


def _headers(encoding: Encoding, kind: str) -> dict[str, bytes]:
    return {"encoding": encoding.encode(), "kind": kind.encode(), "schema_version": b"%d" % SCHEMA_VERSION}


def encode(batch: AnyBatch, encoding: Encoding, max_rows: int = MAX_ROWS) -> list[Payload]:
    """The records that hold the batch, whose rows must be of one partition."""
    kind = KIND_OF[type(batch)]
    headers = _headers(encoding, kind)
    if encoding == "json":
        return [Payload(key, value, headers) for key, value in json_format.encode(batch)]
    n = len(batch)
    if n <= max_rows:
        return [Payload(None, arrow_format.encode(batch), headers)]
    parts = (np.arange(at, min(at + max_rows, n)) for at in range(0, n, max_rows))
    return [Payload(None, arrow_format.encode(batch.take(rows)), headers) for rows in parts]


def encode_mark(mark: Mark) -> Payload:
    """The record of a mark, the same in both encodings."""
    value = msgspec.json.encode(_MarkEvent(SCHEMA_VERSION, mark.tick, mark.watermark_ms))
    return Payload(None, value, _headers("json", "mark"))


def dead_letter(record: Record, reason: str, max_bytes: int | None = None) -> Payload:
    """The record as it was, with headers that say where it came from and what was wrong.

    A record that with these would be larger than `max_bytes` loses its own headers and key, and its value is cut; the
    header `dead-letter.bytes` then says how long it was.
    """
    where = {
        "dead-letter.topic": record.partition.topic.encode(),
        "dead-letter.partition": b"%d" % record.partition.number,
        "dead-letter.offset": b"%d" % record.offset,
        "dead-letter.reason": reason[:MAX_REASON].encode(errors="replace"),
    }
    whole = Payload(record.key, record.value, {**record.headers, **where})
    if max_bytes is None or _size(whole) <= max_bytes:
        return whole
    cut = Payload(None, b"", {**where, "dead-letter.bytes": b"%d" % len(record.value)})
    return cut._replace(value=record.value[: max(0, max_bytes - _size(cut))])


def _size(payload: Payload) -> int:
    """About how many bytes of a topic's `max.message.bytes` the record takes, from above."""
    headers = sum(len(name.encode()) + len(content) + 10 for name, content in payload.headers.items())
    return RECORD_OVERHEAD + len(payload.key or b"") + len(payload.value) + headers


def decode(
    records: Sequence[Record], expect: EventKind, on_dead: OnDead, select: Select | None = None
) -> list[Decoded]:
    """The events in the records, each partition's in order; a run of JSON events of one partition comes as one batch.

    expect: the kind of event that the topic holds. A record without headers is taken for JSON of that kind.
    select: looks at every batch, and may refuse it with an EventError; see `reloop_stream.stream.intake.Intake`.
    """
    found: list[Decoded] = []
    dead: list[tuple[Record, str]] = []
    run: list[Record] = []

    def bury(record: Record, reason: str) -> None:
        dead.append((record, _in_full(record, reason)))

    def end_run() -> None:
        if run:
            found.extend(_decode_json_run(run, expect, bury, select))
            run.clear()

    for record in records:
        if run and run[-1].partition != record.partition:
            end_run()
        try:
            encoding, kind = _read_headers(record, expect)
            if encoding == "json" and kind != "mark":
                run.append(record)
                continue
            end_run()
            if kind == "mark":
                written = _decode_mark(record.value)
                mark = Mark(written.tick, written.watermark_ms)
                check(mark)
                if select is not None:
                    mark = select(mark, _written([record]))
                found.append(Decoded(record.partition, mark, record.offset + 1, _NO_OFFSETS))
                continue
            batch = arrow_format.decode(record.value, expect)
            if not len(batch):
                raise EventError("arrow: holds no event")
            check(batch)
            if select is not None:
                written_ms = _written([record])
                batch = select(batch, None if written_ms is None else np.broadcast_to(written_ms, (len(batch),)))
            offsets = constant(record.offset, len(batch), np.int64)
            found.append(Decoded(record.partition, batch, record.offset + 1, offsets))
        except Exception as error:  # bytes of anyone: whatever they bring about is theirs
            bury(record, reason_of(error))
    end_run()
    for record, reason in sorted(dead, key=lambda one: (one[0].partition, one[0].offset)):
        on_dead(record, reason)
    return found


def reason_of(error: Exception) -> str:
    """Why a record is dead, in one line."""
    said = " ".join(str(error).split())[:MAX_REASON]
    return said if isinstance(error, (EventError, msgspec.MsgspecError)) else f"{type(error).__name__}: {said}"


def _written(records: Sequence[Record]) -> np.ndarray | None:
    """When each record was written; None where the log says it of none, the end of time where it does not say it of one."""
    times = [record.timestamp_ms for record in records]
    if all(time is None for time in times):
        return None
    return np.array([LATEST_MS if time is None else time for time in times], dtype=np.int64)


def _in_full(record: Record, reason: str) -> str:
    """The reason with what the record is, where it is no event at all, and a header that may be in the way."""
    value, encoding = record.value, record.headers.get("encoding", b"json")
    if not value:
        reason = f"has no value, as a tombstone in a compacted topic: {reason}"
    elif value[0] == 0 and len(value) > FRAMING_BYTES:
        number = int.from_bytes(value[1:FRAMING_BYTES], "big")
        reason = (
            f"begins as a schema registry's framing does (magic byte 0, schema id {number}), and this program reads "
            f"JSON and arrow without one: {reason}"
        )
    if encoding.lower() not in (b"", b"json", b"arrow"):
        reason += f" (its header `encoding` says {encoding[:20]!r}: it was taken for json)"
    return reason


def _read_headers(record: Record, expect: EventKind) -> tuple[str, str]:
    """(encoding, kind). Another tool's headers may have the same names: a value that is none of ours says nothing."""
    headers = record.headers
    encoding = headers.get("encoding") or b""
    kind = (headers.get("kind") or b"").decode(errors="replace").lower()
    version = headers.get("schema_version") or b""
    if kind in KINDS and kind not in (expect, "mark"):
        raise EventError(f"kind: got {kind!r}, this topic holds {expect!r} events and marks")
    if version.isdigit() and not 1 <= int(version[:9]) <= SCHEMA_VERSION:
        raise EventError(f"schema_version: got {version[:20].decode()!r}, this program reads 1 to {SCHEMA_VERSION}")
    return ("arrow" if encoding.lower() == b"arrow" else "json"), (kind if kind in KINDS else expect)


def _decode_json_run(run: Sequence[Record], expect: EventKind, on_dead: OnDead, select: Select | None) -> list[Decoded]:
    found = []
    for records, events in json_format.decode(run, expect, on_dead):
        found += _to_batches(records, events, expect, on_dead, select)
    return found


def _to_batches(
    records: Sequence[Record], events: Sequence[Any], kind: EventKind, on_dead: OnDead, select: Select | None
) -> list[Decoded]:
    """Events as one batch; where they break the contract, halves of them apart, until the culprits are found."""
    try:
        batch = json_format.to_batch(events, kind)
        check(batch)
        if select is not None:
            batch = select(batch, _written(records))
    except Exception as error:  # as above
        if len(records) == 1:
            on_dead(records[0], reason_of(error))
            return []
        half = len(records) // 2
        return [
            *_to_batches(records[:half], events[:half], kind, on_dead, select),
            *_to_batches(records[half:], events[half:], kind, on_dead, select),
        ]
    offsets = np.fromiter((record.offset for record in records), dtype=np.int64, count=len(records))
    return [Decoded(records[0].partition, batch, records[-1].offset + 1, offsets)]


def batch_to_bytes(batch: Any) -> bytes:
    """An event batch as the bytes of one arrow record."""
    payloads = encode(batch, "arrow", max_rows=max(1, len(batch)))
    return payloads[0].value


def batch_from_bytes(data: bytes, kind: EventKind) -> Any:
    """The batch that `batch_to_bytes` wrote. Raises StateError on other bytes."""
    reasons: list[str] = []
    headers = {"encoding": b"arrow", "kind": kind.encode()}
    record = Record(Partition("checkpoint", 0), 0, None, data, headers)
    decoded = decode([record], kind, lambda _, reason: reasons.append(reason))
    if reasons or len(decoded) != 1:
        raise StateError(f"state: its {kind} events cannot be read: {'; '.join(reasons) or 'not one batch'}")
    return decoded[0].batch
