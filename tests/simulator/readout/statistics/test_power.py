"""What can be found: as tea-tasting solves it from the data, and each function the other's inverse."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import tea_tasting as tt
from hypothesis import given
from hypothesis import strategies as st

from simulator.readout.statistics.power import detectable, power_at, users_needed
from simulator.readout.statistics.uplift import raw
from tests.simulator.readout.statistics.test_uplift import arm


def test_the_smallest_effect_found_is_that_of_tea_tasting() -> None:
    rng = np.random.default_rng(3)
    control, treatment = arm(rng, 20_000), arm(rng, 20_000)
    columns = {name: np.concatenate(pair) for name, *pair in zip(control._fields, control, treatment, strict=True)}
    metric = tt.RatioOfMeans("clicks", "exposures", alpha=0.05, power=0.8, n_obs=40_000)
    theirs = metric.solve_power(pa.table(columns), "rel_effect_size")[0].rel_effect_size
    assert detectable(raw(control, treatment).log_error) == pytest.approx(theirs, rel=0.05)


@given(st.floats(0.001, 0.5), st.floats(0.001, 0.2), st.integers(100, 10**6))
def test_as_many_users_as_are_needed_find_the_effect(effect: float, error: float, users: int) -> None:
    needed = users_needed(effect, error, users)
    then = error * math.sqrt(users / needed)
    assert detectable(then) == pytest.approx(effect) and power_at(effect, then) == pytest.approx(0.8, abs=1e-3)


def test_no_effect_is_never_found_for_sure_and_without_an_error_nothing_is_said() -> None:
    assert users_needed(0.0, 0.01, 100) == math.inf and power_at(0.0, 0.01) == pytest.approx(0.05)
    assert math.isnan(detectable(math.nan))
