"""A data set as it is read: blocks of rows in the file's order, memory for one block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from simulator.datasets.catalogue import Catalogue
from simulator.datasets.column_types import ColumnTypes
from simulator.datasets.rejects import Rejects
from simulator.datasets.rows import ReplayRows

__all__ = ["Source"]


class Source:
    """What a format gives. Reading begins anew with each call of `blocks`.

    files: what is read, for fingerprints. rule: which rows are clicks, in words. clock: what tells the time, in words; ""
    where nothing does, and rows are a second apart. has_users: whether rows tell one user from another.
    """

    def __init__(self, files: list[Path], rule: str, clock: str = "", *, has_users: bool = True) -> None:
        self.files = files
        self.rule = rule
        self.clock = clock
        self.has_users = has_users
        self.types = ColumnTypes()
        self.left_out: dict[str, int] = {}  # why: how many rows, of the last reading
        self.fills: dict[str, str | float] = {}  # what stands for nothing, by feature

    def blocks(self, rejects: Rejects) -> Iterator[ReplayRows]:
        """Rows in the file's order, without those that `rejects` takes. Raises DataError, Retyped."""
        raise TypeError(f"{type(self).__name__} reads nothing")

    def derived(self, blocks: Iterator[ReplayRows]) -> Iterator[ReplayRows]:
        """The rows in their final order, with what follows from those before each."""
        return blocks

    @property
    def catalogue(self) -> Catalogue | None:
        """What could have been shown, after the last block; None where that is not known."""
        return None

    @property
    def doubt(self) -> str:
        """What makes the times look wrong, after the last block; or ""."""
        return ""

    @property
    def warnings(self) -> list[str]:
        """What else is likely to mislead, after the last block."""
        return []
