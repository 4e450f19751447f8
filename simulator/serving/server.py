"""What a server is to the loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reloop_stream.state.checkpoint import Sections
from simulator.serving.deployments import Deployments, Thaw
from simulator.serving.exact_sums import BoundSum, TruthSum

__all__ = ["Server"]


class Server(Protocol):
    """What the loop needs of a server: the simulated feed's and the replay's."""

    tick: int
    exposures: int
    deployments: Deployments

    def serve(self, tick: int) -> None: ...

    def checkpoint(self) -> Sections: ...

    def restore(self, sections: Sections, thaw: Thaw) -> None:
        """Go on from this server's checkpoint."""

    def fork(self, before: Sequence[Sections], thaw: Thaw, *, is_elsewhere: bool) -> None:
        """Go on from the servers that served its users before. is_elsewhere: in another log than this server's."""

    def truth_sums(self) -> list[TruthSum]:
        """What everyone (of a shard) would have clicked under this arm's model: one a day of A/B; none in a replay."""

    def bound_sums(self) -> list[BoundSum]:
        """How much there was to win: one a day of A/B and policy, where it was asked for; none in a replay."""

    def close(self) -> None: ...
