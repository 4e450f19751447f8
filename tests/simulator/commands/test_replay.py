"""A data set's events go to topics, and a learner in another process makes of them what it would of any service's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from reloop_stream.__main__ import main
from reloop_stream.codec.records import decode
from reloop_stream.events import ClickBatch, EventKind, ExposureBatch
from reloop_stream.log import open_log
from reloop_stream.serving.snapshot_folder import snapshot_versions
from tests.simulator.datasets.logged import N, log_of, write
from tests.simulator.replay.described import scenario
from tests.simulator.runs import lab


def described(folder: Path) -> Path:
    path = folder / "replayed.yaml"
    raw = scenario(write(folder, "csv")).model_dump(mode="json", exclude_none=True)
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return path


def written(place: Path, kind: EventKind) -> list[ExposureBatch | ClickBatch]:
    with open_log(place) as log:
        places = log.partitions(f"{kind}s")
        reader = log.reader(log.begin_offsets(places))
        found = []
        while records := reader.poll(0.2):
            found += [item.batch for item in decode(records, kind, lambda record, reason: None)]
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("encoding", ["json", "arrow"])
def test_every_row_is_an_exposure_and_every_label_a_click(tmp_path: Path, encoding: str) -> None:
    done = lab("replay", described(tmp_path), "--log", tmp_path / "log", "--partitions", 2, "--encoding", encoding)
    frame = log_of().sort_values("when")
    assert done.code == 0 and f"{N} exposures to exposures, {frame['bought'].sum()} clicks" in done.out
    exposures = ExposureBatch.concat(
        [one for one in written(tmp_path / "log", "exposure") if isinstance(one, ExposureBatch)]
    )
    assert sorted(exposures.exposure_id.tolist()) == list(range(N))
    in_order = exposures.exposure_id.argsort()
    assert exposures.item_id[in_order].tolist() == frame["what"].tolist()
    assert exposures.event_time_ms[in_order].tolist() == (frame["when"] * 1000).tolist()
    assert {*exposures.model_version.tolist()} == {0} and len({*exposures.pctr.tolist()}) == 1
    clicks = ClickBatch.concat([one for one in written(tmp_path / "log", "click") if isinstance(one, ClickBatch)])
    assert sorted(clicks.exposure_id.tolist()) == [i for i, label in enumerate(frame["bought"]) if label]


def learns_and_stamps(folder: Path, place: str, flag: str, topics: str) -> None:
    """A first replay is learnt from, and the versions made of it stamp a second."""
    scenario_file, learner = described(folder), folder / "learner"
    named = ["--exposures", f"{topics}.exposures", "--clicks", f"{topics}.clicks"]
    assert lab("replay", scenario_file, "--log", place, *named).code == 0
    settings = ["--model", "fm", "--loss", "reloop", "--tick-seconds", "3600", "--until-end", "--quiet"]
    where = [flag, place.removeprefix("kafka://")]
    assert main(["learn", *where, *named, "--name", topics, "--checkpoint", str(learner), *settings]) == 0
    newest = max(version for _, version, _ in snapshot_versions(learner / "snapshots"))
    again = lab("replay", scenario_file, "--log", folder / "again", "--snapshots", learner / "snapshots")
    assert again.code == 0 and f"last stamped by version {newest}" in again.out and newest > 0


@pytest.mark.slow
def test_a_learner_learns_from_it_and_its_versions_stamp_the_next(tmp_path: Path) -> None:
    learns_and_stamps(tmp_path, str(tmp_path / "log"), "--log", "replayed")


@pytest.mark.slow
@pytest.mark.kafka
def test_so_it_does_over_a_real_broker(tmp_path: Path, kafka_url: str) -> None:
    learns_and_stamps(tmp_path, kafka_url, "--bootstrap", f"replay-{tmp_path.name}")


def test_a_scenario_without_data_is_refused(tmp_path: Path, tiny: Path) -> None:
    done = lab("replay", tiny, "--log", tmp_path / "log")
    assert done.code == 2 and "has no data to replay" in done.err and not (tmp_path / "log").exists()
