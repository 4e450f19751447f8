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
from simulator.experiment.shards import Shards
from simulator.scenario import ServingConfig
from simulator.serving.bound_sums import BoundSums
from simulator.serving.deployments import Deployments, Thaw
from simulator.serving.event_writer import EventWriter
from simulator.serving.exact_sums import BoundSum, TruthSum
from simulator.serving.shared_ticks import SharedTicks
from simulator.serving.slates import choose_slates
from simulator.world import Response, Tick, exposure_ids

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

    def restore(self, states: Sequence[Mapping[str, np.ndarray]], partitions: Sequence[int] | None) -> None:
        """Put back the clicks of these partitions, None for all, out of what several held."""
        names = ("partition", "exposure_id", "event_ms", "click_ms")
        every = tuple(np.concatenate([state[name] for state in states]) for name in names)
        keep = slice(None) if partitions is None else np.isin(every[0], partitions)
        self._columns = tuple(column[keep] for column in every)

    def move_to(self, partition: int) -> None:
        """All of them belong to this partition now."""
        self._columns = (np.full_like(self._columns[0], partition), *self._columns[1:])


class FeedServer:
    """Serves the simulated feed to a shard of the users of some arms, with one deployed model at a time.

    ticks: where the world's come from. arms: the names of all arms. arm_of_user, shard_of_user: int [users]; shards: how many there are.
    serves, shard: numbers of the arms, and of the shard, whose users are served here and whose events are written here.
    truth: everyone of the shard is served by this model for the arm's true CTR; only `serves` is written. bounds: where it is
    summed how much there was to win, of the one arm that is served; None: nowhere.
    """

    def __init__(
        self,
        ticks: SharedTicks,
        calendar: Calendar,
        config: ServingConfig,
        deployments: Deployments,
        writer: EventWriter,
        *,
        arms: Sequence[str],
        arm_of_user: np.ndarray,
        shard_of_user: np.ndarray,
        shards: Shards,
        serves: Sequence[int],
        shard: int,
        base_rate: BaseRate,
        truth: bool,
        bounds: BoundSums | None,
        seed: int,
    ) -> None:
        self.tick = -1
        self.deployments = deployments
        self.writer = writer
        self.exposures = 0  # written by this server, in this process
        self._ticks = ticks
        self._calendar = calendar
        self._config = config
        self._arms = list(arms)
        self._arm_of_user = arm_of_user
        self._partitions = {arm: shards.partition(arm, shard) for arm in serves}
        self._base_rate = base_rate
        self._seed = seed
        everyone = truth or len(serves) == len(self._arms) or (bounds is not None and bounds.beside)
        self._users = shard_of_user == shard
        if not everyone:
            self._users &= np.isin(arm_of_user, serves)
        ticks.join(self._users)
        self._truth = [TruthSum(day, arms[serves[0]]) for day in range(calendar.days)] if truth else []
        self._bounds = bounds
        self._pending = PendingClicks()

    def serve(self, tick: int) -> None:
        """Serve one tick and append its events and marks. Raises FeedStopped while it waits for a version."""
        if tick < self._calendar.serving_ticks:
            random = self._calendar.phase_of_tick(tick) == "warmup"
            model = self.deployments.serving(tick)
            self._show(self._ticks.at(tick, self._users), tick, model, random)
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
        shown = tick_world.show(slates.columns)
        if self._truth:
            self._truth[self._calendar.day_of_tick(tick)].add(shown.probability())
        arm_of_request = self._arm_of_user[tick_world.user]
        if scores is None:
            pctr = np.broadcast_to(self._base_rate.rate, slates.columns.shape)
        else:
            pctr = np.take_along_axis(scores, slates.columns, axis=1)
        for arm in self._partitions:
            rows = slice(None) if (arm_of_request == arm).all() else np.flatnonzero(arm_of_request == arm)
            self._append(tick_world, tick, arm, rows, slates.columns[rows], slates.propensity[rows], pctr[rows], model)
            response = shown.respond(rows)
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
        self.writer.exposures(self._partitions[arm], batch, tick)

    def _draw_clicks(self, tick_world: Tick, arm: int, rows: Any, response: Response) -> None:
        clicked_rows, positions = np.nonzero(response.click)
        if not len(clicked_rows):
            return
        click_ms = response.click_time_ms[clicked_rows, positions]
        ids = exposure_ids(tick_world.request_id[rows], response.click.shape[1])[clicked_rows, positions]
        self._pending.add(self._partitions[arm], ids, tick_world.time_ms[rows][clicked_rows], click_ms)

    def truth_sums(self) -> list[TruthSum]:
        """What everyone of the shard would have clicked under this arm's model: one a day of A/B."""
        return [one for one in self._truth if self._calendar.phases[one.day] == "ab"]

    def bound_sums(self) -> list[BoundSum]:
        """How much there was to win: one a day of A/B and policy, where it was asked for."""
        return [] if self._bounds is None else self._bounds.sums()

    def checkpoint(self) -> Sections:
        """Flush, then the server's whole state: clicks not yet due, deployed versions, sums, ends of the log."""
        self.writer.flush()
        sections = Sections()
        truth = [[one.exposures, one.expected_clicks] for one in self._truth]
        meta = {"tick": self.tick, "ends": self.writer.ends(), "truth": truth}
        sections.put("server", meta, self._pending.state())
        if self._bounds is not None:
            sections.put("bounds", *self._bounds.state())
        self.deployments.put_into(sections)
        return sections

    def restore(self, sections: Sections, thaw: Thaw) -> None:
        """Go on from this server's checkpoint."""
        meta, _ = sections.get("server")
        self._go_on([sections], thaw)
        for one, (exposures, expected_clicks) in zip(self._truth, meta["truth"], strict=True):
            one.exposures, one.expected_clicks = exposures, expected_clicks
        if self._bounds is not None:
            self._bounds.restore(*sections.get("bounds"))
        self.writer.resume_after(meta["ends"])

    def fork(self, before: Sequence[Sections], thaw: Thaw, *, is_elsewhere: bool) -> None:
        """Go on from the servers that served this server's users before.

        is_elsewhere: they did so in another log: all of their clicks that are not due yet go to this server's first partition.
        """
        self._go_on(before, thaw, is_elsewhere=is_elsewhere)

    def _go_on(self, before: Sequence[Sections], thaw: Thaw, *, is_elsewhere: bool = False) -> None:
        found = [sections.get("server") for sections in before]
        self.tick = found[0][0]["tick"]
        partitions = list(self._partitions.values())
        self._pending.restore([arrays for _, arrays in found], None if is_elsewhere else partitions)
        if is_elsewhere:
            self._pending.move_to(partitions[0])
        self.deployments.get_from(before[0], thaw)

    def close(self) -> None:
        self._ticks.leave(self._users)
        self.deployments.close()
        self.writer.close()
