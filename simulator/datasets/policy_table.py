"""A table of logged rows and of what another policy makes of them, in columns that a command line names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from simulator.datasets.cells import ids, numbers, probabilities
from simulator.datasets.column_types import ColumnTypes, settled
from simulator.datasets.config import ColumnConfig
from simulator.datasets.csv_file import CsvFile
from simulator.datasets.rejects import Rejects
from simulator.datasets.table import Table, only
from simulator.datasets.tables import parquet_tables
from simulator.datasets.text_file import text_file
from simulator.errors import DataError

__all__ = ["read_policy_table"]


def read_policy_table(path: Path, columns: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The columns by their roles, [n] each. columns: role → the column's name.

    Roles: reward, q_logged and q_target are numbers, propensity lies in (0, 1], target in [0, 1], cluster are ids. A file
    whose name ends in .parquet, and a folder, are Parquet, others CSV. Raises DataError naming file, column and row.
    """
    names = list(dict.fromkeys(columns.values()))
    hint = "; the flags --reward, --propensity, --target say which column is which"
    if path.suffix == ".parquet" or path.is_dir():
        tables = parquet_tables(path, hint)
    else:
        file = CsvFile(text_file(path))
        for name in names:
            only(file.name, file.header, name, hint)
        tables = file.tables
    blocks = settled(lambda types: [_block(table, columns, types) for table in tables(names, Rejects())])
    if not blocks:
        raise DataError(f"{path}: holds no row")
    return {role: np.concatenate([block[role] for block in blocks]) for role in columns}


def _block(table: Table, columns: Mapping[str, str], types: ColumnTypes) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for role, name in columns.items():
        if role in ("propensity", "target"):
            found[role] = probabilities(table, name, may_be_zero=role == "target")
        elif role == "cluster":
            found[role] = ids(table, ColumnConfig(column=name), types)
        else:
            found[role] = numbers(table, name, f"--{role.replace('_', '-')} needs numbers").astype(np.float64)
    return found
