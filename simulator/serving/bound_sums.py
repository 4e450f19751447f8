"""How much there is to win: what an oracle and random slates would earn of the same requests, and the world's own AUC.

The oracle ranks the candidates by how attractive they are to the user, which no model can do better: no slate of them has
more expected clicks, by position and by cascade alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reloop_stream.state.packing import part_of, prefixed
from simulator.scenario.sections import ORACLE, RANDOM, GreedyPolicy
from simulator.serving.exact_sums import BoundSum
from simulator.serving.slates import choose_slates
from simulator.world import Response, Tick

__all__ = ["BoundSums"]


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
        self._sums: dict[tuple[int, str], BoundSum] = {}

    def add(self, day: int, tick: Tick, response: Response, mine: slice | np.ndarray) -> None:
        """A tick of a day. mine: which requests are the arm's own; response: theirs to the slates that were served."""
        self._add(day, self._arm, tick.time_ms[mine], response)
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
            self._add(day, policy, tick.time_ms, tick.respond(slates.columns))

    def _add(self, day: int, policy: str, time_ms: np.ndarray, response: Response) -> None:
        label = response.click & (response.click_time_ms - time_ms[:, None] <= self._attribution_ms)
        shown = self._sums.setdefault((day, policy), BoundSum(day, policy))
        shown.add(response.probability, self._on_time, label)

    def sums(self) -> list[BoundSum]:
        """One a day and policy, of what was served here."""
        return list(self._sums.values())

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        meta: list[Any] = []
        arrays: dict[str, np.ndarray] = {}
        for i, one in enumerate(self._sums.values()):
            meta.append([one.day, one.policy, one.exposures, one.expected_clicks, one.cross_entropy])
            arrays |= prefixed(f"{i}/", one.quality.state())
        return {"sums": meta}, arrays

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._sums = {}
        for i, (day, policy, *sums) in enumerate(meta["sums"]):
            one = self._sums[day, policy] = BoundSum(day, policy, *sums)
            one.quality.restore(part_of(f"{i}/", arrays))
