"""The tables of items, topics and calibration, and the age of versions: counted again from the events of a run's log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reloop_stream.clock import HOUR_MS
from reloop_stream.codec.records import decode
from reloop_stream.events import ClickBatch, ExposureBatch
from reloop_stream.log import open_log
from simulator.run_folder.columns import ITEMS_COLUMNS, RELIABILITY_EDGES, TOPICS_COLUMNS
from simulator.run_folder.reader import read_run
from simulator.world import DAY_MS, EPOCH_MS

pytestmark = pytest.mark.slow

PHASES = np.array(["warmup", "aa", "ab"])
BATCH = 48  # not every tick fills one


@pytest.fixture(scope="module")
def finished(whole: Callable[..., Path]) -> Path:
    return whole("log.retention=all", f"learner.updating.batch_size={BATCH}")


@pytest.fixture(scope="module")
def shown(finished: Path) -> pd.DataFrame:
    """A row an exposure of the log, with its label and the features that it was logged with."""
    records = []
    prefix = read_run(finished).manifest.prefix  # type: ignore[union-attr]
    columns = ("exposure_id", "event_time_ms", "user_id", "item_id", "arm", "model_name", "model_version", "pctr")
    clicked: set[int] = set()
    for kind in ("exposure", "click"):
        with open_log(finished / "events") as log:
            partitions = log.partitions(f"{prefix}.{kind}s")
            ends, reader = log.end_offsets(partitions), log.reader(log.begin_offsets(partitions))
            while any(at < ends[place] for place, at in reader.position().items()):
                for item in decode(reader.poll(1.0), kind, lambda record, reason: None):
                    if isinstance(batch := item.batch, ExposureBatch):
                        features = {name: batch.features[name] for name in ("topic", "age_bucket")}
                        records.append(pd.DataFrame({name: getattr(batch, name) for name in columns} | features))
                    elif isinstance(batch, ClickBatch):
                        in_time = batch.click_time_ms - batch.event_time_ms <= HOUR_MS
                        clicked.update(batch.exposure_id[in_time].tolist())
    found = pd.concat(records, ignore_index=True)
    found["clicks"] = found["exposure_id"].isin(clicked).astype(int)
    found["day"] = (found["event_time_ms"] - EPOCH_MS) // DAY_MS
    found["phase"] = PHASES[found["day"]]
    return found.assign(exposures=1)


def test_items_are_counted_by_arm_and_day(finished: Path, shown: pd.DataFrame) -> None:
    table = pd.read_parquet(finished / "items.parquet")
    assert tuple(table.columns) == ITEMS_COLUMNS
    keys, sums = ["day", "phase", "arm", "item_id"], ["exposures", "clicks", "new_exposures"]
    shown = shown.assign(new_exposures=(shown["age_bucket"] == 0).astype(int))
    again = shown.groupby(keys)[sums].sum().sort_index()
    pd.testing.assert_frame_equal(table.set_index(keys)[sums].sort_index(), again, check_index_type=False)
    assert 0 < table["new_exposures"].sum() < table["exposures"].sum()
    assert (table.groupby(["day", "arm"])["item_id"].nunique() <= table.groupby(["day", "arm"])["live"].first()).all()


def test_topics_are_summed_by_user_and_phase(finished: Path, shown: pd.DataFrame) -> None:
    table = pd.read_parquet(finished / "topics.parquet")
    assert tuple(table.columns) == TOPICS_COLUMNS
    keys, sums = ["user_id", "arm", "phase", "topic"], ["exposures", "clicks"]
    again = shown.groupby(keys)[sums].sum().sort_index()
    pd.testing.assert_frame_equal(table.set_index(keys)[sums].sort_index(), again, check_index_type=False)


def test_bins_of_pctr_hold_their_exposures_clicks_and_predictions(finished: Path, shown: pd.DataFrame) -> None:
    table = pd.read_csv(finished / "reliability.csv")
    bins = np.searchsorted(RELIABILITY_EDGES, np.log(shown["pctr"] / (1 - shown["pctr"])), side="right")
    keys, sums = ["arm", "phase", "bin"], ["exposures", "clicks", "pctr"]
    again = shown.assign(bin=bins).groupby(keys)[sums].sum().sort_index()
    found = table.rename(columns={"predicted": "pctr"}).set_index(keys)[sums].sort_index()
    pd.testing.assert_frame_equal(found[["exposures", "clicks"]], again[["exposures", "clicks"]])
    np.testing.assert_allclose(found["pctr"], again["pctr"], rtol=1 / 256)  # a cell of the histogram


def newest_learnt_ms(shown: pd.DataFrame, learner: str, watermark_ms: int) -> float:
    """The label time of the newest example that a learner has learnt by a time, whole micro-batches in the order of labels."""
    fork_ms = EPOCH_MS + 2 * DAY_MS
    labels = shown.assign(label_ms=shown["event_time_ms"] + HOUR_MS).sort_values(["label_ms", "exposure_id"])
    shared, own = (labels["label_ms"] < fork_ms), labels["arm"] == learner
    mine = labels["label_ms"][shared if learner == "control-learner" else shared | own].to_numpy()
    n = int((mine < watermark_ms).sum()) // BATCH * BATCH
    return float(mine[n - 1]) if n else np.nan


def test_versions_are_as_old_as_what_they_had_learnt_from(finished: Path, shown: pd.DataFrame) -> None:
    learnt: dict[tuple[str, int], float] = {}
    prefix = read_run(finished).manifest.prefix  # type: ignore[union-attr]
    with open_log(finished / "events") as log:
        partitions = log.partitions(f"{prefix}.snapshots")
        ends, reader = log.end_offsets(partitions), log.reader(log.begin_offsets(partitions))
        while any(at < ends[place] for place, at in reader.position().items()):
            for record in reader.poll(1.0):
                said = json.loads(record.value)
                newest_ms = newest_learnt_ms(shown, said["learner"], said["watermark_ms"])
                learnt[said["learner"], said["version"]] = newest_ms
    served = [learnt.get(key, np.nan) for key in zip(shown["model_name"], shown["model_version"], strict=True)]
    ages = (shown["event_time_ms"] - np.array(served)) / HOUR_MS
    again = shown.assign(age=ages).groupby(["day", "arm"])["age"].mean()
    found = pd.read_csv(finished / "daily.csv").set_index(["day", "arm"])["staleness_hours"]
    # A version is published every 4 hours and serves from one hour later on; in the warm-up none does.
    assert found.isna().tolist() == [True, True, False, False, False, False]
    pd.testing.assert_series_equal(found, again, check_names=False, rtol=1e-9)


def test_an_arm_that_never_learns_is_served_by_ever_older_versions(whole: Callable[..., Path]) -> None:
    never = "arms.1.learner={loss: {name: reloop}, updating: {mode: none}}"
    daily = pd.read_csv(whole(never) / "daily.csv").set_index(["day", "arm"])["staleness_hours"]
    # From the end of A/A on, the day in which it is served by nothing newer: 12 hours on average, by when users come.
    assert daily[2, "control"] < 7 < 10 < daily[2, "reloop"] < 17


def test_a_folder_without_the_tables_is_read_as_it_was(finished: Path, tmp_path: Path) -> None:
    import shutil

    old = tmp_path / "old"
    shutil.copytree(finished, old)
    for name in ("items.parquet", "topics.parquet", "reliability.csv"):
        assert getattr(read_run(old), name.partition(".")[0]) is not None
        (old / name).unlink()
        assert getattr(read_run(old), name.partition(".")[0]) is None
