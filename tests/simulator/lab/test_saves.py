"""When a run is saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reloop_stream.state.checkpoint_writer import CheckpointWriter
from simulator.lab import loop
from simulator.lab.run import start_run
from simulator.scenario import load_scenario
from tests.simulator.runs import outcome


def test_a_save_too_soon_after_the_last_is_left_out_and_the_last_of_a_stage_never(
    tiny: Path, tmp_path: Path, whole: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[list[str]] = []

    class Counted(CheckpointWriter):
        def write(self, files: Any, then: Callable[[], None]) -> None:
            saved.append([path.name.rpartition(".")[0].rpartition(".")[0] for path, _ in files])
            super().write(files, then)

    monkeypatch.setattr(loop, "CheckpointWriter", Counted)
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 1e9)
    start_run(load_scenario(tiny), tmp_path / "run", command="test", workers=1, quiet=True)
    # The first that is due and the last; servers before workers.
    of_aa, of_ab = ["aa.server", "aa.worker"], ["ab.server", "ab.server", "ab.worker", "ab.worker"]
    assert saved == [of_aa, of_aa, of_ab, of_ab]
    assert outcome(tmp_path / "run") == outcome(whole())
