"""The command line: python -m simulator COMMAND."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from reloop_stream.runtime.exits import carry_out
from reloop_stream.runtime.logging import log_to_stderr
from simulator.commands import (
    compare,
    data,
    listing,
    off_policy,
    paper,
    power,
    readout,
    replay,
    run,
    scenario,
    study,
    watch,
)
from simulator.errors import MISTAKES

__all__ = ["main"]

PROGRAM = "reloop-lab" if Path(sys.argv[0]).stem == "reloop-lab" else "python -m simulator"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="The laboratory for recommenders that learn from a stream.",
        epilog=f"start here: {PROGRAM} run quickstart",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (run, scenario, readout, listing, compare, watch, power, study, replay, off_policy, data, paper):
        module.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C, 1 for anything else."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return carry_out(lambda: _command(words), MISTAKES)


def _command(words: list[str]) -> int:
    chosen = _parser().parse_args(words)
    said = shlex.join(["python", "-m", "simulator", *words])
    # A path may hold bytes that are no text.
    chosen.said = said.encode(errors="surrogateescape").decode(errors="backslashreplace")
    with log_to_stderr():
        code: int = chosen.carry_out(chosen)
        return code


if __name__ == "__main__":
    sys.exit(main())
