"""trivago's RecSys Challenge 2019: sessions of which a clickout shows a list of hotels, and which of them was chosen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc

from reloop_stream.events import Column
from simulator.datasets.cells import texts
from simulator.datasets.config import TrivagoConfig
from simulator.datasets.csv_file import CsvFile
from simulator.datasets.rejects import Rejects
from simulator.datasets.rows import ReplayRows, find
from simulator.datasets.source import Source
from simulator.datasets.table import Table, converted
from simulator.datasets.text_file import text_file
from simulator.datasets.times import Clock

__all__ = ["TrivagoSource"]

CLICKOUT = "clickout item"
COLUMNS = ["user_id", "timestamp", "action_type", "reference", "platform", "city", "device", "impressions", "prices"]
HIDDEN, OTHER = "clickouts whose item is hidden (the published test part)", "actions other than clickouts"


class TrivagoSource(Source):
    """train.csv: a row is a hotel of a clickout's list, in the order shown, and the one referred to is the click.

    Features: user_id, item_id, platform, city, device, price (integer, as shown). Raises DataError naming file and line.
    """

    def __init__(self, config: TrivagoConfig) -> None:
        self._file = CsvFile(text_file(find(config.path)), what="trivago's train.csv")
        super().__init__([self._file.path], "the clickout's reference", "the column 'timestamp'")
        self._clock = Clock("timestamp")
        self._requests = 0

    def blocks(self, rejects: Rejects) -> Iterator[ReplayRows]:
        self._clock, self._requests = Clock("timestamp"), 0
        self.left_out |= {OTHER: 0, HIDDEN: 0}
        yield from converted(map(self._clickouts, self._file.tables(COLUMNS, rejects)), rejects, self._rows)

    def _clickouts(self, table: Table) -> Table:
        other = pc.not_equal(table.columns["action_type"], CLICKOUT).to_numpy()
        hidden = ~other & pc.equal(table.columns["reference"], "").to_numpy()
        self.left_out[OTHER] += int(np.count_nonzero(other))
        self.left_out[HIDDEN] += int(np.count_nonzero(hidden))
        return table.without(np.flatnonzero(other | hidden))

    def _rows(self, table: Table) -> ReplayRows:
        time_ms = self._clock.times_ms(table)
        shown = pc.split_pattern(table.column("impressions").combine_chunks(), "|")
        prices = pc.split_pattern(table.column("prices").combine_chunks(), "|")
        n = pc.list_value_length(shown).to_numpy()
        if (unequal := n != pc.list_value_length(prices).to_numpy()).any():
            raise table.bad_rows(
                "prices", np.flatnonzero(unequal), lambda _: "has not as many values as 'impressions' in {place}"
            )
        row = np.repeat(np.arange(len(table)), n)
        item, price = self._numbers(table, "impressions", shown, row), self._numbers(table, "prices", prices, row)
        label = pc.equal(pc.list_flatten(shown), table.column("reference").combine_chunks().take(row))
        features: dict[str, Column] = {"user_id": texts(table, "user_id")[row], "item_id": item}
        features |= {name: texts(table, name)[row] for name in ("platform", "city", "device")}
        starts = np.concatenate(([0], np.cumsum(n)[:-1]))
        request = self._requests + row.astype(np.int64)
        self._requests += len(table)
        return ReplayRows(
            time_ms[row],
            np.asarray(features["user_id"]),
            item,
            label.to_numpy(zero_copy_only=False).astype(np.uint8),
            features | {"price": price},
            request_id=request,
            position=(np.arange(len(row)) - np.repeat(starts, n)).astype(np.int32),
        )

    def _numbers(self, table: Table, name: str, lists: object, row: np.ndarray) -> np.ndarray:
        flat = pc.list_flatten(lists)
        good = pc.match_substring_regex(flat, "^[0-9]{1,18}$").to_numpy(zero_copy_only=False)
        if not good.all():
            rule = "must be integers with | between them"
            raise table.bad_rows(name, np.unique(row[~good]), lambda _: f"in {{place}} {rule}")
        return np.asarray(flat.cast("int64").to_numpy())

    @property
    def doubt(self) -> str:
        return self._clock.doubt
