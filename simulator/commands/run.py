"""python -m simulator run, resume: a scenario from beginning to end, or on to its end."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reloop_stream.commands.arguments import whole
from reloop_stream.runtime.aside import Call, aside
from reloop_stream.runtime.exits import FAILED, INTERRUPTED, OK, USERS_MISTAKE, say, tell
from reloop_stream.runtime.loading import loading
from reloop_stream.runtime.processes import cores
from reloop_stream.runtime.stopping import stop_on_signals
from simulator.commands.scenario import add_overrides, overrides_of
from simulator.commands.tensorboard import add_tensorboard, check_tensorboard, write_scalars
from simulator.errors import RunFailed

if TYPE_CHECKING:  # bring pandas and torch
    from simulator.lab.engines import Engine
    from simulator.readout import Results
    from simulator.run_folder.writer import RunFolder
    from simulator.scenario import Scenario

__all__ = ["add_parser", "run_and_print"]


def add_parser(commands: Any) -> None:
    """Add `run` and `resume` to the subparsers."""
    run = commands.add_parser(
        "run",
        help="run a scenario",
        description="Run a scenario: warm-up, A/A, A/B. Progress goes to stderr, the results to stdout. "
        "Ctrl-C saves what was done; `resume` goes on from there.",
        epilog="example: python -m simulator run quickstart --set arms.1.learner.loss.alpha=0.5 --seed 2",
    )
    run.add_argument("scenario", help="a YAML file, or the name of one that `python -m simulator scenarios` lists")
    run.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: runs/<scenario>-<time>-<hash>)")
    run.add_argument("--log", metavar="URL", help="embedded (default), or kafka://HOST:PORT[,HOST:PORT]")
    run.add_argument("--seed", type=int, metavar="N", help="sets the world's and the models' seed")
    add_overrides(run)
    _add_how(run)
    run.set_defaults(carry_out=_run)

    resume = commands.add_parser(
        "resume", help="go on with a run that was stopped", description="Go on with a run that was stopped or killed."
    )
    resume.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="its folder")
    _add_how(resume)
    resume.set_defaults(carry_out=_resume)


def _add_how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=whole,
        metavar="N",
        help="processes (default: one an arm, where there are cores; up to three, where there are more)",
    )
    parser.add_argument(
        "--engine", choices=["local", "ray"], default="local",
        help="this machine, or a Ray cluster that is there already, with a Kafka log and a run folder that all of its nodes see; "
        "wants `pip install 'reloop-stream[ray]'` (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--ray-address", default="auto", metavar="HOST:PORT", help="the cluster (default: that of this machine)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    add_tensorboard(parser)


def _run(chosen: argparse.Namespace) -> int:
    with loading():
        from simulator.scenario import find_scenario, load_scenario

    check_tensorboard(chosen)
    scenario = load_scenario(find_scenario(chosen.scenario), overrides_of(chosen))
    with _engine_of(chosen, scenario) as engine:
        return run_and_print(scenario, chosen, _rendered, engine)


def run_and_print(
    scenario: Scenario, chosen: argparse.Namespace, shown: Callable[[Results], str], engine: Engine | None = None
) -> int:
    """Run a scenario as the flags say, and print what is shown of its results; the exit code.

    shown: a function of a module, for another process may call it.
    """
    with loading():
        from simulator.lab.run import start_run

    return _read_out(
        lambda stop: start_run(
            scenario,
            chosen.out,
            command=chosen.said,
            workers=chosen.workers,
            engine=engine,
            quiet=chosen.quiet,
            should_stop=stop,
        ),
        shown,
        chosen,
    )


@contextlib.contextmanager
def _engine_of(chosen: argparse.Namespace, scenario: Scenario | None = None) -> Iterator[Engine | None]:
    """Who does the work. A scenario that it cannot do is refused before a cluster is looked for."""
    if chosen.engine == "local":
        yield None
        return
    from simulator.lab.ray_engine import Ray

    engine = Ray(chosen.ray_address)
    if scenario is not None:
        engine.check(scenario)
    with engine.open():
        yield engine


def _resume(chosen: argparse.Namespace) -> int:
    from simulator.lab.run import resume_run

    check_tensorboard(chosen)
    with _engine_of(chosen) as engine:
        return _read_out(
            lambda stop: resume_run(
                chosen.run_dir,
                workers=chosen.workers,
                engine=engine,
                quiet=chosen.quiet,
                should_stop=stop,
            ),
            _rendered,
            chosen,
        )


def _rendered(results: Results) -> str:
    return results.render()


# What reading a run out loads, and what drawing loads with its first figure.
READOUT = (
    "simulator.readout.plots.draw",
    "simulator.readout.report.write",
    "matplotlib.backends.backend_svg",
    "pandas",
    "PIL.PngImagePlugin",
)


@loading()
def _load_readout() -> None:
    for module in READOUT:
        importlib.import_module(module)
    from simulator.readout.report.write import load_templates

    load_templates()


@contextlib.contextmanager
def _reader() -> Iterator[Call]:
    """Who reads a run out at its end: a process that loads statistics and plots while the run goes on, which takes them seconds.

    With one core, or where they are there already, this process does.
    """
    if cores() == 1 or "simulator.readout.plots.draw" in sys.modules:
        yield lambda function, *arguments: function(*arguments)
        return
    with aside(_load_readout) as call:
        yield call


def _read_out(
    go: Callable[[Callable[[], bool]], RunFolder], shown: Callable[[Results], str], chosen: argparse.Namespace
) -> int:
    """Run or resume, with a stop in order on Ctrl-C and SIGTERM, and read the folder out."""
    with _reader() as call:
        try:
            with stop_on_signals("saving what was done") as stop:
                folder = go(stop)
        except RunFailed as failure:
            if failure.kind == "Stopped":
                tell(f"stopped; go on with: python -m simulator resume {failure.path}")
                return INTERRUPTED
            return say(failure, USERS_MISTAKE if failure.is_mistake else FAILED)
        try:
            if stop():  # asked for after the last tick
                raise KeyboardInterrupt
            print(call(_text_of, folder.path, shown, chosen))
        except KeyboardInterrupt:
            tell(f"the run is finished; read it out with: python -m simulator readout {folder.path}")
            return INTERRUPTED
    return OK


def _text_of(path: Path, shown: Callable[[Results], str], chosen: argparse.Namespace) -> str:
    """What to print of a run folder that is read out."""
    with loading():
        from simulator.readout import read_out

        results = read_out(path)
    write_scalars(chosen, results)
    return shown(results)
