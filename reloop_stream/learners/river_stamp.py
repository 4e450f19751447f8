"""How the last prediction of an example reaches an estimator: as a number, or as a stamp that the estimator fills in."""

from __future__ import annotations

from typing import Any, TypeAlias

from reloop_stream.errors import EventError
from reloop_stream.features.check import is_real

__all__ = ["LastPrediction", "Stamp", "is_probability", "last_prediction", "stamp"]


class Stamp:
    """A prediction that is made when an example is asked about, and read when its label comes.

    Give each row a stamp of its own, `(x, y, {"p_last": Stamp()})`: river hands the same object to the prediction, which
    writes into it, and to the learning, which reads it, however long the label takes.
    """

    __slots__ = ("pctr",)

    def __init__(self, pctr: float | None = None) -> None:
        self.pctr = pctr

    def __repr__(self) -> str:
        return f"Stamp({self.pctr})"


LastPrediction: TypeAlias = float | Stamp | None


def stamp(p_last: LastPrediction, pctr: float) -> None:
    """Write the prediction into the stamp, where one was given."""
    if isinstance(p_last, Stamp):
        p_last.pctr = pctr


def last_prediction(p_last: LastPrediction) -> float | None:
    """The last prediction as a number; None where there is none. Raises EventError where it is no probability."""
    pctr = p_last.pctr if isinstance(p_last, Stamp) else p_last
    if pctr is None or is_probability(pctr):
        return pctr
    raise EventError(f"p_last: got {pctr!r}, must be a number in [0, 1], a Stamp, or None")


def is_probability(value: Any) -> bool:
    """Whether the value is a number in [0, 1]; NaN is none."""
    return is_real(value) and bool(0 <= value <= 1)
