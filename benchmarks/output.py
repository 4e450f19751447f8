"""Printing a benchmark's figures: a table for people, one JSON object for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping

__all__ = ["arguments", "show"]


def arguments(description: str | None, pairs: int = 3) -> argparse.Namespace:
    """--json and --pairs, common to all benchmarks."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--pairs", type=int, default=pairs, help=f"interleaved repetitions (default: {pairs})")
    return parser.parse_args()


def show(figures: Mapping[str, float], as_json: bool) -> None:
    if as_json:
        print(json.dumps(dict(figures)))
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value:>12,.0f}" if abs(value) >= 100 else f"{name:<{width}}  {value:>12.3f}")
