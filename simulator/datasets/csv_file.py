"""CSV: rows of which each is a line, below a header or a file whose columns are named elsewhere."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.csv

from simulator.datasets.rejects import Rejects
from simulator.datasets.table import Table, only
from simulator.datasets.text_file import TextFile, blocks
from simulator.errors import DataError

__all__ = ["CsvFile"]

BLANK = re.compile(rb"^\r?\n", re.MULTILINE)
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
STRICT = Rejects()
ONE_MARK = "\x1f"  # stands for a separator of several characters: ASCII's own unit separator


class CsvFile:
    """A header, and below it values between separators, in quotation marks where they hold one. Each row is a line.

    Every value is read as the text that it is, so that nothing is lost before a column's use is known. names: of the
    columns, where the file has no header. quotes: whether a quotation mark around a value is none of it. what: the file
    that it must be, where no scenario says what its columns are. Raises DataError naming the line, when it is opened or read.
    """

    def __init__(
        self,
        file: TextFile,
        separator: str = ",",
        *,
        names: Sequence[str] | None = None,
        quotes: bool = True,
        what: str = "",
    ) -> None:
        self.name = file.name
        self.path = file.path
        self._file = file
        self._separator = separator if len(separator) == 1 else ONE_MARK
        self._written = separator.encode()
        self._quotes = quotes
        self._has_header = names is None
        self._what = what
        self.header: list[str] = list(names or [])
        for number, _ in self._parts(Rejects(share=1.0)):  # bad rows are for whoever reads them
            for name, n in Counter(filter(NUMBER.fullmatch, self.header)).items():
                if n > 1 and self._has_header:
                    remedy = self._remedy("give the file a header, or name its columns (data.names)")
                    raise DataError(
                        f"{self.name}: line {number - 1} must be the header, and looks like a row (it has {name!r} {n} "
                        f"times); {remedy}"
                    )
            return
        raise DataError(f"{self.name}: holds no event")

    def read(self, names: Sequence[str]) -> Table:
        """These columns whole, as texts."""
        tables = list(self.tables(names, STRICT))
        if not tables:
            raise DataError(f"{self.name}: holds no event")
        columns = {
            name: pa.chunked_array([chunk for table in tables for chunk in table.columns[name].chunks])
            for name in names
        }
        return Table(self.name, columns, self._place, is_typed=False)

    def tables(self, names: Sequence[str], rejects: Rejects) -> Iterator[Table]:
        """These columns, block by block, as texts; rows that `rejects` takes are left out. Memory holds a block."""
        hint = self._remedy("if its first line is a row, give it a header, or name its columns (data.names)")
        spots = {name: only(self.name, self.header, name, f"; {hint}" if self._has_header else "") for name in names}
        keys = [f"{i}" for i in range(len(self.header))]  # names may be there twice, where nobody asks for them
        convert = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(keys, pa.string()),
            include_columns=[keys[spot] for spot in spots.values()],
            strings_can_be_null=False,
        )
        before = 0
        for number, block in self._parts(rejects):
            table = self._parsed(number, block, keys, convert, rejects)
            if len(table):
                columns = dict(zip(spots, table.columns, strict=True))
                yield Table(self.name, columns, _Place(number, block, before), is_typed=False)
            before += len(table)

    def _parts(self, rejects: Rejects) -> Iterator[tuple[int, bytes]]:
        """The blocks below the header, which is read on the way; also one that is empty, where nothing is below it."""
        is_below = not self._has_header
        for number, block in blocks(self._file, rejects):
            if self._separator == ONE_MARK:
                block = block.replace(self._written, ONE_MARK.encode())
            while not is_below and block:
                line, _, block = block.partition(b"\n")
                if is_below := bool(line.strip(b"\r")):
                    self.header = self._cells(line)
                    if any("\n" in name for name in self.header):
                        raise DataError(self._unclosed(number))
                number += 1
            if is_below:
                yield number, block

    def _parsed(
        self, number: int, block: bytes, keys: list[str], convert: pyarrow.csv.ConvertOptions, rejects: Rejects
    ) -> pa.Table:
        try:
            return self._parsed_whole(number, block, keys, convert)
        except DataError:
            if rejects.is_strict:
                raise
        lines = block.split(b"\n")
        for at, line in enumerate(lines):
            if (wrong := self._wrong(number + at, line)) is not None:
                rejects.add([wrong])
                lines[at] = b""
        return self._parsed_whole(number, b"\n".join(lines), keys, convert)

    def _parsed_whole(
        self, number: int, block: bytes, keys: list[str], convert: pyarrow.csv.ConvertOptions
    ) -> pa.Table:
        lines = block.count(b"\n") + (not block.endswith(b"\n")) if block else 0
        if b"\n\n" in block or b"\n\r\n" in block or block[:1] in (b"\n", b"\r"):
            lines -= len(BLANK.findall(block))
        try:
            table = pyarrow.csv.read_csv(
                pa.py_buffer(block or b"\n"),
                read_options=pyarrow.csv.ReadOptions(
                    column_names=keys, use_threads=False, block_size=max(len(block), 1) + 1
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=self._separator, quote_char='"' if self._quotes else False
                ),
                convert_options=convert,
            )
        except pa.ArrowException as error:
            raise self._diagnosis(number, block, str(error)) from None
        # A quotation mark that is not closed swallows lines, or, in the last line, only its end.
        last = block.rstrip(b"\r\n").rpartition(b"\n")[2]
        if len(table) != lines or (self._quotes and b'"' in last and any("\n" in cell for cell in self._cells(last))):
            raise self._diagnosis(number, block, f"{lines} lines gave {len(table)} rows")
        return table

    def _diagnosis(self, number: int, block: bytes, otherwise: str) -> DataError:
        """What is wrong in a block, line by line: slow, and done once."""
        for at, line in enumerate(block.split(b"\n"), start=number):
            if (wrong := self._wrong(at, line)) is not None:
                return DataError(wrong)
        return DataError(f"{self.name}: is no readable CSV from line {number} on: {' '.join(otherwise.split())[:300]}")

    def _wrong(self, number: int, line: bytes) -> str | None:
        """What is wrong with a line, or None."""
        if not line.strip(b"\r"):
            return None
        cells = self._cells(line)
        if any("\n" in cell for cell in cells):
            return self._unclosed(number)
        if len(cells) != len(self.header):
            named = "the header has" if self._has_header else "its columns are"
            remedy = (
                f'each value that holds {self._written.decode()!r} must stand between quotation marks (")'
                if self._quotes
                else f"no value may hold {self._written.decode()!r}"
            )
            said = f"{self.name}: line {number} has {len(cells)} values, {named} {len(self.header)}"
            return f"{said}; {self._remedy(remedy)}"
        return None

    def _remedy(self, of_a_scenario: str) -> str:
        return f"is it {self._what}, whole and as published?" if self._what else of_a_scenario

    def _cells(self, line: bytes) -> list[str]:
        """The values of a line; one that a quotation mark opens and none closes ends in a line feed."""
        if not self._quotes:
            return line.rstrip(b"\r").decode().split(self._separator)
        text = line.rstrip(b"\r").decode() + "\n"
        try:
            return next(csv.reader([text], delimiter=self._separator), [])
        except csv.Error:  # a value of over 128 KiB
            return line.decode().split(self._separator)

    def _unclosed(self, number: int) -> str:
        return (
            f"{self.name}: line {number} has a quotation mark that opens a value, and none that closes it; a value must end "
            "on its line; write a mark that belongs to a value twice, and the value between marks (a mark alone is four of "
            "them), or (of CSV) say data.quotes: false"
        )

    def _place(self, row: int) -> str:
        """Where a row lies. Reads the file again, for a message."""
        passed = 0
        for number, block in self._parts(STRICT):
            here = sum(1 for line in block.split(b"\n") if line.strip(b"\r"))
            if row < passed + here:
                return _Place(number, block, passed)(row - passed)
            passed += here
        return f"row {row + 1}"


class _Place:
    """Where the rows of a block lie. before: rows before it."""

    def __init__(self, number: int, block: bytes, before: int) -> None:
        self._number = number
        self._block = block
        self._before = before

    def __call__(self, row: int) -> str:
        filled = (at for at, line in enumerate(self._block.split(b"\n"), self._number) if line.strip(b"\r"))
        return f"row {self._before + row + 1} (line {next(at for i, at in enumerate(filled) if i == row)})"
