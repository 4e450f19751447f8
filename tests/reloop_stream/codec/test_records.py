"""The codec: what is written comes back, and what is broken becomes a dead letter with its reason."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.fuzz import Counted, fuzz
from reloop_stream.codec.records import Payload, dead_letter, decode, encode, encode_mark
from reloop_stream.errors import EventError
from reloop_stream.events import ExampleBatch, ExposureBatch, ListColumn, Mark, constant, is_constant
from reloop_stream.log import Partition, Record
from reloop_stream.testing import clicks_on, examples, exposures, same_columns

PLACE = Partition("t", 0)
WEIGHT = np.array([0.5, 2, 1])


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
            "some": ListColumn(np.array(list("abc"), dtype=object), np.array([0, 2, 2, 2, 3, 3, 3, 3]), WEIGHT),
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


@pytest.mark.parametrize("encoding", ["json", "arrow"])
@pytest.mark.parametrize("kind", ["exposure", "example"])
def test_a_weight_comes_back_and_where_there_is_none_no_byte_says_so(encoding: Any, kind: str) -> None:
    make = exposures if kind == "exposure" else examples
    for weight in (WEIGHT, None):
        batch = make(3, weight=weight)
        payloads = encode(batch, encoding)
        found, reasons = read(records(payloads), kind)
        assert not reasons and same_columns(batch, ExampleBatch.concat(found) if kind == "example" else found[0])
        assert any(b"weight" in payload.value for payload in payloads) == (weight is not None)


def test_events_without_a_weight_beside_those_with_one_count_once() -> None:
    mixed = [*encode(exposures(3, weight=WEIGHT), "json"), *encode(exposures(2, first_id=3), "json")]
    (batch,) = read(records(mixed))[0]
    assert batch.weight.tolist() == [0.5, 2, 1, 1, 1]
    by_arrow = [encode(exposures(3, weight=WEIGHT), "arrow")[0], encode(exposures(2, first_id=3), "arrow")[0]]
    first, second = read(records(by_arrow))[0]
    assert second.weight is None
    both: Any = ExposureBatch.concat([first, second])
    assert both.weight.tolist() == [0.5, 2, 1, 1, 1]
    assert ExposureBatch.concat([second, second]).weight is None


def test_a_whole_number_is_a_weight_too() -> None:
    assert read([broken(weight=3)])[0][0].weight.tolist() == [3.0]
    whole = exposures(2, weight=np.array([3, 1]))
    (batch,), _ = read(records(encode(whole, "arrow")))
    assert batch.weight.tolist() == [3, 1] and batch.weight.dtype == np.float64


def test_constants_travel_once_and_come_back_as_constants() -> None:
    few, many = (len(encode(exposures(n, propensity=constant(np.nan, n)), "arrow")[0].value) for n in (1000, 2000))
    assert many - few < 1000 * 70
    (batch,), _ = read(records(encode(exposures(10), "arrow")))
    assert is_constant(batch.arm) and is_constant(batch.model_version)


@pytest.mark.parametrize("propensity", [np.full(3, 0.5), np.array([0.5, np.nan, 1])])
def test_an_arrow_record_is_what_arrow_s_own_stream_writer_writes(propensity: np.ndarray) -> None:
    features = {"x": np.arange(6.0)[::2], "n": np.arange(3, dtype=np.int16)}
    (payload,) = encode(exposures(3, propensity=propensity, features=features), "arrow")
    (batch,) = pa.ipc.open_stream(payload.value)
    assert batch.column("propensity").null_count == np.isnan(propensity).sum()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    assert sink.getvalue().to_pybytes() == payload.value


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
    "unknown encoding": (Record(PLACE, 0, None, b"", {"encoding": b"xml"}), "its header `encoding` says b'xml'"),
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
    "weight 0": (broken(weight=0), "weight: got 0.0 in row 0, must be above 0"),
    "weight too large": (broken(weight=1e39), "weight: got 1e+39"),
    "weight is null": (broken(weight=None), "Expected `float`, got `null` - at `$.weight`"),
    "weight below 0 in arrow": (records(encode(exposures(1, weight=np.array([-1.0])), "arrow"))[0], "weight: got -1.0"),
    "nan weight in arrow": (records(encode(exposures(1, weight=np.array([np.nan])), "arrow"))[0], "weight: got nan"),
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


@pytest.mark.parametrize("encoding", ["json", "arrow"])
@pytest.mark.parametrize("number", [1e39, -3.5e38, 1.7976931348623157e308])
def test_a_number_that_no_float32_holds_is_dead(encoding: Any, number: float) -> None:
    shown = exposures(2, features={"cost": np.array([1.5, number])})
    found, reasons = read(records(encode(shown, encoding)))
    assert reasons[0].startswith("features.cost: got") and sum(map(len, found)) == (1 if encoding == "json" else 0)


@pytest.mark.parametrize("encoding", ["json", "arrow"])
@pytest.mark.parametrize("time", [1_700_000_000_000_000_000, -(1 << 60)])
def test_a_time_whose_sums_could_overflow_is_dead_and_microseconds_are_not(encoding: Any, time: int) -> None:
    shown = exposures(1, event_time_ms=np.array([time]))
    assert read(records(encode(shown, encoding)))[1][0].startswith(f"event_time_ms: got {time}")
    micro = exposures(1, event_time_ms=np.array([1_700_000_000_000_000]))
    assert read(records(encode(micro, encoding)))[1] == []


FOREIGN = [
    ("encoding", b"UTF-8"),
    ("schema_version", b"1.0"),
    ("kind", b"Exposure"),
    ("kind", b"order"),
    ("encoding", b""),
]


@pytest.mark.parametrize("name, value", FOREIGN, ids=str)
def test_another_tool_s_header_of_one_of_our_names_says_nothing(name: str, value: bytes) -> None:
    (payload,) = encode(exposures(1), "json")
    found, reasons = read([Record(PLACE, 0, None, payload.value, {name: value})])
    assert (sum(map(len, found)), reasons) == (1, [])


DEEP = b"[" * 5000 + b"]" * 5000


@pytest.mark.parametrize(
    "value", [b'{"x":' + DEEP + b"}", DEEP, b'"\xff"', b'{"arm":"\\ud800"}', b"\x00\x00\x00\x00\x07{}"]
)
def test_json_that_no_reader_can_finish_is_dead(value: bytes) -> None:
    found, reasons = read([*records(encode(exposures(1), "json")), Record(PLACE, 1, None, value, {})])
    assert (sum(map(len, found)), len(reasons)) == (1, 1)


NAMELESS = {"values": [1], "weights": ["a"]}


@pytest.mark.parametrize(
    "value, said",
    [
        (True, "true"),
        (None, "null"),
        ({"x": 1}, '{"x":1}'),
        ([0.5], "[0.5]"),
        (NAMELESS, '{"values":[1],"weights":["a"]}'),
    ],
)
def test_a_feature_that_is_none_is_named(value: Any, said: str) -> None:
    reasons = read([broken(features={"fine": 1, "odd": value})])[1]
    rule = "a number, an integer, a text, a list of integers or texts, or such `values` with their `weights`"
    assert reasons == [f"features.odd: got {said}, must be {rule}"]


def arrow(metadata: bytes, **columns: Any) -> Record:
    """An arrow record with these constants and columns beside those of one good exposure."""
    (payload,) = encode(exposures(1, features={}), "arrow")
    batch = pa.ipc.open_stream(payload.value).read_next_batch()
    whole = dict(zip(batch.schema.names, batch.columns, strict=True)) | columns
    schema = pa.schema([(name, column.type) for name, column in whole.items()])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema.with_metadata({b"constants": metadata})) as writer:
        writer.write_batch(pa.record_batch(list(whole.values()), names=list(whole)).replace_schema_metadata(None))
    return Record(PLACE, 0, None, sink.getvalue().to_pybytes(), {"encoding": b"arrow"})


CONSTANTS = [
    b"[]", b'{"rows": null}', b'{"rows": 1e99}', b'{"rows": -1}', b"7", b"{", DEEP, b'{"arm": 7}', b'{"arm": ["|O", {}]}',
    b'{"arm": ["<U5", "a"]}', b'{"pctr": ["<f8", "a"]}', b'{"user_id": ["|i1", 300]}', b'{"event_time_ms": ["<i8", 7]}',
]  # fmt: skip


@pytest.mark.parametrize("constants", CONSTANTS, ids=lambda value: str(value[:30]))
def test_an_arrow_record_whose_constants_are_none_is_dead(constants: bytes) -> None:
    assert len(read([arrow(constants)])[1]) == 1


def test_a_record_of_constants_alone_cannot_claim_any_number_of_rows() -> None:
    sink = pa.BufferOutputStream()
    constants = {"rows": 10**12, "exposure_id": ["<i8", 1], "event_time_ms": ["<i8", 1], "click_time_ms": ["<i8", 1]}
    schema = pa.schema([]).with_metadata({b"constants": json.dumps(constants).encode()})
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([], schema=schema))
    record = Record(PLACE, 0, None, sink.getvalue().to_pybytes(), {"encoding": b"arrow"})
    assert read([record], "click")[1] == ["arrow: 0 rows, its constants say 1000000000000"]


@pytest.mark.parametrize("name, value", [("user_id", 1 << 63), ("position", 1 << 40), ("model_version", (1 << 64) - 1)])
def test_an_arrow_integer_that_its_type_cannot_hold_is_dead_and_never_another(name: str, value: int) -> None:
    constants = json.loads(pa.ipc.open_stream(encode(exposures(1), "arrow")[0].value).schema.metadata[b"constants"])
    others = {key: one for key, one in constants.items() if key != name}
    record = arrow(json.dumps(others).encode(), **{name: pa.array([value], pa.uint64())})
    assert read([record])[1][0].startswith(f"{name}: {value} to {value}, must lie in")


def test_dead_letters_are_told_in_the_order_of_the_log() -> None:
    good = records(encode(exposures(30), "json"))
    found: list[int] = []
    late, early = broken(pctr=2.0), Record(PLACE, 0, None, b"{", {})  # found out by the batch, and while it is read
    run = [*good[:5], replace(late, offset=100), *good[5:9], replace(early, offset=101), replace(late, offset=102)]
    decode([replace(r, offset=i) for i, r in enumerate(run)], "exposure", lambda record, _: found.append(record.offset))
    assert found == [5, 10, 11]


def test_one_broken_event_among_many_is_found_in_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    good = records(encode(exposures(1024), "json"))
    looks = 0

    def select(batch: Any, written_ms: Any) -> Any:
        nonlocal looks
        looks += 1
        if 700 in batch.exposure_id:
            raise EventError("700")
        return batch

    dead: list[str] = []
    found = decode(good, "exposure", lambda record, reason: dead.append(reason), select)
    assert (sum(len(item.offsets) for item in found), dead) == (1023, ["700"])
    assert looks <= 2 * 10 + 1


def test_a_letter_that_its_topic_does_not_take_is_cut_and_says_so() -> None:
    record = Record(PLACE, 7, b"k" * 500, b"v" * 5000, {"trace": b"t" * 3000})
    letter = dead_letter(record, "why" * 5000, max_bytes=4000)
    assert letter.headers["dead-letter.bytes"] == b"5000" and letter.headers["dead-letter.offset"] == b"7"
    assert letter.value == b"v" * len(letter.value) and letter.key is None
    size = len(letter.value) + sum(len(name) + len(value) for name, value in letter.headers.items())
    assert 3000 < size < 4000
    assert dead_letter(record, "why", max_bytes=None).value == record.value


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


@pytest.mark.parametrize("kind", ["exposure", "click"])
@pytest.mark.parametrize("headers", [{}, {"encoding": b"arrow"}, {"encoding": b"avro"}])
@pytest.mark.parametrize(
    "value, said",
    [
        (b"\0\0\0\1\2" + b"\6abc", r"begins as a schema registry's framing does (magic byte 0, schema id 258)"),
        (b'\0\0\0\0\7{"exposure_id": 1}', r"begins as a schema registry's framing does (magic byte 0, schema id 7)"),
        (b"", "has no value, as a tombstone"),
    ],
)
def test_what_is_no_event_at_all_is_named_for_what_it_is(
    kind: Any, headers: dict[str, bytes], value: bytes, said: str
) -> None:
    good = encode(exposures(2) if kind == "exposure" else clicks_on(exposures(2), np.arange(2)), "json")
    found = records([good[0], Payload(b"key", value, headers), good[1]])
    batches, (reason,) = read(found, kind)
    assert sum(map(len, batches)) == 2 and reason.startswith(said)


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


def test_a_list_without_weights_beside_those_with_them_has_weights_of_1() -> None:
    event = {"tags": ["a", "b"]}
    weighted = {"tags": {"values": ["c"], "weights": [3]}}
    (batch,), reasons = read([broken(features=event), broken(features=weighted), broken(features={"tags": []})])
    expected = ListColumn(np.array(list("abc"), dtype=object), np.array([0, 2, 3, 3]), np.array([1.0, 1.0, 3.0]))
    assert same_columns(batch.features["tags"], expected) and reasons == []
    plain = broken(features=event)
    both: Any = ExposureBatch.concat(
        [batch, read([plain])[0][0], batch.take(np.array([1, 0])), batch.part(slice(1, 2))]
    )
    assert both.features["tags"].weights.tolist() == [1, 1, 3, 1, 1, 3, 1, 1, 3]
    assert "".join(both.features["tags"].values) == "abcabcabc"


@pytest.mark.parametrize(
    "tags, reason",
    [
        ({"values": [1, 2], "weights": [1]}, "features.tags: has 1 weights for 2 values"),
        ({"values": [1], "weights": [-0.5]}, "features.tags: got the weight -0.5, must be at least 0"),
        ({"values": [1, "a"], "weights": [1, 1]}, "features.tags: got [1, 'a'], a list must hold integers or texts"),
        ({"values": [1 << 70], "weights": [1]}, "features.tags: got [1180591620717411303424], integers must have"),
        ({"values": [1], "weights": [1e39]}, "features.tags: got the weight 1e+39"),
    ],
)
def test_a_list_whose_weights_are_none_is_dead(tags: Any, reason: str) -> None:
    assert read([broken(features={"tags": tags})])[1][0].startswith(reason)


@pytest.mark.parametrize(
    "structs, reason",
    [
        (
            [{"value": 1, "w": 1.0}],
            "features.tags: a list of structs of ['value', 'w'], each must be a value and a weight",
        ),
        ([{"value": 1, "weight": "a"}], "features.tags: its weights are of type string"),
        ([{"value": 1, "weight": None}], "features.tags.weight: 1 nulls"),
        ([{"value": None, "weight": 1.0}], "features.tags: 1 nulls"),
        ([None, {"value": 1, "weight": 1.0}], "features.tags: a list of structs"),
        ([{"value": 1, "weight": float("nan")}], "features.tags: got the weight nan"),
    ],
)
def test_an_arrow_list_whose_structs_are_none_is_dead(structs: list[Any], reason: str) -> None:
    constants = pa.ipc.open_stream(encode(exposures(1, features={}), "arrow")[0].value).schema.metadata[b"constants"]
    assert read([arrow(constants, **{"features.tags": pa.array([structs])})])[1][0].startswith(reason)


def test_an_arrow_list_of_structs_is_read_in_any_order_of_their_fields_and_in_whole_numbers() -> None:
    constants = pa.ipc.open_stream(encode(exposures(1, features={}), "arrow")[0].value).schema.metadata[b"constants"]
    tags = pa.array([[{"weight": 2, "value": "a"}, {"weight": 1, "value": "b"}]])
    (batch,), reasons = read([arrow(constants, **{"features.tags": tags})])
    assert reasons == [] and batch.features["tags"].weights.tolist() == [2.0, 1.0]
    assert batch.features["tags"].values.tolist() == ["a", "b"]


@pytest.mark.parametrize("encoding", ["json", "arrow"])
@pytest.mark.parametrize("kind", [object, np.int64])
def test_a_batch_in_which_every_list_is_empty_comes_back(encoding: Any, kind: Any) -> None:
    nothing = ListColumn(np.zeros(0, dtype=kind), np.zeros(4, dtype=np.int64))
    (batch,), reasons = read(records(encode(exposures(3, features={"tags": nothing}), encoding)))
    tags = batch.features["tags"]
    assert not reasons and tags.offsets.tolist() == [0, 0, 0, 0] and tags.values.dtype.kind in "iO"


def test_mutated_records_end_no_learner_and_each_is_counted_once() -> None:
    (counted,) = fuzz(3000, seed=11)
    assert counted.records == 3000 == counted.alive + counted.dead
    assert min(counted) > 100, counted
    assert counted == next(iter(fuzz(3000, seed=11))) != Counted()
