"""The scorer: always one version a result, the newest that can be used, and no pause when it changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reloop_stream.codec.records import decode, encode
from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import EventError, LogUnavailable, SnapshotError
from reloop_stream.events import ExposureBatch, ListColumn, constant
from reloop_stream.features.encoder import Encoder
from reloop_stream.learners import make_learner
from reloop_stream.log import EventLog, Partition, Record
from reloop_stream.serving.publisher import SnapshotPublisher
from reloop_stream.serving.scorer import Scorer
from reloop_stream.serving.scores import Scores, columns_of
from reloop_stream.serving.snapshot import Published
from reloop_stream.serving.snapshot_folder import FolderOfSnapshots, load_snapshot, snapshot_file
from reloop_stream.serving.snapshot_topic import TopicOfSnapshots
from reloop_stream.testing import same_columns
from tests.reloop_stream.serving.test_snapshots import FEATURES, FIELDS, config, make_topic, versions

QUICK_S = 0.01
STAMP: dict[str, Any] = {
    "request_id": 5, "exposure_id": np.arange(20), "event_time_ms": 1000, "user_id": "u", "item_id": np.arange(20),
    "position": np.arange(20), "n_candidates": 30, "features": FEATURES,
}  # fmt: skip


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_the_base_rate_is_served_until_there_is_a_version(tmp_path: Path) -> None:
    with Scorer(tmp_path / "to-come", base_rate=0.07, refresh_s=QUICK_S) as scorer:
        scores = scorer.score(FEATURES)
        assert (scores.model_version, scorer.version) == (0, 0) and scores.pctr.tolist() == [0.07] * 20
        (published,) = versions(1)
        SnapshotPublisher(config(), FIELDS, folder=tmp_path / "to-come").publish(published)
        wait_for(lambda: scorer.version == 1)
        scores = scorer.score(FEATURES)
        assert (scores.model_name, scores.model_version) == ("mine", 1)
        assert scores.pctr.tolist() == published.model.predict(FEATURES).tolist()


def test_the_newest_version_serves_from_the_first_request_on(log: EventLog) -> None:
    topic = make_topic(log)
    publisher = SnapshotPublisher(config(), FIELDS, log=log, topic=topic)
    first, second = versions(2)
    publisher.publish(first)
    with Scorer(TopicOfSnapshots(log, topic), base_rate=0.1, refresh_s=QUICK_S) as scorer:
        assert scorer.version == 1
        publisher.publish(second)
        wait_for(lambda: scorer.version == 2)
        assert scorer.score(FEATURES).pctr.tolist() == second.model.predict(FEATURES).tolist()
    publisher.close()
    assert scorer.score(FEATURES).model_version == 2  # closed: it looks no more, and goes on scoring


def test_rows_one_by_one_and_candidates_give_what_columns_give(tmp_path: Path) -> None:
    (published,) = versions(1)
    SnapshotPublisher(config(), FIELDS, folder=tmp_path).publish(published)
    with Scorer(tmp_path, base_rate=0.1) as scorer:
        user, item = FEATURES["user"], FEATURES["item"]
        assert isinstance(user, np.ndarray) and isinstance(item, np.ndarray)
        rows = [{"user": int(u), "item": int(i)} for u, i in zip(user, item, strict=True)]
        by_columns = scorer.score(FEATURES).pctr
        assert scorer.score(rows).pctr.tolist() == by_columns.tolist()
        paired = scorer.score_candidates({"user": user}, {"item": item}, np.arange(20)[:, None])
        assert paired.model_version == 1 and np.allclose(paired.pctr[:, 0], by_columns, atol=1e-6)


def test_a_stamp_is_what_was_scored_and_goes_through_the_log_unchanged() -> None:
    shown = Scores(np.linspace(0.01, 0.2, 20), "ctr", 7).exposures(**STAMP, arm="b", propensity=np.full(20, 0.5))
    assert set(shown.model_name) == {"ctr"} and set(shown.model_version) == {7}
    assert shown.pctr.tolist() == np.linspace(0.01, 0.2, 20).tolist()
    for encoding in ("json", "arrow"):
        records = [
            Record(Partition("exposures", 0), i, payload.key, payload.value, payload.headers)
            for i, payload in enumerate(encode(shown, encoding))
        ]
        (read,) = decode(records, "exposure", lambda _, reason: pytest.fail(reason))
        assert isinstance(read.batch, ExposureBatch)
        assert same_columns(read.batch, shown)


def test_what_is_shown_of_many_candidates_keeps_its_stamp() -> None:
    scores = Scores(np.array([[0.1, 0.4, 0.2], [0.3, 0.2, 0.1]]), "ctr", 3)
    best = np.argsort(-scores.pctr, axis=1)[:, :2]
    shown = scores[np.arange(2)[:, None], best]
    assert shown.pctr.tolist() == [[0.4, 0.2], [0.3, 0.2]] and shown.model_version == 3
    with pytest.raises(EventError, match="pctr: has 2 dimensions, must have one"):
        scores.exposures(**STAMP)


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(EventError, match="item_id: has 20 rows, the scores have 3"):
        Scores(np.array([0.1, 0.2, 0.3]), "ctr", 1).exposures(**{**STAMP, "exposure_id": [1, 2, 3]})


def test_rows_become_columns_of_one_type() -> None:
    columns = columns_of(
        [{"id": 1, "name": "a", "price": 2, "tags": ["x"]}, {"id": 2, "name": "b", "price": 2.5, "tags": []}]
    )
    assert columns["id"].dtype == np.int64 and columns["price"].tolist() == [2.0, 2.5]  # type: ignore[union-attr]
    tags = columns["tags"]
    assert isinstance(tags, ListColumn) and tags.values.tolist() == ["x"] and tags.offsets.tolist() == [0, 1, 1]
    with pytest.raises(EventError, match=r"features.name: got \['a', 1\], must be integers, numbers, texts, or lists"):
        columns_of([{"name": "a"}, {"name": 1}])
    with pytest.raises(EventError, match="rows must have the same ones"):
        columns_of([{"name": "a"}, {"title": "a"}])


def test_a_version_that_cannot_be_used_leaves_the_old_one_serving(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = versions(3)
    publisher = SnapshotPublisher(config(), FIELDS, folder=tmp_path)
    publisher.publish(first)
    with Scorer(tmp_path, base_rate=0.1, refresh_s=QUICK_S) as scorer:
        path = snapshot_file(tmp_path, "mine", 2)
        path.write_bytes(b"half a snapsho")
        wait_for(lambda: "00000002.safetensors" in caplog.text)
        assert scorer.version == 1
        publisher.publish(second)  # whole this time
        wait_for(lambda: scorer.version == 2)
        publisher.publish(third)
        wait_for(lambda: scorer.version == 3)


class Faulty:
    """A source that fails in each of the given ways, one a look, and then has a version."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.closed = False

    def newest(self, after: int) -> Any:
        if self.faults:
            raise self.faults.pop(0)
        model = versions(1)[0].model
        return None if after else (type("Said", (), {"learner": "mine", "version": 1}), model)

    def close(self) -> None:
        self.closed = True


def test_a_source_that_fails_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    source = Faulty(LogUnavailable("gone"), LogUnavailable("gone"), OSError("disk"), ZeroDivisionError("a bug"))
    with Scorer(source, base_rate=0.1, refresh_s=QUICK_S) as scorer:
        wait_for(lambda: scorer.version == 1)
    assert source.closed
    said = ("no newer version: gone", "no newer version: disk", "looking for a newer version failed")
    assert [caplog.text.count(text) for text in said] == [1, 1, 1]


def test_several_learners_in_one_place_are_a_mistake_said_at_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        SnapshotPublisher(config(), FIELDS, folder=tmp_path).publish(versions(1, name=name)[0])
    with pytest.raises(SnapshotError, match="say which"):
        Scorer(tmp_path, base_rate=0.1)
    with Scorer(FolderOfSnapshots(tmp_path, "two"), base_rate=0.1) as scorer:
        assert scorer.score(FEATURES).model_name == "two"


@pytest.mark.parametrize("rates", [{"base_rate": 0.0}, {"base_rate": 0.1, "refresh_s": 0}])
def test_rates_out_of_bounds_are_refused(tmp_path: Path, rates: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Scorer(tmp_path, **rates)


def test_every_stamp_under_fire_is_what_its_own_version_predicts(tmp_path: Path) -> None:
    published = versions(50)
    right = {0: [0.1] * 20} | {one.version: one.model.predict(FEATURES).tolist() for one in published}
    publisher = SnapshotPublisher(config(), FIELDS, folder=tmp_path)
    wrong: list[Any] = []
    seen: list[set[int]] = []
    done = threading.Event()

    def hammer(scorer: Scorer) -> None:
        mine: set[int] = set()
        seen.append(mine)
        newest = 0
        while not done.is_set():
            shown = scorer.score(FEATURES).exposures(**STAMP)
            version = int(shown.model_version[0])
            mine.add(version)
            if shown.pctr.tolist() != right[version] or version < newest:
                wrong.append((version, newest))
            newest = version

    with Scorer(tmp_path, base_rate=0.1, refresh_s=QUICK_S) as scorer:
        threads = [threading.Thread(target=hammer, args=(scorer,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for one in published:
            publisher.publish(one)
            wait_for(lambda version=one.version: scorer.version == version)  # type: ignore[misc]
        done.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert scorer.version == 50 and len(set.union(*seen)) > 25


def test_a_text_is_taken_for_a_path_and_what_is_no_source_is_said(tmp_path: Path) -> None:
    (published,) = versions(1)
    SnapshotPublisher(config(), FIELDS, folder=str(tmp_path)).publish(published)
    with Scorer(str(tmp_path), base_rate=0.1) as scorer:
        assert scorer.version == 1
    found = FolderOfSnapshots(str(tmp_path)).newest(0)
    assert found is not None and load_snapshot(str(snapshot_file(tmp_path, "mine", 1))).version == 1
    for source in (None, 5, b"folder", FolderOfSnapshots, object()):
        with pytest.raises(TypeError, match=r"source: got a value of type \w+, must be a folder .* or a TopicOf"):
            Scorer(source, base_rate=0.1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="folder: got a value of type int, must be a path"):
        FolderOfSnapshots(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="path: got a value of type NoneType, must be a path"):
        load_snapshot(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="log: got a value of type str, must be an open log"):
        TopicOfSnapshots("kafka://localhost:9092", "snapshots")  # type: ignore[arg-type]


def test_what_is_missing_in_a_folder_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "to-come"
    with Scorer(folder, base_rate=0.07, refresh_s=QUICK_S) as scorer:
        time.sleep(10 * QUICK_S)
        assert scorer.version == 0 and caplog.text.count("to-come: is not there") == 1
        folder.mkdir()
        wait_for(lambda: "to-come: holds no version yet" in caplog.text)
        SnapshotPublisher(config(), FIELDS, folder=folder).publish(versions(1)[0])
        wait_for(lambda: scorer.version == 1)
    with Scorer(FolderOfSnapshots(folder, "mien"), base_rate=0.07):
        assert "to-come: holds versions of mine, and none of mien" in caplog.text


UNFIT: dict[str, tuple[Any, str]] = {
    "lists": ({"user": [3, 3], "item": [1, 2]}, "features.user: got a value of type list"),
    "a list of columns": ([np.arange(2)], "features: got .* must be a mapping of columns, or a sequence of mappings"),
    "a text": ("user", "features: got 'user'"),
    "no columns": ({}, "features: got no column"),
    "two lengths": ({"user": np.arange(2), "item": np.arange(3)}, "features.item: has 3 rows, must have 2"),
    "a column beside": (
        {"user": np.arange(2), "item": np.arange(2), "more": np.arange(3)},
        "features.more: has 3 rows",
    ),
    "a NaN": ([{"user": 1, "item": float("nan")}], "features.item: got nan"),
    "true": ([{"user": True, "item": 2}], "features.user: got .True., must be integers"),
    "70 bits": ([{"user": 2**70, "item": 2}], "features.user: got an integer of more than 64 bits"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_no_model_takes_is_refused_before_the_first_version_too(name: str, tmp_path: Path) -> None:
    features, message = UNFIT[name]
    SnapshotPublisher(config(), FIELDS, folder=tmp_path).publish(versions(1)[0])
    with Scorer(tmp_path / "none", base_rate=0.1) as before, Scorer(tmp_path, base_rate=0.1) as after:
        for version, scorer in enumerate((before, after)):
            assert scorer.version == version
            with pytest.raises(EventError, match=message):
                scorer.score(features)
            assert scorer.score([]).pctr.shape == (0,)


def test_what_is_no_item_is_no_candidate(tmp_path: Path) -> None:
    SnapshotPublisher(config(), FIELDS, folder=tmp_path).publish(versions(1)[0])
    user, item = {"user": np.array([1])}, {"item": np.array([8, 9])}
    with Scorer(tmp_path / "none", base_rate=0.1) as before, Scorer(tmp_path, base_rate=0.1) as after:
        for scorer in (before, after):
            assert scorer.score_candidates(user, item, np.array([[0, 1]])).pctr.shape == (1, 2)
            assert scorer.score_candidates(user, item, np.zeros((1, 0), dtype=int)).pctr.shape == (1, 0)
            for row in (-1, 2, 5000, 99_999_999):
                with pytest.raises(EventError, match=f"candidates: got {row} for request 0, there are 2 items"):
                    scorer.score_candidates(user, item, np.array([[0, row]]))
            with pytest.raises(EventError, match="item_features: got no column"):
                scorer.score_candidates(user, {}, np.array([[0]]))


def test_a_number_too_large_for_the_model_is_not_served_as_nan(tmp_path: Path) -> None:
    fields = [FieldConfig(name="user"), FieldConfig(name="cost", kind="number")]
    fm = LearnerConfig.model_validate({"kind": "linear", "model": {"name": "fm"}})
    learner = make_learner(fm, fields, name="mine", seed=1, base_rate=0.1)
    SnapshotPublisher(fm, fields, folder=tmp_path).publish(Published("mine", 1, 0, 0, learner.publish()))
    with Scorer(tmp_path, base_rate=0.1) as scorer:
        assert scorer.score([{"user": 1, "cost": 2.5}]).pctr.shape == (1,)
        with pytest.raises(EventError, match=r"pctr: version 1 of mine .* of \{'features.cost': 1e\+30\}"):
            scorer.score([{"user": 1, "cost": 1e30}])
        with pytest.raises(EventError, match=r"pctr: version 1 of mine"):
            scorer.score_candidates({"user": np.array([1])}, {"cost": np.array([1.0, 1e30])}, np.array([[0, 1]]))


UNFIT_STAMPS: dict[str, tuple[Any, str]] = {
    "position": ([0.5, 1, 2], "got values of numpy kind 'f', must be integers"),
    "n_candidates": (2**31, r"must lie in \[-2147483648, 2147483647\]"),
    "event_time_ms": (np.array(["2024-01-01"] * 3, dtype="M8[s]"), "numpy kind 'M'"),
    "user_id": (float("nan"), "numpy kind 'f'"),
    "item_id": ([1, "2", 3], "must be integers, numbers, texts, or lists"),
    "exposure_id": (None, "must be integers"),
    "request_id": ([True] * 3, "must be integers"),
    "arm": (3, "numpy kind 'i', must be a text"),
    "propensity": (1.5, r"must be in \(0, 1\]"),
    "features": ({"user": np.arange(2)}, "have 2 rows, the scores have 3"),
    "weight": ([1.0, 0.0, 2.0], "got 0.0 in row 1, must be above 0"),
}


@pytest.mark.parametrize("name", UNFIT_STAMPS)
def test_a_stamp_that_breaks_the_contract_is_refused_where_it_is_made(name: str) -> None:
    value, message = UNFIT_STAMPS[name]
    stamp = {**STAMP, "exposure_id": [1, 2, 3], "item_id": [1, 2, 3], "position": [0, 1, 2], "features": {}}
    scores = Scores(np.array([0.1, 0.2, 0.3]), "ctr", 1)
    assert scores.exposures(**stamp).position.dtype == np.int32 and scores.exposures(**stamp).weight is None
    weight = scores.exposures(**stamp, weight=2).weight
    assert weight is not None and weight.tolist() == [2.0, 2.0, 2.0]
    with pytest.raises(EventError, match=f"{name}: .*{message}"):
        scores.exposures(**{**stamp, name: value})
    with pytest.raises(EventError, match="pctr: got nan in row 1"):
        Scores(np.array([0.1, np.nan, 0.3]), "ctr", 1).exposures(**stamp)


@pytest.mark.parametrize("encoding", ["json", "arrow"])
def test_a_zero_byte_at_the_end_of_a_text_comes_through_a_stamp_and_the_log(encoding: Any) -> None:
    features: Any = {
        "each": np.array(["a\0", "a"], dtype=object),
        "one": constant("a\0", 2, object),
        "tags": ListColumn(np.array(["a\0", "a"], dtype=object), np.array([0, 1, 2])),
    }
    stamp = {**STAMP, "exposure_id": ["a\0", "a"], "item_id": 1, "position": 0, "user_id": "u\0", "features": features}
    shown = Scores(np.array([0.1, 0.2]), "ctr", 1).exposures(**stamp)
    records = [Record(Partition("e", 0), i, p.key, p.value, p.headers) for i, p in enumerate(encode(shown, encoding))]
    (read,) = decode(records, "exposure", lambda _, reason: pytest.fail(reason))
    assert isinstance(read.batch, ExposureBatch) and same_columns(read.batch, shown)
    for mode in ("hashed", "growing"):
        fields = [FieldConfig(name=name, mode=mode, kind="list" if name == "tags" else "category") for name in features]
        encoder = Encoder(fields)
        encoder.learn_values(read.batch.features)
        encoded = encoder.encode(read.batch.features)
        assert encoded.slots[0, 0] != encoded.slots[1, 0] and len(set(encoded.lists[0][0].tolist())) == 2
        plain = encoder.encode({**read.batch.features, "one": constant("a", 2)})
        assert (plain.slots[:, 1] != encoded.slots[:, 1]).all()
