"""A scenario to start from: a data set that was looked at, replayed to cross-entropy and ReLoop."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

from simulator.datasets.criteo import COUNTS
from simulator.datasets.describe import Description, FieldFacts
from simulator.errors import DataError
from simulator.scenario.load import parse_scenario

__all__ = ["starter"]

# Days of the data's own clock are the scenario's where there are so many of them.
FEWEST_DAYS, MOST_DAYS = 4, 60
PERIODS = 10  # else so many days of as many rows
MOST_BUCKETS = 1 << 20
COUNT_BUCKETS = 1 << 10  # floor(log(x)^2) is below 500 for every 32-bit count
HOUR_MS = 3_600_000


def starter(found: Description) -> dict[str, Any]:
    """The scenario, as its file would say it; it runs as it is. Raises DataError where nothing can be learnt of the data."""
    if found.clicks in (0, found.rows):
        which = "no row" if found.clicks == 0 else "every row"
        raise DataError(
            f"{found.data['path']}: {which} of {found.rows:,} is a click by {found.rule}; nothing can be learnt from that"
        )
    data = dict(found.data)
    if not found.is_whole:
        data["max_events"] = found.rows
    days = found.days
    if not (found.is_whole and FEWEST_DAYS <= days <= MOST_DAYS):
        days = min(PERIODS, found.rows // found.most_at_once)
        data["period_events"] = found.rows // days
    data["tick_events"] = max(1, min(1000, found.rows // days // 10))
    scenario = {
        "name": _name(found.data["path"]),
        "phases": _phases(days),
        "data": data,
        "features": _features(found),
        "join": {"attribution_hours": 0.01},
        "checkpoint_every_hours": 8760,
        "serving": {"deploy_delay_hours": 0},
        "learner": {
            "model": {"name": "deepfm", "embedding": 8, "hidden": [32]},
            "optimizer": {"name": "adagrad", "lr": 0.03},
            "updating": {"mode": "incremental", "batch_size": 128},
            "publish_every_hours": _publishing(found, data["tick_events"]),
        },
        "arms": [
            {"name": "control", "share": 0.5, "learner": {"loss": {"name": "bce"}}},
            {"name": "reloop", "share": 0.5, "learner": {"loss": {"name": "reloop", "alpha": 0.2}}},
        ],
    }
    parse_scenario(scenario)
    return scenario


def _name(path: str) -> str:
    stem = PurePath(path).name.partition(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", f"replay-{stem}")[:64]


def _phases(days: int) -> dict[str, int]:
    warmup = 0 if days == 1 else max(1, days // 10)
    aa = 0 if days < 3 else max(1, 3 * days // 10)
    return {"warmup_days": warmup, "aa_days": aa, "ab_days": days - warmup - aa}


def _features(found: Description) -> list[dict[str, Any]]:
    """A field for each feature that tells rows apart and comes again."""
    fields = [field for field in found.fields if field.distinct > 1]
    again = [
        field
        for field in fields
        if field.kind == "number" or field.name in ("user_id", "item_id") or 2 * field.distinct < found.rows
    ]
    counts = COUNTS if found.data["format"] == "criteo" else ()
    return [_field(field, is_count=field.name in counts) for field in again or fields]


def _field(field: FieldFacts, *, is_count: bool) -> dict[str, Any]:
    if field.kind == "number":  # in units that nobody knows here
        return {"name": field.name, "kind": "number", "transform": "standardised"}
    if is_count:
        return {"name": field.name, "kind": "number", "transform": "buckets", "buckets": COUNT_BUCKETS}
    kind = {"kind": "list"} if field.kind.startswith("list") else {}
    # Twice as many rows as values, so that few share one.
    buckets = min(MOST_BUCKETS, 1 << max(4, (2 * field.distinct - 1).bit_length()))
    return {"name": field.name, **kind, "buckets": buckets}


def _publishing(found: Description, tick_events: int) -> float:
    """Hours of a tick, and at most one: a version after each."""
    low, high = found.span or (0, 1000 * (found.requests or found.rows))
    return float(f"{min(1.0, max(0.001, (high - low) / HOUR_MS * tick_events / found.rows)):.2g}")
