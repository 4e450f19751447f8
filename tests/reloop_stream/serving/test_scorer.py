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
from reloop_stream.errors import EventError, LogUnavailable, SnapshotError
from reloop_stream.events import ExposureBatch, ListColumn
from reloop_stream.log import EventLog, Partition, Record
from reloop_stream.serving.publisher import SnapshotPublisher
from reloop_stream.serving.scorer import Scorer
from reloop_stream.serving.scores import Scores, columns_of
from reloop_stream.serving.snapshot_folder import FolderOfSnapshots, snapshot_file
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
