"""Exposures ⋈ clicks inside the attribution window → labelled examples.

The join is driven by watermarks: `release(w)` means that every event before `w` has been added. What it releases depends
on the events and the watermarks alone, never on how the events were cut into batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal

import numpy as np

from reloop_stream.events import CLICKED, EXPIRED, Batch, ClickBatch, ExampleBatch, ExposureBatch, constant

__all__ = ["Emit", "Join", "JoinCounts", "JoinState", "LoggedClicks", "Released", "in_order"]

Emit = Literal["at_close", "at_click", "at_once"]


@dataclass(slots=True)
class JoinCounts:
    """What has gone through a join, in events."""

    exposures: int = 0
    clicks: int = 0
    joined: int = 0  # clicks that gave a label
    late: int = 0  # clicks after the attribution window
    duplicate_exposures: int = 0
    duplicate_clicks: int = 0  # further clicks on a clicked exposure, and copies
    unknown_clicks: int = 0  # clicks whose exposure never came
    stale: int = 0  # exposures that came after their window had closed

    def as_dict(self) -> dict[str, int]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def total(cls, counts: Iterable[JoinCounts]) -> JoinCounts:
        """The sum over several joins."""
        many = list(counts)
        return cls(**{f.name: sum(getattr(one, f.name) for one in many) for f in fields(cls)})


@dataclass(frozen=True, slots=True)
class LoggedClicks(Batch):
    """Clicks, and where in the log each one's record lies. Every array is [n]."""

    exposure_id: np.ndarray
    event_time_ms: np.ndarray
    click_time_ms: np.ndarray
    partition: np.ndarray  # int32, of the clicks' topic
    offset: np.ndarray  # int64


@dataclass(frozen=True, slots=True)
class Released:
    """What one watermark released, and the clicks set aside. Examples come in the order (label_time_ms, exposure_id).

    examples: what a learner sees, as `emit` says. outcomes: every exposure whose window has closed, once, with its final
    label, whatever `emit` says (with `at_close` the same batch).
    """

    examples: ExampleBatch | None
    outcomes: ExampleBatch | None
    unknown: LoggedClicks | None


@dataclass(frozen=True, slots=True)
class JoinState:
    """A join between two releases: open exposures, which of them are clicked (bool [n]), clicks that wait, counts."""

    exposures: ExposureBatch | None
    clicked: np.ndarray
    clicks: LoggedClicks | None
    counts: JoinCounts
    watermark_ms: int

    @classmethod
    def merged(cls, states: Sequence[JoinState]) -> JoinState:
        """One join's state in the place of several, all of them at the same watermark."""
        exposures = [state.exposures for state in states if state.exposures is not None]
        clicks = [state.clicks for state in states if state.clicks is not None]
        return cls(
            ExposureBatch.concat(exposures) if exposures else None,
            np.concatenate([state.clicked for state in states]),
            LoggedClicks.concat(clicks) if clicks else None,
            JoinCounts.total(state.counts for state in states),
            states[0].watermark_ms,
        )


@dataclass(slots=True)
class _Chunk:
    """Pending exposures sorted by (event time, id), with an index for look-ups by id."""

    batch: ExposureBatch
    clicked: np.ndarray  # bool [n]
    by_id: np.ndarray = field(init=False)  # rows in the order of their ids

    def __post_init__(self) -> None:
        self.by_id = np.argsort(self.batch.exposure_id, kind="stable")

    @property
    def first_ms(self) -> int:
        return int(self.batch.event_time_ms[0])

    @property
    def last_ms(self) -> int:
        return int(self.batch.event_time_ms[-1])

    def find(self, exposure_id: np.ndarray) -> np.ndarray:
        """The row of each id, -1 where there is none."""
        ids = self.batch.exposure_id
        spot = np.minimum(np.searchsorted(ids, exposure_id, sorter=self.by_id), len(ids) - 1)
        rows = self.by_id[spot]
        return np.where(ids[rows] == exposure_id, rows, -1)


class Join:
    """The join's buffer: exposures whose window is open, and clicks that wait for their exposure.

    Memory is bounded by the attribution window: an exposure leaves when its window has closed.

    attribution_ms: a click counts if click_time_ms - event_time_ms <= attribution_ms.
    emit: `at_close` releases both labels when the window closes; `at_click` label 1 at the click and label 0 at the
        close; `at_once` label 0 at serving and a second, positive example at the click.
    """

    def __init__(self, attribution_ms: int, emit: Emit = "at_close") -> None:
        if attribution_ms < 0:
            raise ValueError(f"attribution_ms: got {attribution_ms}, must be >= 0")
        self.attribution_ms = attribution_ms
        self.emit: Emit = emit
        self.counts = JoinCounts()
        self.watermark_ms = np.iinfo(np.int64).min
        self._chunks: list[_Chunk] = []
        self._exposures: list[ExposureBatch] = []  # added since the last release
        self._clicks: list[LoggedClicks] = []  # added since, and those still waiting for their exposure

    def add_exposures(self, batch: ExposureBatch) -> None:
        self.counts.exposures += len(batch)
        if len(batch):
            self._exposures.append(batch)

    def add_clicks(self, batch: ClickBatch, partition: int = 0, offset: np.ndarray | int = 0) -> None:
        """Clicks, and where their records lie; whether they carry an arm plays no part in the join."""
        n = len(batch)
        self.counts.clicks += n
        if n:
            where = np.broadcast_to(np.asarray(offset, dtype=np.int64), (n,))
            self._clicks.append(
                LoggedClicks(
                    batch.exposure_id, batch.event_time_ms, batch.click_time_ms, constant(partition, n, np.int32), where
                )
            )

    def release(self, watermark_ms: int) -> Released:
        """Everything whose label is settled once all events before `watermark_ms` are known."""
        fresh = self._take_in()
        unknown, positives = self._match_clicks(watermark_ms)
        closed = self._close(watermark_ms)
        self.watermark_ms = watermark_ms
        outcomes = None
        if closed is not None:
            batch, clicked = closed
            label = clicked.astype(np.uint8)
            outcomes = ExampleBatch(batch, label, batch.event_time_ms + self.attribution_ms, label)
        if self.emit == "at_close":
            return Released(outcomes, outcomes, unknown)
        parts = [] if positives is None else [positives]
        if self.emit == "at_once" and fresh is not None:
            parts.append(_label(fresh, 0, fresh.event_time_ms))
        if self.emit == "at_click" and outcomes is not None and not outcomes.label.all():
            parts.append(outcomes.take(outcomes.label == 0))
        return Released(in_order(parts) if parts else None, outcomes, unknown)

    def _take_in(self) -> ExposureBatch | None:
        """Move added exposures into the buffer, dropping copies; the rows that are new."""
        if not self._exposures:
            return None
        batch = ExposureBatch.concat(self._exposures)
        self._exposures = []
        stale = batch.event_time_ms + self.attribution_ms < self.watermark_ms
        if stale.any():
            self.counts.stale += int(stale.sum())
            batch = batch.take(~stale)
        order = np.lexsort((batch.exposure_id, batch.event_time_ms))
        ids, times = batch.exposure_id[order], batch.event_time_ms[order]
        keep = np.ones(len(ids), dtype=bool)
        keep[1:] = (ids[1:] != ids[:-1]) | (times[1:] != times[:-1])
        for chunk in self._chunks:
            if len(ids) and chunk.last_ms >= times[0] and chunk.first_ms <= times[-1]:
                keep &= chunk.find(ids) < 0
        self.counts.duplicate_exposures += int(len(keep) - keep.sum())
        if not keep.any():
            return None
        is_sorted = keep.all() and bool((order[1:] > order[:-1]).all())
        batch = batch if is_sorted else batch.take(order[keep])
        self._insert(_Chunk(batch, np.zeros(len(batch), dtype=bool)))
        return batch

    def _insert(self, chunk: _Chunk) -> None:
        """Keep the chunks in order of time; where they overlap (events came out of order) merge them."""
        overlapping = [c for c in self._chunks if c.last_ms >= chunk.first_ms]
        if overlapping:
            self._chunks = [c for c in self._chunks if c.last_ms < chunk.first_ms]
            batch = ExposureBatch.concat([*(c.batch for c in overlapping), chunk.batch])
            clicked = np.concatenate([*(c.clicked for c in overlapping), chunk.clicked])
            order = np.lexsort((batch.exposure_id, batch.event_time_ms))
            chunk = _Chunk(batch.take(order), clicked[order])
        self._chunks.append(chunk)

    def _match_clicks(self, watermark_ms: int) -> tuple[LoggedClicks | None, ExampleBatch | None]:
        """Mark the exposures that were clicked before the watermark. Unknown clicks, examples at the click."""
        if not self._clicks:
            return None, None
        clicks = LoggedClicks.concat(self._clicks)
        order = np.lexsort((clicks.exposure_id, clicks.click_time_ms))
        clicks = clicks.take(order)
        is_late = clicks.click_time_ms - clicks.event_time_ms > self.attribution_ms
        self.counts.late += int(is_late.sum())
        due = ~is_late & (clicks.click_time_ms < watermark_ms)
        found = np.zeros(len(clicks), dtype=bool)
        positives = []
        for chunk in self._chunks:
            rows_due = np.flatnonzero(
                due & (clicks.event_time_ms >= chunk.first_ms) & (clicks.event_time_ms <= chunk.last_ms)
            )
            if not len(rows_due):
                continue
            at = chunk.find(clicks.exposure_id[rows_due])
            hit = at >= 0
            found[rows_due[hit]] = True
            rows, first = np.unique(at[hit], return_index=True)  # the earliest click of each: clicks are in time order
            new = ~chunk.clicked[rows]
            self.counts.duplicate_clicks += int(hit.sum() - new.sum())
            self.counts.joined += int(new.sum())
            if self.emit != "at_close" and new.any():
                click_ms = clicks.click_time_ms[rows_due[hit]][first[new]]
                positives.append(_label(chunk.batch.take(rows[new]), 1, click_ms))
            chunk.clicked[rows] = True
        # An exposure is known at the watermark if it ever will be: past that, the click names none.
        is_unknown = ~is_late & ~found & (clicks.event_time_ms + self.attribution_ms < watermark_ms)
        self.counts.unknown_clicks += int(is_unknown.sum())
        waiting = ~is_late & ~found & ~is_unknown
        self._clicks = [clicks.take(waiting)] if waiting.any() else []
        unknown = clicks.take(is_unknown) if is_unknown.any() else None
        return unknown, ExampleBatch.concat(positives) if positives else None

    def _close(self, watermark_ms: int) -> tuple[ExposureBatch, np.ndarray] | None:
        """Take out the exposures whose last possible click lies before the watermark."""
        closed: list[tuple[ExposureBatch, np.ndarray]] = []
        while self._chunks and self._chunks[0].first_ms + self.attribution_ms < watermark_ms:
            chunk = self._chunks.pop(0)
            n = int(np.searchsorted(chunk.batch.event_time_ms, watermark_ms - self.attribution_ms, side="left"))
            if n < len(chunk.batch):
                head, tail = np.arange(n), np.arange(n, len(chunk.batch))
                self._chunks.insert(0, _Chunk(chunk.batch.take(tail), chunk.clicked[n:]))
                closed.append((chunk.batch.take(head), chunk.clicked[:n]))
                break
            closed.append((chunk.batch, chunk.clicked))
        if not closed:
            return None
        return ExposureBatch.concat([batch for batch, _ in closed]), np.concatenate([clicked for _, clicked in closed])

    def state(self) -> JoinState:
        """The state after a release, for a checkpoint."""
        if self._exposures:
            raise RuntimeError(
                "state: exposures were added since the last release; a checkpoint belongs right after one"
            )
        batch = ExposureBatch.concat([c.batch for c in self._chunks]) if self._chunks else None
        clicked = np.concatenate([c.clicked for c in self._chunks]) if self._chunks else np.zeros(0, dtype=bool)
        clicks = LoggedClicks.concat(self._clicks) if self._clicks else None
        return JoinState(batch, clicked, clicks, replace(self.counts), self.watermark_ms)

    def restore(self, state: JoinState) -> None:
        """Go on from a state, of this join or of others merged."""
        self._chunks = []
        self._exposures = []
        if (batch := state.exposures) is not None and len(batch):
            order = np.lexsort((batch.exposure_id, batch.event_time_ms))
            self._chunks = [_Chunk(batch.take(order), state.clicked[order])]
        self._clicks = [state.clicks] if state.clicks is not None and len(state.clicks) else []
        self.counts = replace(state.counts)
        self.watermark_ms = state.watermark_ms


def _label(batch: ExposureBatch, label: int, label_time_ms: np.ndarray) -> ExampleBatch:
    n = len(batch)
    status = constant(CLICKED if label else EXPIRED, n, np.uint8)
    return ExampleBatch(batch, constant(label, n, np.uint8), label_time_ms, status)


def in_order(parts: Sequence[ExampleBatch]) -> ExampleBatch:
    """The parts as one batch in the order (label_time_ms, exposure_id)."""
    examples = ExampleBatch.concat(parts)
    order = np.lexsort((examples.exposure_id, examples.label_time_ms))
    return examples if bool((order[1:] > order[:-1]).all()) else examples.take(order)
