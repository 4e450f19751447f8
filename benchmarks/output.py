"""Printing a benchmark's figures: a table for people, one JSON object for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

from reloop_stream.commands.arguments import whole

__all__ = ["arguments", "parser_of", "show", "show_table"]


def parser_of(description: str | None, pairs: int = 3) -> argparse.ArgumentParser:
    """--json and --pairs, common to all benchmarks."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--pairs", type=whole, metavar="N", default=pairs, help=f"interleaved repetitions (default: {pairs})"
    )
    return parser


def arguments(description: str | None, pairs: int = 3) -> argparse.Namespace:
    """What was chosen, of a benchmark that has no more to choose."""
    return parser_of(description, pairs).parse_args()


def show(figures: Mapping[str, float], as_json: bool) -> None:
    if as_json:
        print(json.dumps(dict(figures)))
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {_number(value):>12}")


def show_table(first: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, float]], as_json: bool) -> None:
    """A row each under its name; for people these columns, for programs all that a row has. first: what the names are."""
    if as_json:
        print(json.dumps({name: dict(row) for name, row in rows.items()}))
        return
    had = [column for column in columns if any(column in row for row in rows.values())]
    width = max(map(len, [first, *rows]))
    print(f"{first:<{width}}  " + "  ".join(had))
    for name, row in rows.items():
        cells = (_number(row[column]) if column in row else "" for column in had)
        print(
            f"{name:<{width}}  " + "  ".join(f"{cell:>{len(column)}}" for cell, column in zip(cells, had, strict=True))
        )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"
