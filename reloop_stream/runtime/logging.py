"""Where log messages go: this package's own warnings to stderr, everything to a file."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["log_to_file", "log_to_stderr"]


@contextlib.contextmanager
def log_to_stderr() -> Iterator[None]:
    """Within it warnings go to stderr. Kafka's client reports every lost connection, which is then said once: file only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    handler.addFilter(lambda record: not record.name.startswith("kafka"))
    # Matplotlib says in two lines that its cache cannot be written; the other one says what to set (MPLCONFIGDIR).
    handler.addFilter(lambda record: not str(record.msg).startswith("mkdir -p failed"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


@contextlib.contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Within it messages from INFO on go to the file too, behind what it holds. A process's loggers are as before at the end."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    root, kafka = logging.getLogger(), logging.getLogger("kafka")
    levels = root.level, kafka.level
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    kafka.setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
        root.setLevel(levels[0])
        kafka.setLevel(levels[1])
