"""Whether the arms differed before the test began: in A/A all of them are served alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from simulator.readout.statistics.multiplicity import holm
from simulator.readout.statistics.uplift import raw
from simulator.readout.statistics.users import ArmRows

__all__ = ["ALARM", "AaCheck", "pre_period"]

# At .05 every twentieth sound test would be stopped; of a broken split the sample ratio, at .001, says more and sooner.
ALARM = 0.01


class AaCheck(NamedTuple):
    """p: treatment → p-value of its uplift in the A/A days, Holm's over the treatments; NaN where it is not defined.
    alarm: whether one of them is too small for luck."""

    p: dict[str, float]
    alarm: bool


def pre_period(control: ArmRows, treatments: Mapping[str, ArmRows]) -> AaCheck | None:
    """None where there was no A/A period."""
    if not any(rows.of_phase("aa").any() for rows in (control, *treatments.values())):
        return None
    before = control.sums(control.of_phase("aa"))
    p = holm({arm: raw(before, rows.sums(rows.of_phase("aa"))).p for arm, rows in treatments.items()})
    return AaCheck(p, any(value < ALARM for value in p.values()))
