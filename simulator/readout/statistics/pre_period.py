"""Whether the arms differed before the test began: in A/A all of them are served alike."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["AaCheck"]


class AaCheck(NamedTuple):
    """p: treatment → p-value of its uplift in the A/A days, Holm's over the treatments; NaN where it is not defined.
    alarm: whether one of them is too small for luck."""

    p: dict[str, float]
    alarm: bool
