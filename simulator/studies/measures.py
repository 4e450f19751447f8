"""What an arm came to in a world: its true CTR and uplift, and the quality of its stamps."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd

from simulator.studies.cells import Rows

__all__ = ["MEASURES", "QUALITY", "measured", "short", "shown_value"]

QUALITY = ("auc", "logloss", "calibration")  # of the stamps
# Of an arm in a world. uplift: of its true CTR over that of the control of the same world.
MEASURES = ("ctr", "uplift", *QUALITY)


def measured(days: Rows, control: str) -> list[dict[str, Any]]:
    """`MEASURES` of each arm from a cell's days: CTR of all exposures, quality as a mean over days weighted by exposures."""
    frame = pd.DataFrame([row for row in days if row.get("table", "day") == "day"])
    found: list[dict[str, Any]] = []
    for arm, mine in frame.groupby("arm", sort=False):
        weights = mine["exposures"].to_numpy(float)
        row = {"arm": arm, "ctr": _ratio(mine["expected_clicks"].sum(), weights.sum()), "uplift": math.nan}
        for name in QUALITY:
            values = mine[name].to_numpy(float)
            known = ~np.isnan(values) & (weights > 0)
            row[name] = float(np.average(values[known], weights=weights[known])) if known.any() else math.nan
        found.append(row)
    whole = next((row["ctr"] for row in found if row["arm"] == control), math.nan)
    return [{**row, "uplift": _ratio(row["ctr"], whole) - 1} for row in found]


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else math.nan


def shown_value(value: Any) -> Any:
    """A knob's value as a table has it: numbers and texts as they are, others as JSON."""
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else json.dumps(value)


def short(value: Any) -> str:
    """A value as people read it.

    >>> short(0.5), short(1.0), short("adagrad")
    ('0.5', '1', 'adagrad')
    """
    return f"{value:g}" if isinstance(value, float) else str(value)
