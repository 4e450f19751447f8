"""A column of texts, each different one looked at once: what it says of the column's type, and its values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulator.datasets.column_types import Evidence
from simulator.datasets.table import Table

__all__ = ["INTEGER", "MISSING", "NUMBER", "PLAIN", "Words"]

INT64_MAX = 2**63 - 1
INTEGER = r"^[+-]?[0-9]+$"
PLAIN = r"^(0|-?[1-9][0-9]*)$"
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
# How programs write that there is no number. Among numbers they are gaps; among texts they may be words.
MISSING = ["na", "n/a", "#n/a", "nan", "null", "none", "nil", "\\n", "-", "?", "inf", "-inf", "infinity", "-infinity"]


@dataclass(frozen=True)
class Words:
    """A column of texts as its different ones, and which of them each row has: each is looked at once."""

    table: Table
    name: str
    different: pa.Array
    index: np.ndarray

    @classmethod
    def of(cls, table: Table, name: str, column: pa.ChunkedArray) -> Words:
        chunks = column.dictionary_encode().unify_dictionaries().chunks
        words = cls(table, name, chunks[0].dictionary, np.concatenate([chunk.indices.to_numpy() for chunk in chunks]))
        # numpy's text ends at it, so that two texts would be one.
        words.refuse(pc.match_substring(words.different, "\0"), "holds a zero character in {place}; remove it")
        return words

    def refuse(self, bad: pa.Array, message: str) -> None:
        """Raise BadRows about the rows whose text is bad; `{text}` in the message is the text."""
        mask = np.asarray(bad)
        if not mask.any():
            return

        def said(row: int) -> str:
            return message.replace("{text}", repr(self.different[int(self.index[row])].as_py()[:80]))

        raise self.table.bad_rows(self.name, np.flatnonzero(mask[self.index]), said)

    def refuse_spaces(self) -> None:
        trimmed = pc.utf8_trim_whitespace(self.different)
        self.refuse(
            pc.not_equal(trimmed, self.different),
            "holds {text} in {place}; remove the spaces, which make it another value",
        )

    def match(self, pattern: str) -> pa.Array:
        return pc.match_substring_regex(self.different, pattern)

    def evidence(self) -> Evidence:
        """What the texts say of the column's type."""
        number, integer, plain = self.match(NUMBER), self.match(INTEGER), self.match(PLAIN)
        others = pc.filter(self.different, pc.invert(number))
        missing = pc.is_in(pc.utf8_lower(others), value_set=pa.array(MISSING))
        long = pc.greater(pc.utf8_length(self.different), 18)  # beyond it, integers may be beyond 64 bits
        suspects = pc.filter(self.different, pc.and_(integer, long)).to_pylist()
        found = {
            Evidence.INTEGER: pc.any(plain),
            Evidence.PADDED: pc.any(pc.and_not(integer, plain)),
            Evidence.NUMBER: pc.any(pc.and_not(number, integer)),
            Evidence.WORD: pc.any(pc.invert(missing)),
            Evidence.MISSING: pc.any(missing),
        }
        sum_of = Evidence.BIG if any(_is_big(text) for text in suspects) else Evidence(0)
        for one, is_there in found.items():
            if is_there.as_py():
                sum_of |= one
        return sum_of

    def texts(self) -> np.ndarray:
        values = np.empty(len(self.different), dtype=object)
        values[:] = self.different.to_pylist()
        return np.asarray(values[self.index])

    def numbers(self, needs: str) -> np.ndarray:
        """float64. Raises DataError where a text is no number, or no finite one."""
        is_number = self.match(NUMBER)
        decimal = self.match(r"^[+-]?[0-9.]*,[0-9]+$")
        self.refuse(decimal, f"holds text, {needs}: {{text}} in {{place}}; write decimals with a point")
        self.refuse(pc.invert(is_number), f"holds text, {needs}: {{text}} in {{place}}")
        values = np.asarray(self.different.cast(pa.float64()))
        self.refuse(pa.array(~np.isfinite(values)), "holds {text} in {place}, which is beyond every number")
        return np.asarray(values[self.index])

    def integers(self) -> np.ndarray:
        """int64, of integers however they are written: `007` and `7.0` are 7. Raises DataError."""
        self.refuse_big("put a letter before each, as in 'u123', or say type: text")
        self.refuse(pc.invert(self.match(r"^[+-]?[0-9]+(\.0*)?$")), "holds {text} in {place}, must be an integer")
        whole = pc.replace_substring_regex(self.different, r"^\+|\.0*$", "")
        return np.asarray(whole.cast(pa.int64()).to_numpy(zero_copy_only=False)[self.index])

    def refuse_big(self, remedy: str) -> None:
        integer = self.match(INTEGER)
        big = [_is_big(text) for text in self.different.to_pylist()]
        rule = f"which does not fit into 64 bits; {remedy}"
        self.refuse(pc.and_(integer, pa.array(big)), f"holds {{text}} in {{place}}, {rule}")


def _is_big(text: str) -> bool:
    digits = text.lstrip("+-").lstrip("0")
    return len(digits) > 18 and digits.isascii() and digits.isdigit() and (len(digits) > 19 or int(digits) > INT64_MAX)
