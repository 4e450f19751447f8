"""What can be read of a run that goes on: its finished days lie in files of their own until the end puts them together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from simulator.run_folder.columns import BLOCK_COLUMNS

__all__ = ["blocks_so_far", "users_so_far"]

DAYS, BLOCKS = "days", b"blocks"  # as `simulator.run_folder.writer` has them


def users_so_far(folder: Path, arms: Sequence[str]) -> pa.Table | None:
    """A row a user and day, of the days that every arm has finished: arms need not be equally far.

    None where there is no such day, or where the run is over, and has put its days together.
    """
    try:
        if not (parts := _finished(folder, arms)):
            return None
        # A day on which nobody came does not know of what type ids are.
        known = next((part for part in parts if pq.read_metadata(part).num_rows), parts[0])
        schema = pq.read_schema(known).remove_metadata()
        return pa.concat_tables([pq.read_table(part).cast(schema) for part in parts])
    except FileNotFoundError:  # the run has just come to its end
        return None


def blocks_so_far(folder: Path, arms: Sequence[str]) -> pa.Table | None:
    """A row a day, arm and block of a replay, of the same days; None where there is none."""
    try:
        metadata = [pq.read_schema(part).metadata for part in _finished(folder, arms)]
    except FileNotFoundError:
        return None
    rows = [row for said in metadata for row in json.loads(said.get(BLOCKS, b"[]"))]
    return pa.table({name: [row[name] for row in rows] for name in BLOCK_COLUMNS}) if rows else None


def _finished(folder: Path, arms: Sequence[str]) -> list[Path]:
    """The files of the days that every arm has finished, in the order of days and arms."""
    days = sorted({part.name.partition("-")[0] for part in (folder / DAYS).glob("*.parquet")})
    of_each = [[folder / DAYS / f"{day}-{arm}.parquet" for arm in arms] for day in days]
    return [part for of_day in of_each if all(one.exists() for one in of_day) for part in of_day]
