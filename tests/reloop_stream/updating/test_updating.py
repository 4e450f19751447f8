"""Ways of updating, each against an example worked by hand: what is learnt when, and from which weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from reloop_stream.clock import HOUR_MS
from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.events import ExampleBatch
from reloop_stream.learners import make_learner
from reloop_stream.learners.base import WithoutMemory, batch_by_batch
from reloop_stream.testing import examples
from reloop_stream.updating import make_updater, publish_every_ms
from reloop_stream.updating.base import Updater
from reloop_stream.updating.window import WindowUpdater

DAY_MS = 24 * HOUR_MS


class Diary(WithoutMemory):
    """A learner that writes down what is asked of it: the numbers of the rows learnt, rows remembered, retrainings."""

    version = 0
    name = "diary"
    remembers = True

    def __init__(self) -> None:
        self.learnt: list[list[int]] = []
        self.foreign: list[list[bool] | None] = []
        self.columns: ExampleBatch | None = None
        self.told: list[Any] = []

    def predict(self, features: Any) -> np.ndarray:
        return np.asarray(features["row"] / 1000)

    def learn(self, batch: ExampleBatch, foreign: np.ndarray | None = None, size: int | None = None) -> np.ndarray:
        return batch_by_batch(self._learn, batch, foreign, size)

    def _learn(self, batch: ExampleBatch, foreign: np.ndarray | None) -> np.ndarray:
        self.columns = batch
        self.learnt.append(batch.exposures.features["row"].tolist())  # type: ignore[union-attr]
        self.foreign.append(None if foreign is None or not foreign.any() else foreign.tolist())
        return self.predict(batch.exposures.features)

    def remember(self, batch: ExampleBatch) -> None:
        self.told.append(batch.exposures.features["row"].tolist())  # type: ignore[union-attr]

    def retrained(self) -> None:
        self.told.append("retrained")

    def reset(self) -> None:
        self.told.append("reset")


def rows(*numbers: int, label_ms: int = 0) -> ExampleBatch:
    """Examples with these numbers, all of one label time."""
    made = examples(len(numbers), features={"row": np.array(numbers)})
    return ExampleBatch(made.exposures, made.label, np.full(len(numbers), label_ms), made.status)


def updater(updating: dict[str, Any], loss: dict[str, Any] | None = None) -> tuple[Updater, Diary]:
    diary = Diary()
    config = LearnerConfig.model_validate({"updating": updating, "loss": loss or {}})
    return make_updater(config, diary, seed=1), diary  # type: ignore[arg-type]


def test_none_predicts_and_never_learns() -> None:
    one, diary = updater({"mode": "none"})
    trained = one.learn(rows(3, 5), None)
    assert trained.pctr.tolist() == [0.003, 0.005] and trained.examples is not None
    assert not one.end_tick(0, 10 * DAY_MS) and one.memory_ms == 0
    assert diary.learnt == [] and diary.told == [[3, 5]]


@pytest.mark.parametrize("mode", ["incremental", "replay"])
def test_a_tick_says_up_to_which_label_time_was_learnt_in_it(mode: str) -> None:
    one, _ = updater({"mode": mode, "batch_size": 2})
    said = []
    for tick, batch in enumerate((rows(1), rows(2, label_ms=7), None, rows(3, 4, 5, label_ms=9))):
        if batch is not None:  # one waits, one makes two, none, two and one
            one.learn(batch, None)
        said.append(one.end_tick(tick, (tick + 1) * HOUR_MS))
    assert said == [None, 7, None, 9]


def test_none_goes_on_from_any_other_s_state_and_keeps_nothing_of_it() -> None:
    for mode in ({"mode": "incremental", "batch_size": 10}, {"mode": "window"}, {"mode": "replay", "batch_size": 2}):
        other, _ = updater(mode)
        other.learn(rows(1, 2, 3), None)
        one, diary = updater({"mode": "none"})
        one.restore(*other.state())
        assert one.learn(rows(4), None).pctr.tolist() == [0.004] and diary.learnt == [] and one.state() == ({}, {})


def test_fine_tuning_learns_what_came_since_the_last_time_and_nothing_twice() -> None:
    one, diary = updater({"mode": "fine_tune", "every_hours": 24, "passes": 2, "batch_size": 2})
    one.end_tick(-1, 0)
    one.learn(rows(1, 2, label_ms=3 * HOUR_MS), None)
    assert not one.end_tick(0, 12 * HOUR_MS)
    one.learn(rows(3, label_ms=20 * HOUR_MS), None)
    assert one.end_tick(1, DAY_MS) == 20 * HOUR_MS
    assert diary.learnt == [[1, 2], [3]] * 2
    one.learn(rows(4, label_ms=30 * HOUR_MS), None)
    assert one.end_tick(2, 2 * DAY_MS)
    assert diary.learnt == [[1, 2], [3], [1, 2], [3], [4], [4]]
    assert diary.told == [[1, 2], [3], "retrained", [4], "retrained"]  # never "reset": from the last weights


@pytest.mark.parametrize("every_hours", [1, 5, 7.5, 24])
@pytest.mark.parametrize("stopped_at", [None, 3, 8])
def test_fine_tuning_learns_each_row_once_though_ticks_do_not_divide_its_interval(
    every_hours: float, stopped_at: int | None
) -> None:
    one, diary = updater({"mode": "fine_tune", "every_hours": every_hours})
    log = [rows(tick, label_ms=2 * tick * HOUR_MS) for tick in range(24)]
    learnt: list[int] = []
    for tick, row in enumerate(log):
        one.learn(row, None)
        one.end_tick(tick, 2 * (tick + 1) * HOUR_MS)
        if tick == stopped_at:
            learnt = [number for batch in diary.learnt for number in batch]
            state = one.state()
            one, diary = updater({"mode": "fine_tune", "every_hours": every_hours})
            one.restore(*state)
            for old in log[: tick + 1]:
                if old.label_time_ms[0] >= 2 * (tick + 1) * HOUR_MS - one.memory_ms:
                    one.refill(old, None)
    learnt += [number for batch in diary.learnt for number in batch]
    assert learnt == list(range(len(learnt))) and len(learnt) > 15


def test_an_alarm_may_retrain_between_two_intervals() -> None:
    tuned, windowed = updater({"mode": "fine_tune"}), updater({"mode": "window", "days": 1})
    for one, diary in (tuned, windowed):
        assert isinstance(one, WindowUpdater)
        one.end_tick(-1, 0)
        one.learn(rows(1, label_ms=3 * HOUR_MS), None)
        assert not one.end_tick(0, 12 * HOUR_MS)
        one.retrain()
        one.learn(rows(2, label_ms=20 * HOUR_MS), None)
        assert one.end_tick(1, DAY_MS)
        assert diary.learnt[0] == [1]
    assert tuned[1].learnt == [[1], [2]] and windowed[1].learnt == [[1], [1, 2]]


def test_after_a_restart_fine_tuning_takes_back_only_what_it_has_not_learnt() -> None:
    one, _ = updater({"mode": "fine_tune"})
    one.end_tick(-1, 0)
    one.learn(rows(1, label_ms=3 * HOUR_MS), None)
    one.end_tick(0, 12 * HOUR_MS)
    one.retrain()  # type: ignore[attr-defined]
    one.learn(rows(2, label_ms=12 * HOUR_MS), None)
    other, diary = updater({"mode": "fine_tune"})
    other.restore(*one.state())
    other.refill(rows(1, label_ms=3 * HOUR_MS), None)  # from the log, which knows nothing of retrainings
    other.refill(rows(2, label_ms=12 * HOUR_MS), None)
    other.end_tick(1, DAY_MS)
    assert diary.learnt == [[2]]


def test_a_cold_window_begins_at_the_first_weights() -> None:
    one, diary = updater({"mode": "window", "days": 1, "start": "cold"})
    one.end_tick(-1, 0)
    one.learn(rows(1, label_ms=HOUR_MS), None)
    one.end_tick(0, DAY_MS)
    assert diary.told == [[1], "reset", "retrained"] and diary.learnt == [[1]]


def test_replay_learns_each_batch_beside_old_examples_and_hands_on_the_new_ones() -> None:
    one, diary = updater({"mode": "replay", "batch_size": 3, "capacity": 6, "replayed": 2})
    first = one.learn(rows(1, 2, 3), None)
    assert diary.learnt == [[1, 2, 3]] and first.pctr.tolist() == [0.001, 0.002, 0.003]  # nothing to replay yet
    second = one.learn(rows(4, 5, 6), np.array([False, True, False]))
    assert diary.learnt[1][:3] == [4, 5, 6] and set(diary.learnt[1][3:]) < {1, 2, 3} and len(diary.learnt[1]) == 5
    assert second.pctr.tolist() == [0.004, 0.005, 0.006]
    assert diary.foreign[1] == [False, True, False, False, False]
    third = one.learn(rows(7, 8), None)  # waits for a third
    assert third.examples is None and len(diary.learnt) == 2
    one.learn(rows(9), None)
    assert diary.learnt[2][:3] == [7, 8, 9] and set(diary.learnt[2][3:]) < {1, 2, 3, 4, 5, 6}
    replayed = dict(zip(diary.learnt[2][3:], (diary.foreign[2] or [False] * 5)[3:], strict=True))
    assert all(foreign == (row == 5) for row, foreign in replayed.items())
    assert diary.told == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_replay_of_nothing_is_incremental_learning() -> None:
    (one, diary), (other, plain) = (
        updater({"mode": "replay", "batch_size": 2, "replayed": 0}),
        updater({"batch_size": 2}),
    )
    for each in (one, other):
        each.learn(rows(1, 2, 3, 4, 5), None)
    assert diary.learnt == plain.learnt == [[1, 2], [3, 4]]


def test_replay_goes_on_after_a_restart_as_if_it_had_never_stopped() -> None:
    replay = {"mode": "replay", "batch_size": 4, "capacity": 7, "replayed": 3}
    (one, diary), (other, second) = updater(replay), updater(replay)
    for at in range(0, 30, 3):
        one.learn(rows(*range(at, at + 3)), None)
    other.restore(*one.state())
    for at in range(30, 60, 3):
        for each in (one, other):
            each.learn(rows(*range(at, at + 3)), None)
    assert second.learnt == diary.learnt[-len(second.learnt) :] and len(second.learnt) == 8


@pytest.mark.parametrize(
    "level, kept", [("item", set()), ("list", {"request_id"}), ("session", {"user_id", "event_time_ms"})]
)
@pytest.mark.parametrize("updating", [{"mode": "window"}, {"mode": "fine_tune"}, {"mode": "replay", "batch_size": 9}])
def test_what_is_kept_of_old_rows_is_what_the_loss_looks_at(
    level: str, kept: set[str], updating: dict[str, Any]
) -> None:
    one, diary = updater(updating, {"name": "reloop", "level": level})
    whole = examples(9, features={"row": np.arange(9)})
    one.end_tick(-1, 0)
    one.learn(whole, None)
    one.end_tick(0, DAY_MS)
    assert diary.columns is not None
    names = ("request_id", "exposure_id", "user_id", "item_id", "event_time_ms", "position", "pctr", "model_version")
    was, now = whole.exposures, diary.columns.exposures
    found = {name for name in names if np.array_equal(getattr(was, name), getattr(now, name))}
    assert found == kept | {"pctr", "model_version"}


@pytest.mark.parametrize(
    "settings, hours",
    [
        ({}, 1),
        ({"updating": {"mode": "none"}}, 1),
        ({"updating": {"mode": "window", "every_hours": 6}}, 6),
        ({"updating": {"mode": "fine_tune"}}, 24),
        ({"updating": {"mode": "fine_tune"}, "memory": {}}, 1),  # what is remembered changes it in between
        ({"updating": {"mode": "window"}, "publish_every_hours": 2}, 2),
    ],
    ids=str,
)
def test_versions_come_as_often_as_a_learner_changes(settings: dict[str, Any], hours: float) -> None:
    assert publish_every_ms(LearnerConfig.model_validate(settings)) == hours * HOUR_MS


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def test_incctr_distils_from_the_version_published_last() -> None:
    """IncCTR: warm start, and cross-entropy with the soft label .7·y + .3·p of the last version. Worked on one weight."""
    config = LearnerConfig.model_validate(
        {
            "model": {"name": "lr"},
            "optimizer": {"name": "sgd", "lr": 1.0},
            "loss": {"name": "distillation", "alpha": 0.3, "p_last": "last_version"},
            "updating": {"mode": "fine_tune", "batch_size": 1},
        }
    )
    learner = make_learner(config, [FieldConfig(name="row", buckets=4, mode="exact")], name="x", seed=1, base_rate=0.2)
    one = make_updater(config, learner)
    features = rows(0).exposures.features

    def take(label: int, label_ms: int) -> None:
        row = rows(0, label_ms=label_ms)
        one.learn(ExampleBatch(row.exposures, np.array([label], dtype=np.uint8), row.label_time_ms, row.status), None)

    one.end_tick(-1, 0)
    take(1, HOUR_MS)
    one.end_tick(0, DAY_MS)
    # No version yet: cross-entropy. The bias and the item's weight both move by 1 - p.
    logit = math.log(0.2 / 0.8) + 2 * (1 - 0.2)
    assert learner.predict(features)[0] == pytest.approx(sigmoid(logit), abs=1e-6)
    last = learner.publish().predict(features)[0]
    take(0, 30 * HOUR_MS)
    take(0, 31 * HOUR_MS)
    one.end_tick(1, 2 * DAY_MS)
    # Two steps towards the same soft label: the second one's too is of the version published, not of the first step's.
    soft = 0.7 * 0 + 0.3 * sigmoid(logit)
    assert last == pytest.approx(sigmoid(logit), abs=1e-6)
    for _ in range(2):
        logit -= 2 * (sigmoid(logit) - soft)
    assert learner.predict(features)[0] == pytest.approx(sigmoid(logit), abs=1e-6)
