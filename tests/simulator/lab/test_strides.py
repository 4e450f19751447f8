"""Ticks that are taken at once: whatever comes of a run that takes each by itself, comes of it so too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulator.lab.small import Small

pytestmark = pytest.mark.slow

ARMS = """[
    {name: control},
    {name: none, learner: {updating: {mode: none}}},
    {name: fine-tune, learner: {updating: {mode: fine_tune, every_hours: 6}}},
    {name: window, learner: {updating: {mode: window, days: 1, every_hours: 8}, loss: {name: reloop, level: list}}},
    {name: replay, learner: {updating: {mode: replay, batch_size: 64, capacity: 300, replayed: 30}}},
    {name: memory, learner: {memory: {base_every_hours: 12}}},
]"""
DRIFT = """[
    {kind: gradual, target: taste, magnitude: 0.5, start_day: 0, end_day: 2},
    {kind: sudden, target: base_rate, magnitude: 0.3, day: 1.25},
    {kind: recurring, target: popularity, magnitude: 0.4, period_days: 1},
]"""
FEW = "world.users.n=150"


@pytest.mark.parametrize(
    "overrides",
    [
        (f"arms={ARMS}", f"world.drift={DRIFT}", "tick_minutes=30", "truth.bounds=true"),
        ("join.emit=at_click", "tick_minutes=20", "serving.deploy_delay_hours=0.5", FEW),
        ("join.emit=at_once", "tick_minutes=40", "serving.deploy_delay_hours=0", "serving.random_share=0.2", FEW),
        ("tick_minutes=45", "learner.publish_every_hours=5", "world.items.lifetime_days=0.5", FEW),
    ],
    ids=["ways of updating", "at click", "at once", "odd hours"],
)
def test_days_truths_bounds_and_models_are_the_same(overrides: tuple[str, ...], tmp_path: Path) -> None:
    by_itself, at_once = Small(tmp_path / "by-itself", overrides, at_once=0), Small(tmp_path / "at-once", overrides)
    by_itself.go()
    at_once.go()
    assert at_once.ticks < 0.7 * by_itself.ticks
    assert at_once.found() == by_itself.found()
