"""Statistics, plots and report of a run folder. Imports neither world nor learner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from simulator.readout.compute import compute
from simulator.readout.results import Results
from simulator.run_folder.own_table import check_out, read_table
from simulator.run_folder.reader import read_run

__all__ = ["Results", "read_out", "read_out_table"]


def read_out(path: Path, baseline: str | None = None) -> Results:
    """Read a run folder out: writes results.json, plots/ and report.html there. Raises RunFolderError.

    baseline: the arm to compare the others with; the first where it is None.
    """
    return _written(compute(read_run(path, baseline)))


def read_out_table(
    table: Path, out: Path | None = None, baseline: str | None = None, shares: Mapping[str, float] | None = None
) -> Results:
    """The same for a table of one's own (`read_table` says which), into `out`, or a folder beside the table.

    Raises TableError where the table, or the folder to write to, cannot be used.
    """
    run = read_table(table, out, baseline, shares)
    check_out(run.path)
    return _written(compute(run))


def _written(results: Results) -> Results:
    from simulator.readout.plots.draw import draw
    from simulator.readout.report.write import write_report

    (results.run.path / "results.json").write_text(results.to_json(), encoding="utf-8")
    draw(results)
    write_report(results)
    return results
