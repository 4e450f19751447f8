"""What a data set holds, as the reader takes it: types, examples, cardinalities, gaps, the span of time, the share of clicks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from reloop_stream.codec.arrow_format import to_arrow
from reloop_stream.events import Column, ListColumn
from simulator.datasets.column_types import Retyped
from simulator.datasets.config import CsvConfig, DataConfig, ParquetConfig
from simulator.datasets.prepared import SORT_MEMORY
from simulator.datasets.read import open_source
from simulator.datasets.rejects import Rejects
from simulator.datasets.rows import ReplayRows, find
from simulator.datasets.sniff import Recognised, recognise
from simulator.datasets.source import Source
from simulator.datasets.survey import Roles, likely_roles, survey
from simulator.datasets.tables import Tables, csv_file, parquet_names, parquet_tables
from simulator.datasets.text_file import NotUtf8
from simulator.errors import DataError

__all__ = ["Description", "FieldFacts", "describe"]

DAY_MS = 86_400_000
# So many rows are counted exactly; of more, distinct values are estimated (HyperLogLog, within a few percent).
EXACT_ROWS = 1_000_000
EXAMPLES, LOOKED_AT = 3, 100

Told = Callable[[int], None]


class FieldFacts(NamedTuple):
    """A feature. kind: integer, number, text, or list of integer or text. missing: share that has no value, or the value
    that stands for it. least, most: of numbers."""

    name: str
    kind: str
    examples: list[str]
    distinct: int
    missing: float
    least: float | None
    most: float | None


class Description(NamedTuple):
    """A data set. data: the section of a scenario that reads it. most_at_once: rows of one time. days: of the clock that have
    rows; span: its first and last millisecond; none and None where there is no clock. requests: logged slates."""

    data: dict[str, Any]
    guesses: list[str]
    rows: int
    is_whole: bool
    clicks: int
    rejected: int
    has_users: bool
    rule: str
    clock: str
    span: tuple[int, int] | None
    days: int
    most_at_once: int
    requests: int
    is_in_order: bool
    is_exact: bool
    doubt: str
    left_out: dict[str, int]
    fields: list[FieldFacts]


def describe(path: str, most: int | None = None, told: Told = lambda rows: None) -> Description:
    """Look at a data set, or at its first `most` rows; `told` hears how many were read. Raises DataError."""
    found = recognise(path)
    try:
        return _described(found, most, told)
    except NotUtf8:
        if found.data["format"] not in ("csv", "tsv"):
            raise
        said = [*found.said, "it is not UTF-8, and read as latin-1"]
        return _described(Recognised(found.data | {"encoding": "latin-1"}, said), most, told)


def _described(found: Recognised, most: int | None, told: Told) -> Description:
    data, said = found
    missing: dict[str, float] = {}
    if found.is_table:
        roles, missing = _table(data, most)
        data, said = data | roles.data, said + roles.said
    config: DataConfig = TypeAdapter[Any](DataConfig).validate_python(data)
    source = open_source(config)
    with tempfile.TemporaryDirectory(prefix="reloop-describe-") as folder:
        while True:
            try:
                return _Measurement(source, config, Path(folder), data, said, missing).of(most, told)
            except Retyped:
                continue


def _table(data: dict[str, Any], most: int | None) -> tuple[Roles, dict[str, float]]:
    """What the columns of a table are, and which share of each is missing, by its feature."""
    # The label is not known yet, and every table must have one.
    unlabelled = TypeAdapter[Any](DataConfig).validate_python(data | {"label": {"column": "?"}})
    assert isinstance(unlabelled, CsvConfig | ParquetConfig)
    tables: Tables
    if isinstance(unlabelled, CsvConfig):
        file = csv_file(unlabelled)
        header, tables = file.header, file.tables
    else:
        place = find(unlabelled.path)
        header, tables = parquet_names(place), parquet_tables(place)
    names = [name for name in header if name and header.count(name) == 1]
    # Lines that are none are for the reading that follows.
    columns = survey(tables(names, Rejects(share=1.0)), names, most)
    roles = likely_roles(columns)
    if roles is None:
        raise DataError(
            f"{data['path']}: no column looks like a label (click, label, rating, …, or two values such as 0 and 1); it has "
            f"{', '.join(name[:40] for name in header[:20])}: describe it by hand, as docs/data.md says"
        )
    table = TypeAdapter[Any](DataConfig).validate_python(data | roles.data)
    chosen = {"user_id": table.user, "item_id": table.item} | {one.feature: one for one in table.columns}
    surveyed = {name: columns[one.column] for name, one in chosen.items() if one is not None}
    return roles, {name: column.missing for name, column in surveyed.items() if not column.is_list}


class _Measurement:
    """One reading."""

    def __init__(
        self,
        source: Source,
        config: DataConfig,
        folder: Path,
        data: dict[str, Any],
        said: list[str],
        missing: dict[str, float],
    ) -> None:
        self._source = source
        self._config = config
        self._folder = folder
        self._data = data
        self._said = said
        self._missing = missing
        self._rejects = Rejects(config.bad_rows)
        self._is_in_order = True
        self._is_whole = True
        self._first: ReplayRows | None = None

    def of(self, most: int | None, told: Told) -> Description:
        """Raises DataError, Retyped."""
        # Brings 60 MB of a library that nothing but a sort wants otherwise.
        import duckdb

        database = self._folder / "rows.duckdb"
        database.unlink(missing_ok=True)
        with duckdb.connect(str(database), config={"threads": 1, "memory_limit": SORT_MEMORY}) as sql:
            rows = 0
            for block in self._blocks(most):
                table = _as_table(block)
                sql.register("block", table)
                sql.execute("INSERT INTO rows FROM block" if rows else "CREATE TABLE rows AS FROM block")
                rows += len(block)
                told(rows)
            self._source.types.settle()
            self._rejects.check(rows + self._rejects.count, is_end=True)
            if self._first is None:
                raise DataError(f"{self._config.path}: holds no event")
            return self._description(sql, rows, self._first)

    def _blocks(self, most: int | None) -> Iterator[ReplayRows]:
        passed, last = 0, -(2**63)
        for block in self._source.derived(filter(len, self._source.blocks(self._rejects))):
            times = np.concatenate(([last], block.time_ms))
            self._is_in_order &= bool((times[1:] >= times[:-1]).all())
            last = int(times[-1])
            if self._first is None:
                self._first = block
            if most is not None and passed + len(block) > most:
                self._is_whole = False
                if passed < most:
                    yield block.part(slice(0, most - passed))
                return
            passed += len(block)
            yield block

    def _description(self, sql: Any, rows: int, first: ReplayRows) -> Description:
        source = self._source
        clicks, low, high, days = sql.execute(
            f"SELECT sum(label), min(time_ms), max(time_ms), count(DISTINCT time_ms // {DAY_MS}) FROM rows"
        ).fetchone()
        group = "time_ms" if source.clock or first.request_id is None else "request_id"
        (most_at_once,) = sql.execute(
            f"SELECT max(n) FROM (SELECT count(*) AS n FROM rows GROUP BY {group})"
        ).fetchone()
        requests = 0
        if first.request_id is not None:
            (requests,) = sql.execute("SELECT count(DISTINCT request_id) FROM rows").fetchone()
        return Description(
            data=self._data,
            guesses=self._said,
            rows=rows,
            is_whole=self._is_whole,
            clicks=int(clicks),
            rejected=self._rejects.count,
            has_users=source.has_users,
            rule=source.rule,
            clock=source.clock,
            span=(low, high) if source.clock else None,
            days=days if source.clock else 0,
            most_at_once=most_at_once,
            requests=requests,
            is_in_order=self._is_in_order,
            is_exact=rows <= EXACT_ROWS,
            doubt=source.doubt,
            left_out={why: n for why, n in source.left_out.items() if n},
            fields=[
                self._field(sql, rows, f"f{i}", name, column) for i, (name, column) in enumerate(first.features.items())
            ],
        )

    def _field(self, sql: Any, rows: int, stored: str, name: str, column: Column) -> FieldFacts:
        is_list = isinstance(column, ListColumn)
        values = column.values if isinstance(column, ListColumn) else column
        kind = {"O": "text", "f": "number"}.get(values.dtype.kind, "integer")
        one = f"(SELECT unnest({stored}) AS v FROM rows)" if is_list else f"(SELECT {stored} AS v FROM rows)"
        count = "count(DISTINCT v)" if rows <= EXACT_ROWS else "approx_count_distinct(v)"
        distinct, least, most = sql.execute(f"SELECT {count}, min(v), max(v) FROM {one}").fetchone()
        if (missing := self._missing.get(name)) is None:
            is_hole = f"len({stored}) = 0" if is_list else f"{stored} = ?"
            fill = [] if is_list else [self._source.fills.get(name, "" if kind == "text" else None)]
            (holes,) = sql.execute(f"SELECT count(*) FROM rows WHERE {is_hole}", fill).fetchone()
            missing = holes / rows
        return FieldFacts(
            name,
            f"list of {kind}" if is_list else kind,
            [*dict.fromkeys(filter(None, _examples(column)))][:EXAMPLES],
            distinct,
            missing,
            None if kind == "text" else least,
            None if kind == "text" else most,
        )


def _as_table(block: ReplayRows) -> pa.Table:
    """The block under names that SQL takes: features are f0, f1, …"""
    columns: dict[str, Any] = {"time_ms": block.time_ms, "label": block.label}
    if block.request_id is not None:
        columns["request_id"] = block.request_id
    return pa.table(columns | {f"f{i}": to_arrow(column) for i, column in enumerate(block.features.values())})


def _examples(column: Column) -> Iterator[str]:
    """Of the first rows, as one reads them."""
    for row in range(min(LOOKED_AT, len(column))):
        if isinstance(column, ListColumn):
            yield "|".join(map(str, column.values[column.offsets[row] : column.offsets[row + 1]]))
        else:
            yield f"{column[row]}"
