"""The finished days of a run, kept as files until it is done: each whole or not at all, whoever dies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reloop_stream.codec.arrays import plain
from simulator.run_folder.key_counts import sum_by_key
from simulator.run_folder.tables import as_value, parquet_writer, repeated, table_of, write_parquet

__all__ = ["DayFiles", "put_together"]

Part = Literal["items", "topics"]

# Keys in the metadata of a day's file: its row of daily.csv, its rows of blocks.csv, its part in those of reliability.csv.
ROW = b"row"
BLOCKS = b"blocks"
RELIABILITY = b"reliability"


class DayFiles:
    """A file a day and arm, with its users, and one beside it for each further table that the day adds to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(
        self,
        row: Mapping[str, Any],
        users: Mapping[str, Any],
        blocks: Sequence[Mapping[str, Any]],
        reliability: Sequence[Mapping[str, Any]],
        parts: Mapping[Part, Mapping[str, Any]],
    ) -> None:
        """Write one arm's day, over what was there. row: of daily.csv. parts: columns by further table."""
        for kind, columns in parts.items():
            write_parquet(self._path(row["day"], row["arm"], kind), table_of(columns))
        # The users come last: where their file is, the day is whole.
        said = {ROW: _clean(row), BLOCKS: [*map(_clean, blocks)], RELIABILITY: [*map(_clean, reliability)]}
        table = table_of(users).replace_schema_metadata({key: json.dumps(value) for key, value in said.items()})
        write_parquet(self._path(row["day"], row["arm"]), table)

    def _path(self, day: int, arm: str, kind: str = "") -> Path:
        return self._folder / kind / f"{day:05d}-{arm}.parquet"

    @property
    def users(self) -> list[Path]:
        """The files of users, in the order of days."""
        return sorted(self._folder.glob("*.parquet"))

    def parts(self, kind: Part) -> list[Path]:
        """The files of a further table, in the order of days. None where a day has none: it was kept before there was such
        a table, which without it would be wrong."""
        found = [path.parent / kind / path.name for path in self.users]
        return found if all(path.exists() for path in found) else []

    def rows(self) -> list[dict[str, Any]]:
        """Of daily.csv, in the order of days."""
        return [row for row, _ in self._said(ROW)]

    def blocks(self, arms: Iterable[str]) -> list[dict[str, Any]]:
        """The rows of blocks.csv, in the order of days and arms."""
        order = {arm: i for i, arm in enumerate(arms)}
        found = [row for _, rows in self._said(BLOCKS) for row in rows]
        return sorted(found, key=lambda row: (row["day"], order.get(row["arm"], len(order)), row["block"]))

    def reliability(self, arms: Iterable[str]) -> list[dict[str, Any]]:
        """The rows of reliability.csv: the days' summed by arm, phase and bin, in that order."""
        order = {arm: i for i, arm in enumerate(arms)}
        sums: dict[tuple[int, int, str, int], dict[str, Any]] = {}
        phases: dict[str, int] = {}
        for day, bins in self._said(RELIABILITY):
            arm, phase = day["arm"], day["phase"]
            for row in bins:
                key = order.get(arm, len(order)), phases.setdefault(phase, len(phases)), arm, row["bin"]
                whole = sums.setdefault(key, {"arm": arm, "phase": phase} | dict.fromkeys(row, 0) | {"bin": row["bin"]})
                for name in row.keys() - {"bin"}:
                    whole[name] += row[name]
        return [sums[key] for key in sorted(sums)]

    def _said(self, key: bytes) -> Iterator[tuple[dict[str, Any], Any]]:
        """Each day's row of daily.csv, and what stands under a key of its file; nothing where it has no such key."""
        for path in self.users:
            metadata = pq.read_schema(path).metadata
            yield json.loads(metadata[ROW]), json.loads(metadata.get(key, b"[]"))

    def topics(self, arms: Iterable[str]) -> Iterator[pa.Table]:
        """The rows of topics.parquet, summed over each phase of each arm: a table for each of these, in order."""
        parts, rows = self.parts("topics"), self.rows()
        for arm in arms if parts else ():
            for phase in dict.fromkeys(row["phase"] for row in rows):
                days = [row["day"] for row in rows if (row["arm"], row["phase"]) == (arm, phase)]
                if days:
                    tables = pa.concat_tables(pq.ParquetFile(self._path(day, arm, "topics")).read() for day in days)
                    yield _sum_by_topic(tables, arm, phase)


def _sum_by_topic(tables: pa.Table, arm: str, phase: str) -> pa.Table:
    """The rows of topics.parquet of a phase of an arm, from those of its days."""
    user_id, topic, exposures, clicks = (
        plain(tables[name].combine_chunks()) for name in ("user_id", "topic", "exposures", "clicks")
    )
    topics = int(topic.max(initial=0)) + 1
    summed = sum_by_key(user_id * topics + topic, exposures, clicks)
    return table_of(
        {
            "user_id": summed.key // topics,
            "arm": repeated(arm, len(summed.key)),
            "phase": repeated(phase, len(summed.key)),
            "topic": (summed.key % topics).astype(np.int32),
            "exposures": summed.exposures,
            "clicks": summed.clicks,
        }
    )


def put_together(tables: Iterable[pa.Table], path: Path, schema: pa.Schema) -> None:
    """Write the rows of the tables one after the other, a table at a time."""
    temporary = path.with_name(f".{path.name}.tmp")
    with parquet_writer(temporary, schema) as writer:
        for table in tables:
            writer.write_table(table.select(schema.names).cast(schema))
    temporary.replace(path)


def _clean(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: as_value(value) for name, value in row.items()}
