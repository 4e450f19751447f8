"""The run folder, written so that an interrupted run keeps what it has."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from reloop_stream.config import read_mapping
from reloop_stream.state.files import write_atomic
from simulator.errors import RunFolderError
from simulator.run_folder.columns import (
    BLOCK_COLUMNS,
    BOUND_COLUMNS,
    BOUND_POLICIES,
    DAILY_COLUMNS,
    ITEMS_COLUMNS,
    MONITOR_COLUMNS,
    RELIABILITY_COLUMNS,
    TOPICS_COLUMNS,
    TRUTH_COLUMNS,
)
from simulator.run_folder.day_files import DayFiles, Part, put_together
from simulator.run_folder.manifest import BoundRow, Manifest, TruthRow, read_manifest
from simulator.run_folder.tables import as_value, read_csv, table_of, write_csv, write_parquet
from simulator.scenario import Scenario, load_scenario, scenario_hash, to_yaml

__all__ = ["RunFolder", "new_folder_name"]

DAYS = "days"
MONITOR = "monitor"
OFF_POLICY = "off_policy"


def new_folder_name(scenario: Scenario) -> str:
    """`<scenario>-<time>-<hash>`."""
    return f"{scenario.name}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{scenario_hash(scenario)}"


class RunFolder:
    """Paths and writers of one run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._days = DayFiles(path / DAYS)
        self._daily: dict[tuple[int, str], dict[str, Any]] = {}

    @staticmethod
    def check_free(path: Path) -> None:
        """Raise RunFolderError where something lies already."""
        if (path / "manifest.json").exists():
            raise RunFolderError(f"{path}: holds a run already; choose another --out, or `resume {path}`")
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunFolderError(f"{path}: exists and is not an empty folder; choose another --out")

    @classmethod
    def create(cls, path: Path, scenario: Scenario) -> RunFolder:
        """A new folder with `config.yaml`. Raises RunFolderError where a run lies already, or nothing can be written."""
        cls.check_free(path)
        folder = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            write_atomic(path / "config.yaml", to_yaml(scenario).encode())
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be written: {error.strerror or error}") from None
        return folder

    @classmethod
    def open(cls, path: Path) -> tuple[RunFolder, Scenario, Manifest]:
        """An existing run folder, its scenario and manifest. Raises RunFolderError where it is none, ScenarioError."""
        manifest = read_manifest(path)
        folder = cls(path)
        folder._load_days()
        config = path / "config.yaml"
        # A run of before there was a choice has its users split.
        experiment = read_mapping(config).get("experiment")
        says = isinstance(experiment, Mapping) and "design" in experiment
        design = {} if says else {"experiment.design": "split"}
        return folder, load_scenario(config, design), manifest

    def _load_days(self) -> None:
        """The days that are done: those of `daily.csv`, and those whose process had no time to tell before a crash."""
        path = self.path / "daily.csv"
        rows = read_csv(path).to_pylist() if path.exists() else []
        for row in rows + self._days.rows():
            self._daily[row["day"], row["arm"]] = row

    def write_day(
        self,
        row: Mapping[str, Any],
        users: Mapping[str, Any],
        blocks: Sequence[Mapping[str, Any]] = (),
        reliability: Sequence[Mapping[str, Any]] = (),
        parts: Mapping[Part, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        """Keep one arm's finished day until the run is, see `DayFiles.write`."""
        self._days.write(row, users, blocks, reliability, parts)

    def add_day(self, row: Mapping[str, Any], arms: Iterable[str]) -> None:
        """Take a finished day of one arm."""
        self._daily[row["day"], row["arm"]] = dict(row)
        self.write_daily(arms)

    def write_daily(self, arms: Iterable[str]) -> None:
        """`daily.csv` and `daily.parquet` anew, in the order of days and arms; nothing before the first day is done."""
        if not self._daily:
            return
        order = {arm: i for i, arm in enumerate(arms)}
        rows = sorted(self._daily.values(), key=lambda r: (r["day"], order.get(r["arm"], len(order))))
        write_csv(self.path / "daily.csv", DAILY_COLUMNS, rows)
        columns = {name: [as_value(r.get(name)) for r in rows] for name in DAILY_COLUMNS}
        write_parquet(self.path / "daily.parquet", table_of(columns))

    def write_users(self) -> None:
        """Put the days' files of users together into `users.parquet`, a day at a time."""
        self._put_together(self._days.users, "users.parquet")

    def write_items(self) -> None:
        """Put the days' files of items together into `items.parquet`, a day at a time."""
        self._put_together(self._days.parts("items"), "items.parquet", ITEMS_COLUMNS)

    def write_topics(self, arms: Iterable[str]) -> None:
        """Sum the days' files of topics into `topics.parquet`, a phase of an arm at a time."""
        tables = self._days.topics(arms)
        if (first := next(tables, None)) is not None:
            schema = first.select(TOPICS_COLUMNS).schema
            put_together(itertools.chain([first], tables), self.path / "topics.parquet", schema)

    def write_judged(self, arm: int, tick: int, rows: pa.Table) -> None:
        """Keep what an arm's policies made of consecutive ticks until the run is done, as a file named by the first."""
        write_parquet(self.path / OFF_POLICY / f"{arm:03d}-{tick:08d}.parquet", rows)

    def write_off_policy(self) -> None:
        """Put what was judged together into `off_policy.parquet`, arm by arm in the order of ticks."""
        self._put_together(sorted((self.path / OFF_POLICY).glob("*.parquet")), "off_policy.parquet")

    def _put_together(self, parts: Sequence[Path], name: str, columns: Sequence[str] = ()) -> None:
        """Write the rows of the parts one after the other, a part at a time; nothing where there is no part.

        columns: those wanted, in their order; none: all."""
        if not parts:
            return
        # A part without rows does not know of what type their ids are.
        known = next((part for part in parts if pq.read_metadata(part).num_rows), parts[0])
        schema = pq.read_schema(known).remove_metadata()
        wanted = pa.schema([schema.field(column) for column in columns or schema.names])
        put_together((pq.ParquetFile(part).read() for part in parts), self.path / name, wanted)

    def write_blocks(self, arms: Iterable[str]) -> None:
        """Put the days' blocks together into `blocks.csv`; nothing where there is none."""
        if rows := self._days.blocks(arms):
            write_csv(self.path / "blocks.csv", BLOCK_COLUMNS, rows)

    def write_reliability(self, arms: Iterable[str]) -> None:
        """Sum the days' bins of pCTR into `reliability.csv`; nothing where there is none."""
        if rows := self._days.reliability(arms):
            write_csv(self.path / "reliability.csv", RELIABILITY_COLUMNS, rows)

    def delete_day_files(self) -> None:
        """Once the manifest says that the run is finished: the tables made of them hold everything."""
        for name in (DAYS, MONITOR, OFF_POLICY):
            shutil.rmtree(self.path / name, ignore_errors=True)

    def write_readings(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep consecutive readings of one learner's monitor until the run is done, as a file named by the first of them."""
        name = f"{rows[0]['learner']}-{rows[0]['tick']:08d}.csv"
        write_csv(self.path / MONITOR / name, MONITOR_COLUMNS, rows)

    def write_monitor(self, arms: Iterable[str]) -> None:
        """Put the readings together into `monitor.csv`, a row a learner and tick.

        A tick that was worked through again after a restart, in which nothing can differ, is there once.
        """
        order = {arm: i for i, arm in enumerate(arms)}
        found: dict[tuple[int, int, str], dict[str, Any]] = {}
        for path in sorted((self.path / MONITOR).glob("*.csv")):
            for row in read_csv(path, MONITOR_COLUMNS).to_pylist():
                found[order.get(row["arm"], len(order)), row["tick"], row["learner"]] = row
        if found:
            write_csv(self.path / "monitor.csv", MONITOR_COLUMNS, [found[key] for key in sorted(found)])

    def write_segments(self, segments: Mapping[str, Any]) -> None:
        """`segments.parquet`: a row a user."""
        write_parquet(self.path / "segments.parquet", table_of(segments))

    def write_truth(self, rows: Iterable[TruthRow]) -> None:
        """`truth.csv`: a row a kind of truth, day and arm."""
        in_order = sorted(rows, key=lambda row: (row.kind, row.day, row.arm))
        columns = [{name: getattr(row, name) for name in TRUTH_COLUMNS} for row in in_order]
        write_csv(self.path / "truth.csv", TRUTH_COLUMNS, columns)

    def write_bounds(self, rows: Iterable[BoundRow], arms: Iterable[str]) -> None:
        """`bounds.csv`, in the order of days, the bounds first, then arms; nothing where there is none."""
        order = {policy: i for i, policy in enumerate((*BOUND_POLICIES, *arms))}
        in_order = sorted(rows, key=lambda row: (row.day, order[row.policy]))
        if in_order:
            write_csv(self.path / "bounds.csv", BOUND_COLUMNS, map(msgspec.structs.asdict, in_order))

    def write_manifest(self, manifest: Manifest) -> None:
        manifest.write(self.path / "manifest.json")
