"""Published versions: what they hold, how they are read from folders and topics, and what is refused or passed over."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import kafka
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reloop_stream import plugins
from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import SnapshotError
from reloop_stream.learners import make_learner
from reloop_stream.log import EventLog, Partition, Record, open_log
from reloop_stream.models.lr import LR
from reloop_stream.serving.publisher import SnapshotPublisher
from reloop_stream.serving.snapshot import Published, SnapshotSource, read_snapshot, snapshot_bytes
from reloop_stream.serving.snapshot_folder import FolderOfSnapshots, load_snapshot, snapshot_file
from reloop_stream.serving.snapshot_topic import TopicOfSnapshots, snapshot_parts
from reloop_stream.state.checkpoint import Sections
from reloop_stream.state.packing import pack, unpack
from reloop_stream.testing import MemoryLog, examples

FIELDS = [
    FieldConfig(name="user", mode="exact", buckets=50),
    FieldConfig(name="item", buckets=64),
]
FEATURES = examples(20, seed=9).exposures.features


def config(**changes: Any) -> LearnerConfig:
    return LearnerConfig.model_validate({"model": {"name": "fm", "embedding": 4}, **changes})


def versions(n: int, settings: LearnerConfig | None = None, name: str = "mine") -> list[Published]:
    """Versions 1 to n of a learner that learns a batch before each."""
    learner = make_learner(settings or config(), FIELDS, name=name, seed=1, base_rate=0.1)
    found = []
    for tick in range(n):
        learner.learn(examples(64, seed=tick))
        model = learner.publish()
        found.append(Published(name, model.version, tick, 1000 * (tick + 1), model))
    return found


SOME_VERSIONS = versions(12)


def make_topic(log: EventLog) -> str:
    topic = f"snapshots-{uuid.uuid4().hex[:8]}"
    log.create_topics({topic: 2})
    return topic


def version_and_scores(source: SnapshotSource, after: int = 0) -> tuple[int, list[float]] | None:
    found = source.newest(after)
    return None if found is None else (found[0].version, found[1].predict(FEATURES).tolist())


@pytest.mark.parametrize(
    "settings",
    [
        config(loss={"name": "reloop", "alpha": 0.4}, updating={"mode": "window", "days": 2}),
        config(kind="river", model={"name": "lr"}),
    ],
    ids=["torch", "river"],
)
def test_a_snapshot_is_enough_to_score_and_says_where_it_comes_from(settings: LearnerConfig) -> None:
    published = versions(2, settings)[-1]
    data = snapshot_bytes(published, settings, FIELDS)
    snapshot = read_snapshot(data)
    assert snapshot.model().predict(FEATURES).tolist() == published.model.predict(FEATURES).tolist()
    assert (snapshot.learner, snapshot.version, snapshot.tick, snapshot.watermark_ms) == ("mine", 2, 1, 2000)
    assert snapshot.config == settings and list(snapshot.fields) == FIELDS
    assert snapshot_bytes(published, settings, FIELDS) == data


def test_the_tensors_lie_in_a_snapshot_under_their_own_names() -> None:
    published = versions(1)[0]
    arrays = unpack(snapshot_bytes(published, config(), FIELDS))[1]
    own = unpack(published.model.to_bytes())[1]
    assert {name: array.shape for name, array in arrays.items()} == {name: a.shape for name, a in own.items()}


def damaged(what: str) -> bytes:
    data = snapshot_bytes(versions(1)[0], config(), FIELDS)
    meta, arrays = unpack(data)
    if what == "truncated":
        return data[:-9]
    if what == "foreign":
        return b"PK\x03\x04 a zip of pickles"
    if what == "a checkpoint":
        return Sections().to_bytes()
    if what == "a model alone":
        return versions(1)[0].model.to_bytes()
    if what == "unknown setting":
        return pack({**meta, "config": {**meta["config"], "speed": 9}}, arrays)
    if what == "unknown model":
        return pack({**meta, "config": {**meta["config"], "model": {"name": "os.system"}}}, arrays)
    if what == "not finite":
        return pack(meta, {name: array * np.nan if array.ndim == 2 else array for name, array in arrays.items()})
    if what == "another version":
        return pack({**meta, "version": 7}, arrays)
    if what == "no name in the model":
        return pack({**meta, "model": {"kind": "torch"}}, arrays)
    assert what == "tensor of another shape"
    return pack(meta, {name: array[:1] for name, array in arrays.items() if array.ndim})


@pytest.mark.parametrize(
    "what, said",
    [
        ("truncated", "hold no state of this program"),
        ("foreign", "hold no state of this program"),
        ("a checkpoint", "is not a published version"),
        ("a model alone", "is not a published version"),
        ("unknown setting", "config.speed: Extra inputs"),
        (
            "unknown model",
            "model 'os.system' is none of this package's models; load the file that adds it first (--plugin",
        ),
    ],
)
def test_other_bytes_are_refused_with_a_reason_and_the_file_s_name(what: str, said: str, tmp_path: Path) -> None:
    path = snapshot_file(tmp_path, "mine", 1)
    path.write_bytes(damaged(what))
    with pytest.raises(SnapshotError) as caught:
        load_snapshot(path)
    assert str(caught.value).startswith(f"{path}: snapshot: ") and said in str(caught.value)


@pytest.mark.parametrize(
    "what, said",
    [
        ("another version", "is of version 7, its model says 1"),
        ("no name in the model", "its model cannot be built: KeyError: 'name'"),
        ("not finite", "its tensor weights.* holds numbers that are not finite: its learner has diverged"),
        ("tensor of another shape", "its model cannot be built: .*differ in shape or presence"),
    ],
)
def test_a_model_is_built_of_its_own_tensors_alone(what: str, said: str) -> None:
    with pytest.raises(SnapshotError, match=said):
        read_snapshot(damaged(what)).model()


def test_a_plugin_s_model_is_read_once_the_plugin_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_registered", {("model", "mine"): LR})
    settings = config(model={"name": "mine"})
    published = versions(1, settings)[0]
    data = snapshot_bytes(published, settings, FIELDS)
    assert read_snapshot(data).model().predict(FEATURES).tolist() == published.model.predict(FEATURES).tolist()
    monkeypatch.setattr(plugins, "_registered", {})
    with pytest.raises(SnapshotError, match="load the file that adds it first"):
        read_snapshot(data)


def test_the_newest_files_are_kept(tmp_path: Path) -> None:
    publisher = SnapshotPublisher(config(), FIELDS, folder=tmp_path, keep=2)
    for published in versions(4):
        publisher.publish(published)
    for published in versions(1, name="mine-2"):
        publisher.publish(published)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mine-00000003.safetensors", "mine-00000004.safetensors", "mine-2-00000001.safetensors"
    ]  # fmt: skip


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"learner: got '\.\./mine'"):
        SnapshotPublisher(config(), FIELDS, folder=tmp_path).publish(versions(1)[0]._replace(learner="../mine"))


def test_a_folder_gives_what_is_newer_and_passes_a_damaged_file_over_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publisher, source = SnapshotPublisher(config(), FIELDS, folder=tmp_path), FolderOfSnapshots(tmp_path)
    assert source.newest(0) is None
    first, second, third = versions(3)
    publisher.publish(first)
    publisher.publish(second)
    assert version_and_scores(source) == (2, second.model.predict(FEATURES).tolist())
    assert source.newest(2) is None
    snapshot_file(tmp_path, "mine", 3).write_bytes(damaged("truncated"))
    assert version_and_scores(source, after=1) == (2, second.model.predict(FEATURES).tolist())
    assert source.newest(2) is None
    assert caplog.text.count("00000003.safetensors") == 1
    publisher.publish(third)
    assert version_and_scores(source, after=2) == (3, third.model.predict(FEATURES).tolist())


def test_where_several_learners_publish_one_must_be_named(tmp_path: Path) -> None:
    for name in ("one", "two"):
        SnapshotPublisher(config(), FIELDS, folder=tmp_path).publish(versions(1, name=name)[0])
    with pytest.raises(SnapshotError, match=r"several learners publish there \(one, two\); say which"):
        FolderOfSnapshots(tmp_path).newest(0)
    found = FolderOfSnapshots(tmp_path, "two").newest(0)
    assert found is not None and found[0].learner == "two"


def test_a_topic_gives_the_newest_version_and_then_what_comes(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reloop_stream.serving.snapshot_topic.PART_BYTES", 500)
    monkeypatch.setattr("reloop_stream.serving.snapshot_topic.LOOK_BACK", 2)  # less than the parts of a version
    topic = make_topic(log)
    source = TopicOfSnapshots(log, topic)
    assert source.newest(0) is None
    publisher = SnapshotPublisher(config(), FIELDS, log=log, topic=topic)
    first, second, third = versions(3)
    publisher.publish(first)
    publisher.publish(second)
    assert version_and_scores(source) == (2, second.model.predict(FEATURES).tolist())
    assert source.newest(2) is None
    late = TopicOfSnapshots(log, topic)
    assert version_and_scores(late) == (2, second.model.predict(FEATURES).tolist())
    publisher.publish(second)  # as after a kill -9
    publisher.publish(third)
    for one in (source, late):
        assert version_and_scores(one, after=2) == (3, third.model.predict(FEATURES).tolist())
        one.close()
    publisher.close()


def parts_of(published: Published, log: EventLog, topic: str) -> list[Record]:
    publisher = SnapshotPublisher(config(), FIELDS, log=log, topic=topic)
    publisher.publish(published)
    publisher.close()
    reader = log.reader(log.begin_offsets(log.partitions(topic)))
    records = reader.poll(1.0)
    reader.close()
    return records


@pytest.mark.parametrize(
    "fault, said",
    [
        ("a part is missing", "version 1 of mine has "),
        ("a part is damaged", "version 1 of mine is damaged"),
        ("a header is missing", "its headers do not say which part it is"),
        ("it stops half-way", "version 1 of mine has 2 of its"),
        ("its model is unknown", "version 1 of mine: snapshot: its model 'gone'"),
    ],
)
def test_a_version_that_is_not_whole_is_passed_over_with_a_reason(
    fault: str, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reloop_stream.serving.snapshot_topic.PART_BYTES", 500)
    caplog.set_level("INFO")
    log = open_log(tmp_path / "events")
    log.create_topics({"recorded": 1, "snapshots": 1})
    first, second = versions(2)
    if fault == "its model is unknown":
        monkeypatch.setattr(plugins, "_registered", {("model", "gone"): LR})
        data = snapshot_bytes(versions(1, config(model={"name": "gone"}))[0], config(model={"name": "gone"}), FIELDS)
        monkeypatch.setattr("reloop_stream.serving.publisher.snapshot_bytes", lambda *_: data)
    records = parts_of(first, log, "recorded")
    monkeypatch.setattr("reloop_stream.serving.publisher.snapshot_bytes", snapshot_bytes)
    monkeypatch.setattr(plugins, "_registered", {})
    assert len(records) > 3
    values, headers = [r.value for r in records], [dict(r.headers) for r in records]
    if fault == "a part is missing":
        del values[1], headers[1]
    elif fault == "a part is damaged":
        values[2] = bytes(len(values[2]))
    elif fault == "a header is missing":
        del headers[1]["parts"]
    elif fault == "it stops half-way":
        del values[2:], headers[2:]
    producer = log.producer()
    producer.append(Partition("snapshots", 0), b'{"learner": "mine", "version": 9}', headers={"encoding": b"json"})
    for value, header in zip(values, headers, strict=True):
        producer.append(Partition("snapshots", 0), value, headers=header)
    producer.close()
    source = TopicOfSnapshots(log, "snapshots")
    assert source.newest(0) is None
    publisher = SnapshotPublisher(config(), FIELDS, log=log, topic="snapshots")
    publisher.publish(second)
    publisher.close()
    assert version_and_scores(source) == (2, second.model.predict(FEATURES).tolist())
    assert said in caplog.text and "passed over" in caplog.text


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["publish", "crash", "save"]), st.integers(0, 9), st.booleans()), max_size=12),
    st.lists(st.sampled_from([400, 700, 5000]), min_size=12, max_size=12),
)
def test_compaction_leaves_the_newest_version_whole_whenever_it_comes(
    steps: list[tuple[str, int, bool]], part_bytes: list[int]
) -> None:
    """A learner publishes, is killed in the middle of a version, and publishes again what came after its checkpoint."""
    log, place = MemoryLog(), Partition("snapshots", 0)
    log.create_topics({place.topic: 1})
    saved = last = newest = 0
    for what, cut, compact in steps:
        if what == "save" or last - saved == 2:
            saved = last
        if what != "save":
            published = SOME_VERSIONS[last]
            data = snapshot_bytes(published, config(), FIELDS)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("reloop_stream.serving.snapshot_topic.PART_BYTES", part_bytes[last])
                parts = list(snapshot_parts(published, data))
            written = parts if what == "publish" else parts[: cut % len(parts)]
            for key, value, headers in written:
                log.append(place, value, key=key.encode(), headers=headers)
            last = last + 1 if what == "publish" else saved
            newest = max(newest, last)
        if compact:
            log.compact(place.topic)
        found = TopicOfSnapshots(log, place.topic).newest(0)
        assert (found[0].version if found else 0) == newest
    log.compact(place.topic)
    held = TopicOfSnapshots(log, place.topic)._begin()
    assert len(held) <= 2


def test_tombstones_are_passed_over(tmp_path: Path) -> None:
    log, place = MemoryLog(), Partition("snapshots", 0)
    log.create_topics({place.topic: 1})
    (published,) = versions(1)
    for key, value, headers in snapshot_parts(published, snapshot_bytes(published, config(), FIELDS)):
        log.append(place, value, key=key.encode(), headers=headers)
        log.append(place, b"", key=b"mine/1/7")
        log.append(place, b"", key=b"mine/1/8", headers=headers)
    assert version_and_scores(TopicOfSnapshots(log, place.topic)) == (1, published.model.predict(FEATURES).tolist())


@pytest.mark.kafka
def test_a_large_version_fits_into_a_compacted_topic_of_the_broker_s_own_size(kafka_url: str) -> None:
    topic = f"snapshots-{uuid.uuid4().hex[:8]}"
    admin = kafka.KafkaAdminClient(bootstrap_servers=kafka_url.removeprefix("kafka://"))
    compacted = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    admin.create_topics({topic: {"num_partitions": 1, "configs": compacted}}, wait_for_metadata=True)
    admin.close()
    fields = [FieldConfig(name="user", mode="exact", buckets=150_000)]  # 3 MB
    learner = make_learner(config(), fields, name="large", seed=1, base_rate=0.1)
    with open_log(kafka_url) as log:
        publisher = SnapshotPublisher(config(), fields, log=log, topic=topic)
        for tick in range(3):
            model = learner.publish()
            publisher.publish(Published("large", model.version, tick, 1000 * (tick + 1), model))
        publisher.close()
        source = TopicOfSnapshots(log, topic)
        found = source.newest(0)
        source.close()
    assert found is not None and found[0].version == 3
