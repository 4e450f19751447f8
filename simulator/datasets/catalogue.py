"""Every item that a log could have shown, with what describes it: what a policy other than the logged one chooses from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reloop_stream.events import Column, concat_columns, take_column
from simulator.datasets.table import Table

__all__ = ["Catalogue", "CatalogueOfRows"]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """features: of the items, [items] each; item_id, whose values differ and rise, is one of them."""

    features: Mapping[str, Column]

    @property
    def item_id(self) -> np.ndarray:
        return np.asarray(self.features["item_id"])

    def __len__(self) -> int:
        return len(self.item_id)

    def rows_of(self, item_id: np.ndarray) -> np.ndarray:
        """Where items of the catalogue stand in it, int64 [n]."""
        return np.searchsorted(self.item_id, item_id)


class CatalogueOfRows:
    """The items of the rows that it was shown, block by block. Memory holds one row an item."""

    def __init__(self) -> None:
        self._found: Catalogue | None = None

    def add(self, table: Table, item: str, item_id: np.ndarray, features: Mapping[str, Column]) -> None:
        """item: the column of the ids. features: what describes a row's item, [n] each.

        Raises BadRows about rows that describe an item otherwise than one before them.
        """
        different, first, of_row = np.unique(item_id, return_index=True, return_inverse=True)
        described = Catalogue(
            {"item_id": different, **{name: take_column(one, first) for name, one in features.items()}}
        )
        if self._found is not None:
            known = np.isin(different, self._found.item_id)
            old = {name: take_column(column, known) for name, column in described.features.items()}
            at = self._found.rows_of(old["item_id"])  # type: ignore[arg-type]
            described = self._with(described, ~known)
        else:
            known, at = np.zeros(len(different), dtype=bool), np.zeros(0, dtype=np.int64)
        for name, column in features.items():
            values = np.asarray(column)
            expected = values[first]
            if self._found is not None:
                expected = expected.copy()
                expected[known] = np.asarray(self._found.features[name])[at]
            if len(odd := np.flatnonzero(values != expected[of_row])):

                def said(
                    row: int, name: str = name, values: np.ndarray = values, expected: np.ndarray = expected
                ) -> str:
                    other = expected[of_row[row]]
                    return (
                        f"holds {values[row]!r} for {item} {item_id[row]} in {{place}} and {other!r} in a row before; a column "
                        "of data.item_columns describes the item alone"
                    )

                raise table.bad_rows(name, odd, said)
        self._found = described

    def _with(self, described: Catalogue, new: np.ndarray) -> Catalogue:
        """The items so far and these, in order."""
        assert self._found is not None
        joined = {
            name: concat_columns([column, take_column(described.features[name], new)])
            for name, column in self._found.features.items()
        }
        order = np.argsort(joined["item_id"], kind="stable")  # type: ignore[arg-type]
        return Catalogue({name: take_column(column, order) for name, column in joined.items()})

    @property
    def catalogue(self) -> Catalogue | None:
        return self._found
