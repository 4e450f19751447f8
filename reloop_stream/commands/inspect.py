"""python -m reloop_stream inspect: what a snapshot, a checkpoint or a learner's folder holds."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from reloop_stream.clock import shown
from reloop_stream.commands.arguments import add_place, log_place
from reloop_stream.runtime.exits import OK
from reloop_stream.service.inspection import NothingToInspect, add_lag, inspect

__all__ = ["add_parser", "run"]

PIPED_WIDTH = 400  # no line of a table is broken where no terminal bounds it
NUMERIC = ("shape", "norm", "buckets", "partition", "next offset", "end", "lag", "version", "bytes")

DESCRIPTION = """\
Show what lies in a snapshot, a checkpoint, or a learner's folder: model and fields, versions, tensors with their
norms, what has been read, joined and set aside, offsets, and progressive metrics. With --bootstrap, the lag too.
No model is built, so that a plugin need not be loaded; nothing is changed, so that a learner may be at work there.
"""
EXAMPLES = """\
examples:
  python -m reloop_stream inspect learner/ --bootstrap localhost:9092
  python -m reloop_stream inspect learner/snapshots/reloop-00000007.safetensors
  python -m reloop_stream inspect learner/ --json | jq .checkpoint.seen
"""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "inspect",
        help="show what a snapshot or a checkpoint holds",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="a learner's folder, a checkpoint or a snapshot")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    add_place(parser.add_argument_group("for the lag"), required=False, unavailable_after_s=10.0)


def run(chosen: argparse.Namespace) -> int:
    """Print what lies at the path. Raises StateError, SettingsError, LogError."""
    found = inspect(chosen.path)
    if chosen.bootstrap is not None or chosen.log is not None:
        if "checkpoint" not in found:
            raise NothingToInspect(f"{chosen.path}: holds no checkpoint, and only one of these has a lag")
        with log_place(chosen).open() as log:
            add_lag(found, log)
    if chosen.json:
        print(json.dumps(_finite(found), indent=2))
        return OK
    console = Console(highlight=False)
    show(found, console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH))
    return OK


def _finite(value: Any) -> Any:
    """The value with null where a metric is not defined: NaN is no JSON."""
    if isinstance(value, Mapping):
        return {key: _finite(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_finite(below) for below in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print as tables; plain columns where the console is no terminal."""
    if (snapshot := found.get("snapshot")) is not None:
        _show_pairs(console, "snapshot", _facts(snapshot))
        _show_settings(console, {**snapshot.get("config", {}), "fields": snapshot.get("fields", [])})
        _show_tensors(console, snapshot)
    if (settings := found.get("settings")) is not None:
        _show_settings(console, settings)
    if (checkpoint := found.get("checkpoint")) is not None:
        _show_pairs(console, "checkpoint", _facts(checkpoint))
        waiting = {f"{what} waiting": n for what, n in checkpoint["waiting"].items()}
        seen = {what.replace("_", " "): n for what, n in checkpoint["seen"].items()}
        _show_pairs(console, "seen", {**seen, **waiting}.items())
        _show_partitions(console, checkpoint["partitions"])
        _show_metrics(console, checkpoint["metrics"])
        _show_tensors(console, checkpoint)
    if (snapshots := found.get("snapshots")) is not None:
        columns = ("learner", "version", "bytes", "path")
        _show_table(console, "snapshots", columns, [[one[column] for column in columns] for one in snapshots])


def _facts(of: Mapping[str, Any]) -> list[tuple[str, Any]]:
    facts = [(key, of[key]) for key in ("path", "bytes", "learner", "version", "tick", "digest") if key in of]
    if of.get("watermark_ms") is not None:
        facts.insert(-1, ("learnt until", f"{shown(of['watermark_ms'])} UTC ({of['watermark_ms']} ms)"))
    return facts


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, value


def _show_settings(console: Console, settings: Mapping[str, Any]) -> None:
    _show_pairs(console, "settings", _leaves({key: value for key, value in settings.items() if key != "fields"}))
    columns = ("name", "kind", "mode", "buckets")
    rows = [[field.get(column, "") for column in columns] for field in settings.get("fields", [])]
    _show_table(console, "fields", columns, rows)


def _show_partitions(console: Console, partitions: Sequence[Mapping[str, Any]]) -> None:
    columns = [name for name in ("topic", "partition", "next_offset", "end", "lag") if name in partitions[0]]
    headers = [name.replace("_", " ") for name in columns]
    _show_table(console, "partitions", headers, [[one[column] for column in columns] for one in partitions])
    if "lag" in columns:
        _show_pairs(console, "lag", [("records", sum(one["lag"] for one in partitions))])


def _show_metrics(console: Console, metrics: Mapping[str, Any]) -> None:
    rows = [
        [f"{whose}, {span.replace('_', ' ')}", *figures.values()]
        for whose, spans in metrics.items()
        for span, figures in spans.items()
    ]
    if rows:
        names = next(iter(next(iter(metrics.values())).values()))
        _show_table(console, "progressive metrics", ["of", *names], rows)


def _show_tensors(console: Console, of: Mapping[str, Any]) -> None:
    rows = [[one["name"], one["type"], "×".join(map(str, one["shape"])), one["norm"]] for one in of["tensors"]]
    _show_table(console, "tensors", ("name", "type", "shape", "norm"), rows)


def _show_pairs(console: Console, title: str, pairs: Iterable[tuple[str, Any]]) -> None:
    _show_table(console, title, ("", ""), pairs)


def _show_table(console: Console, title: str, headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, show_header=any(headers), pad_edge=False)
    for header in headers:
        table.add_column(header, justify="right" if header in NUMERIC else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_text, row))
    console.print(title, style="bold")
    console.print(table)
    console.print()


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
