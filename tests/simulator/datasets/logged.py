"""The same log of events in each format, read as a scenario names it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from simulator.datasets.config import DataConfig
from simulator.datasets.prepared import Facts, prepare
from simulator.datasets.read import open_source, read_rows
from simulator.datasets.rows import ReplayRows

__all__ = ["TABLE", "N", "facts_of", "log_of", "parsed", "read", "write"]

N = 600
TABLE = {"user": "who", "item": "what", "label": {"column": "bought"}, "time": "when", "columns": ["price"]}


def log_of(n: int = N, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "who": rng.integers(1, 40, n),
            "what": [f"i{i}" for i in rng.integers(0, 30, n)],
            "when": 1_700_000_000 + rng.permutation(n) * 600,
            "price": rng.uniform(0, 9, n).round(2),
        }
    )
    frame["bought"] = (rng.random(n) < 0.1 + 0.5 * (frame["who"] % 2)).astype(int)
    return frame


def write(folder: Path, kind: str) -> dict[str, Any]:
    """The same log in each format: the part of the scenario that reads it."""
    frame = log_of()
    if kind == "csv":
        frame.to_csv(folder / "log.csv", index=False)
    elif kind == "csv.gz":
        frame.to_csv(folder / "log.csv.gz", index=False)
    elif kind == "parquet":
        frame.to_parquet(folder / "log.parquet")
    elif kind == "libfm":
        ordered = frame.sort_values("when")
        lines = [f"{b} {w}:1 {i[1:]}:1" for b, w, i in ordered[["bought", "who", "what"]].itertuples(index=False)]
        (folder / "log.libfm").write_text("\n".join(lines) + "\n")
        return {"format": "libfm", "path": str(folder / "log.libfm"), "fields": 2}
    return {"format": kind.split(".")[0], "path": str(folder / f"log.{kind}"), **TABLE}


def parsed(data: dict[str, Any]) -> Any:
    """This part of a scenario."""
    return TypeAdapter[Any](DataConfig).validate_python(data)


def read(data: dict[str, Any]) -> ReplayRows:
    """The rows of the data set that this part of a scenario describes."""
    return read_rows(parsed(data))


def facts_of(data: dict[str, Any], folder: Path) -> Facts:
    """What is said of its rows as a whole."""
    shutil.rmtree(folder / "rows", ignore_errors=True)
    config = parsed(data)
    with prepare(open_source(config), config, folder / "rows") as prepared:
        return prepared.facts
