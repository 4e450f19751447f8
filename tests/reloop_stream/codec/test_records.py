"""The codec: what is written comes back, and what is broken becomes a dead letter with its reason."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from reloop_stream.codec.records import Payload, dead_letter, decode, encode, encode_mark
from reloop_stream.events import ExampleBatch, ListColumn, Mark, constant, is_constant
from reloop_stream.log import Partition, Record
from reloop_stream.testing import clicks_on, examples, exposures, same_columns

PLACE = Partition("t", 0)


def records(payloads: list[Payload]) -> list[Record]:
    return [Record(PLACE, i, p.key, p.value, p.headers) for i, p in enumerate(payloads)]


def read(found: list[Record], kind: Any = "exposure") -> tuple[list[Any], list[str]]:
    reasons: list[str] = []
    return [item.batch for item in decode(found, kind, lambda _, reason: reasons.append(reason))], reasons


@pytest.mark.parametrize("encoding", ["json", "arrow"])
@pytest.mark.parametrize("kind", ["exposure", "click", "example"])
def test_events_come_back_as_they_were(encoding: Any, kind: str) -> None:
    shown = exposures(
        7,
        user_id=np.array(list("abcdefg"), dtype=object),
        propensity=np.array([0.5, np.nan, 1, 1, 1, 1, 1]),
        features={
            "n": np.arange(7),
            "x": np.linspace(0, 1, 7),
            "text": np.array(list("äbcdefg"), dtype=object),
            "many": ListColumn(np.array([1, 2, 3, 4, 5, 6, 7, 8]), np.array([0, 2, 3, 4, 5, 6, 7, 8])),
        },
    )
    label = np.array([0, 1, 0, 0, 1, 0, 0], dtype=np.uint8)
    batch: Any = {
        "exposure": shown,
        "click": clicks_on(shown, [1, 4]),
        "example": ExampleBatch(shown, label, shown.event_time_ms, label),
    }[kind]
    found, reasons = read(records(encode(batch, encoding)), kind)
    assert not reasons and len(found) == 1 and same_columns(batch, found[0])


def test_constants_travel_once_and_come_back_as_constants() -> None:
    few, many = (len(encode(exposures(n, propensity=constant(np.nan, n)), "arrow")[0].value) for n in (1000, 2000))
    assert many - few < 1000 * 70
    (batch,), _ = read(records(encode(exposures(10), "arrow")))
    assert is_constant(batch.arm) and is_constant(batch.model_version)


def test_a_large_batch_is_cut_into_several_records() -> None:
    payloads = encode(exposures(25), "arrow", max_rows=10)
    found, _ = read(records(payloads))
    assert [len(batch) for batch in found] == [10, 10, 5]


def test_marks_come_back() -> None:
    assert read(records([encode_mark(Mark(4, 99))]))[0] == [Mark(4, 99)]


def test_json_without_headers_is_read_as_the_topic_s_kind() -> None:
    bare = [Record(PLACE, r.offset, r.key, r.value, {}) for r in records(encode(exposures(3), "json"))]
    assert len(read(bare)[0][0]) == 3


def broken(**changes: Any) -> Record:
    event = json.loads(encode(exposures(1), "json")[0].value) | changes
    return Record(PLACE, 0, None, json.dumps(event).encode(), {})


NAN_PCTR = exposures(3, pctr=np.array([0.1, np.nan, 0.2]))
BAD: dict[str, tuple[Record, str]] = {
    "malformed json": (Record(PLACE, 0, None, b"{", {}), "json"),
    "malformed arrow": (Record(PLACE, 0, None, b"garbage", {"encoding": b"arrow"}), "no arrow record"),
    "empty arrow": (Record(PLACE, 0, None, b"", {"encoding": b"arrow"}), "no arrow record"),
    "unknown encoding": (Record(PLACE, 0, None, b"", {"encoding": b"xml"}), "must be json or arrow"),
    "another kind": (records(encode(clicks_on(exposures(2), [0]), "arrow"))[0], "kind: got 'click'"),
    "future version in the event": (broken(schema_version=99), "schema_version: got 99"),
    "future version in the header": (
        Record(PLACE, 0, None, b"{}", {"schema_version": b"99"}),
        "schema_version: got '99'",
    ),
    "pctr above 1": (broken(pctr=1.5), "pctr: got 1.5"),
    "pctr is text": (broken(pctr="high"), "Expected `float`"),
    "nan pctr in arrow": (records(encode(NAN_PCTR, "arrow"))[0], "pctr"),
    "propensity 0": (broken(propensity=0.0), "propensity: got 0.0"),
    "missing field": (broken(position=None), "position"),
    "id too large": (broken(user_id=1 << 70), "user_id"),
    "negative version": (broken(model_version=-1), "model_version: got -1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_broken_record_is_dead_and_the_stream_goes_on(name: str) -> None:
    record, reason = BAD[name]
    good = records(encode(exposures(2), "json"))
    found, reasons = read([good[0], record, good[1]])
    assert sum(map(len, found)) == 2
    assert len(reasons) == 1 and reason in reasons[0]


def test_among_good_json_events_only_the_broken_one_dies() -> None:
    good = records(encode(exposures(20), "json"))
    found, reasons = read([*good[:10], broken(pctr=2.0), *good[10:]])
    assert sum(map(len, found)) == 20 and len(reasons) == 1


def test_a_click_before_its_exposure_s_time_is_dead() -> None:
    clicks = clicks_on(exposures(3), [1], after_ms=-5)
    assert read(records(encode(clicks, "arrow")), "click")[1][0].startswith("click_time_ms: got")


def test_a_dead_letter_keeps_the_bytes_and_says_where_from_and_why() -> None:
    letter = dead_letter(Record(Partition("clicks", 2), 17, b"k", b"\xff\x00", {"encoding": b"json"}), "pctr: bad")
    assert (letter.key, letter.value) == (b"k", b"\xff\x00")
    assert letter.headers == {
        "encoding": b"json",
        "dead-letter.topic": b"clicks",
        "dead-letter.partition": b"2",
        "dead-letter.offset": b"17",
        "dead-letter.reason": b"pctr: bad",
    }


def test_any_cut_of_an_arrow_record_is_dead_and_never_raises() -> None:
    whole = encode(examples(5), "arrow")[0]
    for length in range(0, len(whole.value) - 8, 37):
        record = Record(PLACE, 0, None, whole.value[:length], whole.headers)
        assert read([record], "example")[1], length


def test_events_with_empty_lists_share_a_batch_with_the_others() -> None:
    tags = ListColumn(np.array(["a", "b", "c"], dtype=object), np.array([0, 0, 2, 2, 3]))
    shown = exposures(4, features={"tags": tags})
    (batch,), reasons = read(records(encode(shown, "json")))
    assert same_columns(batch, shown) and reasons == []
