"""Avazu's click-through rate prediction: ten days of mobile advertisements, by the hour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from simulator.datasets.config import AvazuConfig, ColumnConfig, LabelConfig, TableConfig
from simulator.datasets.csv_file import CsvFile
from simulator.datasets.rejects import Rejects
from simulator.datasets.rows import ReplayRows, find
from simulator.datasets.tables import TableSource
from simulator.datasets.text_file import text_file

__all__ = ["INTEGERS", "TEXTS", "avazu_source"]

INTEGERS = ["C1", "banner_pos", "device_type", "device_conn_type", *(f"C{i}" for i in range(14, 22))]
TEXTS = [f"{of}_{what}" for of in ("site", "app") for what in ("id", "domain", "category")]
TEXTS += ["device_id", "device_ip", "device_model"]
HOUR_MS = 3_600_000


class AvazuSource(TableSource):
    """Rows of an hour are a millisecond apart, in the file's order: the clock says no more, and an hour is too long a tick."""

    def blocks(self, rejects: Rejects) -> Iterator[ReplayRows]:
        hour, passed = -1, 0
        for rows in super().blocks(rejects):
            is_first = np.concatenate(([rows.time_ms[0] != hour], rows.time_ms[1:] != rows.time_ms[:-1]))
            at = np.arange(len(rows))
            start = np.maximum.accumulate(np.where(is_first, at, -1))
            within = np.where(start < 0, at + passed, at - start)
            hour, passed = int(rows.time_ms[-1]), int(within[-1]) + 1
            hours = rows.time_ms // HOUR_MS
            # 1970 began on a Thursday.
            clock = {"hour_of_day": hours % 24, "day_of_week": (hours // 24 + 3) % 7}
            yield replace(
                rows,
                time_ms=rows.time_ms + np.minimum(within, HOUR_MS - 1),
                features={**rows.features, **clock},
            )


def avazu_source(config: AvazuConfig, kinds: Mapping[str, str]) -> TableSource:
    """train.csv. Features: hour_of_day, day_of_week (Monday: 0), and all columns but id, click and hour. Raises DataError."""
    file = CsvFile(text_file(find(config.path)), what="Avazu's train.csv")
    types = dict.fromkeys(INTEGERS, "integer") | dict.fromkeys(TEXTS, "text")
    columns = [ColumnConfig.model_validate({"column": name, "type": kind}) for name, kind in types.items()]
    ids = {
        name: ColumnConfig.model_validate({"column": name, "type": types.get(name)})
        for name in (config.user, config.item)
    }
    table = TableConfig(
        **config.model_dump(exclude={"format", "user", "item"}),
        user=ids[config.user],
        item=ids[config.item],
        label=LabelConfig(column="click"),
        time="hour",
        time_format="%y%m%d%H",
        columns=columns,
    )
    return AvazuSource(table, [file.path], file.tables, kinds)
