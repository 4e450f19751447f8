"""Where a run lives: its folder, its log, and the prefix of its topics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reloop_stream.errors import LogUnavailable
from reloop_stream.log import EventLog, open_log
from reloop_stream.log.topics import TOPIC_NAME_RULE, Topics, is_topic_name
from simulator.errors import RunFolderError
from simulator.experiment.shards import WHOLE, Shards
from simulator.experiment.strides import AT_ONCE
from simulator.scenario import LogConfig

__all__ = ["RunPlace"]


@dataclass(frozen=True)
class RunPlace:
    """With `origin` it is a counterfactual that forks from the A/A period of another run. For as long as the run lives: shards,
    into which every arm's users are cut; at_once, the exposures that may be taken at once (`in_strides`)."""

    folder: Path
    log_url: str
    prefix: str
    origin: RunPlace | None = None
    shards: Shards = WHOLE
    at_once: int = AT_ONCE

    @property
    def rows(self) -> Path:
        """Where the prepared rows of a replay lie, as long as it is not finished."""
        return self.folder / "rows"

    @property
    def topics(self) -> Topics:
        return Topics.of(self.prefix)

    def open(self, settings: LogConfig) -> EventLog:
        if self.log_url == "embedded":
            return open_log(self.folder / "events")
        return open_log(self.log_url, unavailable_after_s=settings.unavailable_after_s, settings=settings.kafka)

    def check(self, settings: LogConfig, ids: Mapping[str, str]) -> None:
        """Make sure that the topics are this run's to write to, before anything is.

        ids: what its topics are known by (`EventLog.topic_ids`), empty where it has not made them yet. Raises
        RunFolderError, LogUnavailable. A log in the run folder is the run's. It costs a new run two or three questions.
        """
        if self.log_url == "embedded":
            return
        if bad := [topic for topic in self.topics if not is_topic_name(topic)]:
            raise RunFolderError(
                f"--out: got {self.prefix!r}, which the run's topics are called after, and Kafka has no topic {bad[0]!r}: "
                f"{TOPIC_NAME_RULE}; choose another --out"
            )
        with self.open(settings) as log:
            try:
                found = log.topic_ids(self.topics)
                if ids:
                    self._recognise(found, ids)
                    return
                places = [place for topic in found for place in log.partitions(topic)]
                used = [place.topic for place, end in log.end_offsets(places).items() if end > 0]
            except LogUnavailable as error:
                raise LogUnavailable(f"{error}; in a scenario that is log.unavailable_after_s") from None
        if used:
            raise RunFolderError(
                f"--out: {used[0]} on {self.log_url} holds records already, of another run; choose another --out, which "
                f"the topics are called after, or delete the topics {self.prefix}.*"
            )

    def _recognise(self, found: Mapping[str, str], ids: Mapping[str, str]) -> None:
        for topic, known_by in ids.items():
            if found.get(topic) != known_by:
                what = "is not this run's, but made later or elsewhere" if topic in found else "is not there"
                raise RunFolderError(
                    f"{self.folder}: the topic {topic} on {self.log_url} {what}; this run goes on with the topics that it "
                    "made, so give config.yaml their broker (log.url), or start a new run"
                )

    def checkpoint(self, stage: str, kind: str, name: str) -> Path:
        return self.folder / "checkpoints" / f"{stage}.{kind}.{name}.ckpt"
