"""What is said of what a learner learns: lost clicks, doubtful times, rows and labels that teach nothing, a bad loss."""

from __future__ import annotations

import numpy as np
import pytest

from reloop_stream.config import FieldConfig
from reloop_stream.events import ExampleBatch
from reloop_stream.metrics import StreamMetrics
from reloop_stream.service.concerns import Concerns
from reloop_stream.stream.example_source import JoinedTick
from reloop_stream.stream.join import JoinCounts
from reloop_stream.testing import examples

NOW_MS = 1_700_000_000_000
NOTHING = StreamMetrics()


def metrics(p: float, label: np.ndarray) -> StreamMetrics:
    found = StreamMetrics()
    found.add(np.full(len(label), p), label)
    return found


def tick(outcomes: ExampleBatch) -> JoinedTick:
    return JoinedTick(0, NOW_MS, outcomes, outcomes, None, [], JoinCounts(), {})


@pytest.mark.parametrize(
    "counts, cause",
    [
        (JoinCounts(joined=40, unknown_clicks=60), "60 of the last 100 clicks found no open exposure; most name no"),
        (
            JoinCounts(joined=40, early_clicks=60),
            "most lie further before their exposure than --early-seconds allows: look at the clocks",
        ),
        (JoinCounts(joined=40, late=60), "most come after the attribution window: look at --attribution-minutes"),
        (JoinCounts(joined=60, late=40), None),
    ],
    ids=str,
)
def test_most_clicks_without_an_exposure_are_said_with_the_likely_cause(
    counts: JoinCounts, cause: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    concerns = Concerns(None, [])
    concerns.look(counts, NOW_MS, NOTHING, NOTHING, last=False)
    concerns.look(counts, NOW_MS, NOTHING, NOTHING, last=False)
    assert len(caplog.messages) == (cause is not None) and (cause or "") in caplog.text


def test_only_what_is_new_since_the_last_look_counts(caplog: pytest.LogCaptureFixture) -> None:
    concerns = Concerns(None, [])
    concerns.begin(JoinCounts(joined=1000))
    concerns.look(JoinCounts(joined=1010, unknown_clicks=30), NOW_MS, NOTHING, NOTHING, last=False)
    assert "30 of the last 40 clicks" in caplog.text


@pytest.mark.parametrize(
    "time, unit",
    [(1_700_000_000, "as seconds it would be 2023"), (1_700_000_000_000_000, "as microseconds it would be 2023")],
)
def test_a_time_in_another_unit_is_said_with_the_likely_one(
    time: int, unit: str, caplog: pytest.LogCaptureFixture
) -> None:
    Concerns(None, []).look(JoinCounts(), time, NOTHING, NOTHING, last=False)
    assert unit in caplog.text


def test_an_arm_that_no_exposure_has_is_said_with_those_that_came(caplog: pytest.LogCaptureFixture) -> None:
    concerns = Concerns("contol", [])
    concerns.saw(tick(examples(30, arm="control")))
    concerns.look(JoinCounts(), NOW_MS, NOTHING, NOTHING, last=True)
    assert caplog.messages == ["--arm contol: none of 30 exposures is of this arm; they are of 'control'"]


@pytest.mark.parametrize("label", [0, 1])
def test_labels_that_are_all_equal_are_said(label: int, caplog: pytest.LogCaptureFixture) -> None:
    served = metrics(0.5, np.full(1000, label, dtype=np.uint8))
    Concerns(None, []).look(JoinCounts(clicks=7), NOW_MS, served, NOTHING, last=False)
    assert caplog.messages == [f"all of 1,000 labels are {label} (7 clicks came): there is nothing to learn from"]


def test_a_loss_that_stays_worse_than_the_mean_s_names_the_largest_number(caplog: pytest.LogCaptureFixture) -> None:
    fields = [FieldConfig(name=name, kind="number") for name in ("age", "income")]
    concerns = Concerns(None, fields)
    numbers = {"age": np.full(5, 40.0), "income": np.array([1.0, -9e6, 3.0, 4.0, 5.0])}
    concerns.saw(tick(examples(5, features=numbers)))
    bad = metrics(0.99, (np.arange(1000) % 10 == 0).astype(np.uint8))
    concerns.look(JoinCounts(), NOW_MS, NOTHING, bad, last=False)
    assert caplog.messages == []  # once may be the beginning
    concerns.look(JoinCounts(), NOW_MS, NOTHING, bad, last=False)
    assert "numbers want to be of the size of 1, and features.income goes up to 9e+06" in caplog.text


def test_a_learner_that_predicts_the_mean_is_no_concern(caplog: pytest.LogCaptureFixture) -> None:
    fine = metrics(0.1, (np.arange(1000) % 10 == 0).astype(np.uint8))
    Concerns(None, []).look(JoinCounts(joined=100), NOW_MS, fine, fine, last=True)
    assert caplog.messages == []
