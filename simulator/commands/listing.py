"""python -m simulator list: the runs of a folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from reloop_stream.runtime.exits import OK, tell

__all__ = ["add_parser"]

RUNS = Path("runs")


def add_parser(commands: Any) -> None:
    """Add `list` to the subparsers."""
    parser = commands.add_parser(
        "list",
        help="list the runs of a folder",
        description="List the runs that lie in a folder, the newest first: status, days done, uplift with its interval, truth.",
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=RUNS, metavar="DIR", help=f"which folder (default: {RUNS})"
    )
    parser.add_argument("--json", action="store_true", help="for programs: a list of objects")
    parser.set_defaults(carry_out=_list)


def _list(chosen: argparse.Namespace) -> int:
    from simulator.readout.listing import list_runs, listed_as_json, render_list

    runs = list_runs(chosen.folder)
    if chosen.json:
        print(json.dumps(listed_as_json(runs), indent=2, allow_nan=False))
    elif runs:
        print(render_list(runs))
    else:
        tell(f"{chosen.folder}: no run lies in it")
    return OK
