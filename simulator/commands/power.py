"""python -m simulator power: what a test could find, before it is run."""

from __future__ import annotations

import argparse
from typing import Any

from reloop_stream.commands.arguments import positive, whole
from reloop_stream.runtime.exits import OK
from reloop_stream.runtime.stopping import stop_on_signals
from simulator.commands.scenario import add_overrides, overrides_of

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add `power` to the subparsers."""
    parser = commands.add_parser(
        "power",
        help="ask how many users and days an effect needs, before a run",
        description="Pilot a scenario's world with its control alone, and say how many users and days an A/B test needs to find "
        "an uplift in CTR, and the smallest that the scenario as it stands finds.",
        epilog="example: python -m simulator power newsfeed --effect 0.01 --days 14",
    )
    parser.add_argument("scenario", help="a YAML file, or the name of one that `python -m simulator scenarios` lists")
    parser.add_argument(
        "--effect", type=positive, default=0.01, metavar="X", help="the relative uplift to find: 0.01 is 1%% (default)"
    )
    parser.add_argument(
        "--power", type=_chance, default=0.8, metavar="P", help="the chance to find it (default: %(default)s)"
    )
    parser.add_argument("--days", type=whole, metavar="N", help="days of A/B (default: the scenario's)")
    parser.add_argument("--users", type=whole, metavar="N", help="users of the world (default: the scenario's)")
    parser.add_argument(
        "--pilot-users", type=whole, default=5_000, metavar="N", help="of the pilot, at most (default: %(default)s)"
    )
    add_overrides(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.set_defaults(carry_out=_power)


def _chance(text: str) -> float:
    value = positive(text)
    if not 0.05 < value < 1:
        raise argparse.ArgumentTypeError(f"got {text}, must be a number between 0.05 and 1")
    return value


def _power(chosen: argparse.Namespace) -> int:
    from simulator.scenario import find_scenario, load_scenario
    from simulator.studies.power import plan_power

    scenario = load_scenario(find_scenario(chosen.scenario), overrides_of(chosen))
    with stop_on_signals("ending the pilot") as stop:
        plan = plan_power(
            scenario,
            effect=chosen.effect,
            power=chosen.power,
            days=chosen.days,
            users=chosen.users,
            pilot_users=chosen.pilot_users,
            quiet=chosen.quiet,
            should_stop=stop,
        )
    print(plan.render())
    return OK
