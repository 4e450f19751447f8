"""The simulated feed: a world of users and items, served by models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reloop_stream.codec.arrays import numbers, texts
from reloop_stream.config import FieldConfig
from reloop_stream.learners.base import BaseRate
from simulator.errors import ScenarioError
from simulator.experiment.assignment import Assignment
from simulator.experiment.calendar import Calendar
from simulator.experiment.shards import Shards
from simulator.experiment.strides import in_strides
from simulator.scenario import Scenario
from simulator.scenario.scenario import HASHED_BUCKETS
from simulator.serving.bound_sums import BoundSums
from simulator.serving.deployments import Deployments
from simulator.serving.event_writer import EventWriter
from simulator.serving.feed_server import FeedServer
from simulator.serving.item_facts import ItemFacts
from simulator.serving.shared_ticks import SharedTicks
from simulator.serving.slates import is_random_request
from simulator.world import DAY_MS, EPOCH_MS, World
from simulator.world.delay import share_within
from simulator.world.items import held_ticks

__all__ = ["SimulatedFeed", "feed_calendar"]


def _requests_a_day(scenario: Scenario) -> float:
    assert scenario.world is not None
    return scenario.world.users.n * scenario.world.users.requests_per_day


def feed_calendar(scenario: Scenario, at_once: int) -> Calendar:
    """The calendar of a scenario with a world. at_once: see `in_strides`."""
    assert scenario.world is not None
    ticks = Calendar.regular(
        start_ms=EPOCH_MS,
        tick_ms=scenario.tick_ms,
        day_ms=DAY_MS,
        days=scenario.phases.days,
        attribution_ms=scenario.attribution_ms,
    )
    requests = _requests_a_day(scenario) * scenario.tick_ms / DAY_MS
    held = held_ticks(scenario.world.items, scenario.tick_ms)
    return in_strides(ticks, scenario, requests, scenario.world.candidates.k, held, at_once)


class SimulatedFeed:
    """A `Feed` of a scenario with a world. calendar: what `feed_calendar` makes of the scenario, or of another that differs in its
    arms alone."""

    kind: Literal["simulation"] = "simulation"
    has_truth = True
    top = ()

    def __init__(self, scenario: Scenario, assignment: Assignment, shards: Shards, calendar: Calendar) -> None:
        assert scenario.world is not None
        self._scenario = scenario
        self._config = scenario.world
        self._assignment = assignment
        self._shards = shards
        self.base_rate = self._config.ctr
        self.expected_exposures = round(
            sum(scenario.phases.days.values()) * _requests_a_day(scenario) * scenario.serving.slate
        )
        self.calendar = calendar

    @cached_property
    def world(self) -> World:
        """Raises ScenarioError where these knobs cannot give the wanted CTR."""
        scenario = self._scenario
        try:
            return World(self._config, scenario.seed.world, scenario.tick_ms, scenario.serving.slate)
        except ValueError as error:
            raise ScenarioError(f"{scenario.name}: {error}") from None

    @cached_property
    def ticks(self) -> SharedTicks:
        """Of this process's servers."""
        return SharedTicks(self.world, self.calendar)

    def prepare(self, rows: Path, told: Callable[[int], None]) -> tuple[list[str], list[str]]:
        _ = self.world
        return [], []

    def close(self) -> None:
        """Nothing is open."""

    @cached_property
    def fields(self) -> list[FieldConfig]:
        """Those of the scenario, or every field of the world, exact where its size is known."""
        if self._scenario.features is not None:
            return self._scenario.features
        return [
            FieldConfig(name=name, mode="hashed", buckets=HASHED_BUCKETS)
            if size is None
            else FieldConfig(name=name, mode="exact", buckets=size)
            for name, size in self.world.field_sizes.items()
        ]

    @cached_property
    def arm_of_user(self) -> np.ndarray:
        """The number of each user's arm, int32 [users]."""
        return self._assignment.arms(np.arange(self.world.n_users))

    @cached_property
    def shard_of_user(self) -> np.ndarray:
        """The number of each user's shard, int64 [users]."""
        return self._shards.of_users(np.arange(self.world.n_users))

    @cached_property
    def items(self) -> ItemFacts:
        return ItemFacts(self.world.items, self._config.items.topics, self._scenario.tick_ms)

    def segments(self) -> Mapping[str, Any]:
        names = [arm.name for arm in self._scenario.arms]
        return {**self.world.segments(), "arm": texts(names).take(numbers(self.arm_of_user))}

    def is_random(self, request_id: np.ndarray) -> np.ndarray:
        return is_random_request(request_id, self._scenario.serving.random_share, self._scenario.seed.world)

    def server(
        self,
        serves: Sequence[int],
        shard: int,
        deployments: Deployments,
        writer: EventWriter,
        *,
        truth: bool,
        bounds: bool,
    ) -> FeedServer:
        scenario, names = self._scenario, [arm.name for arm in self._scenario.arms]
        sums = None
        if bounds:
            sums = BoundSums(
                names[serves[0]],
                beside=0 in serves,
                slate=scenario.serving.slate,
                attribution_ms=scenario.attribution_ms,
                on_time=share_within(self._config.delay, scenario.attribution_ms),
                seed=scenario.seed.world,
            )
        return FeedServer(
            self.ticks,
            self.calendar,
            scenario.serving,
            deployments,
            writer,
            arms=names,
            arm_of_user=self.arm_of_user,
            shard_of_user=self.shard_of_user,
            shards=self._shards,
            serves=serves,
            shard=shard,
            base_rate=BaseRate(self.base_rate),
            truth=truth,
            bounds=sums,
            seed=scenario.seed.world,
        )
