"""A figure as a file, the same bytes for the same figure."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from simulator.readout.plots.style import DPI, STYLE

__all__ = ["FORMATS", "save"]

# Ending → what a file would say of when and by what it was made.
FORMATS = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}


def save(figure: Figure, path: Path) -> None:
    """Write it as its ending says. Raises KeyError for an ending that is not in `FORMATS`, OSError naming the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with matplotlib.rc_context(STYLE):
            figure.savefig(path, metadata=FORMATS[path.suffix], dpi=DPI)
    except OSError as error:
        raise OSError(error.errno, f"{path}: cannot be written: {error.strerror}") from None
