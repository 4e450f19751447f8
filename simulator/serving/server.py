"""What a server is to the loop."""

from __future__ import annotations

from typing import Protocol

from reloop_stream.state.checkpoint import Sections
from simulator.run_folder.manifest import BoundRow, TruthRow
from simulator.serving.deployments import Deployments, Thaw

__all__ = ["Server"]


class Server(Protocol):
    """What the loop needs of a server: the simulated feed's and the replay's."""

    tick: int
    exposures: int
    deployments: Deployments

    def serve(self, tick: int) -> None: ...

    def checkpoint(self) -> Sections: ...

    def restore(self, sections: Sections, thaw: Thaw, *, same_run: bool = True) -> None: ...

    def truth_rows(self, arm: str) -> list[TruthRow]:
        """What everyone would have clicked on average under this arm's model: a row a day of A/B; none in a replay."""

    def bound_rows(self) -> list[BoundRow]:
        """How much there was to win: a row a day of A/B and policy, where it was asked for; none in a replay."""

    def close(self) -> None: ...
