"""Events ⇄ records. Two encodings, named in the header `encoding`: `json`, an event a record, and `arrow`, a batch a record.

Reading checks everything that the event contract promises. A record that breaks it is handed to `on_dead` with the
reason, and reading goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np

from reloop_stream.codec import arrow_format, json_format
from reloop_stream.errors import EventError, StateError
from reloop_stream.events import (
    SCHEMA_VERSION,
    AnyBatch,
    ClickBatch,
    EventKind,
    ExampleBatch,
    ExposureBatch,
    Mark,
    check,
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
]

Encoding = Literal["json", "arrow"]
OnDead: TypeAlias = Callable[[Record, str], None]
# Checks a batch beyond the contract, and may keep only some of its features. Raises EventError.
Select: TypeAlias = Callable[[Any], Any]

# Keeps an arrow record of slim events (about 100 bytes a row) below the 8 MiB that topics allow.
MAX_ROWS = 1 << 16

KIND_OF: dict[type, EventKind] = {ExposureBatch: "exposure", ClickBatch: "click", ExampleBatch: "example"}


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


def dead_letter(record: Record, reason: str) -> Payload:
    """The record as it was, with headers that say where it came from and what was wrong."""
    where = {
        "dead-letter.topic": record.partition.topic.encode(),
        "dead-letter.partition": b"%d" % record.partition.number,
        "dead-letter.offset": b"%d" % record.offset,
        "dead-letter.reason": reason.encode(),
    }
    return Payload(record.key, record.value, {**record.headers, **where})


def decode(
    records: Sequence[Record], expect: EventKind, on_dead: OnDead, select: Select | None = None
) -> list[Decoded]:
    """The events in the records, each partition's in order; a run of JSON events of one partition comes as one batch.

    expect: the kind of event that the topic holds. A record without headers is taken for JSON of that kind.
    select: looks at every batch, and may refuse it with an EventError; see `reloop_stream.stream.intake.Intake`.
    """
    found: list[Decoded] = []
    run: list[Record] = []

    def end_run() -> None:
        if run:
            found.extend(_decode_json_run(run, expect, on_dead, select))
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
                mark = _decode_mark(record.value)
                found.append(
                    Decoded(record.partition, Mark(mark.tick, mark.watermark_ms), record.offset + 1, _NO_OFFSETS)
                )
                continue
            batch = arrow_format.decode(record.value, expect)
            check(batch)
            if select is not None:
                batch = select(batch)
            if len(batch):
                offsets = np.broadcast_to(np.int64(record.offset), (len(batch),))
                found.append(Decoded(record.partition, batch, record.offset + 1, offsets))
        except (EventError, msgspec.MsgspecError) as error:
            on_dead(record, str(error))
    end_run()
    return found


def _read_headers(record: Record, expect: EventKind) -> tuple[str, str]:
    headers = record.headers
    encoding = headers.get("encoding", b"json").decode(errors="replace")
    kind = headers.get("kind", expect.encode()).decode(errors="replace")
    version = headers.get("schema_version", b"1")
    if encoding not in ("json", "arrow"):
        raise EventError(f"encoding: got {encoding!r}, must be json or arrow")
    if kind not in (expect, "mark"):
        raise EventError(f"kind: got {kind!r}, this topic holds {expect!r} events and marks")
    if not version.isdigit() or not 1 <= int(version) <= SCHEMA_VERSION:
        raise EventError(
            f"schema_version: got {version.decode(errors='replace')!r}, this program reads 1 to {SCHEMA_VERSION}"
        )
    return encoding, kind


def _decode_json_run(run: Sequence[Record], expect: EventKind, on_dead: OnDead, select: Select | None) -> list[Decoded]:
    """Decode a run of JSON records; where a batch of several breaks the contract, one by one to find the culprits."""
    found = []
    for records, batch in json_format.decode(run, expect, on_dead):
        try:
            check(batch)
            if select is not None:
                batch = select(batch)
        except EventError as error:
            if len(records) == 1:
                on_dead(records[0], str(error))
            else:
                for record in records:
                    found += _decode_json_run([record], expect, on_dead, select)
            continue
        offsets = np.fromiter((record.offset for record in records), dtype=np.int64, count=len(records))
        found.append(Decoded(records[0].partition, batch, records[-1].offset + 1, offsets))
    return found


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
