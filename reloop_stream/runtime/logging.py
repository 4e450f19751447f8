"""Where log messages go: this package's own warnings to stderr, everything to a file."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

__all__ = ["log_to_file", "log_to_stderr"]


def log_to_stderr() -> logging.Handler:
    """Warnings to stderr; the handler. Kafka's client reports every lost connection, which is then said once: file only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    handler.addFilter(lambda record: not record.name.startswith("kafka"))
    logging.getLogger().addHandler(handler)
    return handler


def log_to_file(path: Path) -> logging.Handler:
    """Append messages to a file, from this process too; the handler, to be closed."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    logging.getLogger("kafka").setLevel(logging.WARNING)
    return handler
