"""What tests of a stream share, this project's and its users': batches of events, a log that fails on cue, a clock that is
moved by hand. Fixtures for pytest, a real Kafka broker among them, are in `reloop_stream.testing.fixtures`."""

from __future__ import annotations

from reloop_stream.testing.batches import clicks_on, examples, exposures, same_columns
from reloop_stream.testing.clock import ManualClock
from reloop_stream.testing.memory_log import Crash, Cue, End, MemoryLog, Pause, StreamCrashed

__all__ = [
    "Crash",
    "Cue",
    "End",
    "ManualClock",
    "MemoryLog",
    "Pause",
    "StreamCrashed",
    "clicks_on",
    "examples",
    "exposures",
    "same_columns",
]
