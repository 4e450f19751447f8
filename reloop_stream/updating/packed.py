"""Columns in as few bytes as hold them, and back: what a window keeps of many rows.

Integers are kept as their distance from the smallest, in as few bytes as that takes; texts that come again as numbers of
the different ones. A column comes back with the type and the values that it had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np

from reloop_stream.events import Column, ExampleBatch, ExposureBatch, ListColumn, constant, is_constant

__all__ = ["PackedRows"]

OF_EXAMPLE = ("label", "label_time_ms", "status")
OF_EXPOSURE = tuple(field.name for field in fields(ExposureBatch) if field.name != "features")


@dataclass(frozen=True, slots=True)
class _Plain:
    values: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.values.itemsize if is_constant(self.values) else self.values.nbytes

    def unpacked(self) -> np.ndarray:
        return self.values


@dataclass(frozen=True, slots=True)
class _Distances:
    """Integers less the smallest of them."""

    distance: np.ndarray
    smallest: np.generic

    @property
    def nbytes(self) -> int:
        return self.distance.nbytes

    def unpacked(self) -> np.ndarray:
        values = self.distance.astype(self.smallest.dtype)
        values += self.smallest
        return values


@dataclass(frozen=True, slots=True)
class _Coded:
    """Texts as places among the different ones."""

    place: np.ndarray
    texts: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.place.nbytes + self.texts.nbytes + sum(map(len, self.texts.tolist()))

    def unpacked(self) -> np.ndarray:
        return np.asarray(self.texts[self.place])


_Packed: TypeAlias = _Plain | _Distances | _Coded


@dataclass(frozen=True, slots=True)
class _Lists:
    values: _Packed
    offsets: _Packed
    weights: np.ndarray | None

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.offsets.nbytes + (0 if self.weights is None else self.weights.nbytes)

    def unpacked(self) -> ListColumn:
        return ListColumn(self.values.unpacked(), self.offsets.unpacked(), self.weights)


def _pack(column: np.ndarray) -> _Packed:
    if not len(column) or is_constant(column):
        return _Plain(column)
    if column.dtype.kind == "b" and (column == column[0]).all():
        return _Plain(constant(column[0], len(column)))
    if column.dtype.kind in "iu":
        return _distances(column)
    if column.dtype.kind in "UO":
        return _coded(column)
    return _Plain(_own(column))


def _distances(column: np.ndarray) -> _Packed:
    smallest, largest = column.min(), column.max()
    span = int(largest) - int(smallest)
    if not span:
        return _Plain(constant(smallest, len(column)))
    narrow = np.min_scalar_type(span)
    if narrow.itemsize >= column.itemsize:
        return _Plain(_own(column))
    return _Distances((column - smallest).astype(narrow), smallest)


def _coded(column: np.ndarray) -> _Packed:
    places: dict[str, int] = {}
    place = np.array([places.setdefault(text, len(places)) for text in column.tolist()])
    if 2 * len(places) > len(column):
        return _Plain(_own(column))
    return _Coded(place.astype(np.min_scalar_type(len(places))), np.array([*places], dtype=column.dtype))


def _own(column: np.ndarray) -> np.ndarray:
    """A copy of what may hold on to more than is seen of it."""
    return column if column.flags.owndata else column.copy()


def _pack_any(column: Column) -> _Packed | _Lists:
    if isinstance(column, ListColumn):
        return _Lists(_pack(column.values), _pack(column.offsets), column.weights)
    return _pack(column)


class PackedRows:
    """Examples in a packed form. foreign: bool [n], rows that another arm's model served."""

    def __init__(self, examples: ExampleBatch, foreign: np.ndarray) -> None:
        exposures = examples.exposures
        self.first_ms, self.last_ms = int(examples.label_time_ms.min()), int(examples.label_time_ms.max())
        self._of_example = [_pack(getattr(examples, name)) for name in OF_EXAMPLE]
        columns = {name: getattr(exposures, name) for name in OF_EXPOSURE}
        self._of_exposure = {name: _pack(column) for name, column in columns.items() if column is not None}
        self._features = {name: _pack_any(column) for name, column in exposures.features.items()}
        self._foreign = _pack(foreign)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        packed: Sequence[_Packed | _Lists] = (
            *self._of_example, *self._of_exposure.values(), *self._features.values(), self._foreign
        )  # fmt: skip
        return sum(column.nbytes for column in packed)

    def unpacked(self) -> tuple[ExampleBatch, np.ndarray]:
        """The examples, and which are foreign."""
        features = {name: column.unpacked() for name, column in self._features.items()}
        columns = {name: column.unpacked() for name, column in self._of_exposure.items()}
        exposures = ExposureBatch(**columns, features=features)
        label, label_time_ms, status = (column.unpacked() for column in self._of_example)
        return ExampleBatch(exposures, label, label_time_ms, status), self._foreign.unpacked()
