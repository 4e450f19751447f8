"""python -m simulator replay: a data set's events into topics, for a learner in another process."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reloop_stream.commands.arguments import positive, whole
from reloop_stream.log import KAFKA, open_log
from reloop_stream.runtime.exits import INTERRUPTED, OK, tell
from reloop_stream.runtime.stopping import stop_on_signals
from simulator.commands.scenario import add_overrides, overrides_of
from simulator.errors import ScenarioError

if TYPE_CHECKING:
    from reloop_stream.events import Column
    from reloop_stream.serving.scores import Scores

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add `replay` to the subparsers."""
    replay = commands.add_parser(
        "replay",
        help="feed topics with a data set's events, for a learner in another process",
        description="Write the exposures and clicks of a scenario's data set to topics, stamped as they pass, as fast as "
        "possible or as its clock ran. A learner of its own (`python -m reloop_stream learn`) reads them; with its snapshots "
        "given here, its versions stamp.",
        epilog="example: python -m simulator replay replay-movielens --log kafka://localhost:9092 --snapshots learner/snapshots",
    )
    replay.add_argument("scenario", help="a YAML file with `data`, or the name of such a scenario")
    replay.add_argument(
        "--log",
        dest="to",
        required=True,
        metavar="URL",
        help="kafka://HOST:PORT[,HOST:PORT], or an embedded log's folder",
    )
    replay.add_argument("--exposures", default="exposures", metavar="TOPIC", help="(default: exposures)")
    replay.add_argument("--clicks", default="clicks", metavar="TOPIC", help="(default: clicks)")
    replay.add_argument(
        "--partitions", type=whole, default=1, metavar="N", help="of topics that are not there yet (default: 1)"
    )
    replay.add_argument(
        "--encoding",
        choices=["json", "arrow"],
        default="json",
        help="json: an event a record. arrow: a batch a record, faster",
    )
    replay.add_argument(
        "--pace",
        type=positive,
        metavar="N",
        help="N times real time, by the data's clock (default: as fast as possible)",
    )
    replay.add_argument(
        "--snapshots",
        type=Path,
        metavar="DIR",
        help="the folder that the learner publishes to; its versions then stamp",
    )
    add_overrides(replay)
    replay.add_argument("--quiet", action="store_true", help="no progress on stderr")
    replay.set_defaults(carry_out=_replay)


def _replay(chosen: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from simulator.datasets.prepared import unless
    from simulator.replay.pace import Pace
    from simulator.replay.publish import Published, Target, publish
    from simulator.replay.stream import ReplayStream, prepare_rows
    from simulator.scenario import find_scenario, load_scenario

    scenario = load_scenario(find_scenario(chosen.scenario), overrides_of(chosen))
    if scenario.data is None:
        raise ScenarioError(f"{scenario.name}: has no data to replay; `run` runs a simulated feed")
    place = chosen.to if chosen.to.startswith(KAFKA) else Path(chosen.to)
    target = Target(chosen.exposures, chosen.clicks, chosen.partitions, chosen.encoding)
    with (
        tempfile.TemporaryDirectory(prefix="reloop-replay-") as folder,
        stop_on_signals("writing what has been stamped") as stop,
        prepare_rows(scenario, Path(folder) / "rows", unless(stop)) as prepared,
    ):
        stream = ReplayStream.of(scenario, prepared)
        for said in (*stream.warnings, *stream.notes):
            tell(said)
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        started = time.monotonic()
        with (
            open_log(place, unavailable_after_s=scenario.log.unavailable_after_s, settings=scenario.log.kafka) as log,
            _scoring(chosen.snapshots, stream.base_rate) as score,
            Progress(
                *columns, console=console, transient=True, disable=chosen.quiet or not console.is_terminal
            ) as progress,
        ):
            task = progress.add_task("replaying", total=stream.rows, rate="")

            def told(done: Published) -> None:
                rate = done.exposures / max(time.monotonic() - started, 1e-9)
                progress.update(
                    task,
                    completed=done.exposures,
                    description=f"{_when(done.time_ms)}  version {done.version}",
                    rate=f"{rate:,.0f} exposures/s",
                )

            done = publish(stream, log, target, score, Pace(chosen.pace), told, stop)
    seconds = time.monotonic() - started
    print(
        f"{done.exposures:,} exposures to {chosen.exposures}, {done.clicks:,} clicks to {chosen.clicks}, up to "
        f"{_when(done.time_ms)}, in {seconds:.1f} s ({done.exposures / seconds:,.0f} exposures/s); last stamped by version {done.version}"
    )
    return INTERRUPTED if stop.was_ctrl_c else OK


@contextlib.contextmanager
def _scoring(snapshots: Path | None, base_rate: float) -> Iterator[Callable[[Mapping[str, Column]], Scores]]:
    """By the newest version in a folder; by the base rate, as version 0, where none is named."""
    from reloop_stream.learners.base import BaseRate
    from reloop_stream.serving.scorer import Scorer
    from reloop_stream.serving.scores import Scores

    if snapshots is None:
        base = BaseRate(base_rate)
        yield lambda features: Scores(base.predict(features), base.name, base.version)
        return
    with Scorer(snapshots, base_rate=base_rate) as scorer:
        yield scorer.score


def _when(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
