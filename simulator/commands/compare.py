"""python -m simulator compare: runs side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from reloop_stream.runtime.exits import OK
from simulator.errors import RunFolderError

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add `compare` to the subparsers."""
    parser = commands.add_parser(
        "compare",
        help="put runs side by side",
        description="Put runs side by side: what differs in their scenarios, and each arm's uplift, truth and quality.",
        epilog="example: python -m simulator compare runs/a runs/b --out compared",
    )
    parser.add_argument("first", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("others", type=Path, nargs="+", metavar="RUN", help="and others")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write compare.html and compare.csv there")
    parser.add_argument(
        "--baseline", metavar="NAME", help="the arm to compare the others with (default: each run's first)"
    )
    parser.set_defaults(carry_out=_compare)


def _compare(chosen: argparse.Namespace) -> int:
    from simulator.readout.compare import compare, write_compare_csv
    from simulator.readout.report.compared import compare_page

    found = compare([chosen.first, *chosen.others], chosen.baseline)
    print(found.render())
    if chosen.out is not None:
        try:
            chosen.out.mkdir(parents=True, exist_ok=True)
            write_compare_csv(found, chosen.out / "compare.csv")
            (chosen.out / "compare.html").write_text(compare_page(found), encoding="utf-8")
        except OSError as error:
            raise RunFolderError(f"{chosen.out}: cannot be written: {error.strerror or error}") from None
        print(f"\npage: {chosen.out / 'compare.html'}")
    return OK
