"""A data set made ready for a replay: its rows in their order, on disk, any stretch of which is read at once.

The rows pass once: a block is read, checked, and written. Where the file is not in the order of time, or a shuffle is asked
for, they are written as they stand, sorted outside of memory, and written again. Memory holds a few blocks, whatever the
length.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.feather

from reloop_stream.codec.arrow_format import from_arrow, to_arrow
from reloop_stream.features.hashing import mix64
from simulator.datasets.catalogue import Catalogue
from simulator.datasets.column_types import Retyped
from simulator.datasets.config import DataConfig
from simulator.datasets.rejects import FILE_NAME, Rejects
from simulator.datasets.row_file import RowFile, to_rows
from simulator.datasets.rows import ROW_MS, ReplayRows
from simulator.datasets.source import Source
from simulator.errors import DataError

__all__ = ["SORT_MEMORY", "Facts", "Prepared", "prepare", "unless"]

ROWS, FACTS, ITEMS = "rows.arrow", "facts.json", "items.arrow"
UNSORTED, SORTING = "unsorted.arrow", "sorting"
# What the sort may hold in memory; beyond it, it writes to disk.
SORT_MEMORY = "384MB"
SORTED_BLOCK = 1 << 16


class _OutOfOrder(Exception):
    """A row is earlier than one before it."""


class Facts(msgspec.Struct, frozen=True):
    """What is known of the rows as a whole.

    starts: the first row of each block, and the end. notes: order, and which rows were left out. rejected: so many
    rows could not be read.
    """

    starts: list[int]
    features: list[str]
    clicks: int
    rejected: int
    notes: list[str]
    warnings: list[str]
    doubt: str


def prepare(
    source: Source,
    config: DataConfig,
    folder: Path,
    wanted: int | None = None,
    told: Callable[[int], None] = lambda rows: None,
) -> Prepared:
    """Read the data set into a new folder, which is there whole or not at all.

    wanted: no more rows than this will be asked for. told: hears after each block how many rows were read, and may raise to end
    it. Raises DataError, also where no row is there, none is a click, or all
    are.
    """
    order = config.order or ("time" if source.clock else "file")
    if order == "time" and not source.clock:
        raise DataError(f"data.order: time: {config.path} has no clock; say order: file, or shuffled")
    partial = folder.with_name(f"{folder.name}.partial")
    sort = order == "shuffled"
    limits = [rows for rows in (config.max_events, wanted) if rows is not None]
    limit = min(limits, default=None)
    try:
        while True:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            source.left_out.clear()
            rejects = Rejects(config.bad_rows, partial / FILE_NAME if config.bad_rows else None)
            try:
                _Preparation(source, config, order, rejects, partial, told).write(sort, limit)
                break
            except Retyped:
                continue
            except _OutOfOrder:
                sort = True
            except OSError as error:
                raise DataError(f"{partial}: cannot be written: {error.strerror}; free some space there") from None
        partial.replace(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return Prepared(folder)


def unless(should_stop: Callable[[], bool], told: Callable[[int], None] = lambda rows: None) -> Callable[[int], None]:
    """What hears how many rows were read, and ends the reading by KeyboardInterrupt once it is asked to stop."""

    def heard(rows: int) -> None:
        if should_stop():
            raise KeyboardInterrupt
        told(rows)

    return heard


class _Preparation:
    """One attempt."""

    def __init__(
        self,
        source: Source,
        config: DataConfig,
        order: str,
        rejects: Rejects,
        folder: Path,
        told: Callable[[int], None],
    ) -> None:
        self._source = source
        self._config = config
        self._order = order
        self._rejects = rejects
        self._folder = folder
        self._told = told
        self._read = 0

    def write(self, sort: bool, limit: int | None) -> None:
        source = self._source
        blocks = self._sorted() if sort else self._in_order()
        blocks = _ties_arranged(blocks) if self._order == "time" else _a_second_apart(blocks)
        clicks, written = 0, 0
        names: list[str] = []
        with RowFile(self._folder / ROWS) as file:
            for rows in source.derived(blocks):
                kept = rows if limit is None else rows.part(slice(0, max(0, limit - written)))
                if len(kept):
                    file.write(kept)
                    names = list(kept.features)
                    clicks += int(np.count_nonzero(kept.label))
                    written += len(kept)
                if limit is not None and written >= limit and (sort or self._order != "time"):
                    break  # by a clock, an earlier row may still come
            starts = file.starts
        if not sort:
            source.types.settle()
        self._rejects.check(self._read + self._rejects.count, is_end=True)
        n = starts[-1]
        if not n:
            raise DataError(f"data.path: {self._config.path}: holds no event")
        if clicks in (0, n):
            which = "no row" if clicks == 0 else "every row"
            raise DataError(
                f"{self._config.path}: {which} of {n:,} is a click by {source.rule}; nothing can be learnt from that"
            )
        items = source.catalogue
        if items is None and self._config.off_policy is not None:
            raise DataError(
                f"data.off_policy: {self._config.path}: is judged by propensities, and has none; name their column in "
                "data.propensity"
            )
        if items is not None:
            columns = {name: to_arrow(column) for name, column in items.features.items()}
            pa.feather.write_feather(pa.table(columns), str(self._folder / ITEMS))
        facts = Facts(starts, names, clicks, self._rejects.count, self._notes(sort), source.warnings, source.doubt)
        (self._folder / FACTS).write_bytes(msgspec.json.encode(facts))

    def _checked(self) -> Iterator[ReplayRows]:
        for rows in self._source.blocks(self._rejects):
            self._read += len(rows)
            self._rejects.check(self._read + self._rejects.count)
            self._told(self._read)
            if len(rows):
                yield rows

    def _in_order(self) -> Iterator[ReplayRows]:
        last = -(2**63)
        for rows in self._checked():
            if self._order == "time":
                if rows.time_ms[0] < last or (rows.time_ms[1:] < rows.time_ms[:-1]).any():
                    raise _OutOfOrder
                last = int(rows.time_ms[-1])
            yield rows

    def _sorted(self) -> Iterator[ReplayRows]:
        """All rows by time, or by the shuffle; those of one slate together, equal ones in the file's order."""
        unsorted, is_slates = self._folder / UNSORTED, False
        with RowFile(unsorted) as file:
            for rows in self._checked():
                number = np.arange(self._read - len(rows), self._read, dtype=np.int64)
                key = rows.time_ms
                if self._order == "shuffled":
                    group = number if rows.request_id is None else rows.request_id
                    seed = mix64(np.array([self._config.shuffle_seed], dtype=np.uint64))
                    key = mix64(group.astype(np.int64).view(np.uint64) ^ seed).view(np.int64)
                is_slates = rows.request_id is not None
                file.write(rows, {"key": key, "number": number})
            names = file.features
        self._source.types.settle()
        if not names:
            return
        keys = ["key", *(["request_id"] if is_slates else []), "number"]
        yield from _read_sorted(unsorted, keys, self._folder / SORTING, names)
        unsorted.unlink()

    def _notes(self, sort: bool) -> list[str]:
        by = {
            "time": f"rows are in the order of time, by {self._source.clock}"
            + (", which the file was not: it was sorted" if sort else ""),
            "file": "rows are in the order of the file, a second apart",
            "shuffled": f"rows are shuffled (data.shuffle_seed: {self._config.shuffle_seed}), a second apart",
        }[self._order]
        left_out = [f"{n:,} rows were left out: {why}" for why, n in self._source.left_out.items() if n]
        return [by, *left_out, *filter(None, [self._rejects.note()])]


def _read_sorted(path: Path, keys: Sequence[str], scratch: Path, names: Sequence[str]) -> Iterator[ReplayRows]:
    # Brings 60 MB of a library that files in order do without.
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": SORT_MEMORY,
        "temp_directory": str(scratch),
    }
    with duckdb.connect(":memory:", config=config) as sql, pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file)
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        sql.register("unsorted", pa.RecordBatchReader.from_batches(reader.schema, batches))
        try:
            found = sql.sql(f"SELECT * FROM unsorted ORDER BY {', '.join(keys)}").fetch_arrow_reader(SORTED_BLOCK)
            for batch in found:
                yield to_rows(batch.cast(reader.schema), names)
        except duckdb.Error as error:
            said = " ".join(str(error).split())[:200]
            raise DataError(
                f"{scratch}: the rows cannot be sorted there: {said}; is there space for them twice?"
            ) from None
    shutil.rmtree(scratch, ignore_errors=True)


def _ties_arranged(blocks: Iterator[ReplayRows]) -> Iterator[ReplayRows]:
    """Rows of one time by user and item, so that the file's order plays no part; those of a slate as they are."""
    held: ReplayRows | None = None
    for rows in blocks:
        if held is not None:
            rows = ReplayRows.concat([held, rows])
        cut = int(np.searchsorted(rows.time_ms, rows.time_ms[-1]))
        if cut:
            yield _arranged(rows.part(slice(0, cut)))
        held = rows.part(slice(cut, len(rows)))
    if held is not None:
        yield _arranged(held)


def _arranged(rows: ReplayRows) -> ReplayRows:
    if rows.request_id is not None:
        position = np.arange(len(rows)) if rows.position is None else rows.position
        keys = (position, rows.request_id, rows.time_ms)
    elif (rows.time_ms[1:] == rows.time_ms[:-1]).any():
        keys = (rows.item_id, rows.user_id, rows.time_ms)
    else:
        return rows
    order = np.lexsort(keys)
    return rows if (np.diff(order) == 1).all() else rows.take(order)


def _a_second_apart(blocks: Iterator[ReplayRows]) -> Iterator[ReplayRows]:
    """Each row, or each slate, a second after the one before."""
    passed, last = -1, None
    for rows in blocks:
        if rows.request_id is None:
            number = np.arange(passed + 1, passed + 1 + len(rows), dtype=np.int64)
        else:
            is_first = np.concatenate(([rows.request_id[0] != last], rows.request_id[1:] != rows.request_id[:-1]))
            number, last = passed + np.cumsum(is_first), rows.request_id[-1]
        passed = int(number[-1])
        yield replace(rows, time_ms=number * ROW_MS)


class Prepared:
    """The rows in a folder that `prepare` made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts = msgspec.json.decode((folder / FACTS).read_bytes(), type=Facts)
        self._starts = np.array(self.facts.starts)
        self._file = pa.OSFile(str(folder / ROWS))
        self._reader = pa.ipc.open_file(self._file)
        self._block: tuple[int, ReplayRows] | None = None  # the last one that was read
        self.catalogue: Catalogue | None = None
        if (items := folder / ITEMS).exists():
            (batch,) = pa.feather.read_table(items, memory_map=False).combine_chunks().to_batches()
            self.catalogue = Catalogue({name: from_arrow(name, batch.column(name)) for name in batch.schema.names})

    def __len__(self) -> int:
        return int(self._starts[-1])

    def rows(self, start: int, stop: int) -> ReplayRows:
        """Rows start..stop - 1."""
        first, last = np.searchsorted(self._starts, [start, max(start, stop - 1)], side="right") - 1
        parts = []
        for number in range(int(first), int(last) + 1):
            begin, end = int(self._starts[number]), int(self._starts[number + 1])
            parts.append(self._of(number).part(slice(max(start, begin) - begin, min(stop, end) - begin)))
        return ReplayRows.concat(parts)

    def _of(self, number: int) -> ReplayRows:
        if self._block is None or self._block[0] != number:
            self._block = (number, to_rows(self._reader.get_batch(number), self.facts.features))
        return self._block[1]

    def times_and_labels(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """time_ms and label of each block, without the rest of it."""
        fields = [self._reader.schema.get_field_index(name) for name in ("time_ms", "label")]
        with pa.OSFile(str(self.folder / ROWS)) as file:
            reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=fields))
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                yield batch.column("time_ms").to_numpy(), batch.column("label").to_numpy()

    def time_ms(self, row: int) -> int:
        return int(self.rows(row, row + 1).time_ms[0])

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
