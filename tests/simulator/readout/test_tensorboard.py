"""What TensorBoard reads is what the readout says: the event files read back, record by record."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from simulator.readout.compute import compute
from simulator.readout.tensorboard import COLUMNS, write_tensorboard
from simulator.run_folder.reader import read_run
from tests.simulator.readout.test_undefined import folder_of
from tests.simulator.runs import lab

SHOWN = ([5, 5, 3, 4], [1, 0, 2, 1]), ([5, 2, 6, 3], [2, 0, 1, 2])


def events(path: Path) -> Iterator[Event]:
    """The events of a file: length, its checksum, the event, its checksum, and so on."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        (n,) = struct.unpack_from("<Q", data, at)
        yield Event.FromString(data[at + 12 : at + 12 + n])
        at += 12 + n + 4


def scalars(folder: Path) -> dict[tuple[str, str, int], tuple[float, float]]:
    """(arm, tag, step) → value and time, of all files; none is there twice."""
    found: dict[tuple[str, str, int], tuple[float, float]] = {}
    for path in folder.glob("*/events.*"):
        for event in events(path):
            for value in event.summary.value:
                key = path.parent.name, value.tag, event.step
                assert key not in found
                found[key] = value.simple_value, event.wall_time
    return found


def test_every_daily_figure_is_there_once_at_its_day_however_often_it_is_written(tmp_path: Path) -> None:
    results = compute(read_run(folder_of(tmp_path / "run", SHOWN, "simulation")))
    for _ in range(2):
        found = scalars(write_tensorboard(results))
    ctr = {key: value for key, value in found.items() if key[1] == "ctr"}
    assert len(ctr) == 2 * 4
    for day in results.days:
        number = day.row["day"] + 1
        value, time = ctr[day.row["arm"], "ctr", number]
        assert value == pytest.approx(day.row["ctr"], rel=1e-6) and time == 86_400 * number
    known = [day for day in results.days if day.so_far is not None]
    assert len(known) == 2
    for day in known:
        assert day.so_far is not None
        for name in ("relative", "lo", "hi"):
            value, _ = found["01", f"uplift/{name}", day.row["day"] + 1]
            assert value == pytest.approx(getattr(day.so_far, name), rel=1e-5)
    assert {tag for arm, tag, _ in found if arm == "00"} == {"ctr"}  # the rest is not defined in a run made by hand


@pytest.mark.slow
def test_a_run_with_the_flag_leaves_what_tensorboard_reads(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = lab("run", tiny, "--out", out, "--workers", 1, "--quiet", "--tensorboard")
    assert done.code == 0 and f"tensorboard --logdir {out / 'tensorboard'}" in done.err
    found, daily = scalars(out / "tensorboard"), read_run(out).daily.to_pylist()
    for row in daily:
        for name in COLUMNS:
            if row[name] is not None:
                assert found[row["arm"], name, row["day"] + 1][0] == pytest.approx(row[name], rel=1e-6)
    truths = {arm for arm, tag, _ in found if tag == "uplift/truth_of_the_day"}
    assert truths == {"reloop"} and {step for *_, step in found} == {1, 2, 3}


def test_without_the_package_it_is_a_mistake_before_anything_is_run(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    done = lab("run", tiny, "--out", tmp_path / "run", "--tensorboard")
    assert done.code == 2 and "pip install tensorboardX" in done.err and not (tmp_path / "run").exists()
    folder = folder_of(tmp_path / "made", SHOWN, "simulation")
    for command in ("report", "resume"):
        done = lab(command, folder, "--tensorboard")
        assert done.code == 2 and "pip install tensorboardX" in done.err
    assert not (folder / "results.json").exists()
