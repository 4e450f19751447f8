"""Every arm's users cut into shards, each of which a process of its own may serve: which user, and which partition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from simulator.world.draws import uniform

__all__ = ["WHOLE", "Shards"]


@dataclass(frozen=True, slots=True)
class Shards:
    """`n` shards an arm. A shard of an arm is a partition of the log: where its users' events lie, in both topics.

    >>> Shards(3).partitions((1,))
    (3, 4, 5)
    """

    n: int = 1

    def partition(self, arm: int, shard: int) -> int:
        return arm * self.n + shard

    def partitions(self, arms: Iterable[int]) -> tuple[int, ...]:
        """All partitions of some arms."""
        return tuple(self.partition(arm, shard) for arm in arms for shard in range(self.n))

    def of_users(self, users: np.ndarray) -> np.ndarray:
        """The shard of each user: int64 [n] from their numbers. A hash, independent of arms and of the world's draws."""
        return np.floor(uniform(0, "shard", users) * self.n).astype(np.int64)


WHOLE = Shards(1)
