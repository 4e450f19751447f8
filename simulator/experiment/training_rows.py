"""Who trains on what: an arm's own users, everyone, or a random part of both; in a paired replay, every event once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from reloop_stream.events import ExampleBatch
from reloop_stream.worker import Rows, every_row
from simulator.experiment.assignment import Assignment

__all__ = ["own_copies", "training_rows"]


def training_rows(
    rule: Literal["own", "shared", "co_diverted"], arm: int, names: Sequence[str], assignment: Assignment, since_ms: int
) -> Callable[[ExampleBatch], Rows]:
    """Which examples the arm's learner trains on, from the start of A/B (`since_ms`) on.

    own: its own users'. shared: everyone's. co_diverted: those of a random part of all users, a part an arm.
    Examples served before `since_ms` came from the control learner that all arms share: they are nobody's own.
    Of one's own arm are also those rows whose label came later but that were served before: a fork takes
    over only the open exposures of the partitions that it reads.
    """
    if len(names) == 1:
        return every_row
    name = names[arm]

    def rows(examples: ExampleBatch) -> Rows:
        exposures = examples.exposures
        own = exposures.arm == name
        if rule == "own":
            return Rows(own | (examples.label_time_ms < since_ms), None)
        foreign = ~own & (exposures.event_time_ms >= since_ms)
        if rule == "shared":
            return Rows(None, foreign)
        part = assignment.parts(exposures.user_id) == arm
        return Rows(part | (examples.label_time_ms < since_ms), foreign)

    return rows


def own_copies(arm: str) -> Callable[[ExampleBatch], Rows]:
    """In a paired replay: of each event the arm's own copy, which is there from the beginning.

    A learner that reads several arms, as the one of A/A does to count their days, and the window that a fork takes over
    from it, so meet each event once.
    """
    return lambda examples: Rows(examples.exposures.arm == arm, None)
