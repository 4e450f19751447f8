"""Weights of events in a day's figures: metrics are weighted, counts are counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss

from reloop_stream.clock import HOUR_MS
from reloop_stream.testing import examples
from reloop_stream.updating.base import Trained
from simulator.lab.open_day import DayOfArm
from simulator.lab.tally import Tally

CALENDAR: Any = SimpleNamespace(
    days=1, phases=["aa"], day_bounds_ms=[0, 24 * HOUR_MS], day_of=lambda times: times // (24 * HOUR_MS)
)


def day_of(weight: np.ndarray | None) -> dict[str, Any]:
    found: list[DayOfArm] = []
    tally = Tally(CALENDAR, ["a"], 0, found.append, is_random=lambda request: request % 3 == 0)
    outcomes = examples(300, seed=2, weight=weight)
    tally.observe(outcomes)
    tally.trained(Trained(outcomes, outcomes.exposures.pctr / 2))
    tally.end_tick(0, 25 * HOUR_MS)
    return found[0].row


def test_metrics_are_weighted_and_counts_are_not() -> None:
    weight, outcomes = np.random.default_rng(1).uniform(0.1, 9, 300), examples(300, seed=2)
    pctr, label, drawn = outcomes.exposures.pctr, outcomes.label, outcomes.exposures.request_id % 3 == 0
    plain, ones, weighted = day_of(None), day_of(np.ones(300)), day_of(weight)
    assert repr(plain) == repr(ones)  # what is not defined is NaN in both
    counts = ("users", "requests", "exposures", "clicks", "ctr", "random_exposures")
    assert [weighted[name] for name in counts] == [plain[name] for name in counts]
    assert weighted["logloss"] == pytest.approx(log_loss(label, pctr, sample_weight=weight))
    assert weighted["progressive_logloss"] == pytest.approx(log_loss(label, pctr / 2, sample_weight=weight))
    calibration = (weight * pctr)[drawn].sum() / (weight * label)[drawn].sum()
    assert weighted["random_calibration"] == pytest.approx(calibration)
