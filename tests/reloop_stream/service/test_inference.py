"""What the first exposures say of a stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reloop_stream.codec.records import encode
from reloop_stream.config import FieldConfig
from reloop_stream.errors import EventError
from reloop_stream.events import ClickBatch, ListColumn
from reloop_stream.features.encoder import Encoder
from reloop_stream.log import EventLog, Partition, open_log
from reloop_stream.service.inference import NoExposure, first_exposures, infer
from reloop_stream.stream.event_feed import FeedStopped
from reloop_stream.stream.intake import Intake
from reloop_stream.testing import exposures, same_columns

TEXTS = np.array(["a", "b", "a", "c"], dtype=object)


def test_kinds_and_types_follow_the_values() -> None:
    tags = ListColumn(TEXTS[:3], np.array([0, 2, 2, 3, 3]))
    features = {"id": np.arange(4), "text": TEXTS, "price": np.arange(4) / 2, "tags": tags}
    found = infer([exposures(4, user_id=TEXTS, features=features, pctr=np.full(4, 0.07))])
    assert [(field.name, field.kind) for field in found.fields] == [
        ("id", "category"), ("text", "category"), ("price", "number"), ("tags", "list"),
    ]  # fmt: skip
    assert found.types["features.text"] == found.types["features.tags"] == found.types["user_id"] == "text"
    assert found.types["features.id"] == found.types["item_id"] == "integer" and "features.price" not in found.types
    assert found.base_rate == pytest.approx(0.07)


def test_a_number_that_is_sometimes_whole_is_a_number() -> None:
    whole = exposures(30, features={"price": np.arange(30)})
    broken = exposures(2, first_id=30, features={"price": np.array([0.5, 1.5])})
    assert [field.kind for field in infer([whole, broken]).fields] == ["number"]


def test_a_feature_that_few_exposures_carry_is_no_field() -> None:
    common = exposures(30, features={"user": np.arange(30)})
    odd = exposures(2, features={"user": np.arange(2), "debug": np.arange(2)})
    assert [field.name for field in infer([common, odd]).fields] == ["user"]


def test_the_first_exposures_come_from_the_first_partition_that_has_any(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.create_topics({"exposures": 3})
    shown = exposures(20)
    producer = log.producer()
    producer.append(Partition("exposures", 1), b"no event")
    for payload in encode(shown, "json"):
        producer.append(Partition("exposures", 2), payload.value, headers=payload.headers)
    producer.close()
    (found,) = first_exposures(log, "exposures")
    assert same_columns(found.exposure_id, shown.exposure_id)


def test_waiting_for_the_first_exposures_can_be_stopped(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.create_topics({"exposures": 1})
    with pytest.raises(FeedStopped):
        first_exposures(log, "exposures", should_stop=lambda: True)


def test_the_intake_keeps_the_fields_and_refuses_values_of_another_type() -> None:
    intake = Intake(Encoder([FieldConfig(name="user")]), {"exposure_id": "integer", "features.user": "integer"})
    assert list(intake(exposures(3)).features) == ["user"]
    with pytest.raises(EventError, match=r"features\.user: got a value of type text, in this stream .* integer"):
        intake(exposures(4, features={"user": TEXTS}))
    with pytest.raises(EventError, match="exposure_id: got a value of type text"):
        intake(ClickBatch(TEXTS, np.arange(4), np.arange(4)))


def test_unsigned_and_signed_integers_come_out_as_one_type() -> None:
    intake = Intake(Encoder([FieldConfig(name="user")]))
    column = intake(exposures(3, features={"user": np.arange(3, dtype=np.uint64)})).features["user"]
    assert column.dtype == np.int64


def log_with(tmp_path: Path, values: list[bytes]) -> EventLog:
    log = open_log(tmp_path)
    log.create_topics({"exposures": 1})
    producer = log.producer()
    for value in values:
        producer.append(Partition("exposures", 0), value)
    producer.close()
    return log


def test_where_no_exposure_can_be_read_and_none_will_come_the_first_reason_is_said(tmp_path: Path) -> None:
    log = log_with(tmp_path, [b"{", b"[]", b"7"])
    with pytest.raises(NoExposure, match=r"exposures: 3 records read, none .* exposures\[0\] offset 0: json: Input"):
        first_exposures(log, "exposures", until_end=True)


def test_an_empty_topic_that_is_read_to_its_end_is_said_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(NoExposure, match="exposures: holds nothing yet"):
        first_exposures(log_with(tmp_path, []), "exposures", until_end=True)


def test_waiting_for_the_first_exposure_is_said_within_seconds_and_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = iter(range(100))
    stops = iter([False] * 40 + [True] * 40)
    with pytest.raises(FeedStopped):
        first_exposures(
            log_with(tmp_path, [b"{"]), "exposures", should_stop=lambda: next(stops), clock=lambda: next(now)
        )
    assert len(caplog.messages) == 1 and "1 records read" in caplog.text and "waiting for one" in caplog.text


def test_a_time_too_far_beyond_its_record_s_own_is_refused() -> None:
    intake = Intake(Encoder([FieldConfig(name="user")]), max_ahead_ms=60_000)
    shown, written = exposures(3), exposures(3).event_time_ms
    assert len(intake(shown, written - 60_000)) == 3
    with pytest.raises(EventError, match=r"event_time_ms: got .*, 1 minutes after its record was written; at most 1"):
        intake(shown, written - 60_001)
    assert len(intake(shown, None)) == 3


def test_a_click_whose_own_time_alone_is_far_ahead_is_let_in_and_is_late() -> None:
    intake = Intake(Encoder([FieldConfig(name="user")]), max_ahead_ms=60_000)
    clicks = ClickBatch(np.array([1]), np.array([1000]), np.array([10**9]))
    assert len(intake(clicks, np.array([1000]))) == 1
    with pytest.raises(EventError, match="event_time_ms: got"):
        intake(ClickBatch(np.array([1]), np.array([10**9]), np.array([10**9])), np.array([1000]))


def test_a_field_that_an_event_lacks_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(EventError, match=r"features.visiter: missing; .*\(the event has item, user\)"):
        Intake(Encoder([FieldConfig(name="visiter")]))(exposures(2))
