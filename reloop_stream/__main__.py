"""The command line: python -m reloop_stream {learn,inspect}."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from reloop_stream.errors import ConfigError, StateError, UnknownTopic
from reloop_stream.runtime.exits import carry_out
from reloop_stream.runtime.logging import log_to_stderr
from reloop_stream.service.learner_folder import FolderInUse

__all__ = ["main"]

PROGRAM = "reloop-stream" if Path(sys.argv[0]).stem == "reloop-stream" else "python -m reloop_stream"

# What a user can put right.
MISTAKES = (ConfigError, StateError, FolderInUse, UnknownTopic)
COMMANDS = {
    "learn": "learn from a stream of exposures and clicks, and publish what was learnt",
    "inspect": "show what a snapshot or a checkpoint holds",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C, 1 for anything else."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return carry_out(lambda: _command(words), MISTAKES)


def _command(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Learners on a stream of exposures that are stamped with the prediction of the model that served them.",
        epilog=f"start here: {PROGRAM} learn --help",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # A command is imported when it is the one that was chosen.
    wanted = next((word for word in words if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        if name == wanted:
            module = importlib.import_module(f"reloop_stream.commands.{name}")
            module.add_parser(commands)
        else:
            commands.add_parser(name, help=summary)
    chosen = parser.parse_args(words)
    with log_to_stderr():
        code: int = module.run(chosen)
        return code


if __name__ == "__main__":
    sys.exit(main())
