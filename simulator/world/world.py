"""The world: a tick of requests with their context and candidates, and the response to the slates it is shown.

It knows nothing of models, arms or logs. Every draw is a pure function of the seed and the ids, so a tick can be
computed by anyone, for any part of the users, in any order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from simulator.world.arrivals import MAX_REQUESTS, Arrivals
from simulator.world.choice import click_probability, draw_clicks
from simulator.world.clock import DAY_MS, EPOCH_MS, HOUR_MS
from simulator.world.config import WorldConfig
from simulator.world.delay import click_delay_ms
from simulator.world.draws import normal, uniform
from simulator.world.drift import drift_level
from simulator.world.items import AGE_BUCKETS, ItemPool, LiveItems
from simulator.world.retrieval import Retrieval
from simulator.world.users import AGE_BANDS, DEVICES, REGIONS, Users

__all__ = ["MAX_SLATE", "Response", "Tick", "World", "exposure_ids"]

# A request id is user · 2^31 + tick · 2^5 + sequence; an exposure id is request id · 2^6 + position.
SEQUENCE_BITS = 5
TICK_BITS = 26
POSITION_BITS = 6
MAX_SLATE = 1 << POSITION_BITS
assert MAX_REQUESTS < 1 << SEQUENCE_BITS
CALIBRATION_REQUESTS = 20_000  # sampled to calibrate the base rate: its standard error is about half a percent
HOURS = 24


def exposure_ids(request_id: np.ndarray, slate: int) -> np.ndarray:
    """int64 [R, slate] from request ids [R]."""
    return (request_id[:, None] << POSITION_BITS) | np.arange(slate)


@dataclass(frozen=True, slots=True)
class Response:
    """What became of slates [R, S]. click: bool. click_time_ms: int64, where clicked. probability: float64, the truth."""

    click: np.ndarray
    click_time_ms: np.ndarray
    probability: np.ndarray

    def take(self, rows: slice | np.ndarray) -> Response:
        """That to some of the slates."""
        return Response(self.click[rows], self.click_time_ms[rows], self.probability[rows])


@dataclass(frozen=True, slots=True)
class Tick:
    """The requests of a tick, in the order of time. Request columns are [R], item columns [N]."""

    start_ms: int
    user: np.ndarray  # int64
    sequence: np.ndarray
    request_id: np.ndarray
    time_ms: np.ndarray
    request_features: dict[str, np.ndarray]  # int32
    item_ids: np.ndarray  # int64
    item_features: dict[str, np.ndarray]  # int32
    candidates: np.ndarray  # int32 [R, K], rows of the items
    _world: World = field(repr=False)
    _items: LiveItems = field(repr=False)

    def respond(self, slates: np.ndarray) -> Response:
        """slates: int [R, S], which candidate (column) is shown at which position."""
        rows = np.take_along_axis(self.candidates, slates, axis=1)
        return self._world.respond(self, self._items, rows)

    def attractiveness(self) -> np.ndarray:
        """Probability of a click on each candidate if it is looked at, float64 [R, K]: what an oracle ranks by."""
        return self._world.attractiveness(self, self._items, self.candidates)

    def expected_clicks(self, slates: np.ndarray) -> np.ndarray:
        """Probability of a click, float64 [R, S]; draws nothing."""
        rows = np.take_along_axis(self.candidates, slates, axis=1)
        return self._world.probabilities(self, self._items, rows)


class World:
    """The feed that a configuration and a seed describe.

    tick_ms: length of a tick. slate: items a request is shown, for which the base rate is calibrated.
    """

    request_fields = ("user_id", "age_band", "region", "device", "hour")
    item_fields = ("item_id", "topic", "age_bucket")

    def __init__(self, config: WorldConfig, seed: int, tick_ms: int, slate: int) -> None:
        if not 1 <= slate <= MAX_SLATE:
            raise ValueError(f"slate: got {slate}, must be in [1, {MAX_SLATE}]")
        self.config = config
        self._seed = seed
        self._tick_ms = tick_ms
        self._slate = slate
        self.users = Users(config.users, seed)
        self.items = ItemPool(config.items, config.users.taste_dimensions, seed)
        self.arrivals = Arrivals(config.arrivals, self.users, seed, tick_ms)
        # Unit variance of taste × item over √d dimensions makes one standard deviation one unit.
        self._taste_scale = config.choice.taste / math.sqrt(config.users.taste_dimensions)
        affinity = self.users.segment_tastes("taste") @ self.items.topic_vectors.T
        self._retrieval = Retrieval(config.candidates, affinity / math.sqrt(config.users.taste_dimensions), seed)
        hours, topics = np.arange(HOURS)[:, None], np.arange(config.items.topics)[None, :]
        self._context = config.choice.context * normal(seed, "context", hours, topics)
        ids = np.arange(config.users.n)
        self._is_bot = uniform(seed, "user/bot", ids) < config.noise.bot_share
        self._blend: tuple[float, np.ndarray] = (0.0, self.users.tastes)
        self._base = 0.0
        self._base = self._calibrate()

    @property
    def n_users(self) -> int:
        return self.config.users.n

    @property
    def base_rate(self) -> float:
        return self.config.ctr

    @property
    def field_sizes(self) -> dict[str, int | None]:
        """How many values each feature has; None where new ones keep coming."""
        return {
            "user_id": self.n_users,
            "age_band": AGE_BANDS,
            "region": REGIONS,
            "device": DEVICES,
            "hour": HOURS,
            "item_id": None,
            "topic": self.config.items.topics,
            "age_bucket": AGE_BUCKETS,
        }

    def segments(self) -> dict[str, np.ndarray]:
        """Users' observed attributes and activity, [n_users] each."""
        users = self.users
        return {
            "user_id": np.arange(self.n_users),
            "age_band": users.age_band,
            "region": users.region,
            "device": users.device,
            "activity": users.activity,
            "is_bot": self._is_bot,
        }

    def tick(self, tick: int, users: np.ndarray | None = None) -> Tick:
        """The requests of a tick. users: bool [n_users], whose to compute; None for all."""
        if not 0 <= tick < 1 << TICK_BITS:
            raise ValueError(f"tick: got {tick}, must be in [0, {1 << TICK_BITS})")
        start_ms = EPOCH_MS + tick * self._tick_ms
        requests = self.arrivals.at(tick, users)
        user = requests.user
        request_id = (user << (TICK_BITS + SEQUENCE_BITS)) | (tick << SEQUENCE_BITS) | requests.sequence
        items = self.items.at(start_ms)
        drifted = drift_level(self.config.drift, "popularity", start_ms)
        popularity = (1 - drifted) * items.log_popularity + drifted * items.log_popularity_drifted
        candidates = self._retrieval.at(tick, items.ids, items.topic, popularity, self.users.segment[user], request_id)
        hour = (requests.time_ms % DAY_MS // HOUR_MS).astype(np.int32)
        people = self.users
        return Tick(
            start_ms=start_ms,
            user=user,
            sequence=requests.sequence,
            request_id=request_id,
            time_ms=requests.time_ms,
            request_features={
                "user_id": user.astype(np.int32),
                "age_band": people.age_band[user],
                "region": people.region[user],
                "device": people.device[user],
                "hour": hour,
            },
            item_ids=items.ids,
            item_features={
                "item_id": items.ids.astype(np.int32),
                "topic": items.topic,
                "age_bucket": items.age_bucket(start_ms),
            },
            candidates=candidates,
            _world=self,
            _items=items,
        )

    def _tastes(self, now_ms: int) -> np.ndarray:
        """Tastes at a time: turned towards other tastes by the drift's share, their variance kept."""
        share = drift_level(self.config.drift, "taste", now_ms)
        if share != self._blend[0]:
            turned = math.sqrt(1 - share) * self.users.tastes + math.sqrt(share) * self.users.drifted
            self._blend = share, turned.astype(np.float32)
        return self._blend[1]

    def attractiveness(self, tick: Tick, items: LiveItems, rows: np.ndarray) -> np.ndarray:
        """Probability of a click on an item that is looked at, float64 [R, S]; rows: of the items [R, S]."""
        tastes = self._tastes(tick.start_ms)[tick.user]
        match = np.einsum("rd,rsd->rs", tastes, items.vectors[rows])
        fixed = items.quality + items.freshness(tick.start_ms, self.config.items)
        context = self._context[tick.request_features["hour"][:, None], items.topic[rows]]
        base = self._base + drift_level(self.config.drift, "base_rate", tick.start_ms)
        logit = base + self._taste_scale * match + fixed[rows] + context
        result: np.ndarray = 1.0 / (1.0 + np.exp(-logit))
        return result

    def probabilities(self, tick: Tick, items: LiveItems, rows: np.ndarray) -> np.ndarray:
        return click_probability(
            self.attractiveness(tick, items, rows), self._is_bot[tick.user], self.config.choice, self.config.noise
        )

    def respond(self, tick: Tick, items: LiveItems, rows: np.ndarray) -> Response:
        """The response to slates of items; rows: of the items [R, S]."""
        config = self.config
        attractive = self.attractiveness(tick, items, rows)
        item_ids = items.ids[rows]
        clicks = draw_clicks(
            attractive, self._is_bot[tick.user], config.choice, config.noise, self._seed, tick.request_id, item_ids
        )
        time_ms = np.zeros(rows.shape, dtype=np.int64)
        at = np.nonzero(clicks.click)
        delay = click_delay_ms(config.delay, self._seed, tick.request_id[at[0]], item_ids[at])
        time_ms[at] = tick.time_ms[at[0]] + delay
        return Response(clicks.click, time_ms, clicks.probability)

    def _calibrate(self) -> float:
        """The logit that gives random slates, over a sampled day, the stated CTR. Raises ValueError where none does."""
        ticks_a_day = DAY_MS // self._tick_ms
        sampled: list[tuple[Tick, np.ndarray]] = []
        n = 0
        share = min(1.0, CALIBRATION_REQUESTS / (self.n_users * self.config.users.requests_per_day))
        chosen = uniform(self._seed, "calibration/user", np.arange(self.n_users)) < max(share, 50 / self.n_users)
        step = max(1, ticks_a_day // 24)
        for tick in range(0, ticks_a_day, step):
            found = self.tick(tick, chosen)
            if len(found.user):
                draws = uniform(
                    self._seed, "calibration/slate", found.request_id[:, None], np.arange(found.candidates.shape[1])
                )
                columns = np.argsort(draws, axis=1)[:, : self._slate]
                sampled.append((found, np.take_along_axis(found.candidates, columns, axis=1)))
                n += len(found.user)
        if not n:
            return math.log(self.config.ctr / (1 - self.config.ctr))
        drifts = self.config.drift
        low, high = -30.0, 30.0

        def ctr(base: float) -> float:
            self._base = base
            total, size = 0.0, 0
            for found, rows in sampled:
                shift = drift_level(drifts, "base_rate", found.start_ms)
                self._base = base - shift  # calibrated before drift
                probability = self.probabilities(found, found._items, rows)
                total += float(probability.sum())
                size += probability.size
            return total / size

        if not ctr(low) <= self.config.ctr <= ctr(high):
            raise ValueError(
                f"world.ctr: got {self.config.ctr}, with this examination and noise it can lie between "
                f"{ctr(low):.4f} and {ctr(high):.4f}"
            )
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if ctr(middle) < self.config.ctr else (low, middle)
        return (low + high) / 2
