"""The world: a tick of requests with their context and candidates, and the response to the slates it is shown.

It knows nothing of models, arms or logs. Every draw is a pure function of the seed and the ids, so a tick can be
computed by anyone, for any part of the users, in any order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from simulator.world.arrivals import MAX_REQUESTS, Arrivals
from simulator.world.choice import click_probability, draw_clicks
from simulator.world.clock import DAY_MS, EPOCH_MS, HOUR_MS
from simulator.world.config import WorldConfig
from simulator.world.delay import click_delay_ms
from simulator.world.draws import normal, uniform
from simulator.world.drift import drift_level
from simulator.world.items import AGE_BUCKETS, ItemPool, Items, age_bucket, held_ticks
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


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-logits)))


@dataclass(frozen=True, slots=True)
class Response:
    """What became of slates [R, S]. click: bool. click_time_ms: int64, where clicked. probability: float64, the truth."""

    click: np.ndarray
    click_time_ms: np.ndarray
    probability: np.ndarray


@dataclass(frozen=True, slots=True)
class Tick:
    """The requests of a tick, or of some that follow one another, in the order of time. Request columns are [R]; item columns [N],
    of the items that are candidates: an item that grows older between two ticks is there once for each of its age buckets."""

    start_ms: np.ndarray  # int64, when each one's tick begins
    user: np.ndarray  # int64
    sequence: np.ndarray
    request_id: np.ndarray
    time_ms: np.ndarray
    request_features: dict[str, np.ndarray]  # int32
    item_ids: np.ndarray  # int64
    item_features: dict[str, np.ndarray]  # int32
    candidates: np.ndarray  # int32 [R, K], rows of the items
    _world: World = field(repr=False)
    _items: Items = field(repr=False)
    _rows: np.ndarray = field(repr=False)  # of `_items` [R, K], the candidates

    def take(self, rows: np.ndarray) -> Tick:
        """The tick as it is without the other requests. rows: bool [R]."""
        return self._world.tick_of(
            self._items, self.start_ms[rows], self.user[rows], self.sequence[rows], self.request_id[rows], self.time_ms[rows],
            self._rows[rows],
        )  # fmt: skip

    def show(self, slates: np.ndarray) -> Shown:
        """slates: int [R, S], which candidate (column) is shown at which position."""
        rows = np.take_along_axis(self._rows, slates, axis=1)
        return Shown(self._world, self, self._items.ids[rows], self._world.attractiveness(self, self._items, rows))

    def respond(self, slates: np.ndarray) -> Response:
        """The response to slates, as `show` has them."""
        return self.show(slates).respond()

    def attractiveness(self) -> np.ndarray:
        """Probability of a click on each candidate if it is looked at, float64 [R, K]: what an oracle ranks by."""
        return self._world.attractiveness(self, self._items, self._rows)

    def expected_clicks(self, slates: np.ndarray) -> np.ndarray:
        """Probability of a click, float64 [R, S]; draws nothing."""
        return self.show(slates).probability()


@dataclass(frozen=True, slots=True)
class Shown:
    """Slates that were shown to the requests of a tick."""

    _world: World = field(repr=False)
    _tick: Tick
    item_ids: np.ndarray  # int64 [R, S]
    attractiveness: np.ndarray  # float64 [R, S], the probability of a click on an item that is looked at

    def probability(self, some: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Of a click on each item of some of the requests, float64 [R, S], before any of the slate is drawn."""
        return self._world.probability(self.attractiveness[some], self._tick.user[some])

    def respond(self, some: slice | np.ndarray = slice(None)) -> Response:
        """The response of some of the requests."""
        return self._world.respond(self._tick, self.item_ids, self.attractiveness, some)


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
        affinity /= math.sqrt(config.users.taste_dimensions)
        self._retrieval = Retrieval(config.candidates, affinity, config.items.live, seed)
        hours, topics = np.arange(HOURS)[:, None], np.arange(config.items.topics)[None, :]
        self._context = config.choice.context * normal(seed, "context", hours, topics)
        ids = np.arange(config.users.n)
        self._is_bot = uniform(seed, "user/bot", ids) < config.noise.bot_share
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
        return self.ticks(tick, tick + 1, users)

    def ticks(self, first: int, end: int, users: np.ndarray | None = None) -> Tick:
        """Those of the ticks from the first to before the end, which no bound of `held_ticks` may part."""
        if not 0 <= first < end <= 1 << TICK_BITS:
            raise ValueError(f"tick: got {first} to before {end}, must rise in [0, {1 << TICK_BITS})")
        held = held_ticks(self.config.items, self._tick_ms)
        if first // held != (end - 1) // held:
            raise ValueError(
                f"tick: got {first} to before {end}, items are held for {held} ticks from a multiple of it on"
            )
        items = self.items_at(first)
        columns = [self._requests(tick, items, users) for tick in range(first, end)]
        if len(columns) == 1:
            return self.tick_of(items, *columns[0])
        return self.tick_of(items, *map(np.concatenate, zip(*columns, strict=True)))

    def _requests(self, tick: int, items: Items, users: np.ndarray | None) -> tuple[np.ndarray, ...]:
        """The columns of `tick_of` but for the items."""
        start_ms = EPOCH_MS + tick * self._tick_ms
        requests = self.arrivals.at(tick, users)
        user = requests.user
        request_id = (user << (TICK_BITS + SEQUENCE_BITS)) | (tick << SEQUENCE_BITS) | requests.sequence
        drifted = drift_level(self.config.drift, "popularity", start_ms)
        segment = self.users.segment[user]
        rows = self._retrieval.at(tick, start_ms, items, drifted, segment, request_id)
        starts = np.full(len(user), start_ms, dtype=np.int64)
        return starts, user, requests.sequence, request_id, requests.time_ms, rows

    def tick_at(self, time_ms: int) -> int:
        """The number of the tick in which a time lies."""
        return (time_ms - EPOCH_MS) // self._tick_ms

    def items_at(self, tick: int) -> Items:
        """Those that are held in a tick: all that are alive at its beginning, and some that are not any more, or not yet."""
        held = held_ticks(self.config.items, self._tick_ms)
        first_ms = EPOCH_MS + (tick - tick % held) * self._tick_ms
        return self.items.between(first_ms, first_ms + (held - 1) * self._tick_ms)

    def tick_of(
        self,
        items: Items,
        start_ms: np.ndarray,
        user: np.ndarray,
        sequence: np.ndarray,
        request_id: np.ndarray,
        time_ms: np.ndarray,
        rows: np.ndarray,
    ) -> Tick:
        """A tick from its requests and their candidates; rows: of the items, int32 [R, K]."""
        used, since_ms, candidates = self._retrieval.numbered(items, start_ms, rows)
        people, item_ids = self.users, items.ids[used]
        return Tick(
            start_ms=start_ms,
            user=user,
            sequence=sequence,
            request_id=request_id,
            time_ms=time_ms,
            request_features={
                "user_id": user.astype(np.int32),
                "age_band": people.age_band[user],
                "region": people.region[user],
                "device": people.device[user],
                "hour": (time_ms % DAY_MS // HOUR_MS).astype(np.int32),
            },
            item_ids=item_ids,
            item_features={
                "item_id": item_ids.astype(np.int32),
                "topic": items.topic[used],
                "age_bucket": age_bucket(items.birth_ms[used], since_ms),
            },
            candidates=candidates,
            _world=self,
            _items=items,
            _rows=rows,
        )

    def _drift(self, target: Literal["taste", "base_rate"], start_ms: np.ndarray) -> np.ndarray:
        """The level of drift of each request, float64 [R]."""
        first = np.flatnonzero(np.diff(start_ms, prepend=-1))  # of each tick
        levels = [drift_level(self.config.drift, target, at_ms) for at_ms in start_ms[first].tolist()]
        return np.repeat(levels, np.diff(first, append=len(start_ms)))

    def _tastes(self, tick: Tick) -> np.ndarray:
        """Of the users at the time, float32 [R, d]: turned towards other tastes by the drift's share, their variance kept."""
        share = self._drift("taste", tick.start_ms)
        tastes = self.users.tastes[tick.user]
        if not share.any():
            return tastes
        stays, turns = (np.sqrt(part).astype(np.float32)[:, None] for part in (1 - share, share))
        return np.asarray(stays * tastes + turns * self.users.drifted[tick.user])

    def logits(self, tick: Tick, items: Items, rows: np.ndarray) -> np.ndarray:
        """Of a click on an item that is looked at, float64 [R, S], before the base rate's; rows: of the items [R, S]."""
        from simulator.world.choice_kernels import add_liking

        config = self.config.items
        logits = np.empty(rows.shape)
        add_liking(
            self._tastes(tick), self._taste_scale, items.vectors, items.quality, items.birth_ms, items.topic,
            self._context, tick.start_ms, config.freshness, config.freshness_half_life_hours * HOUR_MS,
            tick.request_features["hour"], rows, logits,
        )  # fmt: skip
        return logits

    def attractiveness(self, tick: Tick, items: Items, rows: np.ndarray) -> np.ndarray:
        """Probability of a click on an item that is looked at, float64 [R, S]; rows: of the items [R, S]."""
        base = self._base + self._drift("base_rate", tick.start_ms)
        return _sigmoid(base[:, None] + self.logits(tick, items, rows))

    def probability(self, attractiveness: np.ndarray, user: np.ndarray) -> np.ndarray:
        return click_probability(attractiveness, self._is_bot[user], self.config.choice, self.config.noise)

    def respond(
        self, tick: Tick, item_ids: np.ndarray, attractiveness: np.ndarray, some: slice | np.ndarray
    ) -> Response:
        """The response of some of a tick's requests to slates of items, [R, S]."""
        config, request_id, items = self.config, tick.request_id[some], item_ids[some]
        clicks = draw_clicks(
            attractiveness[some],
            self._is_bot[tick.user[some]],
            config.choice,
            config.noise,
            self._seed,
            request_id,
            items,
        )
        time_ms = np.zeros(items.shape, dtype=np.int64)
        at = np.nonzero(clicks.click)
        delay = click_delay_ms(config.delay, self._seed, request_id[at[0]], items[at])
        time_ms[at] = tick.time_ms[some][at[0]] + delay
        return Response(clicks.click, time_ms, clicks.probability)

    def _calibrate(self) -> float:
        """The logit that gives random slates, over a sampled day, the stated CTR. Raises ValueError where none does."""
        ticks_a_day = DAY_MS // self._tick_ms
        logits, bots = [], []
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
                logits.append(self.logits(found, found._items, np.take_along_axis(found._rows, columns, axis=1)))
                bots.append(self._is_bot[found.user])
        if not logits:
            return math.log(self.config.ctr / (1 - self.config.ctr))
        of_slates, is_bot = np.concatenate(logits), np.concatenate(bots)
        low, high = -30.0, 30.0

        def ctr(base: float) -> float:  # calibrated before drift
            attractive = _sigmoid(base + of_slates)
            return float(click_probability(attractive, is_bot, self.config.choice, self.config.noise).mean())

        if not ctr(low) <= self.config.ctr <= ctr(high):
            raise ValueError(
                f"world.ctr: got {self.config.ctr}, with this examination and noise it can lie between "
                f"{ctr(low):.4f} and {ctr(high):.4f}"
            )
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if ctr(middle) < self.config.ctr else (low, middle)
        return (low + high) / 2
