"""python -m simulator readout: a run read out again, or a table of an experiment that this laboratory never saw."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from reloop_stream.runtime.exits import OK
from simulator.commands.tensorboard import add_tensorboard, check_tensorboard, write_scalars

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add `readout`, which is also called `report`, to the subparsers."""
    readout = commands.add_parser(
        "readout",
        aliases=["report"],
        help="read a run out again, or a table of your own",
        description="Compute everything again from a run folder, and write results.json, plots and report.html there. "
        "With --csv, do the same for a table of your own: CSV or Parquet with a row a user, day and arm, and the columns user, "
        "arm, exposures, clicks, phase (warmup, aa, ab; all A/B where it is missing) and, if there are days, day. Every other "
        "column is a segment.",
        epilog="example: python -m simulator readout --csv clicks.csv --baseline control --shares control=0.9,new=0.1",
    )
    readout.add_argument("run_dir", type=Path, nargs="?", metavar="RUN_DIR", help="the run folder")
    readout.add_argument("--csv", type=Path, metavar="FILE", help="a table of your own instead, CSV or Parquet")
    readout.add_argument("--out", type=Path, metavar="DIR", help="with --csv: where to write (default: FILE-readout)")
    readout.add_argument(
        "--baseline",
        metavar="NAME",
        help="the arm to compare the others with (default: the first; of a table `control`)",
    )
    readout.add_argument(
        "--shares",
        type=_shares,
        metavar="NAME=SHARE,...",
        help="with --csv: how large the arms were meant to be (default: all alike)",
    )
    add_tensorboard(readout)
    readout.set_defaults(carry_out=_readout, parser=readout)


def _shares(text: str) -> dict[str, float]:
    """control=0.9,new=0.1"""
    found = {}
    for part in text.split(","):
        name, _, share = part.rpartition("=")
        try:
            found[name] = float(share)
        except ValueError:
            found[name] = 0.0
        if not name or not 0 < found[name] < float("inf"):
            raise argparse.ArgumentTypeError(f"got {part!r}, must be NAME=SHARE with a share above 0")
    return found


def _readout(chosen: argparse.Namespace) -> int:
    if (chosen.run_dir is None) == (chosen.csv is None):
        chosen.parser.error("give one of RUN_DIR and --csv FILE")
    if chosen.csv is None and (chosen.out or chosen.shares):
        chosen.parser.error("--out and --shares go with --csv: a run folder has its own")
    check_tensorboard(chosen)
    from simulator.readout import read_out, read_out_table

    if chosen.csv is None:
        results = read_out(chosen.run_dir, chosen.baseline)
    else:
        results = read_out_table(chosen.csv, chosen.out, chosen.baseline, chosen.shares)
    print(results.render())
    write_scalars(chosen, results)
    return OK
