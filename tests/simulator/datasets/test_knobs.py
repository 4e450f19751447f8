"""Every knob of a data set changes what a replay is given: rows, ticks or days. A knob without an entry fails."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from reloop_stream.config import apply_overrides
from reloop_stream.events import ListColumn
from simulator.datasets import config
from simulator.errors import DataError
from tests.simulator.datasets.bandit import bandit_log, write_bandit
from tests.simulator.datasets.published import PUBLISHED
from tests.simulator.replay.described import stream_of

N = 300
USUAL = {"user": "who", "item": "what", "label": {"column": "bought"}, "time": "at", "columns": ["price"]}
PRICE = "columns=[{column: price, name: price}]"
MORE: dict[str, dict[str, Any]] = {"csv": USUAL, "tsv": USUAL, "libfm": {"fields": 3}, "libffm": {"fields": 3}}
OFFERED = {"libfm": ["f0", "f1"], "libsvm": ["x"], "libffm": ["f0"]}
HOLES = "columns=[{column: holes, missing: 0}]"

# knob → (what is read: a file below, or a published set; settings of the base; the change).
KNOBS: dict[str, tuple[str, list[str], str]] = {
    "path": ("log.csv", [], "path=other.csv"),
    "tick_events": ("log.csv", [], "tick_events=7"),
    "period_events": ("log.csv", [], "period_events=60"),
    "max_events": ("log.csv", [], "max_events=205"),
    "order": ("log.csv", [], "order=file"),
    "shuffle_seed": ("log.csv", ["order=shuffled"], "shuffle_seed=1"),
    "bad_rows": ("bad.csv", [], "bad_rows=0.1"),
    "format": ("log.tsv", [], "format=csv"),
    "csv.user": ("log.csv", [], "user=what"),
    "csv.item": ("log.csv", [], "item=who"),
    "csv.label.column": ("log.csv", [], "label.column=liked"),
    "csv.label.at_least": ("log.csv", ["label={column: price, at_least: 2}"], "label.at_least=5"),
    "csv.label.equals": ("log.csv", ["label={column: tags, equals: 'a|b'}"], "label.equals=c"),
    "csv.time": ("log.csv", [], "time=shown"),
    "csv.time_unit": ("log.csv", [], "time_unit=ms"),
    "csv.time_format": ("log.csv", ["time=day", "time_format='%Y-%m-%d'"], "time_format='%Y-%d-%m'"),
    "csv.columns": ("log.csv", [], "columns=[price, liked]"),
    "csv.columns.column": ("log.csv", [PRICE], "columns.0.column=liked"),
    "csv.columns.name": ("log.csv", [PRICE], "columns.0.name=cost"),
    "csv.columns.type": ("log.csv", ["columns=[{column: liked}]"], "columns.0.type=text"),
    "csv.columns.missing": ("log.csv", [HOLES], "columns.0.missing=9"),
    "csv.columns.list_of": ("log.csv", ["columns=[{column: tags}]"], "columns.0.list_of='|'"),
    "csv.columns.weights": ("log.csv", ["columns=[{column: tags, list_of: '|'}]"], "columns.0.weights=tag_weights"),
    "csv.item_columns": ("log.csv", ["propensity=shown_with", "columns=[kind]"], "item_columns=[kind]"),
    "csv.weight": ("log.csv", [], "weight=price"),
    "csv.propensity": ("log.csv", [], "propensity=shown_with"),
    "csv.request": ("log.csv", [], "request=slate"),
    "csv.position": ("log.csv", ["request=slate"], "position=place"),
    "csv.separator": ("log.tsv", ["format=csv", 'separator="\\t"'], "separator=';'"),
    "csv.names": ("bare.csv", [f"names=[{', '.join(['who', 'what', 'at', 'bought', 'price'])}]"], "names=[what, who, at, bought, price]"),
    "csv.quotes": ("log.csv", ["columns=[quoted]"], "quotes=false"),
    "csv.encoding": ("latin.csv", ["encoding=latin-1"], "encoding=cp437"),
    "movielens.positive": ("movielens 25m", [], "positive=5"),
    "avazu.user": ("avazu", [], "user=device_id"),
    "avazu.item": ("avazu", [], "item=C15"),
    "mind.history": ("mind", [], "history=1"),
    "kuairand.label": ("kuairand", [], "label=long_view"),
    "libfm.fields": ("log.libfm", [], "fields=2"),
    "libfm.user_field": ("log.libfm", [], "user_field=2"),
    "libfm.item_field": ("log.libfm", [], "item_field=2"),
    "libfm.at_least": ("log.libfm", [], "at_least=2"),
    "libsvm.at_least": ("log.libsvm", [], "at_least=2"),
    "libffm.at_least": ("log.libffm", [], "at_least=2"),
    "libffm.fields": ("log.libffm", [], "fields=2"),
    "movielens_tags.negatives": ("tags.csv", [], "negatives=1"),
    "movielens_tags.seed": ("tags.csv", [], "seed=2"),
    "open_bandit.items": ("men.csv", [], "items=other_items.csv"),
}  # fmt: skip


def files(folder: Path) -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"who": rng.integers(1, 30, N), "what": rng.integers(1, 20, N)})
    frame["at"] = 1_700_000_000 + rng.permutation(N) * 600
    frame["bought"], frame["price"] = rng.integers(0, 2, N), rng.integers(1, 9, N) + 0.5
    frame.to_csv(folder / "bare.csv", index=False, header=False)
    frame.assign(price=0.5).to_csv(folder / "other.csv", index=False)
    frame["liked"], frame["tags"] = rng.integers(0, 2, N), rng.choice(["a|b", "c"], N)
    frame["shown"], frame["day"] = (
        frame["at"] + 1000 * frame["who"],
        [f"2023-0{1 + n % 9}-0{1 + n % 8}" for n in range(N)],
    )
    frame["slate"], frame["place"], frame["shown_with"] = np.arange(N) // 3, np.arange(N) % 3, 0.25
    frame["at"] = frame["at"].where(frame["place"] == 0).ffill().astype(int)
    frame["holes"] = pd.Series(np.arange(N) % 5).where(np.arange(N) % 7 > 0).astype("Int64")
    frame["tag_weights"] = frame["tags"].map({"a|b": "1|2", "c": "3"})
    frame["kind"] = frame["what"] % 3
    frame["quoted"] = [f"x{n % 3}" for n in range(N)]
    frame.to_csv(folder / "log.tsv", index=False, sep="\t")
    text = frame.to_csv(index=False)
    (folder / "log.csv").write_text(text.replace("x1", '"x1"'))
    (folder / "bad.csv").write_text(text + "1,2,3\n")
    (folder / "latin.csv").write_text(frame.assign(what="é").to_csv(index=False), encoding="latin-1")
    lines = [f"{n % 3} {n % 9}:1 {n % 7}:1 {n % 5}:1" for n in range(N)]
    (folder / "log.libfm").write_text("\n".join(lines))
    (folder / "log.libsvm").write_text("\n".join(lines))
    cells = [f"{n % 3} 0:{n % 9}:1 2:{n % 5}:0.5" for n in range(N)]
    (folder / "log.libffm").write_text("\n".join(cells))
    tags = [f"{n % 9},{n % 7},tag{n % 5},{1_600_000_000 + n}" for n in range(N // 3)]
    (folder / "tags.csv").write_text("\n".join(["userId,movieId,tag,timestamp", *tags]))
    write_bandit(folder)
    _, items = bandit_log()
    items.assign(item_feature_1="other").to_csv(folder / "other_items.csv")


def given(folder: Path, what: str, *settings: str) -> str:
    """A digest of what a replay is given, or why it is not."""
    if what in PUBLISHED:
        data = PUBLISHED[what](folder / "set", 200)
    else:
        form = {"tags.csv": "movielens_tags", "men.csv": "open_bandit"}.get(what, what.rpartition(".")[2])
        data = {"format": form, "path": what, **MORE.get(form, {})}
    data = apply_overrides(data, settings)
    try:
        offered = OFFERED.get(data["format"], ["user_id", "item_id"])
        kind = "list" if data["format"] in ("libsvm", "libffm") else "category"
        stream = stream_of(
            {"period_events": 70, **data}, features=[{"name": name, "kind": kind, "buckets": 64} for name in offered],
            phases={"warmup_days": 1, "aa_days": 1, "ab_days": 1},
        )  # fmt: skip
    except DataError as error:
        return str(error)
    told: list[Any] = [stream.calendar.bounds_ms.tolist(), stream.calendar.ticks, stream.notes]
    told += [] if stream.catalogue is None else [*stream.catalogue.features]
    for tick in range(stream.calendar.serving_ticks):
        _, rows = stream.tick(tick)
        columns = [rows.time_ms, rows.user_id, rows.item_id, rows.label, rows.request_id, rows.position]
        columns += [rows.propensity, rows.weight]
        for name, column in rows.features.items():
            told.append(name)
            columns += [column.values, column.offsets, column.weights] if isinstance(column, ListColumn) else [column]
        told += [None if column is None else (column.dtype.kind, column.tolist()) for column in columns]
    return hashlib.sha256(repr(told).encode()).hexdigest()


@pytest.mark.parametrize("knob", KNOBS)
def test_the_knob_changes_what_is_replayed(knob: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files(tmp_path)
    what, base, change = KNOBS[knob]
    before = given(tmp_path, what, *base)
    assert knob == "bad_rows" or len(before) == 64, before  # a digest: it can be read
    assert given(tmp_path, what, *base, change) != before


def leaves(model: type[BaseModel], prefix: str) -> set[str]:
    """The paths of all keys that hold no further section, as text or as one."""
    sections: dict[str, type[BaseModel]] = {"label": config.LabelConfig, "columns": config.ColumnConfig}
    found = set()
    for name in model.model_fields:
        below = sections.get(name) if prefix == "csv." else None
        if below is None or name == "columns":
            found.add(prefix + name)
        if below is not None:
            found |= leaves(below, f"{prefix}{name}.")
    return found


def test_every_knob_has_an_entry() -> None:
    # top and off_policy are about what is made of the rows: tests of rankings and of the judge of policies.
    elsewhere = {"top", "off_policy"}
    common = {*config.MindConfig.model_fields} - {"history"}
    missing = common - elsewhere - KNOBS.keys()
    models: tuple[type[BaseModel], ...] = get_args(get_args(config.DataConfig)[0])
    for one in models:
        (name, *_) = get_args(one.model_fields["format"].annotation)
        # A Parquet file's knobs are those of every table.
        missing |= {
            key for key in leaves(one, f"{name}.") if key.partition(".")[2] not in common and name != "parquet"
        } - KNOBS.keys()
    assert not missing, f"knobs without a test: {sorted(missing)}"
    assert {*config.ParquetConfig.model_fields} <= {*config.CsvConfig.model_fields}
