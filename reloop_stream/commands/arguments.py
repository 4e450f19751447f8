"""Flags that the commands share: where the log is, and numbers that must be above 0."""

from __future__ import annotations

import argparse
import contextlib
import math
from pathlib import Path
from typing import Any

from reloop_stream.errors import SettingsError
from reloop_stream.log import LogPlace
from reloop_stream.log.kafka_settings import check_bootstrap, check_settings, parse_setting, read_settings

__all__ = ["add_place", "log_place", "positive", "whole"]


def add_place(group: Any, *, required: bool, unavailable_after_s: float = 60.0) -> None:
    """Add the flags to a parser or a group of one."""
    place = group.add_mutually_exclusive_group(required=required)
    place.add_argument("--bootstrap", metavar="HOST:PORT", help="Kafka's brokers, HOST:PORT[,HOST:PORT]")
    place.add_argument("--log", type=Path, metavar="DIR", help="an embedded log's folder instead, for trying out")
    group.add_argument(
        "--kafka", action="append", default=[], metavar="KEY=VALUE",
        help="a setting of Kafka's clients, as security_protocol=SASL_SSL; secrets as env:NAME or file:PATH",
    )  # fmt: skip
    group.add_argument("--kafka-config", type=Path, metavar="FILE", help="such settings, KEY=VALUE a line")
    group.add_argument(
        "--unavailable-seconds", type=positive, default=unavailable_after_s, metavar="S",
        help=f"how long to wait for a broker that is gone (default: {unavailable_after_s:g})",
    )  # fmt: skip


def log_place(chosen: argparse.Namespace) -> LogPlace:
    """Where the log is that the flags name. Raises SettingsError."""
    settings: dict[str, Any] = {} if chosen.kafka_config is None else dict(read_settings(chosen.kafka_config))
    settings |= dict(parse_setting(text) for text in chosen.kafka)
    if chosen.log is not None:
        if settings:
            raise SettingsError("--kafka: is for --bootstrap; an embedded log has no such settings")
        if not chosen.log.is_dir():
            raise SettingsError(f"--log {chosen.log}: no such folder")
        return LogPlace(chosen.log)
    check_settings(settings)
    try:
        check_bootstrap(chosen.bootstrap)
    except SettingsError as error:
        raise SettingsError(f"--bootstrap: {error}") from None
    return LogPlace(f"kafka://{chosen.bootstrap}", chosen.unavailable_seconds, settings)


def positive(text: str) -> float:
    """A number above 0. Raises ArgumentTypeError."""
    with contextlib.suppress(ValueError):
        if (value := float(text)) > 0 and math.isfinite(value):
            return value
    raise argparse.ArgumentTypeError(f"got {text}, must be a number above 0")


def whole(text: str) -> int:
    """A whole number above 0. Raises ArgumentTypeError."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text}, must be a whole number of at least 1")
    return int(text)
