"""python -m simulator sweep, replicate: what one run cannot say, from many worlds."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reloop_stream.commands.arguments import whole
from reloop_stream.errors import ConfigError
from reloop_stream.runtime.exits import FAILED, INTERRUPTED, OK, USERS_MISTAKE, say, tell
from simulator.commands.scenario import add_overrides

if TYPE_CHECKING:  # brings torch and pandas
    from simulator.studies.tuning import TuningPlan

__all__ = ["add_parser"]

ABOUT_GRIDS = """values:
  0:1:0.1        from 0 to 1 in steps of 0.1
  0.05,0.1,0.2   these, in YAML: numbers, names, {name: bce, scale: 0.8}
  0.01..2:log7   seven from 0.01 to 2, at equal ratios
paths:
  as of `run --set`; of an arm also arms.NAME.…, and arms.*.… for every arm
"""


def add_parser(commands: Any) -> None:
    """Add `sweep` and `replicate` to the subparsers."""
    sweep = commands.add_parser(
        "sweep",
        help="turn knobs of a scenario over a grid, in several worlds",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Run a scenario at every point of a grid, each in the same worlds, and see what every arm comes to there: "
        "true CTR and uplift,\nwith 95% intervals across seeds. Progress goes to stderr, a table to stdout; sweep.csv, "
        f"summary.csv and the plot to the folder.\nThe same command goes on where it was stopped.\n\n{ABOUT_GRIDS}",
        epilog="example: python -m simulator sweep newsfeed --grid arms.reloop.learner.loss.alpha=0:1:0.1 --seeds 5",
    )
    sweep.add_argument(
        "--grid", action="append", default=[], metavar="PATH=VALUES",
        help="a knob and its values; given twice, every pair is tried; left out, the arms are compared as they are",
    )  # fmt: skip
    sweep.add_argument(
        "--truth", choices=["launch", "experiment"], default="launch",
        help="launch: each arm for everyone, from one A/A period on. experiment: users split, as in `run`; takes longer "
        "(default: %(default)s)",
    )  # fmt: skip
    _add_worlds(sweep, seeds=5)
    sweep.set_defaults(carry_out=_sweep)
    _add_replicate(commands)


def _add_replicate(commands: Any) -> None:
    replicate = commands.add_parser(
        "replicate",
        help="the same experiment in many worlds: are its intervals to be believed?",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Run a scenario's whole experiment in many worlds and set every estimate beside the truth: bias, coverage, power, "
        "A/A false\npositives with users' luck alone and with the learners', rules for looking every day, and the uplift with "
        "intervals across seeds.\nProgress goes to stderr, what was found to stdout; replicate.csv, looks.csv, arms.csv, "
        "replicate.json and plots to the folder.\nThe same command goes on where it was stopped, and more --seeds add to what is there.",
        epilog="example: python -m simulator replicate quickstart --seeds 20 --data own,shared,co_diverted",
    )
    replicate.add_argument(
        "--data", type=lambda text: text.split(","), default=[], metavar="A,B",
        help="what the arms train on: own, shared, co_diverted; several are compared with the truth of a launch "
        "(default: as the scenario says)",
    )  # fmt: skip
    replicate.add_argument(
        "--skip-aa-own",
        action="store_true",
        help="do without A/A periods with a learner an arm: a quarter less to compute",
    )
    _add_worlds(replicate, seeds=20)
    replicate.set_defaults(carry_out=_replicate)


def _add_worlds(parser: argparse.ArgumentParser, seeds: int) -> None:
    parser.add_argument("scenario", help="a YAML file, or the name of one that `python -m simulator scenarios` lists")
    parser.add_argument("--seeds", type=whole, default=seeds, metavar="N", help="worlds (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1, metavar="S", help="seeds are S to S+N-1 (default: 1)")
    add_overrides(parser)
    parser.add_argument(
        "--tune", action="append", default=[], metavar="PATH=RANGE",
        help="tune every arm beforehand, all over the same values, by the true CTR of a launch on other seeds: "
        "arms.*.learner.optimizer.lr=0.01..2:log, a range without :log, or values",
    )  # fmt: skip
    parser.add_argument(
        "--budget", type=whole, metavar="N", help="trials an arm has (default: as many as --tune has values)"
    )
    parser.add_argument(
        "--tune-seeds", type=whole, default=3, metavar="K", help="worlds a trial is made in (default: 3)"
    )
    parser.add_argument("--jobs", type=whole, metavar="J", help="processes (default: one a core)")
    parser.add_argument(
        "--engine", choices=["local", "ray"], default="local",
        help="this machine, or a Ray cluster that is there already; wants `pip install 'reloop-stream[ray]'` (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--ray-address", default="auto", metavar="HOST:PORT", help="the cluster (default: that of this machine)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the study's folder (default: runs/STUDY-SCENARIO-HASH of the settings)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _tuning(chosen: argparse.Namespace) -> TuningPlan | None:
    from simulator.studies.tuning import parse_tuning

    if not chosen.tune:
        if chosen.budget is not None:
            raise ConfigError("--budget: is for --tune, which says what to spend it on")
        return None
    return parse_tuning(chosen.tune, chosen.budget, chosen.tune_seeds)


def _sweep(chosen: argparse.Namespace) -> int:
    from simulator.studies.api import make_sweep
    from simulator.studies.knobs import parse_knob
    from simulator.studies.sweep import SweepPlan

    knobs = [parse_knob(text) for text in chosen.grid]
    plan = SweepPlan(_raw(chosen), knobs, _seeds(chosen), chosen.truth, _tuning(chosen))
    return _carry_out(make_sweep, plan, chosen)


def _replicate(chosen: argparse.Namespace) -> int:
    from simulator.studies.api import make_replication
    from simulator.studies.replicate import ReplicationPlan

    plan = ReplicationPlan(_raw(chosen), _seeds(chosen), chosen.data, not chosen.skip_aa_own, _tuning(chosen))
    return _carry_out(make_replication, plan, chosen)


def _raw(chosen: argparse.Namespace) -> dict[str, Any]:
    from simulator.scenario import find_scenario, raw_scenario

    return raw_scenario(find_scenario(chosen.scenario), chosen.overrides)


def _seeds(chosen: argparse.Namespace) -> range:
    from simulator.studies.worlds import seeds_from

    return seeds_from(chosen.first_seed, chosen.seeds)


def _carry_out(make: Callable[..., tuple[Any, str]], plan: Any, chosen: argparse.Namespace) -> int:
    """Make a study and print what it found; the exit code."""
    from simulator.studies.api import engine_of
    from simulator.studies.cells import CellsFailed
    from simulator.studies.engines import Interrupted

    engine = engine_of(chosen.engine, chosen.jobs, chosen.ray_address)
    try:
        found, said = make(plan, chosen.out, engine, quiet=chosen.quiet)
        print(said)
        if found.failures:
            raise CellsFailed(found.failures, found.cells)
    except Interrupted:
        tell("stopped; the same command goes on")
        return INTERRUPTED
    except CellsFailed as error:
        return say(error, USERS_MISTAKE if error.is_mistake else FAILED)
    return OK
