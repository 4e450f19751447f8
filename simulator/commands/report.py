"""python -m simulator report: a run read out again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from reloop_stream.runtime.exits import OK

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add `report` to the subparsers."""
    report = commands.add_parser(
        "report", help="read a run out again", description="Write results.json, plots and report.html of a run again."
    )
    report.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    report.set_defaults(carry_out=_report)


def _report(chosen: argparse.Namespace) -> int:
    from simulator.readout import read_out

    print(read_out(chosen.run_dir).render())
    return OK
