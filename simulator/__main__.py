"""The command line: python -m simulator {run,resume,check,schema,report,data}."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reloop_stream.errors import ConfigError, LogError, SettingsError
from reloop_stream.runtime.logging import log_to_stderr
from simulator.datasets.rows import DataError
from simulator.run_folder.writer import RunFolderError
from simulator.scenario import ScenarioError, json_schema, load_scenario, to_yaml

__all__ = ["main"]

OK, FAILED, USERS_MISTAKE, INTERRUPTED = 0, 1, 2, 130
# What a user can put right; a process of the run passes on the name of what it raised.
MISTAKES = (ConfigError, ScenarioError, RunFolderError, DataError, SettingsError)
MISTAKE_NAMES = {error.__name__ for error in MISTAKES}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="The laboratory for recommenders that learn from a stream.",
        epilog="start here: python -m simulator run scenarios/quickstart.yaml",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="run a scenario",
        description="Run a scenario: warm-up, A/A, A/B. Progress goes to stderr, the results to stdout. "
        "Ctrl-C saves what was done; `resume` goes on from there.",
        epilog="example: python -m simulator run scenarios/quickstart.yaml --set arms.1.learner.loss.alpha=0.5 --seed 2",
    )
    run.add_argument("scenario", type=Path, help="a YAML file; see scenarios/")
    run.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: runs/<scenario>-<time>-<hash>)")
    run.add_argument("--log", metavar="URL", help="embedded (default), or kafka://HOST:PORT[,HOST:PORT]")
    run.add_argument("--seed", type=int, metavar="N", help="sets the world's and the models' seed")
    _add_overrides(run)
    _add_how(run)

    resume = commands.add_parser(
        "resume", help="go on with a run that was stopped", description="Go on with a run that was stopped or killed."
    )
    resume.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="its folder")
    _add_how(resume)

    check = commands.add_parser(
        "check",
        help="validate a scenario",
        description="Validate a scenario and print it with every default filled in.",
    )
    check.add_argument("scenario", type=Path)
    _add_overrides(check)

    commands.add_parser(
        "schema",
        help="print the JSON Schema of scenarios",
        description="Print the JSON Schema of scenarios, for editors: python -m simulator schema > scenarios/schema.json",
    )

    report = commands.add_parser(
        "report", help="read a run out again", description="Write results.json, plots and report.html of a run again."
    )
    report.add_argument("run_dir", type=Path, metavar="RUN_DIR")

    data = commands.add_parser("data", help="fetch data sets", description="Data sets for replays.")
    fetch = data.add_subparsers(dest="action", required=True, metavar="ACTION").add_parser(
        "fetch", help="download a data set", description="Download a data set into the user's cache."
    )
    fetch.add_argument("name", choices=["movielens-small"], help="which")
    fetch.add_argument("--to", type=Path, metavar="DIR", help="where to (default: the user's cache)")
    return parser


def _add_overrides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE",
        help="override a key of the scenario, as in serving.slate=5 or arms.1.share=0.5; may be given again",
    )  # fmt: skip


def _add_how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=_positive, metavar="N", help="processes (default: one an arm, where there are cores)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text}, must be a whole number of at least 1")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code: 0, 2 for a user's mistake, 130 after Ctrl-C, 1 for anything else."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    log_to_stderr()
    said = shlex.join(["python", "-m", "simulator", *(sys.argv[1:] if arguments is None else arguments)])
    try:
        return COMMANDS[chosen.command](chosen, said)
    except MISTAKES as error:
        return _say(error, USERS_MISTAKE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (LogError, OSError) as error:
        return _say(error, FAILED)


def _say(error: BaseException | str, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


def _overrides(chosen: argparse.Namespace) -> list[str]:
    overrides: list[str] = list(chosen.overrides)
    if getattr(chosen, "seed", None) is not None:
        overrides += [f"seed.world={chosen.seed}", f"seed.model={chosen.seed}"]
    if getattr(chosen, "log", None) is not None:
        overrides.append(f"log.url={chosen.log}")
    return overrides


def _run(chosen: argparse.Namespace, said: str) -> int:
    from simulator.lab.run import start_run

    scenario = load_scenario(chosen.scenario, _overrides(chosen))
    return _carry_out(
        lambda stop: start_run(
            scenario, chosen.out, command=said, workers=chosen.workers, quiet=chosen.quiet, should_stop=stop
        )
    )


def _resume(chosen: argparse.Namespace, said: str) -> int:
    from simulator.lab.run import resume_run

    return _carry_out(
        lambda stop: resume_run(chosen.run_dir, workers=chosen.workers, quiet=chosen.quiet, should_stop=stop)
    )


def _carry_out(go: Callable[[Callable[[], bool]], Any]) -> int:
    """Run or resume, with Ctrl-C and SIGTERM stopping it in order (a second one at once), and read the folder out."""
    from simulator.lab.run import RunFailed
    from simulator.readout import read_out

    stop = threading.Event()

    def ask_to_stop(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        print("stopping: saving what was done (again to stop at once) ...", file=sys.stderr)

    handlers = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        folder = go(stop.is_set)
    except RunFailed as failure:
        if failure.kind == "Stopped":
            print(f"stopped; go on with: python -m simulator resume {failure.path}", file=sys.stderr)
            return INTERRUPTED
        return _say(failure, USERS_MISTAKE if failure.kind in MISTAKE_NAMES else FAILED)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    print(read_out(folder.path).render())
    return OK


def _check(chosen: argparse.Namespace, said: str) -> int:
    scenario = load_scenario(chosen.scenario, _overrides(chosen))
    for warning in scenario.warnings():
        print(f"warning: {warning}", file=sys.stderr)
    print(to_yaml(scenario), end="")
    return OK


def _schema(chosen: argparse.Namespace, said: str) -> int:
    print(json.dumps(json_schema(), indent=2))
    return OK


def _report(chosen: argparse.Namespace, said: str) -> int:
    from simulator.readout import ReadoutError, read_out

    try:
        print(read_out(chosen.run_dir).render())
    except ReadoutError as error:
        return _say(error, USERS_MISTAKE)
    return OK


def _data(chosen: argparse.Namespace, said: str) -> int:
    from simulator.datasets.fetch import FetchError, fetch

    try:
        print(fetch(chosen.name, chosen.to))
    except FetchError as error:
        return _say(error, FAILED)
    return OK


COMMANDS: dict[str, Callable[[argparse.Namespace, str], int]] = {
    "run": _run,
    "resume": _resume,
    "check": _check,
    "schema": _schema,
    "report": _report,
    "data": _data,
}

if __name__ == "__main__":
    sys.exit(main())
