"""Statistics, plots and report of a run folder. Imports neither world nor learner."""

from __future__ import annotations

from pathlib import Path

from simulator.readout.compute import compute
from simulator.readout.results import Results
from simulator.run_folder.reader import read_run

__all__ = ["Results", "read_out"]


def read_out(path: Path, baseline: str | None = None) -> Results:
    """Read a run folder out: writes results.json, plots/ and report.html there. Raises RunFolderError.

    baseline: the arm to compare the others with; the first where it is None.
    """
    from simulator.readout.plots.draw import draw
    from simulator.readout.report.write import write_report

    results = compute(read_run(path, baseline))
    (path / "results.json").write_text(results.to_json(), encoding="utf-8")
    write_report(results, draw(results))
    return results
