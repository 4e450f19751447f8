"""What is odd about what a learner learns, said once and then rarely.

Each look compares what has been counted since the look before, so that a stream that goes wrong after a year is noticed
as soon as one that is wrong from the start.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reloop_stream.clock import doubt_of
from reloop_stream.config import FieldConfig
from reloop_stream.metrics import StreamMetrics
from reloop_stream.runtime.rarely import Rarely
from reloop_stream.stream.example_source import JoinedTick
from reloop_stream.stream.join import JoinCounts

__all__ = ["Concerns"]

logger = logging.getLogger(__name__)

LEAST_CLICKS = 20  # since the last look, before their fate says something
LEAST_EXAMPLES = 1000  # before labels that are all equal, or a log loss, say something
WORSE = 1.1  # normalised entropy: so much worse than always predicting the mean label is no luck


class Concerns:
    """Told of every tick; looks whenever it is asked to.

    arm: whose rows are trained on; None: all. fields: those of the model, whose numbers are watched where it sees them as
    they are. Costs one pass over
    the arms where one is chosen, and one over each number.
    """

    def __init__(self, arm: str | None, fields: Sequence[FieldConfig]) -> None:
        self._arm = arm
        self._largest = {field.name: 0.0 for field in fields if field.kind == "number" and field.transform == "none"}
        self._arms: Counter[str] = Counter()
        self._before = JoinCounts()
        self._bad_looks = 0
        self._rarely = Rarely()

    def begin(self, counts: JoinCounts) -> None:
        """Go on from what had been counted before a restart."""
        self._before = replace(counts)

    def saw(self, joined: JoinedTick) -> None:
        """A tick, before it is learnt."""
        if joined.outcomes is None:
            return
        shown = joined.outcomes.exposures
        if self._arm is not None:
            self._arms.update(shown.arm.tolist())
        for name in self._largest:
            numbers = np.asarray(shown.features[name])
            self._largest[name] = max(self._largest[name], float(np.abs(numbers).max()))

    def look(
        self, counts: JoinCounts, watermark_ms: int, served: StreamMetrics, learnt_of_late: StreamMetrics, *, last: bool
    ) -> None:
        """counts, served: since the beginning. last: nothing will follow, so that little has to do."""
        self._look_at_clicks(counts, last)
        self._look_at_times(watermark_ms)
        self._look_at_rows(last)
        self._look_at_labels(served, counts, last)
        self._look_at_loss(learnt_of_late, last)

    def _say(self, kind: str, text: str) -> None:
        if self._rarely.is_due(kind):
            logger.warning("%s", text)

    def _look_at_clicks(self, counts: JoinCounts, last: bool) -> None:
        now, before = counts.as_dict(), self._before.as_dict()
        new = {name: now[name] - before[name] for name in now}
        lost = {name: new[name] for name in ("unknown_clicks", "early_clicks", "late")}
        settled = sum(lost.values()) + new["joined"] + new["duplicate_clicks"]
        if settled < (1 if last else LEAST_CLICKS):
            return
        self._before = replace(counts)
        if 2 * sum(lost.values()) <= settled:
            return
        why = {
            "unknown_clicks": "most name no exposure: look whether both topics are keyed alike, so that an exposure and "
            "its clicks are in the same partition number, and whether their ids are written alike",
            "early_clicks": "most lie further before their exposure than --early-seconds allows: look at the clocks of "
            "the machines that write them",
            "late": "most come after the attribution window: look at --attribution-minutes, and at the clocks of the "
            "machines that write them",
        }[max(lost, key=lambda name: lost[name])]
        self._say("clicks", f"{sum(lost.values()):,} of the last {settled:,} clicks found no open exposure; {why}")

    def _look_at_times(self, watermark_ms: int) -> None:
        if doubt := doubt_of(watermark_ms):
            self._say("times", f"event times are in milliseconds since 1970, and {doubt}")

    def _look_at_rows(self, last: bool) -> None:
        if self._arm is None or self._arms[self._arm] or self._arms.total() < (1 if last else LEAST_EXAMPLES):
            return
        seen = ", ".join(repr(arm) for arm, _ in self._arms.most_common(5))
        self._say(
            "rows", f"--arm {self._arm}: none of {self._arms.total():,} exposures is of this arm; they are of {seen}"
        )

    def _look_at_labels(self, served: StreamMetrics, counts: JoinCounts, last: bool) -> None:
        if served.n < (LEAST_EXAMPLES // 10 if last else LEAST_EXAMPLES) or served.positives not in (0, served.n):
            return
        label = int(served.positives > 0)
        came = f"{counts.clicks:,} clicks came" if counts.clicks else "no click came at all"
        self._say(f"labels {label}", f"all of {served.n:,} labels are {label} ({came}): there is nothing to learn from")

    def _look_at_loss(self, late: StreamMetrics, last: bool) -> None:
        is_bad = late.n >= LEAST_EXAMPLES and late.ne > WORSE
        self._bad_looks = self._bad_looks + 1 if is_bad else 0
        if self._bad_looks < (1 if last else 2):
            return
        name = max(self._largest, key=lambda name: self._largest[name], default=None)
        hint = ""
        if name is not None and self._largest[name] > 1:
            hint = f"; numbers want to be of the size of 1, and features.{name} goes up to {self._largest[name]:.3g}"
        self._say(
            "loss",
            f"the learner predicts worse than the mean label would: its log loss of late is {late.logloss:.4f}, "
            f"{late.ne:.2f} times that of the mean; a smaller learning rate may help{hint}",
        )
