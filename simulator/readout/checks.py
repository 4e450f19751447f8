"""What must hold before a result is believed, and what to do where it does not."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Check", "Verdict"]

Verdict = Literal["good", "warn", "bad"]


class Check(NamedTuple):
    """name: sample_ratio, pre_period, peeking, calibration, power or stream. says: one sentence, with the figure.
    do: what the reader should do; empty where the verdict is good."""

    name: str
    verdict: Verdict
    says: str
    do: str
