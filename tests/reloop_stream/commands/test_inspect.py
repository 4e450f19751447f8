"""`inspect` says of a learner's folder what its worker would say, and of other paths what is wrong with them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reloop_stream.clock import HOUR_MS
from reloop_stream.commands.inspect import add_parser, run
from reloop_stream.errors import SettingsError, StateError, UnknownTopic
from reloop_stream.learners import digest, make_learner
from reloop_stream.log import EventLog, open_log
from reloop_stream.models.fm import FM
from reloop_stream.service.inspection import NothingToInspect
from reloop_stream.service.observer import StreamObserver
from reloop_stream.serving.publisher import SnapshotPublisher
from reloop_stream.serving.snapshot_folder import snapshot_file
from reloop_stream.state.checkpoint import Sections, write_checkpoint
from reloop_stream.stream.example_source import JoinedFeed
from reloop_stream.stream.intake import Intake
from reloop_stream.stream.mark_feed import MarkFeed
from reloop_stream.stream.partition_joins import JoinSettings
from reloop_stream.updating import make_updater
from reloop_stream.worker import Worker
from tests.reloop_stream.test_worker import BROKEN, FIELDS, TOPICS, config, write_tick

Inspect = Callable[..., str]


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Inspect:
    """What the command prints."""

    def inspect(*arguments: Any) -> str:
        parser = argparse.ArgumentParser()
        add_parser(parser.add_subparsers())
        assert run(parser.parse_args(["inspect", *map(str, arguments)])) == 0
        return capsys.readouterr().out

    return inspect


def learn(log: EventLog, folder: Path, ticks: int) -> Worker:
    """A worker that has learnt so many ticks and written its folder."""
    settings = config(loss={"name": "reloop"})
    learner = make_learner(settings, FIELDS, name="x", seed=1, base_rate=0.1)
    source = JoinedFeed(MarkFeed(log, TOPICS, [0], select=Intake(learner.encoder)), TOPICS, JoinSettings(HOUR_MS))
    updater = make_updater(settings, learner)
    worker = Worker(
        "x", log, TOPICS, source, updater, start_ms=0, publish_every_ms=HOUR_MS, observer=StreamObserver(HOUR_MS)
    )
    worker.on_publish = SnapshotPublisher(settings, FIELDS, folder=folder / "snapshots", keep=2).publish
    worker.advance(ticks - 1)
    write_checkpoint(folder / "checkpoint", worker.checkpoint())
    worker.close()
    return worker


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    log = open_log(tmp_path / "events")
    log.create_topics(dict.fromkeys(TOPICS, 1))
    return log


def test_a_folder_says_what_its_worker_has_seen(log: EventLog, tmp_path: Path, inspect: Inspect) -> None:
    extra = [(where, value, headers) for where, value, headers, _ in BROKEN.values() if isinstance(value, bytes)]
    for tick in range(4):
        write_tick(log, tick, extra=extra if tick == 1 else ())
    worker = learn(log, tmp_path / "learner", ticks=3)
    found = json.loads(inspect(tmp_path / "learner", "--log", tmp_path / "events", "--json"))
    checkpoint = found["checkpoint"]
    assert checkpoint["seen"] == {**worker.counts.as_dict(), "dead": worker.dead}
    assert checkpoint["seen"]["exposures"] == 120 and checkpoint["seen"]["dead"] == len(extra) > 0
    assert checkpoint["waiting"]["exposures"] + checkpoint["metrics"]["served"]["since_start"]["n"] == 120
    assert (checkpoint["learner"], checkpoint["tick"], checkpoint["watermark_ms"]) == ("x", 2, 3 * HOUR_MS)
    learner = worker.updater.learner
    assert (checkpoint["version"], checkpoint["digest"]) == (learner.version, digest(learner.to_bytes()))
    assert [(one["topic"], one["next_offset"], one["lag"]) for one in checkpoint["partitions"]] == [
        (partition.topic, offset, log.end_offsets([partition])[partition] - offset)
        for partition, offset in sorted(worker.next_offsets.items())
    ]
    assert all(one["lag"] > 0 for one in checkpoint["partitions"])
    assert [(one["learner"], one["version"]) for one in found["snapshots"]] == [("x", 3), ("x", 2)]
    (newest, _) = found["snapshots"]
    assert Path(newest["path"]) == snapshot_file(tmp_path / "learner" / "snapshots", "x", 3)


def test_a_snapshot_says_what_it_is_without_building_it(
    log: EventLog, tmp_path: Path, inspect: Inspect, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tick(log, 0)
    worker = learn(log, tmp_path, ticks=1)
    path = snapshot_file(tmp_path / "snapshots", "x", 1)
    monkeypatch.setattr(FM, "__init__", lambda *_: pytest.fail("a model was built"))
    snapshot = json.loads(inspect(path, "--json"))["snapshot"]
    assert snapshot["digest"] == digest(worker.updater.learner.to_bytes())
    assert snapshot["config"]["loss"]["name"] == "reloop" and [f["name"] for f in snapshot["fields"]] == [
        "user",
        "item",
    ]
    table = next(one for one in snapshot["tensors"] if one["name"] == "weights.table")
    assert table["shape"] == [51 + 64, 5] and 0 < table["norm"] < 10
    assert path.name in inspect(path)


def test_tables_for_people_hold_the_same_figures_and_break_no_line(
    log: EventLog, tmp_path: Path, inspect: Inspect
) -> None:
    write_tick(log, 0)
    write_tick(log, 1)
    learn(log, tmp_path / "learner", ticks=2)
    (tmp_path / "learner" / "learner.yaml").write_text("seed: 4\nfields: [{name: user, kind: category, buckets: 50}]")
    text = inspect(tmp_path / "learner", "--log", tmp_path / "events")
    lines = {tuple(line.split()) for line in text.splitlines()}
    assert {
        ("exposures", "80"),
        ("exposures", "waiting", "40"),
        ("duplicate", "clicks", "0"),
        ("records", "0"),
    } <= lines
    assert ("clicks", "0", "4", "4", "0") in lines and ("learner", "x") in lines
    assert ("seed", "4") in lines and ("user", "category", "50") in lines
    assert any(line[:4] == ("served,", "since", "start", "40") for line in lines)
    assert "\x1b" not in text and str(tmp_path / "learner" / "snapshots" / "x-00000002.safetensors") in text


def test_what_is_no_learner_s_is_named(log: EventLog, tmp_path: Path, inspect: Inspect) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").write_bytes(b"half a chec")
    write_checkpoint(tmp_path / "served", Sections())
    for name, said in {
        "gone": "gone: no such file or folder",
        "empty": "empty: holds neither a checkpoint nor snapshots; give a learner's folder",
        "torn": "torn: 11 bytes that hold no state",
        "served": "served: checkpoint: has no part 'worker'",
    }.items():
        with pytest.raises(StateError, match=said):
            inspect(tmp_path / name)


def test_the_lag_needs_a_checkpoint_and_its_topics(log: EventLog, tmp_path: Path, inspect: Inspect) -> None:
    write_tick(log, 0)
    learn(log, tmp_path / "learner", ticks=1)
    with pytest.raises(NothingToInspect, match="holds no checkpoint, and only one of these has a lag"):
        inspect(tmp_path / "learner" / "snapshots", "--log", tmp_path / "events")
    (tmp_path / "other").mkdir()
    with pytest.raises(UnknownTopic, match="clicks"):
        inspect(tmp_path / "learner", "--log", tmp_path / "other")
    with pytest.raises(SettingsError, match=r"--log .*/nowhere: no such folder"):
        inspect(tmp_path / "learner", "--log", tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="securty_protocol: unknown setting"):
        inspect(tmp_path / "learner", "--bootstrap", "127.0.0.1:1", "--kafka", "securty_protocol=SSL")
