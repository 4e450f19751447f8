"""Holm's correction is that of another implementation, and keeps what it promises."""

from __future__ import annotations

import math

import pytest
import tea_tasting as tt
from hypothesis import given
from hypothesis import strategies as st

from simulator.readout.statistics.multiplicity import holm


@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=8))
def test_adjusted_p_values_are_those_of_tea_tasting(p: list[float]) -> None:
    results = {str(i): tt.experiment.ExperimentResult({"ctr": {"pvalue": value}}) for i, value in enumerate(p)}
    theirs = tt.adjust_fwer(results, arbitrary_dependence=True, method="bonferroni")
    expected = [theirs[str(i)]["ctr"]["pvalue_adj"] for i in range(len(p))]
    found = holm(dict(enumerate(p)))
    assert [found[i] for i in range(len(p))] == pytest.approx([min(1.0, value) for value in expected])


@given(st.dictionaries(st.integers(0, 9), st.floats(0, 1) | st.just(math.nan)))
def test_what_was_not_tested_does_not_count_and_no_p_value_falls(p: dict[int, float]) -> None:
    found = holm(p)
    tested = {key: value for key, value in p.items() if not math.isnan(value)}
    assert list(found) == list(p) and {k: found[k] for k in tested} == holm(tested)
    assert all(math.isnan(found[key]) for key in p.keys() - tested.keys())
    assert all(value <= found[key] <= 1 for key, value in tested.items())


def test_one_question_is_not_corrected() -> None:
    assert holm({"b": 0.03}) == {"b": 0.03}
