"""CSV: a header, and rows of which each is a line."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.csv

from simulator.datasets.cells import Table, only
from simulator.datasets.text_file import TextFile, blocks
from simulator.errors import DataError

__all__ = ["CsvFile"]

BLANK = re.compile(rb"^\r?\n", re.MULTILINE)
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


class CsvFile:
    """A header, and below it values between separators, in quotation marks where they hold one. Each row is a line.

    Every value is read as the text that it is, so that nothing is lost before a column's use is known. Raises DataError
    naming the line, when it is opened or read.
    """

    def __init__(self, file: TextFile, separator: str = ",") -> None:
        self.name = file.name
        self._file = file
        self._separator = separator
        self.header: list[str] = []
        for number, _ in self._parts():
            for name, n in Counter(filter(NUMBER.fullmatch, self.header)).items():
                if n > 1:
                    raise DataError(
                        f"{self.name}: line {number - 1} must be the header, and looks like a row (it has {name!r} {n} "
                        "times); give the file a header"
                    )
            return
        raise DataError(f"{self.name}: holds no event")

    def read(self, names: Sequence[str]) -> Table:
        """These columns, as texts. Memory holds their texts and a block of the file."""
        hint = "; if its first line is a row, give it a header"
        spots = {name: only(self.name, self.header, name, hint) for name in names}
        keys = [f"{i}" for i in range(len(self.header))]  # names may be there twice, where nobody asks for them
        convert = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(keys, pa.string()),
            include_columns=[keys[spot] for spot in spots.values()],
            strings_can_be_null=False,
        )
        batches = [self._parsed(number, block, keys, convert) for number, block in self._parts()]
        table = pa.concat_tables(batches).rename_columns(list(spots))
        if not len(table):
            raise DataError(f"{self.name}: holds no event")
        return Table(self.name, {name: table[name] for name in spots}, self._place, is_typed=False)

    def _parts(self) -> Iterator[tuple[int, bytes]]:
        """The blocks below the header, which is read on the way; also one that is empty, where nothing is below it."""
        is_below = False
        for number, block in blocks(self._file):
            while not is_below and block:
                line, _, block = block.partition(b"\n")
                if is_below := bool(line.strip(b"\r")):
                    self.header = self._cells(line)
                    if any("\n" in name for name in self.header):
                        raise DataError(self._unclosed(number))
                number += 1
            if is_below:
                yield number, block

    def _parsed(self, number: int, block: bytes, keys: list[str], convert: pyarrow.csv.ConvertOptions) -> pa.Table:
        lines = block.count(b"\n") + (not block.endswith(b"\n")) if block else 0
        if b"\n\n" in block or b"\n\r\n" in block or block[:1] in (b"\n", b"\r"):
            lines -= len(BLANK.findall(block))
        try:
            table = pyarrow.csv.read_csv(
                pa.py_buffer(block or b"\n"),
                read_options=pyarrow.csv.ReadOptions(
                    column_names=keys, use_threads=False, block_size=max(len(block), 1) + 1
                ),
                parse_options=pyarrow.csv.ParseOptions(delimiter=self._separator),
                convert_options=convert,
            )
        except pa.ArrowException as error:
            raise self._diagnosis(number, block, str(error)) from None
        # A quotation mark that is not closed swallows lines, or, in the last line, only its end.
        last = block.rstrip(b"\r\n").rpartition(b"\n")[2]
        if len(table) != lines or (b'"' in last and any("\n" in cell for cell in self._cells(last))):
            raise self._diagnosis(number, block, f"{lines} lines gave {len(table)} rows")
        return table

    def _diagnosis(self, number: int, block: bytes, otherwise: str) -> DataError:
        """What is wrong in a block, line by line: slow, and done once."""
        for at, line in enumerate(block.split(b"\n"), start=number):
            if not line.strip(b"\r"):
                continue
            cells = self._cells(line)
            if any("\n" in cell for cell in cells):
                return DataError(self._unclosed(at))
            if len(cells) != len(self.header):
                return DataError(
                    f"{self.name}: line {at} has {len(cells)} values, the header has {len(self.header)}; "
                    f'each value that holds {self._separator!r} must stand between quotation marks (")'
                )
        return DataError(f"{self.name}: is no readable CSV from line {number} on: {' '.join(otherwise.split())[:300]}")

    def _cells(self, line: bytes) -> list[str]:
        """The values of a line; one that a quotation mark opens and none closes ends in a line feed."""
        text = line.rstrip(b"\r").decode() + "\n"
        try:
            return next(csv.reader([text], delimiter=self._separator), [])
        except csv.Error:  # a value of over 128 KiB
            return line.decode().split(self._separator)

    def _unclosed(self, number: int) -> str:
        return (
            f"{self.name}: line {number} has a quotation mark that opens a value, and none that closes it; a value must end "
            "on its line; write a mark that belongs to a value twice, and the value between marks (a mark alone is four of them)"
        )

    def _place(self, row: int) -> str:
        """Where a row lies. Reads the file again, for a message."""
        passed = 0
        for number, block in self._parts():
            for at, line in enumerate(block.split(b"\n"), start=number):
                if line.strip(b"\r"):
                    if passed == row:
                        return f"row {row + 1} (line {at})"
                    passed += 1
        return f"row {row + 1}"
