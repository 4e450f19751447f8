"""What a feed is to the laboratory: something that shows items to users on a calendar, made up or replayed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from reloop_stream.config import FieldConfig
from simulator.experiment.calendar import Calendar
from simulator.serving.deployments import Deployments
from simulator.serving.event_writer import EventWriter
from simulator.serving.item_facts import ItemFacts
from simulator.serving.server import Server

__all__ = ["Feed"]


class Feed(Protocol):
    """The simulated feed's and the replay's. What is costly to build is built when it is first asked for."""

    @property
    def kind(self) -> Literal["simulation", "replay"]: ...

    @property
    def has_truth(self) -> bool:
        """Whether the true CTR of a model is known."""

    @property
    def calendar(self) -> Calendar: ...

    @property
    def base_rate(self) -> float:
        """What version 0 predicts."""

    @property
    def fields(self) -> list[FieldConfig]:
        """What the models see."""

    @property
    def expected_exposures(self) -> int | None:
        """About how many there will be in all; None where that is not known beforehand."""

    def prepare(self, rows: Path, told: Callable[[int], None]) -> tuple[list[str], list[str]]:
        """Build the world, or make the data ready in the new folder `rows`, where every process of the run reads them.

        told: hears how many rows were read so far, and may raise to end it. Gives what is likely to mislead, and notes on what is read. Raises ScenarioError, DataError.
        """

    def close(self) -> None:
        """Let go of files."""

    def segments(self) -> Mapping[str, Any] | None:
        """Users' observed attributes, [users] each; None where none are known."""

    @property
    def top(self) -> Sequence[int]:
        """The k of what is counted among the first k of ranked slates; empty where none are logged."""

    @property
    def items(self) -> ItemFacts | None:
        """What is known of the items beyond what models see; None where that is nothing."""

    def is_random(self, request_id: np.ndarray) -> np.ndarray | None:
        """Which requests get a random slate in every arm, bool [n]; None where nothing is drawn."""

    def server(
        self,
        serves: Sequence[int],
        shard: int,
        deployments: Deployments,
        writer: EventWriter,
        *,
        truth: bool,
        bounds: bool,
    ) -> Server:
        """A server at its beginning. serves, shard: numbers of the arms and of the shard whose users it serves. truth: whether it also serves
        everyone for the arm's true CTR, where that can be known; bounds: whether it sums how much there was to win."""
