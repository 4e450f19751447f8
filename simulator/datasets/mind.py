"""MIND: impressions of a news page, each a slate of candidates with what was clicked (Wu et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reloop_stream.events import Column, ListColumn, take_column
from simulator.datasets.cells import integers, texts
from simulator.datasets.config import MindConfig
from simulator.datasets.csv_file import CsvFile
from simulator.datasets.rejects import Rejects
from simulator.datasets.rows import ReplayRows, find
from simulator.datasets.source import Source
from simulator.datasets.table import Table, converted
from simulator.datasets.text_file import text_file
from simulator.datasets.times import Clock
from simulator.errors import DataError

__all__ = ["MindSource"]

BEHAVIORS = ["impression_id", "user_id", "time", "history", "impressions"]
NEWS = ["news_id", "category", "subcategory", "title", "abstract", "url", "title_entities", "abstract_entities"]
WRITTEN = "%m/%d/%Y %I:%M:%S %p"
SHOWN = r"^N[0-9]+-[01]$"


class MindSource(Source):
    """behaviors.tsv, or its folder, where news.tsv gives categories.

    A row is a candidate of an impression; request_id is the impression's id, position the candidate's place in the list,
    which its publisher has shuffled. Features: user_id, item_id, history (list: the news clicked before, the latest
    `data.history` of them), and with news.tsv category, subcategory. Raises DataError naming file and line.
    """

    def __init__(self, config: MindConfig) -> None:
        path = find(config.path)
        folder = path if path.is_dir() else path.parent
        behaviors = _there(folder, "behaviors.tsv") if path.is_dir() else path
        if behaviors is None:
            raise DataError(f"{path}: has no behaviors.tsv; is it a folder of MIND, unpacked?")
        news = _there(folder, "news.tsv")
        self._behaviors = _file(behaviors, BEHAVIORS)
        files = [self._behaviors] if news is None else [self._behaviors, _file(news, NEWS)]
        super().__init__([file.path for file in files], "a candidate's -1", "the impressions' times")
        self._news = None if news is None else _News(files[1])
        self._history = config.history
        self._clock = Clock("time", form=WRITTEN)

    def blocks(self, rejects: Rejects) -> Iterator[ReplayRows]:
        self._clock = Clock("time", form=WRITTEN)
        yield from converted(self._behaviors.tables(BEHAVIORS, rejects), rejects, self._rows)

    def _rows(self, table: Table) -> ReplayRows:
        time_ms = self._clock.times_ms(table)
        impression, user = integers(table, "impression_id"), texts(table, "user_id")
        shown = _split(table.column("impressions"))
        n = pc.list_value_length(shown).to_numpy()
        row = np.repeat(np.arange(len(table)), n)
        flat = pc.list_flatten(shown)
        good = pc.match_substring_regex(flat, SHOWN).to_numpy(zero_copy_only=False)
        if not good.all():
            bad = ~good

            def said(at: int) -> str:
                text = flat[int(np.flatnonzero(bad & (row == at))[0])].as_py()
                why = "the published test part has no labels" if "-" not in text else "must be an id, - and 0 or 1"
                return f"holds {text[:80]!r} in {{place}}: {why}"

            raise table.bad_rows("impressions", np.unique(row[bad]), said)
        item = pc.utf8_slice_codeunits(flat, 0, -2).to_numpy(zero_copy_only=False)
        label = pc.ends_with(flat, "-1").to_numpy(zero_copy_only=False).astype(np.uint8)
        user = user[row]
        history = take_column(self._histories(table), row)
        features: dict[str, Column] = {"user_id": user, "item_id": item, "history": history}
        if self._news is not None:
            features |= self._news.of(item)
        starts = np.concatenate(([0], np.cumsum(n)[:-1]))
        position = (np.arange(len(row)) - np.repeat(starts, n)).astype(np.int32)
        return ReplayRows(time_ms[row], user, item, label, features, request_id=impression[row], position=position)

    def _histories(self, table: Table) -> ListColumn:
        read = _split(table.column("history", "", may_be_empty=True))
        last = [ids[-self._history :] for ids in read.to_pylist()]
        lengths = np.array([len(ids) for ids in last], dtype=np.int64)
        values = np.array([one for ids in last for one in ids], dtype=object)
        return ListColumn(values, np.concatenate(([0], np.cumsum(lengths))))

    @property
    def doubt(self) -> str:
        return self._clock.doubt


def _file(path: Path, names: list[str]) -> CsvFile:
    what = "MIND's behaviors.tsv" if names is BEHAVIORS else "MIND's news.tsv"
    return CsvFile(text_file(path), "\t", names=names, quotes=False, what=what)


def _there(folder: Path, name: str) -> Path | None:
    return next((file for file in sorted(folder.glob(f"{name}*")) if file.is_file()), None)


def _split(column: pa.ChunkedArray) -> pa.Array:
    """Texts as lists of what stands between their spaces."""
    parts = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(column.combine_chunks()))
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column.combine_chunks()), ""), pa.scalar([], parts.type), parts)


class _News:
    """What the articles are about."""

    def __init__(self, file: CsvFile) -> None:
        table = file.read(["news_id", "category", "subcategory"])
        self._row = {news: row for row, news in enumerate(texts(table, "news_id").tolist())}
        # The last is for articles that are not listed.
        self._about = {name: np.append(texts(table, name), "").astype(object) for name in ("category", "subcategory")}

    def of(self, items: np.ndarray) -> dict[str, Column]:
        rows = np.array([self._row.get(item, -1) for item in items.tolist()], dtype=np.int64)
        return {name: about[rows] for name, about in self._about.items()}
