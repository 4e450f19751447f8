"""The flag --tensorboard, which commands that read a run out share."""

from __future__ import annotations

import argparse
import importlib.util
from typing import TYPE_CHECKING

from reloop_stream.errors import SettingsError
from reloop_stream.runtime.exits import tell

if TYPE_CHECKING:  # brings pandas
    from simulator.readout import Results

__all__ = ["add_tensorboard", "check_tensorboard", "write_scalars"]

PACKAGE = "tensorboardX"


def add_tensorboard(parser: argparse.ArgumentParser) -> None:
    """Add the flag."""
    parser.add_argument(
        "--tensorboard", action="store_true", help=f"also write the daily figures for TensorBoard (wants {PACKAGE})"
    )


def check_tensorboard(chosen: argparse.Namespace) -> None:
    """Before anything is computed. Raises SettingsError where the package that it needs is not there."""
    if chosen.tensorboard and importlib.util.find_spec(PACKAGE) is None:
        raise SettingsError(f"--tensorboard: needs the package {PACKAGE}, which is not there: pip install {PACKAGE}")


def write_scalars(chosen: argparse.Namespace, results: Results) -> None:
    """Where the flag was given; commands of the paper run scenarios too, and do not have it."""
    if getattr(chosen, "tensorboard", False):
        from simulator.readout.tensorboard import write_tensorboard

        tell(f"for TensorBoard: tensorboard --logdir {write_tensorboard(results)}")
