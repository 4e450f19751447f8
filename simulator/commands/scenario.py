"""python -m simulator check, schema, scenarios: what a scenario says, what it may say, and those that come along."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from reloop_stream.runtime.exits import OK, tell

__all__ = ["add_overrides", "add_parser", "overrides_of"]


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add --set."""
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE",
        help="override a key of the scenario, as in serving.slate=5 or arms.1.share=0.5; may be given again; of two for a "
        "key the later holds",
    )  # fmt: skip


def overrides_of(chosen: argparse.Namespace) -> list[str]:
    """What --set, --seed and --log say, as overrides."""
    overrides: list[str] = list(chosen.overrides)
    if getattr(chosen, "seed", None) is not None:
        overrides += [f"seed.world={chosen.seed}", f"seed.model={chosen.seed}"]
    if getattr(chosen, "log", None) is not None:
        overrides.append(f"log.url={chosen.log}")
    return overrides


def add_parser(commands: Any) -> None:
    """Add `check`, `schema` and `scenarios` to the subparsers."""
    check = commands.add_parser(
        "check",
        help="validate a scenario",
        description="Validate a scenario and print it with every default filled in.",
    )
    check.add_argument("scenario", help="a YAML file, or the name of one that comes along")
    add_overrides(check)
    check.set_defaults(carry_out=_check)

    schema = commands.add_parser(
        "schema",
        help="print the JSON Schema of scenarios",
        description="Print the JSON Schema of scenarios, for editors: python -m simulator schema > scenarios/schema.json",
    )
    schema.set_defaults(carry_out=_schema)

    scenarios = commands.add_parser(
        "scenarios",
        help="list the scenarios that come along, or copy one",
        description="List the scenarios that come along, a line each. `run NAME` runs one from any folder.",
        epilog="example: python -m simulator scenarios copy newsfeed --to mine.yaml",
    )
    scenarios.set_defaults(carry_out=_scenarios)
    copy = scenarios.add_subparsers(dest="action", metavar="ACTION").add_parser(
        "copy",
        help="write one to a file, to start from",
        description="Write a scenario to a file, with the schema that editors complete and check it by beside it.",
    )
    copy.add_argument("name", metavar="NAME", help="which")
    copy.add_argument("--to", type=Path, metavar="FILE", help="where to (default: NAME.yaml)")
    copy.set_defaults(carry_out=_copy)


def _check(chosen: argparse.Namespace) -> int:
    from simulator.scenario import find_scenario, load_scenario, to_yaml

    scenario = load_scenario(find_scenario(chosen.scenario), overrides_of(chosen))
    for warning in scenario.warnings():
        tell(f"warning: {warning}")
    print(to_yaml(scenario), end="")
    return OK


def _schema(chosen: argparse.Namespace) -> int:
    from simulator.scenario import json_schema

    print(json.dumps(json_schema(), indent=2))
    return OK


def _scenarios(chosen: argparse.Namespace) -> int:
    from simulator.scenario import bundled_scenarios

    found = bundled_scenarios()
    width = max(map(len, found))
    for name, summary in found.items():
        print(f"{name:<{width}}  {summary}")
    return OK


def _copy(chosen: argparse.Namespace) -> int:
    from simulator.scenario import copy_scenario

    print(copy_scenario(chosen.name, chosen.to or Path(f"{chosen.name}.yaml")))
    return OK
