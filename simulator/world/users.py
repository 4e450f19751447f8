"""Users: latent tastes, observed attributes that tell a part of them, heavy-tailed activity, days away."""

from __future__ import annotations

import math

import numpy as np

from simulator.world.config import UsersConfig
from simulator.world.draws import normal, uniform

__all__ = ["AGE_BANDS", "DEVICES", "REGIONS", "Users"]

AGE_BANDS, REGIONS, DEVICES = 7, 5, 4


def _skewed(draws: np.ndarray, n: int) -> np.ndarray:
    """Categories 0..n-1 with probabilities that fall by 1 / (2 + category)."""
    weights = 1.0 / np.arange(2, n + 2)
    return np.searchsorted(np.cumsum(weights / weights.sum())[:-1], draws).astype(np.int32)


class Users:
    """All users, made at once.

    tastes: float32 [n, d], unit variance a dimension. drifted: what tastes drift towards, of the same distribution.
    age_band, region, device: int32 [n]. activity: float64 [n], mean 1. is_away(day): bool [n].
    """

    def __init__(self, config: UsersConfig, seed: int) -> None:
        self.config = config
        self._seed = seed
        self._ids = np.arange(config.n)
        ids = self._ids
        self.age_band = _skewed(uniform(seed, "user/age", ids), AGE_BANDS)
        self.region = _skewed(uniform(seed, "user/region", ids), REGIONS)
        self.device = _skewed(uniform(seed, "user/device", ids), DEVICES)
        self.tastes = self._tastes("taste")
        self.drifted = self._tastes("drifted")
        sigma = config.activity_sigma
        # The mean of a lognormal is exp(sigma² / 2): dividing by it keeps requests_per_day whatever the tail.
        self.activity = np.exp(sigma * normal(seed, "user/activity", ids) - sigma**2 / 2)

    def segment_tastes(self, purpose: str) -> np.ndarray:
        """What age band and region say of tastes: float64 [age bands × regions, d], unit variance."""
        dims = np.arange(self.config.taste_dimensions)[None, :]
        ages = normal(self._seed, f"segment/{purpose}/age", np.arange(AGE_BANDS)[:, None], dims)
        regions = normal(self._seed, f"segment/{purpose}/region", np.arange(REGIONS)[:, None], dims)
        return ((ages[:, None, :] + regions[None, :, :]) / math.sqrt(2)).reshape(AGE_BANDS * REGIONS, -1)

    @property
    def segment(self) -> np.ndarray:
        """int32 [n]: age band × region."""
        return self.age_band * REGIONS + self.region

    def _tastes(self, purpose: str) -> np.ndarray:
        share = self.config.observed_share
        own = normal(
            self._seed, f"user/{purpose}", self._ids[:, None], np.arange(self.config.taste_dimensions)[None, :]
        )
        told = self.segment_tastes(purpose)[self.segment]
        return (math.sqrt(share) * told + math.sqrt(1 - share) * own).astype(np.float32)

    def is_away(self, day: int) -> np.ndarray:
        """Whether each user is away on a day. Absences come in spells of a mean length, a spell a block of days."""
        config = self.config
        if not config.away_share:
            return np.zeros(config.n, dtype=bool)
        # Time is cut, for each user at another place, into blocks as long as an absence; whole blocks are away.
        length = config.away_days
        block = np.floor((day + length * uniform(self._seed, "user/away-phase", self._ids)) / length).astype(np.int64)
        return uniform(self._seed, "user/away", self._ids, block) < config.away_share
