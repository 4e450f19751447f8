"""How much there is to win: what an oracle and random slates would earn of the same requests, and the world's own AUC.

The oracle ranks the candidates by how attractive they are to the user, which no model can do better: no slate of them has
more expected clicks, by position and by cascade alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from reloop_stream.metrics import StreamMetrics
from reloop_stream.state.packing import part_of, prefixed
from simulator.run_folder.manifest import BoundRow
from simulator.run_folder.tables import as_value
from simulator.scenario.sections import ORACLE, RANDOM, GreedyPolicy
from simulator.serving.slates import choose_slates
from simulator.world import Response, Tick

__all__ = ["BoundSums"]


@dataclass(slots=True)
class _Shown:
    """What a policy showed on a day. quality: of the world's click probabilities, as predictions of the labels."""

    exposures: int = 0
    expected_clicks: float = 0.0
    quality: StreamMetrics = field(default_factory=StreamMetrics)

    def row(self, day: int, policy: str) -> BoundRow:
        quality = self.quality
        return BoundRow(
            day, policy, self.exposures, self.expected_clicks, as_value(quality.auc), as_value(quality.logloss)
        )


class BoundSums:
    """Sums by day and policy: of an arm's own users, and of everyone's requests by the oracle and at random.

    arm: whose slates are served here. beside: whether the oracle and random slates are served here too, which one server of
    a run does. A label is 1 where the click comes within `attribution_ms`, as the join has it; on_time: the share of clicks that do. Draws
    are those of the world and of its random requests, so that all policies meet the same luck.
    """

    def __init__(self, arm: str, *, beside: bool, slate: int, attribution_ms: int, on_time: float, seed: int) -> None:
        self.beside = beside
        self._arm = arm
        self._slate = slate
        self._attribution_ms = attribution_ms
        self._on_time = on_time
        self._seed = seed
        self._rows: list[BoundRow] = []
        self._day: int | None = None
        self._open: dict[str, _Shown] = {}

    def add(self, day: int, tick: Tick, response: Response, mine: slice | np.ndarray) -> None:
        """A tick of a day. response: to the slates that were served; mine: which requests are the arm's own."""
        if day != self._day:
            self._close()
            self._day = day
        self._add(self._arm, tick.time_ms[mine], response.take(mine))
        if not self.beside:
            return
        for policy, scores in ((ORACLE, tick.attractiveness()), (RANDOM, None)):
            slates = choose_slates(
                scores,
                tick.candidates.shape,
                self._slate,
                GreedyPolicy(),
                request_id=tick.request_id,
                random_share=0.0,
                seed=self._seed,
            )
            self._add(policy, tick.time_ms, tick.respond(slates.columns))

    def _add(self, policy: str, time_ms: np.ndarray, response: Response) -> None:
        shown = self._open.setdefault(policy, _Shown())
        shown.exposures += response.probability.size
        shown.expected_clicks += float(response.probability.sum())
        label = response.click & (response.click_time_ms - time_ms[:, None] <= self._attribution_ms)
        shown.quality.add(self._on_time * response.probability.ravel(), label.ravel())

    def _close(self) -> None:
        if self._day is not None:
            self._rows += [shown.row(self._day, policy) for policy, shown in self._open.items()]
        self._open = {}

    def rows(self) -> list[BoundRow]:
        """A row a day and policy, once all days are served."""
        self._close()
        return self._rows

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        meta = {
            "day": self._day,
            "rows": msgspec.to_builtins(self._rows),
            "open": {policy: [shown.exposures, shown.expected_clicks] for policy, shown in self._open.items()},
        }
        arrays: dict[str, np.ndarray] = {}
        for policy, shown in self._open.items():
            arrays |= prefixed(f"{policy}/", shown.quality.state())
        return meta, arrays

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._day = meta["day"]
        self._rows = msgspec.convert(meta["rows"], list[BoundRow])
        self._open = {policy: _Shown(*sums) for policy, sums in meta["open"].items()}
        for policy, shown in self._open.items():
            shown.quality.restore(part_of(f"{policy}/", arrays))
