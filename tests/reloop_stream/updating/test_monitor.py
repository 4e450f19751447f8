"""Monitors: rolling metrics against river's, alarms at a drift, and that neither ticks nor restarts change anything."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import metrics, utils
from sklearn.metrics import roc_auc_score

from reloop_stream.clock import HOUR_MS
from reloop_stream.config import FieldConfig, LearnerConfig, MonitorConfig
from reloop_stream.learners import digest, make_learner
from reloop_stream.testing import examples
from reloop_stream.updating import make_updater
from reloop_stream.updating import monitor as module
from reloop_stream.updating.incremental import IncrementalUpdater
from reloop_stream.updating.monitor import Monitor, MonitorReading
from reloop_stream.updating.monitored import MonitoredUpdater
from reloop_stream.updating.window import WindowUpdater

DETECTORS: dict[str, dict[str, Any]] = {
    "adwin": {"detector": "adwin", "delta": 0.002},
    "page_hinkley": {"detector": "page_hinkley", "delta": 0.01, "threshold": 1.0},
}


def stream(n: int, seed: int = 0, miscalibrated: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and labels drawn from them; miscalibrated: clicks are three times as frequent as predicted."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.02, 0.25, n)
    return p, (rng.random(n) < p * (3 if miscalibrated else 1)).astype(np.uint8)


def drifting(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ten thousand examples, and as many after a drift."""
    before, after = stream(10_000, seed), stream(10_000, seed + 1, miscalibrated=True)
    return np.concatenate((before[0], after[0])), np.concatenate((before[1], after[1]))


def state_of(monitor: Monitor) -> Any:
    meta, arrays = monitor.state()
    return meta, {name: array.tolist() for name, array in arrays.items()}


@pytest.mark.parametrize("n", [30, 300, 1700])
def test_rolling_metrics_are_those_of_the_newest_examples(n: int) -> None:
    monitor, p_and_y = Monitor(MonitorConfig(rolling=100)), stream(n, seed=3)
    for at in range(0, n, 70):
        monitor.add(*(column[at : at + 70] for column in p_and_y))
    p, y = (column[-100:] for column in p_and_y)
    rolling = utils.Rolling(metrics.LogLoss, window_size=100)
    for one_y, one_p in zip(p_and_y[1].tolist(), p_and_y[0].tolist(), strict=True):
        rolling.update(bool(one_y), one_p)
    assert monitor.logloss == pytest.approx(rolling.get(), rel=1e-9)
    assert monitor.auc == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert monitor.calibration == pytest.approx(p.sum() / y.sum())


@pytest.mark.parametrize("n", [30, 300])
def test_rolling_metrics_are_weighted_where_events_are(n: int) -> None:
    p, y = stream(n, seed=3)
    w = np.random.default_rng(1).uniform(0.1, 5, n)
    monitor, of_one, plain = (Monitor(MonitorConfig(rolling=100, block=20)) for _ in range(3))
    for at in range(0, n, 70):
        part = slice(at, at + 70)
        monitor.add(p[part], y[part], w[part])
        of_one.add(p[part], y[part], np.ones(len(p[part])))
        plain.add(p[part], y[part])
    assert state_of(of_one) == state_of(plain)
    losses = -np.log(np.where(y, p, 1 - p))
    blocks = [slice(at, at + 20) for at in range(0, n // 20 * 20, 20)]
    means = [np.average(losses[block], weights=w[block]) for block in blocks]
    assert monitor.state()[1]["means"].tolist() == pytest.approx(means)
    p, y, w, losses = (column[-100:] for column in (p, y, w, losses))
    assert monitor.auc == pytest.approx(roc_auc_score(y, p, sample_weight=w), abs=1e-12)
    assert monitor.auc != pytest.approx(plain.auc, abs=1e-3)
    assert monitor.logloss == pytest.approx(np.average(losses, weights=w))
    assert monitor.calibration == pytest.approx((w * p).sum() / (w * y).sum())


def test_the_state_of_a_monitor_of_before_there_were_weights_is_read_as_of_weight_1() -> None:
    monitor, again = Monitor(MonitorConfig(block=20)), Monitor(MonitorConfig(block=20))
    monitor.add(*stream(50))
    meta, arrays = monitor.state()
    again.restore(meta, {name: array for name, array in arrays.items() if "weight" not in name})
    assert state_of(again) == state_of(monitor)


def test_metrics_that_are_not_defined_are_nan() -> None:
    monitor = Monitor(MonitorConfig())
    assert all(map(math.isnan, (monitor.auc, monitor.logloss, monitor.calibration, monitor.estimate)))
    monitor.add(np.array([0.1, 0.2]), np.array([0, 0]))
    assert math.isnan(monitor.auc) and math.isnan(monitor.calibration) and monitor.logloss > 0


@pytest.mark.parametrize("name", DETECTORS)
def test_an_alarm_comes_after_a_drift_and_not_before(name: str) -> None:
    monitor, (p, y) = Monitor(MonitorConfig(block=100, **DETECTORS[name])), drifting()
    alarms = [at for at in range(0, 20_000, 100) if monitor.add(p[at : at + 100], y[at : at + 100])]
    assert alarms and 10_000 <= alarms[0] < 12_000
    assert monitor.estimate > 1.2 * float(-np.log(1 - p[:10_000]).mean())


@pytest.mark.parametrize("name", DETECTORS)
def test_a_fall_of_the_log_loss_is_no_alarm(name: str) -> None:
    # The losses after the drift vary more, so Page-Hinkley's threshold is higher here.
    config = MonitorConfig(block=100, **DETECTORS[name] | ({"threshold": 5.0} if name == "page_hinkley" else {}))
    monitor, (p, y) = Monitor(config), drifting()
    backwards = [monitor.add(p[at : at + 100], y[at : at + 100]) for at in range(19_900, -100, -100)]
    assert not any(backwards)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(DETECTORS)), st.lists(st.integers(0, 20_000), max_size=8))
def test_where_ticks_end_changes_nothing(name: str, cuts: list[int]) -> None:
    config, (p, y) = MonitorConfig(rolling=500, block=64, **DETECTORS[name]), drifting()
    whole, cut = Monitor(config), Monitor(config)
    rose = whole.add(p, y)
    bounds = [0, *sorted(cuts), len(p)]
    rises = [cut.add(p[a:b], y[a:b]) for a, b in itertools.pairwise(bounds)]
    assert rose == any(rises)
    assert state_of(cut) == state_of(whole)
    assert (cut.auc, cut.logloss, cut.calibration, cut.estimate) == (
        whole.auc, whole.logloss, whole.calibration, whole.estimate,
    )  # fmt: skip


@pytest.mark.parametrize("name", DETECTORS)
def test_a_restored_monitor_goes_on_as_if_it_had_never_stopped(name: str) -> None:
    config, (p, y) = MonitorConfig(rolling=300, block=64, **DETECTORS[name]), drifting()
    one = Monitor(config)
    said = []
    for at in range(0, 20_000, 250):
        other = Monitor(config)
        other.restore(*one.state())
        rows = slice(at, at + 250)
        said.append(one.add(p[rows], y[rows]))
        assert other.add(p[rows], y[rows]) == said[-1] and state_of(other) == state_of(one)
        assert (other.auc, other.logloss, other.calibration) == (one.auc, one.logloss, one.calibration)
    assert any(said)


@pytest.mark.parametrize("name", DETECTORS)
def test_memory_is_bounded_and_survives_a_restart(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_MEMORY", 40)
    quiet = DETECTORS[name] | ({"threshold": 5.0} if name == "page_hinkley" else {})
    config = MonitorConfig(rolling=50, block=10, **quiet)
    one, (p, y) = Monitor(config), stream(3000, seed=7)
    for at in range(0, 3000, 130):
        other = Monitor(config)
        other.restore(*one.state())
        rows = slice(at, at + 130)
        assert one.add(p[rows], y[rows]) == other.add(p[rows], y[rows]) and state_of(one) == state_of(other)
        _, arrays = one.state()
        assert len(arrays["means"]) < 40 and len(arrays["pctr"]) <= 50 and len(arrays["waiting"]) < 10
    assert len(arrays["means"]) >= 20  # the newer half was kept


FIELDS = [FieldConfig(name="user", mode="exact", buckets=50), FieldConfig(name="item", buckets=64)]
WINDOW = {"mode": "window", "days": 1, "every_hours": 1000, "batch_size": 50}


def updater(monitor: dict[str, Any] | None, updating: dict[str, Any] | None = None) -> Any:
    """Of a logistic regression of river, with a detector that takes little to be alarmed."""
    raw: dict[str, Any] = {"kind": "river", "model": {"name": "lr"}, "updating": updating or {"batch_size": 50}}
    if monitor is not None:
        raw["monitor"] = {"detector": "page_hinkley", "block": 10, "delta": 0.05, "threshold": 2.0, **monitor}
    config = LearnerConfig.model_validate(raw)
    return make_updater(config, make_learner(config, FIELDS, name="x", seed=1, base_rate=0.2))


def work(one: Any, ticks: range, drift_at: int = 12) -> list[MonitorReading]:
    """An hour a tick with 60 examples; from `drift_at` on everything is clicked. The readings."""
    readings: list[MonitorReading] = []
    if isinstance(one, MonitoredUpdater):
        one.on_reading = readings.append
    for tick in ticks:
        batch = examples(60, seed=tick, at_ms=tick * HOUR_MS)
        if tick >= drift_at:
            batch.label[:] = 1
        one.learn(batch, None)
        one.end_tick(tick, (tick + 2) * HOUR_MS)
    return readings


def test_without_a_monitor_there_is_no_wrapper() -> None:
    assert isinstance(updater(None), IncrementalUpdater) and isinstance(updater(None, WINDOW), WindowUpdater)


def test_a_monitor_that_does_nothing_changes_no_weight_and_reads_every_tick() -> None:
    watched, plain = updater({}), updater(None)
    readings = work(watched, range(20))
    work(plain, range(20))
    assert digest(watched.learner.to_bytes()) == digest(plain.learner.to_bytes())
    assert [reading.tick for reading in readings] == list(range(20))
    alarms = [reading.tick for reading in readings if reading.alarm]
    assert alarms and 12 <= alarms[0] <= 14 and {reading.rate for reading in readings} == {1.0}
    assert watched.metrics()["alarms"] == len(alarms)
    assert watched.metrics()["rolling_logloss"] == readings[-1].logloss


def test_an_alarm_raises_the_rate_for_the_hours_that_it_is_told_to() -> None:
    one = updater({"action": "raise_rate", "raise_by": 4, "raise_hours": 3})
    readings = work(one, range(30))
    alarm = next(reading.tick for reading in readings if reading.alarm)
    rates = [reading.rate for reading in readings]
    again = [reading.tick for reading in readings if reading.alarm and reading.tick > alarm]
    assert rates[:alarm] == [1.0] * alarm and rates[alarm : alarm + 3] == [4.0] * 3
    assert rates[alarm + 3] == (4.0 if alarm + 3 in again else 1.0) and rates[-1] == one.learner.rate == 1.0
    plain = updater({})
    work(plain, range(30))
    assert digest(plain.learner.to_bytes()) != digest(one.learner.to_bytes())


def test_an_alarm_retrains_at_the_end_of_its_tick_and_once() -> None:
    one = updater({"action": "retrain"}, WINDOW)
    before = digest(one.learner.to_bytes())
    readings = work(one, range(12))
    assert not any(reading.alarm for reading in readings) and digest(one.learner.to_bytes()) == before
    readings = work(one, range(12, 16))
    assert any(reading.alarm for reading in readings) and digest(one.learner.to_bytes()) != before
    assert one.state()[0]["retrainings"] == sum(reading.alarm for reading in readings)


@pytest.mark.parametrize("action", ["none", "raise_rate"])
def test_a_restored_updater_goes_on_as_if_it_had_never_stopped(action: str) -> None:
    monitor: dict[str, Any] = {"action": action, "raise_hours": 5, "rolling": 100}
    one = updater(monitor)
    work(one, range(14))
    other = updater(monitor)
    other.learner.restore(one.learner.to_bytes())
    other.restore(*one.state())
    assert other.learner.rate == one.learner.rate == (3.0 if action == "raise_rate" else 1.0)
    assert work(one, range(14, 25)) == work(other, range(14, 25))
    assert digest(one.learner.to_bytes()) == digest(other.learner.to_bytes())


def test_a_fork_takes_over_what_it_can_watch_on_and_nothing_else() -> None:
    origin = updater({"action": "raise_rate", "raise_hours": 50})
    work(origin, range(14))
    assert origin.learner.rate == 3.0
    meta, arrays = origin.state()
    plain = updater(None)
    plain.restore(meta, arrays)  # has no monitor: passes its state over
    for other, takes_over in (({"action": "none"}, True), ({"block": 11}, False)):
        fork = updater(other)
        fork.learner.restore(origin.learner.to_bytes())
        fork.restore(meta, arrays)
        assert fork.learner.rate == 1.0
        assert (fork.state()[1]["monitor.pctr"].size > 0) == takes_over
    fresh = updater({})
    fresh.restore(*plain.state())
    assert fresh.state()[1]["monitor.pctr"].size == 0
