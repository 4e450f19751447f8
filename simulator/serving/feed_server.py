"""Serving the simulated feed: candidates → scores → slate → stamped exposures, and the clicks that answer them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reloop_stream.events import ClickBatch
from reloop_stream.learners.base import BaseRate, FrozenModel
from reloop_stream.serving.scores import Scores
from reloop_stream.state.checkpoint import Sections
from simulator.experiment.calendar import Calendar
from simulator.run_folder.manifest import BoundRow, TruthRow
from simulator.scenario import ServingConfig
from simulator.serving.bound_sums import BoundSums
from simulator.serving.deployments import Deployments, Thaw
from simulator.serving.event_writer import EventWriter
from simulator.serving.slates import choose_slates
from simulator.world import Tick, World, exposure_ids

__all__ = ["FeedServer", "PendingClicks"]


class PendingClicks:
    """Clicks that have been drawn and whose time has not come."""

    def __init__(self) -> None:
        self._columns = tuple(np.zeros(0, dtype=np.int64) for _ in range(4))

    def add(self, partition: int, exposure_id: np.ndarray, event_ms: np.ndarray, click_ms: np.ndarray) -> None:
        """All int64 [n]; `partition` is that of the exposures."""
        fresh = (np.full(len(exposure_id), partition, dtype=np.int64), exposure_id, event_ms, click_ms)
        self._columns = tuple(np.concatenate(pair) for pair in zip(self._columns, fresh, strict=True))

    def due(self, before_ms: int) -> dict[int, ClickBatch]:
        """Take out the clicks of an earlier time, by partition, in the order (click time, exposure)."""
        is_due = self._columns[3] < before_ms
        if not is_due.any():
            return {}
        partition, exposure_id, event_ms, click_ms = (column[is_due] for column in self._columns)
        self._columns = tuple(column[~is_due] for column in self._columns)
        order = np.lexsort((exposure_id, click_ms))
        found = {}
        for number in np.unique(partition).tolist():
            rows = order[partition[order] == number]
            found[number] = ClickBatch(exposure_id[rows], event_ms[rows], click_ms[rows])
        return found

    def state(self) -> dict[str, np.ndarray]:
        return dict(zip(("partition", "exposure_id", "event_ms", "click_ms"), self._columns, strict=True))

    def restore(self, state: Mapping[str, np.ndarray], partitions: Sequence[int]) -> None:
        """Put back the clicks of these partitions."""
        keep = np.isin(state["partition"], partitions)
        self._columns = tuple(state[name][keep] for name in ("partition", "exposure_id", "event_ms", "click_ms"))


class FeedServer:
    """Serves the simulated feed to the users of some arms, with one deployed model at a time.

    arms: the names of all arms; an arm's number is its partition. arm_of_user: int [users].
    serves: numbers of the arms whose users are served here and whose events are written here.
    truth: everyone is served by this model for the arm's true CTR; only `serves` is written. bounds: where it is summed how much
    there was to win, of the one arm that is served; None: nowhere.
    """

    def __init__(
        self,
        world: World,
        calendar: Calendar,
        config: ServingConfig,
        deployments: Deployments,
        writer: EventWriter,
        *,
        arms: Sequence[str],
        arm_of_user: np.ndarray,
        serves: Sequence[int],
        base_rate: BaseRate,
        truth: bool,
        bounds: BoundSums | None,
        seed: int,
    ) -> None:
        self.tick = -1
        self.deployments = deployments
        self.writer = writer
        self.exposures = 0  # written by this server, in this process
        self._world = world
        self._calendar = calendar
        self._config = config
        self._arms = list(arms)
        self._arm_of_user = arm_of_user
        self._serves = list(serves)
        self._base_rate = base_rate
        self._seed = seed
        everyone = truth or len(self._serves) == len(self._arms) or (bounds is not None and bounds.beside)
        self._users = None if everyone else np.isin(arm_of_user, self._serves)
        self._truth = np.zeros((calendar.days, 2)) if truth else None  # exposures, expected clicks
        self._bounds = bounds
        self._pending = PendingClicks()

    def serve(self, tick: int) -> None:
        """Serve one tick and append its events and marks. Raises FeedStopped while it waits for a version."""
        if tick < self._calendar.serving_ticks:
            random = self._calendar.phase_of_tick(tick) == "warmup"
            model = self.deployments.serving(tick)
            self._show(self._world.tick(tick, self._users), tick, model, random)
        end_ms = int(self._calendar.bounds_ms[tick + 1])
        for partition, clicks in self._pending.due(end_ms).items():
            self.writer.clicks(partition, clicks, tick)
        self.writer.end_tick(tick, end_ms)
        self.tick = tick

    def _show(self, tick_world: Tick, tick: int, model: FrozenModel, random: bool) -> None:
        requests, k = tick_world.candidates.shape
        if not requests:
            return
        scores = None
        if not random:
            scores = model.score_candidates(
                tick_world.request_features, tick_world.item_features, tick_world.candidates
            )
        slates = choose_slates(
            scores,
            (requests, k),
            self._config.slate,
            self._config.policy,
            request_id=tick_world.request_id,
            random_share=self._config.random_share,
            seed=self._seed,
        )
        response = tick_world.respond(slates.columns)
        if self._truth is not None:
            sums = (response.probability.size, response.probability.sum())
            self._truth[self._calendar.day_of_tick(tick)] += sums
        arm_of_request = self._arm_of_user[tick_world.user]
        if scores is None:
            pctr = np.broadcast_to(self._base_rate.rate, slates.columns.shape)
        else:
            pctr = np.take_along_axis(scores, slates.columns, axis=1)
        for arm in self._serves:
            rows = slice(None) if (arm_of_request == arm).all() else np.flatnonzero(arm_of_request == arm)
            self._append(tick_world, tick, arm, rows, slates.columns[rows], slates.propensity[rows], pctr[rows], model)
            self._draw_clicks(tick_world, arm, rows, response)
            if self._bounds is not None:
                self._bounds.add(self._calendar.day_of_tick(tick), tick_world, response, rows)

    def _append(
        self,
        tick_world: Tick,
        tick: int,
        arm: int,
        rows: Any,
        columns: np.ndarray,
        propensity: np.ndarray,
        pctr: np.ndarray,
        model: FrozenModel,
    ) -> None:
        requests, slate = columns.shape
        if not requests:
            return
        request_id = tick_world.request_id[rows]
        item_rows = np.take_along_axis(tick_world.candidates[rows], columns, axis=1).ravel()
        features = {name: np.repeat(column[rows], slate) for name, column in tick_world.request_features.items()}
        features |= {name: column[item_rows] for name, column in tick_world.item_features.items()}
        batch = Scores(pctr.ravel(), model.name, model.version).exposures(
            request_id=np.repeat(request_id, slate),
            exposure_id=exposure_ids(request_id, slate).ravel(),
            event_time_ms=np.repeat(tick_world.time_ms[rows], slate),
            user_id=np.repeat(tick_world.user[rows], slate),
            item_id=tick_world.item_ids[item_rows],
            arm=self._arms[arm],
            position=np.tile(np.arange(slate, dtype=np.int32), requests),
            n_candidates=tick_world.candidates.shape[1],
            propensity=propensity.ravel(),
            features=features,
        )
        self.exposures += len(batch)
        self.writer.exposures(arm, batch, tick)

    def _draw_clicks(self, tick_world: Tick, arm: int, rows: Any, response: Any) -> None:
        clicked_rows, positions = np.nonzero(response.click[rows])
        if not len(clicked_rows):
            return
        click_ms = response.click_time_ms[rows][clicked_rows, positions]
        ids = exposure_ids(tick_world.request_id[rows], response.click.shape[1])[clicked_rows, positions]
        self._pending.add(arm, ids, tick_world.time_ms[rows][clicked_rows], click_ms)

    def truth_rows(self, arm: str) -> list[TruthRow]:
        """What everyone would have clicked on average under this arm's model: a row a day of A/B."""
        if self._truth is None:
            return []
        return [
            TruthRow("experiment", day, arm, int(shown), float(expected))
            for day, (shown, expected) in enumerate(self._truth)
            if self._calendar.phases[day] == "ab"
        ]

    def bound_rows(self) -> list[BoundRow]:
        """How much there was to win: a row a day of A/B and policy, where it was asked for."""
        return [] if self._bounds is None else self._bounds.rows()

    def checkpoint(self) -> Sections:
        """Flush, then the server's whole state: clicks not yet due, deployed versions, sums, ends of the log."""
        self.writer.flush()
        sections = Sections()
        truth = {} if self._truth is None else {"truth": self._truth}
        sections.put("server", {"tick": self.tick, "ends": self.writer.ends()}, self._pending.state() | truth)
        if self._bounds is not None:
            sections.put("bounds", *self._bounds.state())
        self.deployments.put_into(sections)
        return sections

    def restore(self, sections: Sections, thaw: Thaw, *, same_run: bool = True) -> None:
        """Go on from a checkpoint: of this server, or (a fork) of the one that served this server's users before.

        same_run: whether the log is the one that the checkpoint was taken on.
        """
        meta, arrays = sections.get("server")
        self.tick = meta["tick"]
        self._pending.restore(arrays, self._serves)
        if self._truth is not None and "truth" in arrays:
            self._truth = arrays["truth"].copy()
        if self._bounds is not None and "bounds" in sections:  # those of before a fork have none
            self._bounds.restore(*sections.get("bounds"))
        self.deployments.get_from(sections, thaw)
        if same_run:
            self.writer.resume_after(meta["ends"])

    def close(self) -> None:
        self.writer.close()
