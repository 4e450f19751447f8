"""The event log: one protocol (`base`), two implementations (`embedded`, `kafka`), one codec."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from reloop_stream.errors import LogError, LogUnavailable, OffsetOutOfRange, SettingsError, UnknownTopic
from reloop_stream.log.base import EventLog, Partition, Producer, Reader, Record
from reloop_stream.log.kafka_settings import Settings

__all__ = [
    "KAFKA",
    "EventLog",
    "LogError",
    "LogPlace",
    "LogUnavailable",
    "OffsetOutOfRange",
    "Partition",
    "Producer",
    "Reader",
    "Record",
    "Settings",
    "SettingsError",
    "UnknownTopic",
    "open_log",
]

KAFKA = "kafka://"


class LogPlace(NamedTuple):
    """Where a log is, for processes that each open it; see `open_log`."""

    place: str | Path
    unavailable_after_s: float = 60.0
    settings: Settings | None = None

    def open(self) -> EventLog:
        return open_log(self.place, unavailable_after_s=self.unavailable_after_s, settings=self.settings)


def open_log(place: str | Path, *, unavailable_after_s: float = 60.0, settings: Settings | None = None) -> EventLog:
    """The log at a place: a folder (a Path) or `kafka://HOST:PORT[,HOST:PORT]`.

    unavailable_after_s: wall-clock seconds to wait for a broker that is gone. settings: of Kafka's clients, for security
    above all; see `reloop_stream.log.kafka_settings`. Raises SettingsError, on any other place too.
    """
    if isinstance(place, Path):
        from reloop_stream.log.embedded import EmbeddedLog

        return EmbeddedLog(place)
    if place.startswith(KAFKA):
        from reloop_stream.log.kafka import KafkaLog

        return KafkaLog(place.removeprefix(KAFKA), unavailable_after_s=unavailable_after_s, settings=settings)
    raise SettingsError(f"log: got {place!r}, must be a Path or kafka://HOST:PORT[,HOST:PORT]")
