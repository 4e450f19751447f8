"""`learn` as a user meets it: what it leaves, restarts that change nothing, mistakes and faults that are named."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from benchmarks.kill import Plan, measure
from benchmarks.load import Load, append, create_topics
from reloop_stream.__main__ import main
from reloop_stream.clock import HOUR_MS
from reloop_stream.codec.records import encode
from reloop_stream.learners import digest
from reloop_stream.log import EventLog, Partition, open_log
from reloop_stream.log.embedded import EmbeddedLog
from reloop_stream.service.learner_folder import LearnerFolder
from reloop_stream.serving.snapshot_folder import load_snapshot
from reloop_stream.state.checkpoint import read_checkpoint
from reloop_stream.testing import clicks_on, exposures
from reloop_stream.testing.batches import MINUTE_MS
from reloop_stream.testing.fixtures import start_broker
from tests.processes import children_of, wait_until

pytestmark = pytest.mark.slow

SECONDS = 900
PARTITIONS = 3
MODEL = ["--model", "fm", "--loss", "reloop", "--alpha", "0.4", "--attribution-minutes", "3",
         "--set", "updating.batch_size=256", "--set", "publish_every_hours=0.1", "--set", "model.embedding=4"]  # fmt: skip
# Nothing here is idle: what is waited for comes, or the end of the topics does.
PATIENT = ["--idle-seconds", "1000", "--quiet"]


def write(log: EventLog, encoding: Any = "json", seconds: int = SECONDS) -> EventLog:
    create_topics(log, ("exposures", "clicks"), PARTITIONS)
    append(log, Load(per_second=8), range(seconds), encoding=encoding)
    return log


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded log with a quarter of an hour of exposures and clicks, in three partitions."""
    folder = tmp_path_factory.mktemp("stream") / "events"
    write(open_log(folder))
    return folder


def command(place: Path | str, folder: Path, *more: Any) -> list[str]:
    where = ["--bootstrap", place.removeprefix("kafka://")] if isinstance(place, str) else ["--log", str(place)]
    # A name of its own: on the embedded log a partition has one writer.
    named = ["--name", f"{folder.parent.name}-{folder.name}"]
    return ["learn", *where, "--exposures", "exposures", "--clicks", "clicks", "--checkpoint", str(folder), *named,
            *MODEL, *PATIENT, *map(str, more)]  # fmt: skip


def learn(place: Path | str, folder: Path, *more: Any) -> int:
    return main(command(place, folder, *more))


def outcome(folder: Path) -> tuple[str, Any, Any]:
    """The model's digest, the partitions' offsets and counts, and the metrics' sums."""
    sections = read_checkpoint(folder / "checkpoint")
    assert sections is not None
    meta, _ = sections.get("worker")
    partitions = [sections.get(f"partition/{number}")[0] for number in meta["partitions"]]
    _, metrics = sections.get("observer")
    sums = {name: array.tolist() for name, array in metrics.items() if name.endswith("sums")}
    return digest(sections.get_bytes("learner")), partitions, sums


@pytest.fixture(scope="module")
def whole(place: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, Any]:
    """What an uninterrupted learner ends with."""
    folder = tmp_path_factory.mktemp("whole") / "dir"
    assert learn(place, folder, "--until-end") == 0
    return outcome(folder)


def records(log: EventLog, topic: str) -> list[Any]:
    partition = Partition(topic, 0)
    reader, found = log.reader({partition: 0}), []
    deadline = time.monotonic() + 60
    while reader.position()[partition] < log.end_offsets([partition])[partition]:
        assert time.monotonic() < deadline, "it takes too long"
        found += reader.poll(0.5)
    return found


def test_it_leaves_a_checkpoint_snapshots_and_metrics(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dir"
    assert learn(place, folder, "--until-end", "--keep", 2, "--examples-topic", "joined") == 0
    assert {path.name for path in folder.iterdir()} == {"learner.yaml", "checkpoint", "snapshots", "lock"}
    kept = sorted((folder / "snapshots").iterdir())
    assert len(kept) == 2
    newest = load_snapshot(kept[-1])
    assert newest.config.loss.name == "reloop" and [field.name for field in newest.fields] == [
        "user",
        "item",
        "age",
        "tags",
    ]
    with open_log(place) as log:
        name = f"{tmp_path.name}-dir"
        told = json.loads(records(log, f"{name}.metrics")[-1].value)
        assert told["exposures"] == 8 * SECONDS and told["dead"] == 0 and told["lag_records"] == 0
        assert told["learner"] == name and told["measured"]["learner"]["since_start"]["n"] % 256 == 0
        assert told["measured"]["served"]["since_start"]["auc"] > 0.6
        assert len(records(log, f"{name}.snapshots")) >= newest.version
        assert len(records(log, "joined")) > 0
        assert log.end_offsets([Partition("exposures", 0)])[Partition("exposures", 0)] == told_offset(log, name)


def told_offset(log: EventLog, group: str) -> int:
    """What the group has committed of the exposures' partition 0, on the embedded log."""
    assert isinstance(log, EmbeddedLog)
    committed = json.loads((log._root / ".groups" / f"{group}.json").read_text())
    return next(at for topic, number, at in committed if (topic, number) == ("exposures", 0))


@pytest.mark.parametrize("encoding", ["json", "arrow"])
def test_a_stream_s_weights_are_learnt_and_measured(encoding: Any, tmp_path: Path) -> None:
    digests, measured = {}, {}
    weights, label = np.linspace(0.2, 5, 600), np.arange(600) % 5 == 0
    for name, weight in (("plain", None), ("ones", np.ones(600)), ("weighted", weights)):
        shown = exposures(600, weight=weight)
        parts: list[Any] = [shown.part(slice(at, at + 60)) for at in range(0, 600, 60)]
        parts = [*parts, exposures(1, first_id=600, at_ms=5 * HOUR_MS)]  # closes the windows of those before it
        with open_log(tmp_path / name) as log:
            create_topics(log, ("exposures", "clicks"), 1)
            producer = log.producer()
            for batch in parts:
                clicks = clicks_on(batch, np.flatnonzero(batch.exposure_id % 5 == 0))
                for topic, events in (("exposures", batch), ("clicks", clicks)):
                    for payload in encode(events, encoding):
                        producer.append(Partition(topic, 0), payload.value, headers=payload.headers)
            producer.close()
        folder = tmp_path / f"{name}-learner" / "dir"
        assert learn(tmp_path / name, folder, "--until-end") == 0
        digests[name], _, measured[name] = outcome(folder)
    assert digests["plain"] == digests["ones"] != digests["weighted"]
    assert measured["plain"] == measured["ones"]
    sums = measured["weighted"]["since_start/served/sums"]
    assert sums[:2] == [600, 120] and sums[5:] == pytest.approx([weights.sum(), weights[label].sum()])


def test_what_is_not_given_is_taken_from_the_first_exposures_and_stays(place: Path, tmp_path: Path) -> None:
    learn(place, tmp_path / "dir", "--count", 300)
    settled = yaml.safe_load((tmp_path / "dir" / "learner.yaml").read_text())
    assert {field["name"]: field["kind"] for field in settled["fields"]} == {
        "user": "category", "item": "category", "age": "number", "tags": "list",
    }  # fmt: skip
    assert settled["types"]["item_id"] == settled["types"]["features.item"] == "text"
    assert settled["types"]["exposure_id"] == settled["types"]["features.tags"] == "integer"
    assert 0.05 < settled["base_rate"] < 0.3


@pytest.mark.parametrize("cuts", [[(256, 1)], [(300, 1), (1000, 2), (4000, 3)], [(2000, 2)]])
def test_stopping_and_going_on_with_any_number_of_workers_changes_nothing(
    place: Path, tmp_path: Path, whole: Any, cuts: list[tuple[int, int]]
) -> None:
    for count, workers in cuts:
        assert learn(place, tmp_path / "dir", "--count", count, "--workers", workers) == 0
    assert learn(place, tmp_path / "dir", "--until-end") == 0
    assert outcome(tmp_path / "dir") == whole


@pytest.mark.parametrize("workers", [2, 3, 7])
def test_workers_change_nothing(place: Path, tmp_path: Path, whole: Any, workers: int) -> None:
    assert learn(place, tmp_path / "dir", "--until-end", "--workers", workers, "--checkpoint-seconds", 0.1) == 0
    assert outcome(tmp_path / "dir") == whole


@pytest.mark.parametrize("emit", ["at_click", "at_once"])
def test_labels_that_come_early_are_the_same_with_one_worker_and_with_two(
    place: Path, tmp_path: Path, whole: Any, emit: str
) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        assert learn(place, tmp_path / name, "--until-end", "--emit", emit, "--workers", workers) == 0
    assert outcome(tmp_path / "one") == outcome(tmp_path / "two") != whole


def test_a_window_is_read_again_after_a_restart(place: Path, tmp_path: Path) -> None:
    updating = ("--set", "updating={mode: window, days: 0.003, every_hours: 0.05, batch_size: 128}")
    learn(place, tmp_path / "whole", "--until-end", *updating)
    for count in (1500, 3000):
        learn(place, tmp_path / "cut", "--count", count, *updating)
    learn(place, tmp_path / "cut", "--until-end", "--workers", 2, *updating)
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_ctrl_c_in_a_long_training_gives_up_that_training_and_the_next_start_ends_as_if_it_had_not_come(
    place: Path, tmp_path: Path
) -> None:
    updating = ("--set", "updating={mode: window, days: 0.003, every_hours: 0.05, batch_size: 128, passes: 20}")
    assert learn(place, tmp_path / "whole", "--until-end", *updating) == 0
    process = started(place, tmp_path / "cut", "--until-end", "--checkpoint-seconds", 0.1, *updating)
    wait_until(lambda: list((tmp_path / "cut").glob("snapshots/*")), process)  # nearly all that is left is training
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1].count("Traceback") == 0 and process.returncode == 130
    assert learn(place, tmp_path / "cut", "--until-end", *updating) == 0
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_json_and_arrow_records_of_one_event_give_the_same_model(tmp_path: Path) -> None:
    for encoding in ("json", "arrow"):
        log = open_log(tmp_path / encoding / "events")
        create_topics(log, ("exposures", "clicks"), 1)
        shown = exposures(200)
        producer = log.producer()
        for topic, batch in (("exposures", shown), ("clicks", clicks_on(shown, np.arange(0, 200, 9)))):
            for payload in encode(batch, encoding, max_rows=1):
                producer.append(Partition(topic, 0), payload.value, key=payload.key, headers=payload.headers)
        producer.close()
        learn(tmp_path / encoding / "events", tmp_path / encoding / "dir", "--until-end")
    assert outcome(tmp_path / "json" / "dir") == outcome(tmp_path / "arrow" / "dir")


def started(place: Path | str, folder: Path, *more: Any) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "reloop_stream", *command(place, folder, *more)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)
    wait_until((folder / "checkpoint").exists, process)
    return process


@pytest.mark.parametrize(
    "number, code, workers",
    [(signal.SIGTERM, 0, 2), (signal.SIGINT, 130, 1), (signal.SIGKILL, -9, 1), (signal.SIGKILL, -9, 2)],
)
def test_a_signal_in_the_middle_changes_nothing(
    place: Path, tmp_path: Path, whole: Any, number: signal.Signals, code: int, workers: int
) -> None:
    folder = tmp_path / "dir"
    process = started(place, folder, "--workers", workers, "--checkpoint-seconds", 0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in said
    assert ("stopping" in said) == (number != signal.SIGKILL)
    assert learn(place, folder, "--until-end") == 0
    assert outcome(folder) == whole


def test_other_settings_than_those_of_the_first_start_are_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learn(place, tmp_path / "dir", "--count", 300) == 0
    assert learn(place, tmp_path / "dir", "--alpha", 0.1, "--tick-seconds", 30) == 2
    said = capsys.readouterr().err
    assert "learner.loss.alpha: 0.4 there, 0.1 here" in said and "tick_seconds: 60.0 there, 30.0 here" in said
    assert "model" not in said.replace(str(tmp_path), "")


def test_two_learners_in_one_folder_are_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with LearnerFolder(tmp_path / "dir"):
        assert learn(place, tmp_path / "dir", "--until-end") == 2
    assert f"in use by another learner (process {os.getpid()})" in capsys.readouterr().err
    assert learn(place, tmp_path / "dir", "--count", 300) == 0


MISTAKES: dict[str, tuple[list[str], str]] = {
    "topic": (["--clicks", "klicks"], "has no topic klicks; create it first"),
    "model": (["--model", "gpt"], "learner.model.name: got 'gpt', must be one of lr, fm"),
    "key": (["--set", "updating.batchsize=5"], "unknown key, did you mean `batch_size`?"),
    "value": (["--set", "updating.batch_size=0"], "learner.updating.batch_size: got 0"),
    "alpha": (["--alpha", "2"], "learner.loss.alpha: got 2"),
    "base rate": (["--base-rate", "1.5"], "base_rate: got 1.5"),
    "one topic for two": (["--metrics-topic", "clicks"], "topics: names must differ"),
    "name": (["--name", "a b"], "name: got 'a b'"),
    "log": (["--log", "/nowhere"], "--log /nowhere: no such folder"),
    "kafka setting": (["--kafka", "ssl_cafile=x"], "--kafka: is for --bootstrap"),
    "fields": (["--fields", "/nowhere.yaml"], "/nowhere.yaml: cannot be read"),
    "config": (["--config", "/nowhere.yaml"], "/nowhere.yaml: cannot be read"),
    "plugin": (["--plugin", "/nowhere.py"], "/nowhere.py: no such Python file"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_and_exits_with_2(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    arguments, said = MISTAKES[name]
    assert learn(place, tmp_path / "dir", "--until-end", *arguments) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "dir" / "learner.yaml").exists()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--exposures", "bad name"], "--exposures: got 'bad name', a topic's name must be of letters a-z and A-Z"),
        (["--dead-letters-topic", ".."], "--dead-letters-topic: got '..', a topic's name"),
        (["--bootstrap", "nohost"], "--bootstrap: got 'nohost', must be HOST:PORT"),
    ],
)
def test_what_no_broker_could_have_is_refused_before_there_is_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert learn("kafka://127.0.0.1:1", tmp_path / "dir", *arguments) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "dir").exists()


FILES = {
    "twice": (
        "--config",
        "optimizer: {lr: 0.01}\noptimizer: {name: sgd}",
        "line 2: `optimizer` is given twice (first in line 1)",
    ),
    "list": ("--config", "[1]", "must hold a mapping of keys, got a list"),
    "octal": ("--config", "\nupdating: {batch_size: 010}", "line 2: `010` has a leading zero"),
    "value": ("--config", "optimizer:\n  l2: -1", "line 2: learner.optimizer.l2: got -1, must be greater"),
    "truth": ("--config", "optimizer:\n  l2: true", "line 2: learner.optimizer.l2: got true, must be a number"),
    "kind of field": ("--fields", "- name: item\n- name: user\n  kind: id", "line 3: fields[1].kind: got 'id'"),
    "field twice": (
        "--fields",
        "[{name: item}, {name: item}]",
        "fields: the field 'item' is there twice ([0] and [1])",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_mistake_in_a_file_names_its_line_and_exits_with_2(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    flag, text, said = FILES[name]
    (tmp_path / "x.yaml").write_text(text)
    assert learn(place, tmp_path / "dir", "--until-end", flag, str(tmp_path / "x.yaml")) == 2
    assert f"{tmp_path / 'x.yaml'}{': ' if name in ('list', 'field twice') else ' '}{said}" in capsys.readouterr().err
    assert not (tmp_path / "dir" / "learner.yaml").exists()


def test_topics_of_different_partitions_are_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write(open_log(tmp_path / "events"), seconds=1)
    create_topics(log, ["few"], 2)
    assert learn(tmp_path / "events", tmp_path / "dir", "--clicks", "few") == 2
    assert "exposures has 3 partitions and few 2" in capsys.readouterr().err


def test_a_partition_that_is_added_ends_the_learner_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "events"
    write(open_log(place))
    process = started(place, tmp_path / "dir", "--checkpoint-seconds", 0.1)
    for topic in ("exposures", "clicks"):
        (place / topic / str(PARTITIONS)).mkdir()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2 and "Traceback" not in said
    assert "has 4 partitions by now, this learner reads 3; what was learnt of those is saved" in said
    assert learn(place, tmp_path / "dir", "--until-end") == 2
    assert "has 4 partitions, the checkpoint is of 3" in capsys.readouterr().err


def test_events_that_are_gone_are_a_loud_error_with_the_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write(EmbeddedLog(tmp_path / "events", segment_bytes=2000))
    assert learn(tmp_path / "events", tmp_path / "dir", "--count", 300) == 0
    log.delete_before(log.end_offsets(log.partitions("exposures")))
    assert learn(tmp_path / "events", tmp_path / "dir", "--until-end") == 1
    said = capsys.readouterr().err
    assert "events were deleted before they were read" in said and "another --checkpoint DIR" in said


def test_a_full_disk_is_named_and_the_checkpoint_before_stays(
    place: Path, tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "dir"
    assert learn(place, folder, "--count", 1000) == 0
    before = (folder / "checkpoint").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("reloop_stream.state.files.os.fsync", full)
        assert learn(place, folder, "--until-end") == 1
    said = capsys.readouterr().err
    assert "No space left on device; make room" in said and "Traceback" not in said
    assert (folder / "checkpoint").read_bytes() == before
    assert learn(place, folder, "--until-end") == 0
    assert outcome(folder) == whole


def test_a_damaged_checkpoint_is_named(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learn(place, tmp_path / "dir", "--count", 300)
    path = tmp_path / "dir" / "checkpoint"
    path.write_bytes(path.read_bytes()[:-100])
    assert learn(place, tmp_path / "dir") == 2
    assert f"{path}: " in capsys.readouterr().err


def small(tmp_path: Path, batch: Any, extra: list[tuple[str, bytes]] = ()) -> Path:  # type: ignore[assignment]
    """A log of one partition with these exposures, clicks on every third, and whatever else is given."""
    log = open_log(tmp_path / "events")
    create_topics(log, ("exposures", "clicks"), 1)
    producer = log.producer()
    for topic, events in (("exposures", batch), ("clicks", clicks_on(batch, np.arange(0, len(batch), 3)))):
        for payload in encode(events, "json"):
            producer.append(Partition(topic, 0), payload.value, key=payload.key, headers=payload.headers)
        for where, value in extra:
            if where == topic:
                producer.append(Partition(topic, 0), value)
    producer.close()
    return tmp_path / "events"


def test_what_cannot_be_read_is_a_dead_letter_with_its_bytes_and_the_rest_is_learnt(tmp_path: Path) -> None:
    shown = exposures(100)
    good = json.loads(encode(exposures(1, first_id=1000), "json")[0].value)
    odd = {
        "no JSON": ("exposures", b"\xff\x00"),
        "a text id in a stream of integers": ("exposures", json.dumps({**good, "exposure_id": "x"}).encode()),
        "a text feature": ("exposures", json.dumps({**good, "features": {"user": "x", "item": 1}}).encode()),
        "a click of another type": (
            "clicks",
            b'{"schema_version":1,"exposure_id":"7","event_time_ms":1,"click_time_ms":2}',
        ),
        "a click on nothing": (
            "clicks",
            b'{"schema_version":1,"exposure_id":777777,"event_time_ms":1,"click_time_ms":2}',
        ),
    }
    place = small(tmp_path, shown, list(odd.values()))
    assert learn(place, tmp_path / "dir", "--until-end", "--base-rate", 0.1) == 0
    letters = records(open_log(place), f"{tmp_path.name}-dir.dead-letters")
    assert sorted(letter.value for letter in letters) == sorted(value for _, value in odd.values())
    assert all(letter.headers["dead-letter.reason"] for letter in letters)
    clean = small(tmp_path / "clean", shown)
    assert learn(clean, tmp_path / "clean" / "dir", "--until-end", "--base-rate", 0.1) == 0
    assert outcome(tmp_path / "dir")[0] == outcome(tmp_path / "clean" / "dir")[0]


def test_text_ids_and_clicks_without_an_arm_are_learnt_from(tmp_path: Path) -> None:
    ids = np.array([f"e{i}" for i in range(90)], dtype=object)
    place = small(tmp_path, exposures(90, exposure_id=ids))
    assert learn(place, tmp_path / "dir", "--until-end", "--set", "updating.batch_size=8") == 0
    _, (counts,), sums = outcome(tmp_path / "dir")
    assert counts["counts"]["joined"] == 30 and sums["since_start/served/sums"][1] > 0


def test_an_arm_s_learner_trains_on_its_rows_alone(tmp_path: Path) -> None:
    arm = np.array(["a", "b"] * 100, dtype=object)
    place = small(tmp_path, exposures(200, arm=arm, event_time_ms=np.arange(200) * MINUTE_MS))
    for name, wanted in (("a", ["--arm", "a"]), ("both", [])):
        assert learn(place, tmp_path / name, "--until-end", "--set", "updating.batch_size=1", *wanted) == 0
    seen = {name: outcome(tmp_path / name)[2] for name in ("a", "both")}
    closed = seen["both"]["since_start/served/sums"][0]
    assert seen["both"]["since_start/learner/sums"][0] == closed == 197
    assert seen["a"]["since_start/learner/sums"][0] == 99  # of every second row


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_reader_that_dies_ends_the_learner_with_a_clear_error(place: Path, tmp_path: Path, whole: Any) -> None:
    process = started(place, tmp_path / "dir", "--workers", 2, "--checkpoint-seconds", 0.05)
    os.kill(children_of(process)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and "reads partitions [0, 2] died (signal 9" in said and "Traceback" not in said
    assert learn(place, tmp_path / "dir", "--until-end") == 0
    assert outcome(tmp_path / "dir") == whole


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_readers_do_not_outlive_a_learner_that_is_killed(place: Path, tmp_path: Path) -> None:
    process = started(place, tmp_path / "dir", "--workers", 2, "--checkpoint-seconds", 0.05)
    readers = children_of(process)
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(Path(f"/proc/{reader}").exists() for reader in readers):
        time.sleep(0.05)
    assert len(readers) == 2 and not any(Path(f"/proc/{reader}").exists() for reader in readers)


@pytest.mark.kafka
def test_a_broker_gone_for_good_is_a_clear_error_and_the_same_command_goes_on(tmp_path: Path, whole: Any) -> None:
    broker = start_broker(tmp_path / "broker")
    try:
        with open_log(broker.address) as log:
            write(log)
        process = started(broker.address, tmp_path / "dir", "--checkpoint-seconds", 0.05, "--unavailable-seconds", 2)
        broker.kill()
        _, said = process.communicate(timeout=120)
        assert process.returncode == 1 and "Traceback" not in said
        assert "has not answered for 2 s" in said and "goes on where it stopped" in said
        broker.start()
        assert learn(broker.address, tmp_path / "dir", "--until-end") == 0
        digest_of, _, sums = outcome(tmp_path / "dir")
        assert (digest_of, sums) == (whole[0], whole[2])  # offsets differ: a broker counts its own way
    finally:
        broker.stop()


@pytest.mark.kafka
@pytest.mark.parametrize("encoding, workers, times", [("json", 2, 2), ("arrow", 1, 1)])
def test_kill_9_under_load_on_a_real_broker_loses_nothing_and_learns_nothing_twice(
    tmp_path: Path, kafka_url: str, encoding: str, workers: int, times: int
) -> None:
    plan = Plan(times=times, encoding=encoding, workers=workers, longest_s=4.0, longest_at_work_s=1.0, pace=80)
    topics = (f"{tmp_path.name}-exposures", f"{tmp_path.name}-clicks")
    figures = measure(kafka_url.removeprefix("kafka://"), topics, tmp_path, plan)
    with open_log(kafka_url) as log:
        log.delete_topics(topics)
    assert figures["kills_under_load"] == times and figures["examples_learnt"] > 0
    assert (figures["lost"], figures["learnt_twice"], figures["same_model"]) == (0, 0, 1)


@pytest.mark.kafka
def test_a_record_far_ahead_of_its_own_kafka_timestamp_is_a_dead_letter_and_moves_no_clock(
    tmp_path: Path, kafka_url: str
) -> None:
    now_ms = int(time.time() * 1000) - 10 * MINUTE_MS
    shown = exposures(300, at_ms=now_ms - 60 * MINUTE_MS)
    times = shown.event_time_ms.copy()
    times[150] += 10 * 24 * 60 * MINUTE_MS
    names = tuple(f"{tmp_path.name}-{name}" for name in ("exposures", "clicks", "dead"))
    with open_log(kafka_url) as log:
        log.create_topics(dict.fromkeys(names, 1))
        producer = log.producer()
        for payload in encode(replace(shown, event_time_ms=times), "json"):
            producer.append(Partition(names[0], 0), payload.value, headers=payload.headers)
        producer.append(Partition(names[0], 0), b"{" + b" " * 2_000_000)
        for payload in encode(clicks_on(shown, np.arange(0, 300, 10)), "json"):
            producer.append(Partition(names[1], 0), payload.value, headers=payload.headers)
        producer.close()
        topics = ["--exposures", names[0], "--clicks", names[1], "--dead-letters-topic", names[2]]
        small = ConfigResource(ConfigResourceType.TOPIC, names[2], {"max.message.bytes": "100000"})
        with contextlib.closing(KafkaAdminClient(bootstrap_servers=kafka_url.removeprefix("kafka://"))) as admin:
            admin.alter_configs([small])
        assert learn(kafka_url, tmp_path / "dir", *topics, "--until-end") == 0
        _, partitions, _ = outcome(tmp_path / "dir")
        counts = partitions[0]["counts"]
        assert (counts["exposures"], counts["joined"] + counts["unknown_clicks"]) == (299, 30)
        assert counts["unknown_clicks"] <= 1 and counts["stale"] == 0
        letters = [one for one in records(log, names[2]) if one.headers["dead-letter.topic"] == names[0].encode()]
        ahead, large = sorted(letters, key=lambda letter: int(letter.headers["dead-letter.offset"]))
        assert b"minutes after its record was written" in ahead.headers["dead-letter.reason"]
        assert large.headers["dead-letter.bytes"] == b"2000001" and 90_000 < len(large.value) < 100_000
        log.delete_topics(names)
