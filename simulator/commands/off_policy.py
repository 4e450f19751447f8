"""python -m simulator off-policy: what another policy would have earned, by the propensities of a log."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reloop_stream.commands.arguments import positive
from reloop_stream.runtime.exits import OK
from simulator.errors import DataError, RunFolderError

if TYPE_CHECKING:
    from simulator.readout.policies import Cuts, JudgedPolicy

__all__ = ["add_parser"]

DEFAULT_SWITCH = 10.0
# Flag → role of its column, and what it holds; the first three have these names by default.
COLUMNS = {
    "reward": ("reward", "what was earned, as 0 or 1 for a click"),
    "propensity": ("propensity", "the probability of what was logged"),
    "target": ("target", "the probability of the same under the policy to be judged"),
    "q-logged": ("q_logged", "what a model expects of what was logged"),
    "q-target": ("q_target", "what it expects of the policy: the mean over its choices"),
    "user": ("cluster", "whose row it is: intervals are across these; left out, across rows"),
}


def add_parser(commands: Any) -> None:
    """Add `off-policy` to the subparsers."""
    parser = commands.add_parser(
        "off-policy",
        help="judge a policy by another's log",
        description="Judge a policy by the propensities of a log: a run's, or a table of your own. Of a replay with "
        "data.off_policy: the arms. Of a simulation with log.retention: all: the policy that fills each slot at random, below "
        "what was shown above it.",
        epilog="example: python -m simulator off-policy log.parquet --reward click --propensity p --target new_p --user user",
    )
    parser.add_argument("path", type=Path, metavar="RUN_DIR|TABLE", help="a run folder, or a CSV or Parquet file")
    table = parser.add_argument_group("columns of a table")
    for flag, (role, holds) in COLUMNS.items():
        default = f" (default: {flag})" if flag in ("reward", "propensity", "target") else ""
        table.add_argument(f"--{flag}", dest=role, metavar="COLUMN", help=holds + default)
    parser.add_argument("--clip", type=positive, metavar="W", help="cut weights above it (default: none is cut)")
    parser.add_argument(
        "--switch",
        type=positive,
        metavar="W",
        help=f"switch-DR leaves rows above it to the model (default: {DEFAULT_SWITCH:g})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(carry_out=_off_policy)


def _off_policy(chosen: argparse.Namespace) -> int:
    import json

    from simulator.readout.policies import doubts, policies_as_json, policy_lines
    from simulator.readout.results import without_nan

    is_run = (chosen.path / "manifest.json").exists()
    policies, cuts = (_of_run if is_run else _of_table)(chosen)
    if chosen.json:
        said = without_nan({**(policies_as_json(policies, cuts) or {}), "notes": doubts(policies)})
        print(json.dumps(said, indent=2, allow_nan=False))
        return OK
    for line in policy_lines(policies, cuts):
        print(line)
    for doubt in doubts(policies):
        print(f"note: {doubt}")
    return OK


def _cuts(chosen: argparse.Namespace, otherwise: Cuts) -> Cuts:
    return otherwise._replace(**{name: getattr(chosen, name) for name in ("clip", "switch") if getattr(chosen, name)})


def _of_run(chosen: argparse.Namespace) -> tuple[dict[str, JudgedPolicy], Cuts]:
    import numpy as np

    from simulator.readout.policies import Cuts, cuts_of, judge, judge_arms
    from simulator.readout.statistics.off_policy import LoggedPolicy
    from simulator.run_folder.events import read_shown
    from simulator.run_folder.reader import read_run

    if named := [flag for flag, (role, _) in COLUMNS.items() if getattr(chosen, role) is not None]:
        raise RunFolderError(
            f"--{named[0]}: names a column of a table, and {chosen.path} is a run folder; leave it out"
        )
    run = read_run(chosen.path)
    if run.is_replay:
        if run.off_policy is None:
            raise RunFolderError(
                f"{chosen.path}: judged no policy; replay a log with propensities and `data.off_policy: {{}}`"
            )
        cuts = _cuts(chosen, cuts_of(run))
        return judge_arms(run, cuts), cuts
    shown, cuts = read_shown(run), _cuts(chosen, Cuts())
    found = {}
    for arm in run.arms:
        rows = np.flatnonzero(shown.arm == arm)
        log = LoggedPolicy(
            reward=shown.click[rows].astype(np.float64),
            propensity=shown.propensity[rows],
            target=1.0 / (shown.n_candidates[rows] - shown.position[rows]),
            cluster=shown.user_id[rows],
        )
        found[f"random, by the log of {arm}"] = judge(log, cuts)
    return found, cuts


def _of_table(chosen: argparse.Namespace) -> tuple[dict[str, JudgedPolicy], Cuts]:
    from simulator.datasets.policy_table import read_policy_table
    from simulator.readout.policies import Cuts, judge
    from simulator.readout.statistics.off_policy import LoggedPolicy

    if not chosen.path.exists():
        raise DataError(f"{chosen.path}: no such file or folder; name a run folder, or a CSV or Parquet file")
    if chosen.path.is_dir() and not any(chosen.path.glob("*.parquet")):
        raise RunFolderError(
            f"{chosen.path}: is no run folder (there is no manifest.json in it), and holds no Parquet file"
        )
    if (chosen.q_logged is None) != (chosen.q_target is None):
        raise DataError("--q-logged, --q-target: give both, or none: doubly robust estimates need the two")
    columns = {"reward": "reward", "propensity": "propensity", "target": "target"}
    columns |= {role: getattr(chosen, role) for role, _ in COLUMNS.values() if getattr(chosen, role) is not None}
    cuts = _cuts(chosen, Cuts(switch=DEFAULT_SWITCH))
    return {columns["target"]: judge(LoggedPolicy(**read_policy_table(chosen.path, columns)), cuts)}, cuts
