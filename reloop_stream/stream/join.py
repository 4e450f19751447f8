"""Exposures ⋈ clicks inside the attribution window → labelled examples.

The join is driven by watermarks: `release(w)` means that every event before `w` has been added. What it releases depends
on the events and the watermarks alone, never on how the events were cut into batches.

A click finds its exposure by id alone. What it says of the exposure's time is a hint of where to look first, for another
machine's clock wrote it; how long the click took is measured from the time that the exposure itself bears. Where an id
is used again, each exposure has the clicks that lie in its own window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from reloop_stream.events import CLICKED, EXPIRED, ClickBatch, ExampleBatch, ExposureBatch, constant
from reloop_stream.stream.pending import Chunk, LoggedClicks

__all__ = ["EARLY_MS", "Emit", "Join", "JoinCounts", "JoinState", "Released", "in_order"]

Emit = Literal["at_close", "at_click", "at_once"]
# How far a click may lie before its exposure: the clocks of two machines that NTP keeps differ by less.
EARLY_MS = 1000


@dataclass(slots=True)
class JoinCounts:
    """What has gone through a join, in events."""

    exposures: int = 0
    clicks: int = 0
    joined: int = 0  # clicks that gave a label
    late: int = 0  # clicks after the attribution window
    duplicate_exposures: int = 0
    duplicate_clicks: int = 0  # further clicks on a clicked exposure, and copies
    early_clicks: int = 0  # clicks too far before their exposure: one of two clocks is wrong
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
class Released:
    """What one watermark released, and the clicks set aside. Examples come in the order (label_time_ms, exposure_id).

    examples: what a learner sees, as `emit` says. outcomes: every exposure whose window has closed, once, with its final
    label, whatever `emit` says (with `at_close` the same batch). unknown: clicks without an exposure, early ones too.
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


class Join:
    """The join's buffer: exposures whose window is open, and clicks that wait for their exposure.

    Memory is bounded by the attribution window: an exposure leaves when its window has closed.

    attribution_ms: a click counts if -early_ms <= click_time_ms - event_time_ms <= attribution_ms, of the exposure.
    emit: `at_close` releases both labels when the window closes; `at_click` label 1 at the click and label 0 at the
        close; `at_once` label 0 at serving and a second, positive example at the click.
    """

    def __init__(self, attribution_ms: int, emit: Emit = "at_close", early_ms: int = EARLY_MS) -> None:
        if attribution_ms < 0:
            raise ValueError(f"attribution_ms: got {attribution_ms}, must be >= 0")
        if early_ms < 0:
            raise ValueError(f"early_ms: got {early_ms}, must be >= 0")
        self.attribution_ms = attribution_ms
        self.early_ms = early_ms
        self.emit: Emit = emit
        self.counts = JoinCounts()
        self.watermark_ms = np.iinfo(np.int64).min
        self._chunks: list[Chunk] = []
        self._exposures: list[ExposureBatch] = []  # added since the last release
        self._clicks: list[LoggedClicks] = []  # not looked for yet: added since, or made after the watermark
        self._waiting: LoggedClicks | None = None  # whose exposure has not come

    def add_exposures(self, batch: ExposureBatch) -> None:
        self.counts.exposures += len(batch)
        if len(batch):
            self._exposures.append(batch)

    def add_clicks(self, batch: ClickBatch, partition: int = 0, offset: np.ndarray | int = 0) -> None:
        """Clicks, and where their records lie; whether they carry an arm plays no part in the join."""
        n = len(batch)
        self.counts.clicks += n
        if n:
            where = constant(offset, n, np.int64)
            self._clicks.append(
                LoggedClicks(
                    batch.exposure_id, batch.event_time_ms, batch.click_time_ms, constant(partition, n, np.int32), where
                )
            )

    def release(self, watermark_ms: int) -> Released:
        """Everything whose label is settled once all events before `watermark_ms` are known."""
        fresh = self._take_in()
        unknown, positives = self._match_clicks(watermark_ms, fresh)
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
            parts.append(_label(fresh.batch, 0, fresh.batch.event_time_ms))
        if self.emit == "at_click" and outcomes is not None and not outcomes.label.all():
            parts.append(outcomes.take(outcomes.label == 0))
        return Released(in_order(parts) if parts else None, outcomes, unknown)

    def _take_in(self) -> Chunk | None:
        """Move added exposures into the buffer, dropping copies; those that are new."""
        if not self._exposures:
            return None
        batch = ExposureBatch.concat(self._exposures)
        self._exposures = []
        if int(batch.event_time_ms.min()) + self.attribution_ms < self.watermark_ms:
            stale = batch.event_time_ms + self.attribution_ms < self.watermark_ms
            self.counts.stale += int(stale.sum())
            batch = batch.take(~stale)
        if not _rises(batch):
            batch = batch.take(np.lexsort((batch.exposure_id, batch.event_time_ms)))
        ids, times = batch.exposure_id, batch.event_time_ms
        keep = np.ones(len(ids), dtype=bool)
        keep[1:] = (ids[1:] != ids[:-1]) | (times[1:] != times[:-1])
        for chunk in self._chunks:
            if len(ids) and chunk.last_ms >= times[0] and chunk.first_ms <= times[-1]:
                keep &= ~chunk.holds(ids, times)
        self.counts.duplicate_exposures += int(len(keep) - keep.sum())
        if not keep.any():
            return None
        batch = batch if keep.all() else batch.take(keep)
        fresh = Chunk(batch, np.zeros(len(batch), dtype=bool))
        self._insert(fresh)
        return fresh

    def _insert(self, chunk: Chunk) -> None:
        """Keep the chunks in order of time; where they overlap (events came out of order) merge them."""
        overlapping = [c for c in self._chunks if c.last_ms >= chunk.first_ms]
        if overlapping:
            self._chunks = [c for c in self._chunks if c.last_ms < chunk.first_ms]
            batch = ExposureBatch.concat([*(c.batch for c in overlapping), chunk.batch])
            clicked = np.concatenate([*(c.clicked for c in overlapping), chunk.clicked])
            order = np.lexsort((batch.exposure_id, batch.event_time_ms))
            chunk = Chunk(batch.take(order), clicked[order])
        self._chunks.append(chunk)

    def _match_clicks(self, watermark_ms: int, fresh: Chunk | None) -> tuple[LoggedClicks | None, ExampleBatch | None]:
        """Mark the exposures that were clicked before the watermark. Clicks without one; examples at the click."""
        self._look_again(fresh)
        if not self._clicks:
            return self._give_up(watermark_ms, []), None
        clicks = LoggedClicks.concat(self._clicks)
        clicks = clicks.take(np.lexsort((clicks.exposure_id, clicks.click_time_ms)))
        # By its own word, at least: such a click need not be waited for.
        is_late = clicks.click_time_ms - clicks.event_time_ms > self.attribution_ms
        is_due = clicks.click_time_ms < watermark_ms
        chunk_of, row_of, delay_ms = self._find(clicks, np.flatnonzero(is_due | is_late))
        is_hit = (chunk_of >= 0) & (delay_ms >= -self.early_ms) & (delay_ms <= self.attribution_ms)
        is_late = np.where(chunk_of >= 0, delay_ms > self.attribution_ms, is_late)
        is_early = (chunk_of >= 0) & (delay_ms < -self.early_ms)
        self.counts.late += int(is_late.sum())
        self.counts.early_clicks += int(is_early.sum())
        positives = []
        for number in np.unique(chunk_of[is_hit & is_due]).tolist():
            chunk = self._chunks[number]
            marked = np.flatnonzero(is_hit & is_due & (chunk_of == number))
            rows, first = np.unique(row_of[marked], return_index=True)  # the earliest click of each: they are in order
            new = ~chunk.clicked[rows]
            self.counts.duplicate_clicks += int(len(marked) - new.sum())
            self.counts.joined += int(new.sum())
            if self.emit != "at_close" and new.any():
                positives.append(_label(chunk.batch.take(rows[new]), 1, clicks.click_time_ms[marked[first[new]]]))
            chunk.clicked[rows] = True
        is_settled = is_late | is_early | (is_hit & is_due)
        self._clicks = _some(clicks, ~is_settled & ~is_due)
        waiting = [*([] if self._waiting is None else [self._waiting]), *_some(clicks, ~is_settled & is_due)]
        self._waiting = LoggedClicks.concat(waiting) if waiting else None
        return self._give_up(watermark_ms, _some(clicks, is_early)), ExampleBatch.concat(
            positives
        ) if positives else None

    def _look_again(self, fresh: Chunk | None) -> None:
        """Clicks that waited for an exposure which has now come are looked for once more."""
        if fresh is None or self._waiting is None:
            return
        found = np.zeros(len(self._waiting), dtype=bool)
        for which, _ in fresh.find(self._waiting.exposure_id):
            found[which] = True
        if found.any():
            self._clicks += _some(self._waiting, found)
            self._waiting = next(iter(_some(self._waiting, ~found)), None)

    def _find(self, clicks: LoggedClicks, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(chunk, row, delay_ms) of each click's exposure, [n]; chunk -1 where no open exposure has its id.

        Of several with one id it is that whose window holds the click: the one at the time that the click names, else
        the last one; where no window holds it, the first.
        """
        chunk_of, row_of = np.full(len(clicks), -1, dtype=np.int64), np.zeros(len(clicks), dtype=np.int64)
        delay_ms = np.zeros(len(clicks), dtype=np.int64)
        is_left = np.zeros(len(clicks), dtype=bool)
        is_left[wanted] = True
        for number, chunk in enumerate(self._chunks):
            # Nearly every click says rightly when its exposure was.
            named = (clicks.event_time_ms >= chunk.first_ms) & (clicks.event_time_ms <= chunk.last_ms)
            at = np.flatnonzero(is_left & named)
            if not len(at):
                continue
            click, row, delay = chunk.named(clicks, at)
            inside = self._is_inside(delay)
            click = click[inside]
            chunk_of[click], row_of[click], delay_ms[click] = number, row[inside], delay[inside]
            is_left[click] = False
        if not is_left.any():
            return chunk_of, row_of, delay_ms
        at = np.flatnonzero(is_left)
        found = [(number, chunk.hits(clicks, at)) for number, chunk in enumerate(self._chunks)]
        found = [(number, hits) for number, hits in found if len(hits.click)]
        if not found:
            return chunk_of, row_of, delay_ms
        chunks = np.concatenate([np.full(len(hits.click), number) for number, hits in found])
        click, row, delay = map(np.concatenate, zip(*(hits for _, hits in found), strict=True))
        inside = self._is_inside(delay)
        # The best comes last and stays: inside before outside, there the shortest delay, here the longest.
        order = np.lexsort((np.where(inside, -delay, delay), inside, click))
        chunk_of[click[order]], row_of[click[order]], delay_ms[click[order]] = chunks[order], row[order], delay[order]
        return chunk_of, row_of, delay_ms

    def _is_inside(self, delay_ms: np.ndarray) -> np.ndarray:
        return np.asarray((delay_ms >= -self.early_ms) & (delay_ms <= self.attribution_ms))

    def _give_up(self, watermark_ms: int, early: list[LoggedClicks]) -> LoggedClicks | None:
        """Clicks that no exposure can have any more, and those that came too early."""
        unknown = early
        if (waiting := self._waiting) is not None:
            # The last exposure that could hold the click would be too late for the watermark.
            is_unknown = waiting.click_time_ms + self.early_ms + self.attribution_ms < watermark_ms
            self.counts.unknown_clicks += int(is_unknown.sum())
            if is_unknown.any():
                unknown = [*_some(waiting, is_unknown), *early]
                self._waiting = next(iter(_some(waiting, ~is_unknown)), None)
        return LoggedClicks.concat(unknown) if unknown else None

    def _close(self, watermark_ms: int) -> tuple[ExposureBatch, np.ndarray] | None:
        """Take out the exposures whose last possible click lies before the watermark."""
        closed: list[tuple[ExposureBatch, np.ndarray]] = []
        while self._chunks and self._chunks[0].first_ms + self.attribution_ms < watermark_ms:
            chunk = self._chunks.pop(0)
            n = int(np.searchsorted(chunk.batch.event_time_ms, watermark_ms - self.attribution_ms, side="left"))
            if n < len(chunk.batch):
                self._chunks.insert(0, Chunk(chunk.batch.part(slice(n, None)), chunk.clicked[n:]))
                closed.append((chunk.batch.part(slice(0, n)), chunk.clicked[:n]))
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
        open_clicks = [*self._clicks, *([] if self._waiting is None else [self._waiting])]
        clicks = LoggedClicks.concat(open_clicks) if open_clicks else None
        return JoinState(batch, clicked, clicks, replace(self.counts), self.watermark_ms)

    def restore(self, state: JoinState) -> None:
        """Go on from a state, of this join or of others merged."""
        self._chunks = []
        self._exposures = []
        if (batch := state.exposures) is not None and len(batch):
            order = np.lexsort((batch.exposure_id, batch.event_time_ms))
            self._chunks = [Chunk(batch.take(order), state.clicked[order])]
        self._clicks = [state.clicks] if state.clicks is not None and len(state.clicks) else []
        self._waiting = None  # they are looked for again, among what they were looked for before
        self.counts = replace(state.counts)
        self.watermark_ms = state.watermark_ms


def _label(batch: ExposureBatch, label: int, label_time_ms: np.ndarray) -> ExampleBatch:
    n = len(batch)
    status = constant(CLICKED if label else EXPIRED, n, np.uint8)
    return ExampleBatch(batch, constant(label, n, np.uint8), label_time_ms, status)


def _rises(batch: ExposureBatch) -> bool:
    """Whether the rows lie in the order (event time, id), as nearly all come."""
    ids, times = batch.exposure_id, batch.event_time_ms
    step = np.diff(times)
    return bool(((step > 0) | ((step == 0) & (ids[1:] > ids[:-1]))).all())


def _some(clicks: LoggedClicks, rows: np.ndarray) -> list[LoggedClicks]:
    return [clicks.take(rows)] if rows.any() else []


def in_order(parts: Sequence[ExampleBatch]) -> ExampleBatch:
    """The parts as one batch in the order (label_time_ms, exposure_id)."""
    examples = ExampleBatch.concat(parts)
    order = np.lexsort((examples.exposure_id, examples.label_time_ms))
    return examples if bool((order[1:] > order[:-1]).all()) else examples.take(order)
