"""The knobs of the world. Their descriptions are its documentation: the JSON Schema is printed from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "ArrivalsConfig",
    "CandidatesConfig",
    "ChoiceConfig",
    "DelayConfig",
    "DriftConfig",
    "ItemsConfig",
    "NoiseConfig",
    "UsersConfig",
    "WorldConfig",
]

MAX_USERS = 1 << 26  # what a request id has room for


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class UsersConfig(_Section):
    """Who comes."""

    n: int = Field(20_000, ge=1, le=MAX_USERS, description="Users.")
    taste_dimensions: int = Field(8, ge=1, le=64, description="Dimensions of the latent tastes, and of the items'.")
    observed_share: float = Field(
        0.5, ge=0, le=1, description="Share of the variance of tastes that age band and region explain."
    )
    activity_sigma: float = Field(
        0.8, ge=0, le=3, description="Standard deviation of the logarithm of users' activity: its tail."
    )
    requests_per_day: float = Field(1.5, gt=0, le=200, description="Mean requests a user and day.")
    away_share: float = Field(0.1, ge=0, lt=1, description="Share of days that a user is away altogether.")
    away_days: float = Field(2.0, ge=1, le=60, description="Mean length of an absence in days.")


class ItemsConfig(_Section):
    """What there is to show. Items are born all the time and die, so new ids keep coming."""

    live: int = Field(2_000, ge=2, le=1_000_000, description="Items alive at a time, on average.")
    lifetime_days: float = Field(5.0, gt=0, le=3650, description="Mean lifetime; live / lifetime_days are born a day.")
    topics: int = Field(20, ge=1, le=1000, description="Topics. An item's latent vector lies around its topic's.")
    topic_spread: float = Field(
        0.5, ge=0, le=5, description="How far items lie from their topic, in topics' own spread."
    )
    quality_sigma: float = Field(0.5, ge=0, le=5, description="Standard deviation of quality, in logits.")
    freshness: float = Field(0.8, ge=0, le=5, description="What a new item gains, in logits.")
    freshness_half_life_hours: float = Field(24.0, gt=0, description="Hours until half of that is gone.")
    popularity_sigma: float = Field(
        1.0, ge=0, le=4, description="Standard deviation of log popularity, by which items are retrieved: its tail."
    )


class ArrivalsConfig(_Section):
    """When users come."""

    peak_hour: float = Field(20.0, ge=0, lt=24, description="Hour of day with the most requests.")
    daily_swing: float = Field(0.6, ge=0, le=1, description="How much of the rate follows the time of day: 0 is flat.")
    weekend_factor: float = Field(1.2, gt=0, le=10, description="Rate on Saturday and Sunday over that of other days.")
    session_requests: float = Field(
        1.3, ge=1, le=20, description="Mean requests a visit; further ones follow within minutes."
    )


class PositionExamination(_Section):
    """Position-based: position j (from 0) is looked at with probability 1 / (1 + j) ** eta, whatever was clicked."""

    examination: Literal["position"] = "position"
    eta: float = Field(0.6, ge=0, le=5, description="Steepness: 0 looks at every position.")


class CascadeExamination(_Section):
    """Cascade: from the top down; after each item the user goes on or stops (dependent click model, Guo et al. 2009)."""

    examination: Literal["cascade"]
    go_on: float = Field(0.9, ge=0, le=1, description="Probability to go on after an item that was not clicked.")
    go_on_after_click: float = Field(0.6, ge=0, le=1, description="Probability to go on after a click.")


class ChoiceConfig(_Section):
    """Why an item is clicked once it is looked at: logistic in taste, quality, freshness and context."""

    taste: float = Field(1.2, ge=0, le=10, description="Weight of taste × item, in logits at one standard deviation.")
    context: float = Field(0.3, ge=0, le=5, description="Standard deviation of the effect of hour × topic, in logits.")
    looking: Annotated[PositionExamination | CascadeExamination, Field(discriminator="examination")] = Field(
        PositionExamination(), description="How far down the slate a user looks."
    )

    @model_validator(mode="before")
    @classmethod
    def _by_position_unless_told(cls, raw: Any) -> Any:
        """`looking: {eta: 0}` is the default examination with another steepness."""
        if isinstance(raw, Mapping) and isinstance(looking := raw.get("looking"), Mapping):
            return {**raw, "looking": {"examination": "position", **looking}}
        return raw


class NoiseConfig(_Section):
    """Clicks that mean nothing."""

    accidental: float = Field(0.002, ge=0, le=0.5, description="Probability that an exposure is clicked by accident.")
    bot_share: float = Field(0.0, ge=0, le=0.5, description="Share of users who are bots.")
    bot_click: float = Field(0.3, ge=0, le=1, description="Probability that a bot clicks an exposure, whatever it is.")


class DelayConfig(_Section):
    """How long after the exposure a click comes."""

    distribution: Literal["lognormal", "exponential", "none"] = Field("lognormal", description="Its distribution.")
    median_minutes: float = Field(3.0, gt=0, le=1e6, description="Median delay in minutes.")
    sigma: float = Field(1.0, ge=0, le=4, description="lognormal: standard deviation of the logarithm.")


class _Drift(_Section):
    target: Literal["taste", "popularity", "base_rate"] = Field(
        description="What changes: users' tastes, which items are popular, or the logit of the base rate."
    )
    magnitude: float = Field(
        description="taste, popularity: share that is new, 0 to 1. base_rate: added to the logit.", ge=-5, le=5
    )

    @model_validator(mode="after")
    def _is_share(self) -> _Drift:
        if self.target != "base_rate" and not 0 <= self.magnitude <= 1:
            raise ValueError(f"magnitude: got {self.magnitude}, must be in [0, 1] for {self.target}")
        return self


class GradualDrift(_Drift):
    """Grows evenly from start_day to end_day, then stays."""

    kind: Literal["gradual"]
    start_day: float = Field(ge=0, description="Where it begins.")
    end_day: float = Field(ge=0, description="Where it is complete.")

    @model_validator(mode="after")
    def _in_order(self) -> GradualDrift:
        if self.end_day <= self.start_day:
            raise ValueError(f"end_day: got {self.end_day}, must be after start_day ({self.start_day})")
        return self


class SuddenDrift(_Drift):
    """There at once from day on."""

    kind: Literal["sudden"]
    day: float = Field(ge=0, description="When.")


class RecurringDrift(_Drift):
    """Comes and goes: a raised cosine with a period, from start_day on."""

    kind: Literal["recurring"]
    start_day: float = Field(0.0, ge=0, description="Where it begins.")
    period_days: float = Field(gt=0, description="Days from one peak to the next.")


DriftConfig = Annotated[GradualDrift | SuddenDrift | RecurringDrift, Field(discriminator="kind")]


class CandidatesConfig(_Section):
    """Which items a request may be shown: by observed attributes and popularity, never by hidden taste or clicks."""

    k: int = Field(30, ge=1, le=2000, description="Candidates a request.")
    topic_share: float = Field(
        0.5, ge=0, le=1, description="Share by the liking of the user's segment (age band × region) for topics."
    )
    popularity_share: float = Field(0.3, ge=0, le=1, description="Share by popularity; what is left is uniform.")

    @model_validator(mode="after")
    def _shares(self) -> CandidatesConfig:
        total = self.topic_share + self.popularity_share
        if total > 1 + 1e-9:
            raise ValueError(f"topic_share + popularity_share: got {total:g}, must be at most 1")
        return self


class WorldConfig(_Section):
    """The simulated feed: its users, its items, and what is clicked."""

    ctr: float = Field(
        0.08, gt=0, lt=0.9, description="CTR under random slates, before drift: what the base rate is calibrated to."
    )
    users: UsersConfig = UsersConfig()
    items: ItemsConfig = ItemsConfig()
    arrivals: ArrivalsConfig = ArrivalsConfig()
    choice: ChoiceConfig = ChoiceConfig()
    noise: NoiseConfig = NoiseConfig()
    delay: DelayConfig = DelayConfig()
    drift: list[DriftConfig] = Field(default_factory=list, description="Changes of the world, as a schedule.")
    candidates: CandidatesConfig = CandidatesConfig()

    @model_validator(mode="after")
    def _enough_items(self) -> WorldConfig:
        # Items alive at a time vary around the mean; half of it is many standard deviations below for any useful k.
        if self.candidates.k > self.items.live // 2:
            raise ValueError(
                f"candidates.k: got {self.candidates.k}, must be at most half of items.live ({self.items.live})"
            )
        return self
