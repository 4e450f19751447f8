"""Users cut into shards, each with a server and partitions of its own: whatever comes of a run, comes of it so too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.experiment.shards import Shards
from simulator.lab.loop import Stopped
from simulator.lab.reports import ServerSaved
from tests.simulator.lab.small import Small


def test_shards_change_nothing_of_days_truths_bounds_and_models(tmp_path: Path) -> None:
    deep = "learner={model: {name: deepfm, embedding: 4, hidden: [8, 8]}}", "truth={experiment: true, bounds: true}"
    whole, cut = Small(tmp_path / "whole", deep, Shards(1)), Small(tmp_path / "cut", deep, Shards(3))
    whole.go()
    cut.go()
    assert cut.found() == whole.found()


def test_five_side_by_side_do_what_one_does_and_one_goes_on_where_five_were_stopped_at_different_ticks(
    tmp_path: Path,
) -> None:
    apart_in_aa = "experiment={aa: own, data: shared}", "learner={kind: linear, model: {name: fm, embedding: 4}}"
    whole, apart, stopped = (Small(tmp_path / str(i), apart_in_aa, Shards(n)) for i, n in enumerate((1, 2, 2)))
    whole.go()
    apart.go(hands=5)
    assert apart.found() == whole.found()
    with pytest.raises(Stopped):
        stopped.go(hands=5, stop_at=lambda told: isinstance(told, ServerSaved))
    stopped.go()
    assert stopped.found() == whole.found()


def test_shards_are_about_equal_and_cut_every_arm_alike() -> None:
    shard = Shards(4).of_users(np.arange(40_000))
    assert np.abs(np.bincount(shard) / 10_000 - 1).max() < 0.04  # some five standard errors
    assert np.array_equal(Shards(4).of_users(np.array([7, 39_000])), shard[[7, 39_000]])
