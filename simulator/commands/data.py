"""python -m simulator data: data sets for replays."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from reloop_stream.runtime.exits import OK
from simulator.datasets.fetch import RELEASES, fetch

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add `data` to the subparsers."""
    data = commands.add_parser("data", help="fetch data sets", description="Data sets for replays.")
    fetching = data.add_subparsers(dest="action", required=True, metavar="ACTION").add_parser(
        "fetch", help="download a data set", description="Download a data set into the user's cache."
    )
    fetching.add_argument("name", choices=[*RELEASES], help="which")
    fetching.add_argument("--to", type=Path, metavar="DIR", help="where to (default: the user's cache)")
    fetching.set_defaults(carry_out=_fetch)


def _fetch(chosen: argparse.Namespace) -> int:
    print(fetch(chosen.name, chosen.to))
    return OK
