"""What a learner on a stream is: topics, join, model. Fixed at its first start, in the file learner.yaml of its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from reloop_stream.config import (
    MOST_HOURS,
    MOST_SEED,
    NAME,
    LearnerConfig,
    ModelFields,
    as_yaml,
    in_file,
    read_mapping,
    validated,
)
from reloop_stream.features.encoder import Encoder
from reloop_stream.log.topics import Topics
from reloop_stream.state.files import write_atomic
from reloop_stream.stream.intake import Intake, ValueType
from reloop_stream.stream.join import EARLY_MS, Emit
from reloop_stream.stream.partition_joins import JoinSettings

__all__ = ["StreamConfig", "differences", "load_config", "save_config"]


class TopicsConfig(BaseModel):
    """The names of the topics; see `reloop_stream.log.topics.Topics`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exposures: str = Field(min_length=1)
    clicks: str = Field(min_length=1)
    examples: str | None = None  # None: labelled examples are not written
    snapshots: str = Field(min_length=1)
    metrics: str = Field(min_length=1)
    dead_letters: str = Field(min_length=1)


class StreamConfig(BaseModel):
    """A learner on a stream. What may differ from one start to the next (workers, idle time) is not in here."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(max_length=64, pattern=NAME)
    topics: TopicsConfig
    arm: str | None = None  # train on this arm's rows alone
    attribution_minutes: float = Field(gt=0, le=MOST_HOURS * 60)
    emit: Emit
    early_seconds: float = Field(default=EARLY_MS / 1000, ge=0, le=86_400)  # of clicks before their exposure
    max_ahead_minutes: float | None = Field(default=60.0, gt=0)  # see `reloop_stream.stream.intake.Intake`
    tick_seconds: float = Field(gt=0, le=86_400)
    seed: int = Field(ge=0, le=MOST_SEED)
    base_rate: float = Field(gt=0, lt=1)
    learner: LearnerConfig
    fields: ModelFields = Field(min_length=1)
    types: dict[str, ValueType]  # of ids and features; see `reloop_stream.stream.intake.Intake`

    @model_validator(mode="after")
    def _topics_differ(self) -> StreamConfig:
        names = [name for name in self.topics.model_dump().values() if name is not None]
        if len(set(names)) < len(names):
            raise ValueError(f"topics: names must differ, got {names}")
        return self

    @property
    def join(self) -> JoinSettings:
        return JoinSettings(round(self.attribution_minutes * 60_000), self.emit, round(self.early_seconds * 1000))

    @property
    def max_ahead_ms(self) -> int | None:
        return None if self.max_ahead_minutes is None else round(self.max_ahead_minutes * 60_000)

    @property
    def tick_ms(self) -> int:
        return max(1, round(self.tick_seconds * 1000))

    @property
    def topic_names(self) -> Topics:
        topics = self.topics
        return Topics(**{**topics.model_dump(), "examples": topics.examples or ""})

    def intake(self) -> Intake:
        return Intake(Encoder(self.fields), self.types, self.max_ahead_ms)


def load_config(path: Path) -> StreamConfig | None:
    """The configuration at the path, None where there is none. Raises ConfigError."""
    if not path.exists():
        return None
    return validated(StreamConfig, read_mapping(path), lambda location: in_file(path, location))


def save_config(path: Path, config: StreamConfig) -> None:
    """Write the configuration atomically. Raises OSError."""
    write_atomic(path, as_yaml(config.model_dump(mode="json")).encode())


def differences(recorded: StreamConfig, given: StreamConfig) -> list[str]:
    """What differs, a line a key: `path: recorded there, given here`."""
    before, now = (dict(_leaves(config.model_dump(mode="json"))) for config in (recorded, given))
    return [
        f"{path}: {before.get(path)!r} there, {now.get(path)!r} here"
        for path in [*before, *(path for path in now if path not in before)]
        if before.get(path) != now.get(path)
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _leaves(below, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for number, below in enumerate(value):
            yield from _leaves(below, f"{path}[{number}]")
    else:
        yield path, value
