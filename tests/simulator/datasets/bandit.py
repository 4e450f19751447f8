"""A small log in the format of the Open Bandit Dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["ITEMS", "ROWS", "bandit_log", "write_bandit"]

ROWS, ITEMS = 600, 6


def bandit_log(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The log, as published: an unnamed index, times with and without parts of a second; and the items."""
    rng = np.random.default_rng(seed)
    items = pd.DataFrame(
        {
            "item_id": range(ITEMS),
            "item_feature_0": rng.normal(size=ITEMS),
            "item_feature_1": [f"c{i % 3}" for i in range(ITEMS)],
        }
    )
    user = rng.integers(0, 3, ROWS), rng.integers(0, 10, ROWS)
    choice = rng.dirichlet(np.full(ITEMS, 3.0), ROWS)
    item = np.array([rng.choice(ITEMS, p=p) for p in choice])
    affinity = rng.integers(0, 2, (ROWS, ITEMS)).astype(float)
    seconds = np.sort(rng.integers(0, 4 * 86_400, ROWS))
    micros = np.where(np.arange(ROWS) % 9 == 0, 0, rng.integers(1, 1_000_000, ROWS))
    times = pd.Timestamp("2019-11-24", tz="UTC") + pd.to_timedelta(seconds * 1_000_000 + micros, unit="us")
    log = pd.DataFrame(
        {
            "timestamp": [str(time) for time in times],
            "item_id": item,
            "position": rng.integers(1, 4, ROWS),
            "click": (rng.random(ROWS) < 0.1 + 0.3 * (item == 2)).astype(int),
            "propensity_score": choice[np.arange(ROWS), item],
            "user_feature_0": [f"u{u}" for u in user[0]],
            "user_feature_1": [f"v{v}" for v in user[1]],
            **{f"user-item_affinity_{i}": affinity[:, i] for i in range(ITEMS)},
        }
    )
    return log, items


def write_bandit(folder: Path, log: pd.DataFrame | None = None, items: pd.DataFrame | None = None) -> dict[str, Any]:
    """The part of a scenario that reads it."""
    made = bandit_log()
    (made[0] if log is None else log).to_csv(folder / "men.csv")
    (made[1] if items is None else items).to_csv(folder / "item_context.csv")
    return {"format": "open_bandit", "path": str(folder / "men.csv")}
