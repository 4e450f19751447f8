"""Days counted by arm and block, against sums and areas over all their rows at once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from reloop_stream.clock import HOUR_MS
from reloop_stream.events import ExampleBatch
from reloop_stream.serving.snapshot import Published
from reloop_stream.testing import examples
from simulator.experiment.calendar import Calendar
from simulator.lab.open_day import DayOfArm
from simulator.lab.tally import MOST_VERSIONS, Tally

DAY_MS = 24 * HOUR_MS
N = 3000


def calendar() -> Calendar:
    """Two days of 48 ticks, half an hour each."""
    return Calendar.regular(
        start_ms=0, tick_ms=HOUR_MS // 2, day_ms=DAY_MS, days={"warmup": 0, "aa": 1, "ab": 1}, attribution_ms=HOUR_MS
    )


def tally(days: list[DayOfArm], in_blocks: bool = True) -> Tally:
    return Tally(calendar(), ["a", "b"], HOUR_MS, days.append, in_blocks=in_blocks)


def rows(arm: str) -> ExampleBatch:
    times = np.sort(np.random.default_rng(ord(arm)).integers(0, 2 * DAY_MS, N))
    return examples(N, seed=ord(arm), arm=arm, event_time_ms=times)


def count(counted: Tally, since: int, until: int) -> None:
    """Show the rows of these of 30 parts of the two days, each arm's in a batch, with the ends of their ticks."""
    for part in range(since, until):
        for arm in ("a", "b"):
            counted.observe(rows(arm).take(np.arange(part * N // 30, (part + 1) * N // 30)))
    if until == 30:
        counted.end_tick(200, 3 * DAY_MS)


def test_a_block_holds_the_sums_of_its_hour_and_the_area_of_the_rest_of_its_day() -> None:
    days: list[DayOfArm] = []
    count(tally(days), 0, 30)
    assert [(day.row["day"], day.row["phase"], day.row["arm"]) for day in days] == [
        (0, "aa", "a"), (0, "aa", "b"), (1, "ab", "a"), (1, "ab", "b"),
    ]  # fmt: skip
    for day in days:
        of = rows(day.row["arm"])
        label, pctr, time = of.label, of.exposures.pctr, of.exposures.event_time_ms
        today = time // DAY_MS == day.row["day"]
        assert day.row["auc"] == pytest.approx(roc_auc_score(label[today], pctr[today]), abs=1e-4)
        assert [block["block"] for block in day.blocks] == list(range(24))
        for block in day.blocks:
            mine = time // HOUR_MS == 24 * day.row["day"] + block["block"]
            assert (block["day"], block["phase"], block["arm"]) == (day.row["day"], day.row["phase"], day.row["arm"])
            assert block["exposures"] == block["weight"] == mine.sum()
            assert block["clicks"] == block["labels"] == label[mine].sum()
            assert block["predictions"] == pytest.approx(pctr[mine].sum())
            assert block["cross_entropy"] == pytest.approx(
                log_loss(label[mine], pctr[mine], normalize=False, labels=[0, 1])
            )
            rest = today & ~mine
            assert block["auc_without"] == pytest.approx(roc_auc_score(label[rest], pctr[rest]), abs=1e-4)


@pytest.mark.parametrize("in_blocks", [True, False])
def test_a_restored_tally_goes_on_as_if_it_had_never_stopped(in_blocks: bool) -> None:
    whole: list[DayOfArm] = []
    again: list[DayOfArm] = []
    count(tally(whole, in_blocks), 0, 30)
    stopped, resumed = tally([], in_blocks), tally(again, in_blocks)
    count(stopped, 0, 11)
    meta, arrays = stopped.state()
    resumed.restore(json.loads(json.dumps(meta)), arrays)
    count(resumed, 11, 30)
    assert repr([(day.row, day.blocks) for day in again]) == repr([(day.row, day.blocks) for day in whole])
    assert len(again) == 4 and all(bool(day.blocks) == in_blocks for day in whole)


def test_a_state_of_before_days_were_cut_goes_on() -> None:
    whole: list[DayOfArm] = []
    again: list[DayOfArm] = []
    count(tally(whole, in_blocks=False), 0, 30)
    stopped, resumed = tally([], in_blocks=False), tally(again, in_blocks=False)
    count(stopped, 0, 11)
    meta, arrays = stopped.state()
    for entry in meta["open"]:
        assert entry.pop("blocks") == [0]
    resumed.restore(meta, {name.replace(".stamps.0.", ".stamps."): array for name, array in arrays.items()})
    count(resumed, 11, 30)
    assert repr([day.row for day in again]) == repr([day.row for day in whole])


def test_of_versions_that_no_longer_serve_nothing_is_kept_however_many_there_were() -> None:
    days: list[DayOfArm] = []
    counted = tally(days, in_blocks=False)
    expected = []
    for hour in range(24):
        for version in (2 * hour, 2 * hour + 1):  # of two an hour the second alone serves, in the hour after
            counted.published(Published("m", version, 0, 0, None, learnt_ms=hour * HOUR_MS))  # type: ignore[arg-type]
        stamped = max(0, 2 * hour - 1)
        shown = examples(50, arm="a", model_version=np.full(50, stamped), event_time_ms=hour * HOUR_MS + np.arange(50))
        counted.observe(shown)
        expected.append(shown.exposures.event_time_ms - stamped // 2 * HOUR_MS)
        meta, _ = counted.state()
        assert len(meta["learnt_ms"]["m"]) <= 4
    counted.end_tick(200, 3 * DAY_MS)
    assert days[0].row["staleness_hours"] == pytest.approx(np.mean(expected) / HOUR_MS, rel=1e-12)


def test_of_a_learner_that_serves_nobody_the_newest_versions_are_kept() -> None:
    counted = tally([])
    for version in range(MOST_VERSIONS + 5):
        counted.published(Published("shadow", version, 0, 0, None, learnt_ms=version))  # type: ignore[arg-type]
    meta, _ = counted.state()
    assert list(meta["learnt_ms"]["shadow"]) == list(range(5, MOST_VERSIONS + 5))
