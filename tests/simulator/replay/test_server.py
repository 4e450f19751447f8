"""What a replay's server writes of a row."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reloop_stream.events import ExposureBatch
from reloop_stream.learners import BaseRate
from simulator.datasets.rows import ReplayRows
from simulator.experiment.assignment import Assignment
from simulator.replay.server import ReplayServer


@pytest.mark.parametrize("weight", [None, np.array([0.5, 1.0, 4.0])])
def test_a_row_s_weight_is_its_exposure_s(weight: np.ndarray | None) -> None:
    ids = np.arange(3)
    rows = ReplayRows(ids, ids, ids, np.zeros(3, np.uint8), {"user_id": ids}, weight=weight)
    written: list[ExposureBatch] = []
    writer: Any = SimpleNamespace(
        exposures=lambda arm, batch, tick: written.append(batch),
        clicks=lambda arm, batch, tick: None,
        end_tick=lambda tick, watermark_ms: None,
    )
    calendar: Any = SimpleNamespace(serving_ticks=1, phase_of_tick=lambda tick: "warmup", bounds_ms=[0, 10])
    one_arm, deployments = Assignment("x", "1", [1.0]), SimpleNamespace(serving=lambda tick: BaseRate(0.1))
    server = ReplayServer(lambda tick: (0, rows), calendar, deployments, writer, one_arm, ["a"], [0])  # type: ignore[arg-type]
    server.serve(0)
    found = written[0].weight
    assert (found is None) if weight is None else (found is not None and found.tolist() == weight.tolist())
