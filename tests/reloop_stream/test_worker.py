"""A worker on a stream: bad input is buried and the stream goes on; restarts, cuts and windows change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reloop_stream.clock import HOUR_MS
from reloop_stream.codec.records import encode, encode_mark
from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import DivergedError, StateError
from reloop_stream.events import ClickBatch, ExampleBatch, Mark
from reloop_stream.learners import digest, make_learner
from reloop_stream.log import EventLog, Partition, open_log
from reloop_stream.log.topics import Topics
from reloop_stream.serving.snapshot import Published
from reloop_stream.state.checkpoint import Sections
from reloop_stream.stream.event_feed import FeedStopped
from reloop_stream.stream.example_source import JoinedFeed
from reloop_stream.stream.intake import Intake
from reloop_stream.stream.mark_feed import MarkFeed
from reloop_stream.stream.partition_joins import JoinSettings
from reloop_stream.testing import clicks_on, examples, exposures
from reloop_stream.updating import make_updater
from reloop_stream.updating.window import WindowUpdater
from reloop_stream.worker import Worker

FIELDS = [FieldConfig(name="user", mode="exact", buckets=50), FieldConfig(name="item", buckets=64)]
TOPICS = Topics.of("")
EXPOSURES, CLICKS = Partition("exposures", 0), Partition("clicks", 0)


def config(**settings: Any) -> LearnerConfig:
    raw: dict[str, Any] = {"model": {"name": "fm", "embedding": 4}, "updating": {"batch_size": 16}}
    return LearnerConfig.model_validate(raw | settings)


def worker(
    log: EventLog,
    settings: LearnerConfig | None = None,
    attribution_ms: int = HOUR_MS,
    fields: Sequence[FieldConfig] = FIELDS,
    should_stop: Callable[[], bool] = lambda: False,
) -> Worker:
    settings = settings or config()
    learner = make_learner(settings, fields, name="x", seed=1, base_rate=0.1)
    updater = make_updater(settings, learner)
    source = JoinedFeed(
        MarkFeed(log, TOPICS, [0], select=Intake(learner.encoder)), TOPICS, JoinSettings(attribution_ms)
    )
    return Worker("x", log, TOPICS, source, updater, start_ms=0, publish_every_ms=2 * HOUR_MS, should_stop=should_stop)


@pytest.fixture
def stream(tmp_path: Path) -> EventLog:
    log = open_log(tmp_path / "events")
    log.create_topics(dict.fromkeys(TOPICS, 1))
    return log


def write_tick(
    log: EventLog, tick: int, encoding: Any = "arrow", extra: Sequence[tuple[Partition, Any, Any]] = ()
) -> None:
    """Forty exposures and five clicks in hour `tick`, whatever else is given, then the marks."""
    producer = log.producer()
    shown = exposures(40, seed=tick, first_id=1000 * tick, at_ms=tick * HOUR_MS)
    for partition, batch in ((EXPOSURES, shown), (CLICKS, clicks_on(shown, [1, 5, 9, 20, 33], after_ms=0))):
        for payload in encode(batch, encoding):
            producer.append(partition, payload.value, key=payload.key, headers=payload.headers)
        for where, value, headers in extra:
            if where == partition:
                producer.append(partition, value, headers=headers)
        mark = encode_mark(Mark(tick, (tick + 1) * HOUR_MS))
        producer.append(partition, mark.value, headers=mark.headers)
    producer.close()


def letters(log: EventLog) -> list[Any]:
    reader = log.reader({Partition("dead-letters", 0): 0})
    return reader.poll(0.5)


def good_exposure() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(encode(exposures(1, first_id=77), "json")[0].value)
    return value


JSON = {"encoding": b"json", "kind": b"exposure"}
BROKEN: dict[str, tuple[Partition, Any, dict[str, bytes], str]] = {
    "malformed bytes": (EXPOSURES, b"\xff\x00 no event", JSON, "json: JSON is malformed"),
    "malformed arrow": (EXPOSURES, b"ARROW1 or not", {"encoding": b"arrow", "kind": b"exposure"}, "arrow"),
    "unknown encoding": (EXPOSURES, b"{}", {"encoding": b"xml", "kind": b"exposure"}, "encoding"),
    "from the future": (EXPOSURES, {"schema_version": 99}, JSON, "schema_version"),
    "pctr above 1": (EXPOSURES, {"pctr": 1.5}, JSON, "pctr"),
    "pctr not finite": (EXPOSURES, {"pctr": None}, JSON, "pctr"),
    "a feature missing": (EXPOSURES, {"features": {"user": 3}}, JSON, "features.item: missing"),
    "a feature unfit": (EXPOSURES, {"features": {"user": "x", "item": 1}}, JSON, "features.user"),
    "a click in exposures": (EXPOSURES, b"{}", {"encoding": b"json", "kind": b"click"}, "kind"),
    "a malformed click": (CLICKS, b"[]", {"encoding": b"json", "kind": b"click"}, "json: Expected `object`"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_event_is_a_dead_letter_and_the_stream_goes_on(stream: EventLog, name: str) -> None:
    where, value, headers, reason = BROKEN[name]
    data = value if isinstance(value, bytes) else json.dumps(good_exposure() | value).encode()
    write_tick(stream, 0, "json", [(where, data, headers)])
    for tick in (1, 2, 3):
        write_tick(stream, tick)
    broken = worker(stream)
    broken.advance(3)
    assert broken.tick == 3 and broken.dead == 1 and broken.counts.joined == 20
    (letter,) = letters(stream)
    assert letter.value == data
    assert letter.headers["dead-letter.topic"] == where.topic.encode()
    assert letter.headers["dead-letter.partition"] == b"0" and int(letter.headers["dead-letter.offset"]) >= 5
    assert reason in letter.headers["dead-letter.reason"].decode()


def test_what_is_learnt_is_the_same_with_and_without_a_broken_event(tmp_path: Path) -> None:
    digests = []
    for name, extra in (("clean", []), ("broken", [(EXPOSURES, b"?", JSON)])):
        log = open_log(tmp_path / name)
        log.create_topics(dict.fromkeys(TOPICS, 1))
        write_tick(log, 0, "json", extra)
        write_tick(log, 1)
        one = worker(log)
        one.advance(1)
        digests.append(digest(one.updater.learner.to_bytes()))
    assert digests[0] == digests[1]


def test_a_click_on_an_unknown_exposure_is_a_dead_letter_with_its_original_bytes(stream: EventLog) -> None:
    stray = encode(ClickBatch(np.array([424242]), np.array([10]), np.array([20])), "json")[0]
    write_tick(stream, 0, extra=[(CLICKS, stray.value, stray.headers)])
    for tick in (1, 2):
        write_tick(stream, tick)
    one = worker(stream)
    one.advance(2)
    assert one.counts.unknown_clicks == 1 and one.dead == 1
    (letter,) = letters(stream)
    assert letter.value == stray.value and b"424242" in letter.headers["dead-letter.reason"]


ALARMED = {"detector": "page_hinkley", "block": 2, "delta": 0.001, "threshold": 0.05, "rolling": 50}
WINDOW = {"mode": "window", "days": 0.1, "every_hours": 3}


@pytest.mark.parametrize(
    "changes",
    [
        {"updating": {"batch_size": 16}},
        {"updating": WINDOW},
        {"updating": {"mode": "none"}},
        {"updating": {"mode": "fine_tune", "every_hours": 3}},
        {"updating": {"mode": "replay", "batch_size": 16, "capacity": 50, "replayed": 9}},
        {"updating": WINDOW, "loss": {"name": "reloop", "level": "session"}},
        {"updating": {"mode": "none"}, "memory": {}},
        {"updating": {"batch_size": 16}, "memory": {"base_every_hours": 3}},
        {"updating": WINDOW, "memory": {}},
        {"updating": {"batch_size": 16}, "loss": {"name": "fnc"}, "memory": {}},
        {"updating": {"batch_size": 16}, "monitor": ALARMED | {"action": "raise_rate", "raise_hours": 2}},
        {"updating": WINDOW, "monitor": ALARMED | {"action": "retrain"}},
    ],
    ids=str,
)
def test_a_restart_after_any_tick_changes_nothing(stream: EventLog, changes: dict[str, Any]) -> None:
    settings = config(**{"loss": {"name": "reloop", "alpha": 0.4}, **changes})
    for tick in range(9):
        write_tick(stream, tick)
    whole = worker(stream, settings)
    whole.advance(8)
    whole.close()  # one writer a partition
    broken = worker(stream, settings)
    for tick in range(9):
        broken.advance(tick)
        saved = Sections.from_bytes(broken.checkpoint().to_bytes())
        broken.close()
        broken = worker(stream, settings)
        broken.restore(saved)
    assert broken.updater.learner.to_bytes() == whole.updater.learner.to_bytes()
    assert broken.counts == whole.counts
    assert broken.checkpoint().to_bytes() == whole.checkpoint().to_bytes()


RETRAINS = [
    WINDOW | {"passes": 2},
    WINDOW | {"start": "cold"},
    WINDOW | {"shuffle": True},
    {"mode": "fine_tune", "every_hours": 3, "passes": 2},
]


@pytest.mark.parametrize("alarmed", [False, True])
@pytest.mark.parametrize("updating", RETRAINS, ids=str)
def test_a_window_that_is_read_from_the_log_again_trains_as_one_that_is_held(
    stream: EventLog, updating: dict[str, Any], alarmed: bool
) -> None:
    monitor = {"monitor": ALARMED | {"action": "retrain"}} if alarmed else {}
    for tick in range(9):
        write_tick(stream, tick)
    states = []
    for held_mib in (2048, 0):
        one = worker(stream, config(updating={**updating, "batch_size": 16, "held_mib": held_mib}, **monitor))
        one.advance(4)
        saved = Sections.from_bytes(one.checkpoint().to_bytes())
        one.advance(8)
        states.append(one.checkpoint().to_bytes())
        one.close()
        one.restore(saved)
        one.advance(8)
        states.append(one.checkpoint().to_bytes())
        one.close()
    assert len(set(states)) == 1


@pytest.mark.parametrize("held_mib", [2048, 0])
def test_a_worker_stopped_in_a_training_is_not_whole_and_a_restart_ends_as_if_it_had_never_begun(
    stream: EventLog, held_mib: int
) -> None:
    settings = config(updating=WINDOW | {"passes": 50, "batch_size": 16, "held_mib": held_mib})
    for tick in range(6):
        write_tick(stream, tick)
    asked = 0

    def in_the_second_training() -> bool:
        nonlocal asked
        asked += broken.tick == 5
        return asked > 30

    broken = worker(stream, settings, should_stop=in_the_second_training)
    broken.advance(3)
    saved = Sections.from_bytes(broken.checkpoint().to_bytes())
    assert broken.is_whole
    with pytest.raises(FeedStopped):
        broken.advance(5)
    assert not broken.is_whole
    broken.close()
    again, whole = worker(stream, settings), worker(stream, settings)
    again.restore(saved)
    for one in (again, whole):
        one.advance(5)
        one.close()
    assert again.is_whole and again.checkpoint().to_bytes() == whole.checkpoint().to_bytes()
    assert again.checkpoint().to_bytes() != saved.to_bytes()


def test_a_checkpoint_before_the_first_tick_is_the_beginning(stream: EventLog) -> None:
    saved = worker(stream).checkpoint()
    write_tick(stream, 0)
    whole, again = worker(stream), worker(stream)
    again.restore(saved)
    for one in (whole, again):
        one.advance(0)
        one.close()
    assert again.checkpoint().to_bytes() == whole.checkpoint().to_bytes()


def test_a_checkpoint_of_another_model_is_refused(stream: EventLog) -> None:
    write_tick(stream, 0)
    one = worker(stream)
    one.advance(0)
    other = worker(stream, config(model={"name": "fm", "embedding": 6}))
    with pytest.raises(StateError, match=r"is of another model: .*table"):
        other.restore(one.checkpoint())


def test_versions_are_announced_when_they_are_due(stream: EventLog) -> None:
    for tick in range(6):
        write_tick(stream, tick)
    one = worker(stream)
    published: list[Published] = []
    one.on_publish = published.append
    one.advance(5)
    assert [(p.version, p.tick) for p in published] == [(1, 1), (2, 3), (3, 5)]
    said = [json.loads(record.value) for record in stream.reader({Partition("snapshots", 0): 0}).poll(0.5)]
    assert [(s["version"], s["tick"], s["watermark_ms"]) for s in said] == [
        (1, 1, 2 * HOUR_MS), (2, 3, 4 * HOUR_MS), (3, 5, 6 * HOUR_MS),
    ]  # fmt: skip


@pytest.mark.parametrize("is_waited_for", [True, False])
def test_what_is_said_of_a_version_waits_for_more_where_no_other_process_waits_to_hear_of_it(
    stream: EventLog, is_waited_for: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tick in range(2):
        write_tick(stream, tick)
    producer, told = stream.producer(), []
    append = producer.append

    def noted(partition: Partition, value: bytes, *, more: bool = False, **rest: Any) -> None:
        told.append((partition.topic, more))
        append(partition, value, more=more, **rest)

    monkeypatch.setattr(producer, "append", noted)
    monkeypatch.setattr(stream, "producer", lambda: producer)
    one = worker(stream)
    one.is_waited_for = is_waited_for
    one.advance(1)
    assert told == [("snapshots", True), ("metrics", not is_waited_for)]


def test_a_monitor_s_newest_reading_is_told_with_the_metrics(stream: EventLog) -> None:
    for tick in range(6):
        write_tick(stream, tick)
    plain, watched = worker(stream), worker(stream, config(monitor=ALARMED))
    readings: list[Any] = []
    watched.updater.on_reading = readings.append  # type: ignore[attr-defined]
    for one in (plain, watched):
        one.advance(5)
        one.close()
    told = [json.loads(record.value) for record in stream.reader({Partition("metrics", 0): 0}).poll(0.5)]
    without, with_monitor = told[:3], told[3:]
    assert [set(one) - set(without[0]) for one in with_monitor] == [
        {"rolling_auc", "rolling_logloss", "rolling_calibration", "drift_estimate", "alarms", "rate"}
    ] * 3
    assert [one["rolling_logloss"] for one in with_monitor] == [readings[tick].logloss for tick in (1, 3, 5)]
    assert with_monitor[-1]["alarms"] == sum(reading.alarm for reading in readings) > 0


def rows_of(seed: int, at_ms: int) -> ExampleBatch:
    """Forty examples in the order of label time."""
    return examples(40, seed=seed, at_ms=at_ms, first_id=1000 * seed)


@pytest.mark.parametrize("start", ["warm", "cold"])
@pytest.mark.parametrize("passes", [1, 2])
def test_a_window_retrains_on_exactly_the_rows_of_its_days(start: str, passes: int) -> None:
    updating = {"mode": "window", "days": 0.125, "every_hours": 2, "start": start, "passes": passes, "batch_size": 32,
                "shuffle": False}  # fmt: skip
    settings = config(updating=updating)
    made = [make_learner(settings, FIELDS, name="x", seed=1, base_rate=0.1) for _ in range(2)]
    updater, by_hand = WindowUpdater(settings.updating, made[0], 1), made[1]  # type: ignore[arg-type]
    everything: list[ExampleBatch] = []
    updater.end_tick(-1, 0)
    for tick in range(8):
        batch = rows_of(tick, (tick - 1) * HOUR_MS)
        everything.append(batch)
        updater.learn(batch, None)
        watermark = (tick + 1) * HOUR_MS
        newest_ms = updater.end_tick(tick, watermark)
        assert (newest_ms is None) == (watermark % (2 * HOUR_MS) > 0)
        if newest_ms is not None:
            if start == "cold":
                by_hand.reset()
            window = ExampleBatch.concat(everything)
            window = window.take(window.label_time_ms > watermark - 3 * HOUR_MS)
            assert newest_ms == window.label_time_ms.max()
            for _ in range(passes):
                for at in range(0, len(window), 32):
                    by_hand.learn(window.part(slice(at, at + 32)))
        assert digest(made[0].to_bytes()) == digest(by_hand.to_bytes())


def test_micro_batches_are_cut_by_count_and_never_by_arrival() -> None:
    whole = ExampleBatch.concat([rows_of(seed, seed * HOUR_MS) for seed in range(5)])
    digests = []
    for cuts in ([200], [7, 50, 51, 52, 199], list(range(0, 200, 3))):
        settings = config(updating={"batch_size": 64})
        updater = make_updater(settings, make_learner(settings, FIELDS, name="x", seed=1, base_rate=0.1))
        learnt = 0
        for rows in np.split(np.arange(200), cuts):
            if len(rows):
                trained = updater.learn(whole.take(rows), None)
                learnt += 0 if trained.examples is None else len(trained.examples)
        assert learnt == 192  # three batches of 64; the rest waits
        digests.append(digest(updater.learner.to_bytes()))
    assert len(set(digests)) == 1


NUMBERS = [FieldConfig(name="user", kind="number"), FieldConfig(name="item", kind="number")]  # up to 50, and not scaled


@pytest.mark.parametrize("kind", ["torch", "river"])
def test_a_learner_that_diverges_stops_before_it_publishes_or_saves_what_is_no_number(
    stream: EventLog, kind: str
) -> None:
    for tick in range(12):
        write_tick(stream, tick)
    settings = config(kind=kind, optimizer={"name": "sgd", "lr": 10.0})
    one = worker(stream, settings, fields=NUMBERS)
    published: list[Published] = []
    one.on_publish = published.append
    saved = [one.checkpoint()]

    def go_on() -> None:
        for tick in range(12):
            one.advance(tick)
            saved.append(one.checkpoint())

    with pytest.raises(DivergedError, match=r"x: its (weights|predictions) are no longer"):
        go_on()
    other = worker(stream, settings, fields=NUMBERS)
    other.restore(saved[-1])
    features = examples(9).exposures.features
    assert np.isfinite(other.updater.learner.predict(features)).all()
    assert all(np.isfinite(version.model.predict(features)).all() for version in published)
