"""A small replay, described as a scenario does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from simulator.replay.stream import ReplayStream, prepare_rows
from simulator.scenario import parse_scenario

__all__ = ["scenario", "stream_of"]


def scenario(data: dict[str, Any], **more: Any) -> Any:
    raw: dict[str, Any] = {
        "name": "replayed",
        "phases": {"warmup_days": 1, "aa_days": 1, "ab_days": 2},
        "data": {"tick_events": 50, "period_events": 150, **data},
        "features": [{"name": "user_id", "buckets": 64}, {"name": "item_id", "buckets": 64}],
        "join": {"attribution_hours": 0.01},
        "serving": {"deploy_delay_hours": 0},
        "learner": {"model": {"name": "fm", "embedding": 4}, "updating": {"batch_size": 32}},
        "arms": [
            {"name": "control", "share": 0.5, "learner": {"loss": {"name": "bce"}}},
            {"name": "reloop", "share": 0.5, "learner": {"loss": {"name": "reloop", "alpha": 0.3}}},
        ],
    }
    return parse_scenario(raw | more)


def stream_of(data: dict[str, Any], **more: Any) -> ReplayStream:
    described = scenario(data, **more)
    folder = Path(data["path"]).with_suffix(".rows")
    shutil.rmtree(folder, ignore_errors=True)
    return ReplayStream.of(described, prepare_rows(described, folder))
