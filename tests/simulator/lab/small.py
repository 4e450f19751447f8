"""A small run by hand: its stages done by any number of hands, and gone on with where it was stopped."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from reloop_stream.config import apply_overrides
from simulator.experiment.shards import WHOLE, Shards
from simulator.experiment.stages import Share, Stage, plan_stages, spread
from simulator.experiment.strides import AT_ONCE
from simulator.lab.crew import Crew, Hand, News
from simulator.lab.parts import Lab
from simulator.lab.place import RunPlace
from simulator.lab.reports import DayClosed, Saved, ServerSaved, StageFinished, Told
from simulator.lab.retention import Retention
from simulator.serving.exact_sums import bound_rows, truth_rows
from tests.conftest import TINY

__all__ = ["Small"]


class Threads:
    """Hands that are threads of this process: as many, and as far apart, as processes, and begun at once. Not for torch models,
    whose first weights are drawn from a generator that a process has one of."""

    def __init__(self, n: int, raw: dict[str, Any], place: RunPlace) -> None:
        self.size = n
        self._hands = [Hand(raw, place) for _ in range(n)]
        self._stop = threading.Event()
        self._said: queue.Queue[News] = queue.Queue()

    def begin(self, stage: Stage, before: Stage | None, shares: Sequence[Share]) -> int:
        def work(hand: Hand, share: Share) -> None:
            said = hand.work(stage, before, share, lambda told: self._said.put(("report", told)), self._stop.is_set)
            self._said.put(said)

        busy = [(hand, share) for hand, share in zip(self._hands, shares, strict=True) if any(share)]
        for one in busy:
            threading.Thread(target=work, args=one, daemon=True).start()
        return len(busy)

    def news(self, timeout_s: float) -> list[News]:
        try:
            return [self._said.get(timeout=timeout_s)]
        except queue.Empty:
            return []

    def stop(self) -> None:
        self._stop.set()

    def close(self, patience_s: float) -> None:
        """They end by themselves."""


class Small:
    """A small run, by hand: `go` does its stages, by any number of hands, and goes on where it was stopped."""

    def __init__(
        self, folder: Path, overrides: tuple[str, ...], shards: Shards = WHOLE, at_once: int = AT_ONCE
    ) -> None:
        (folder / "days").mkdir(parents=True)
        self._raw = apply_overrides(yaml.safe_load(TINY), ("phases.warmup_days=0", *overrides))
        self._place = RunPlace(folder, "embedded", "run", shards=shards, at_once=at_once)
        self._lab = Lab.from_raw(self._raw, self._place)
        self._lab.log.create_topics(dict.fromkeys(self._place.topics, len(self._lab.names) * shards.n))
        self._done: set[str] = set()
        self._days: dict[Any, Any] = {}
        self._ends: list[StageFinished] = []

    def go(self, hands: int = 1, stop_at: Callable[[Told], bool] = lambda told: False) -> None:
        """stop_at: what is told when it is to be stopped."""
        lab = Lab.from_raw(self._raw, self._place)
        crew = Crew(lab, Threads(hands, self._raw, self._place) if hands > 1 else None)
        stop = threading.Event()
        before: Stage | None = None
        for stage in plan_stages(self._lab.scenario, self._lab.calendar, self._place.shards):
            retention, ends = Retention(self._lab, stage), list[StageFinished]()

            def report(told: Told, retention: Retention = retention, ends: list[StageFinished] = ends) -> None:
                match told:
                    case ServerSaved():
                        retention.server_saved(told)
                    case Saved():
                        retention.learner_saved(told)
                    case DayClosed():
                        self._days[told.row["day"], told.row["arm"]] = dict(told.row)
                    case StageFinished():
                        ends.append(told)
                if stop_at(told):
                    stop.set()

            if stage.name not in self._done:
                crew.run(stage, before, spread(stage, hands), report, stop.is_set)
                self._done.add(stage.name)
                self._ends += ends
            before = stage
        crew.close()
        lab.close()

    @property
    def ticks(self) -> int:
        return self._lab.calendar.ticks

    def found(self) -> str:
        """Of days, truths, bounds and learners; as text, in which NaN is itself."""
        truth = truth_rows((one for end in self._ends for one in end.truth), "experiment")
        bounds = bound_rows(one for end in self._ends for one in end.bounds)
        learners = [(name, outcome) for end in self._ends for name, outcome in end.learners.items()]
        assert all(outcome.counts["joined"] for _, outcome in learners) and len(self._days) == 2 * len(self._lab.names)
        return repr([sorted(self._days.items()), *(sorted(rows, key=repr) for rows in (truth, bounds, learners))])
