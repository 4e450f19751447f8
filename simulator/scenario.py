"""The scenario: the YAML contract of a run.

Every mistake is reported with the path of the key, the value, the rule and, for a misspelt key, the likely one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from reloop_stream import plugins
from reloop_stream.config import FieldConfig, LearnerConfig, apply_overrides, explain
from reloop_stream.errors import ConfigError, PluginError
from reloop_stream.log.kafka_settings import check_settings, plain_secrets
from simulator.replay.config import DataConfig
from simulator.world.config import WorldConfig

__all__ = [
    "ArmConfig",
    "Phase",
    "Scenario",
    "ScenarioError",
    "json_schema",
    "load_scenario",
    "parse_scenario",
    "scenario_hash",
    "to_yaml",
]

Phase = Literal["warmup", "aa", "ab"]

SHARE_TOLERANCE = 1e-9  # shares are decimal fractions written by hand; three thirds need a little room


class ScenarioError(ConfigError):
    """A mistake in a scenario: one line a mistake, each with its path, value and rule."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class SeedConfig(_Section):
    """Three seeds: runs that share the world's seed meet the same users, items and luck."""

    world: int = Field(1, ge=0, description="Seed of the simulated world: users, items, arrivals, clicks, delays.")
    model: int = Field(1, ge=0, description="Seed of the models' initial weights and of shuffles.")
    salt: str = Field("1", min_length=1, description="Salt of the hash that assigns users to arms.")


class PhasesConfig(_Section):
    """How many days each phase lasts. In a replay a day is a period of `data.period_events` events where that is set."""

    warmup_days: int = Field(3, ge=0, description="Days of random slates; the control learner trains on them.")
    aa_days: int = Field(7, ge=0, description="Days on which one control learner serves all arms (the A/A test).")
    ab_days: int = Field(7, ge=0, description="Days on which each arm is served by its own learner (the A/B test).")

    @property
    def days(self) -> dict[Phase, int]:
        """How many days each phase has, in the order of the phases."""
        return {"warmup": self.warmup_days, "aa": self.aa_days, "ab": self.ab_days}

    @model_validator(mode="after")
    def _some_day(self) -> PhasesConfig:
        if self.warmup_days + self.aa_days + self.ab_days == 0:
            raise ValueError("the three phases have no day between them, need at least one")
        return self


class GreedyPolicy(_Section):
    """The items with the highest pCTR, best first."""

    name: Literal["greedy"] = "greedy"


class EpsilonGreedyPolicy(_Section):
    """In each slot: the best remaining item, or with probability `epsilon` a random one."""

    name: Literal["epsilon_greedy"]
    epsilon: float = Field(0.1, ge=0, le=1, description="Probability that a slot is filled at random.")


class SoftmaxPolicy(_Section):
    """Without replacement, in proportion to exp(logit(pCTR) / temperature): the Plackett-Luce model."""

    name: Literal["softmax"]
    temperature: float = Field(0.5, gt=0, description="High: nearly random. Low: nearly greedy.")


Policy = Annotated[GreedyPolicy | EpsilonGreedyPolicy | SoftmaxPolicy, Field(discriminator="name")]


class ServingConfig(_Section):
    """How slates are made from scores."""

    slate: int = Field(10, ge=1, le=64, description="Items a request is shown.")
    policy: Policy = Field(GreedyPolicy(), description="How the slate is chosen from the scores.")
    random_share: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of requests with a random slate in every arm, for unbiased AUC and calibration.",
    )
    deploy_delay_hours: float = Field(
        1.0,
        ge=0,
        description="Simulated hours from the end of a version's training data to its first slate; at least a tick.",
    )


class JoinConfig(_Section):
    """How exposures and clicks become labelled examples."""

    attribution_hours: float = Field(
        1.0, gt=0, description="A click counts if it comes at most this long after the exposure."
    )
    emit: Literal["at_close", "at_click", "at_once"] = Field(
        "at_close",
        description="When a label is given: both when the window closes; 1 at the click; or 0 at serving and again 1 at the click.",
    )


class LogConfig(_Section):
    """Where the events flow. The embedded log lies in the run folder."""

    url: str = Field("embedded", description="`embedded`, or `kafka://HOST:PORT[,HOST:PORT]`.")
    encoding: Literal["arrow", "json"] = Field("arrow", description="arrow: a batch a record. json: an event a record.")
    retention: Literal["window", "all"] = Field(
        "window", description="window: keep what learners may read again, and a day. all: keep every event."
    )
    examples: bool = Field(False, description="Also write the joined, labelled examples to their topic.")
    unavailable_after_s: float = Field(
        60.0, gt=0, description="Wall-clock seconds to wait for a broker that is gone before giving up (resumable)."
    )
    kafka: dict[str, bool | int | str] = Field(
        {},
        description="Settings of Kafka's clients, under kafka-python's names: security_protocol, ssl_*, sasl_* and the like. "
        "A secret is given as env:NAME or file:PATH.",
    )

    @field_validator("kafka")
    @classmethod
    def _known_settings(cls, kafka: dict[str, bool | int | str]) -> dict[str, bool | int | str]:
        check_settings(kafka)
        for name in plain_secrets(kafka):
            raise ValueError(f"{name}: is a secret, which the run folder would keep; give it as env:NAME or file:PATH")
        return kafka

    @model_validator(mode="after")
    def _known_url(self) -> LogConfig:
        if self.url != "embedded" and not self.url.startswith("kafka://"):
            raise ValueError(f"url: got {self.url!r}, must be `embedded` or `kafka://HOST:PORT[,HOST:PORT]`")
        return self


class ExperimentConfig(_Section):
    """What the arms' learners train on."""

    data: Literal["own", "shared", "co_diverted"] = Field(
        "own",
        description="An arm's learner trains on its own users' events, on everyone's, or on a random part of both.",
    )
    aa: Literal["control", "own"] = Field(
        "control",
        description="In warm-up and A/A: one control learner serves all arms, or each arm trains a copy of its own.",
    )


class TruthConfig(_Section):
    """Which true uplifts to compute. Only a simulator can."""

    experiment: bool = Field(
        True,
        description="Everyone served by a model trained on the arm's own users: what the split estimates. Costs serving.",
    )
    launch: bool = Field(
        False,
        description="Everyone on the arm, trained on all of it: one more A/B period an arm. What a launch would give.",
    )


class ArmConfig(_Section):
    """One arm. The first is the control."""

    name: str = Field(
        min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Letters, digits, _ . -"
    )
    share: float = Field(gt=0, le=1, description="Share of users. The arms' shares add up to 1.")
    learner: LearnerConfig = Field(
        default_factory=LearnerConfig,
        description="What differs from the scenario's `learner`: the two are merged key by key.",
    )


class Scenario(_Section):
    """A run of the laboratory: a world (or a data set), the arms, and what is measured."""

    name: str = Field(
        min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Names the run folder."
    )
    plugins: list[str] = Field(
        [],
        description="Python files that add models or losses; relative to the scenario's file. They run as your code.",
    )
    seed: SeedConfig = SeedConfig()
    phases: PhasesConfig = PhasesConfig()
    tick_minutes: int = Field(
        30, ge=1, le=1440, description="Simulated minutes that are computed at once. Divides a day."
    )
    checkpoint_every_hours: float = Field(12.0, gt=0, description="Simulated hours between checkpoints.")
    world: WorldConfig | None = Field(
        None, description="The simulated feed. Left out together with `data`: its defaults."
    )
    data: DataConfig | None = Field(None, description="A real data set to replay instead of a simulated world.")
    features: list[FieldConfig] | None = Field(
        None, description="What the models see. Left out: every field of the world, exact where its size is known."
    )
    serving: ServingConfig = ServingConfig()
    join: JoinConfig = JoinConfig()
    log: LogConfig = LogConfig()
    experiment: ExperimentConfig = ExperimentConfig()
    truth: TruthConfig = TruthConfig()
    learner: LearnerConfig = Field(
        default_factory=LearnerConfig, description="The learner of every arm, where the arm does not differ."
    )
    arms: list[ArmConfig] = Field(min_length=1, max_length=64, description="The arms; the first is the control.")

    @model_validator(mode="after")
    def _consistent(self) -> Scenario:
        if self.world is not None and self.data is not None:
            raise ValueError("world, data: a run has a simulated world or a replayed data set, not both; remove one")
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError(f"arms: names must differ, got {names}")
        total = sum(arm.share for arm in self.arms)
        if abs(total - 1) > SHARE_TOLERANCE:
            raise ValueError(f"arms: the shares add up to {total:g}, must add up to 1")
        if 1440 % self.tick_minutes:
            raise ValueError(f"tick_minutes: got {self.tick_minutes}, must divide a day (1440 minutes)")
        if self.data is not None and self.features is None:
            raise ValueError("features: a replay needs the list of fields that the models see, got none")
        if self.world is not None and self.serving.slate > self.world.candidates.k:
            raise ValueError(
                f"serving.slate: got {self.serving.slate}, must be at most world.candidates.k ({self.world.candidates.k})"
            )
        return self

    @property
    def control(self) -> ArmConfig:
        return self.arms[0]

    @property
    def is_replay(self) -> bool:
        return self.data is not None

    @property
    def tick_ms(self) -> int:
        return self.tick_minutes * 60_000

    @property
    def attribution_ms(self) -> int:
        return round(self.join.attribution_hours * 3_600_000)

    @property
    def days(self) -> int:
        return sum(self.phases.days.values())

    def warnings(self) -> list[str]:
        """What is allowed and yet likely to mislead."""
        found = []
        if self.experiment.data == "own" and len({arm.share for arm in self.arms}) > 1:
            found.append(
                "the arms' shares differ and each trains on its own users (experiment.data: own): "
                "how much data a learner has is then confounded with its method"
            )
        if self.phases.aa_days == 0 and self.phases.ab_days > 0:
            found.append("there is no A/A period (phases.aa_days: 0): CUPED and A/B - A/A cannot be computed")
        if self.control.learner.updating.mode == "none":
            found.append(
                f"the control {self.control.name} never learns (updating.mode: none): all arms are served untrained until A/B"
            )
        for arm in self.arms:
            at_once, loss = self.join.emit == "at_once", arm.learner.loss.name
            if loss in ("fnw", "fnc") and not at_once:
                found.append(
                    f"arm {arm.name}: loss {loss} corrects for clicks that are shown twice, which join.emit: "
                    f"{self.join.emit} does not do; set it to at_once"
                )
            if arm.learner.memory is not None and at_once:
                found.append(
                    f"arm {arm.name}: with join.emit: at_once its memory holds each click as a negative too, and corrects "
                    "towards rates that are too low"
                )
        return found


def load_scenario(path: Path, overrides: Iterable[str] = ()) -> Scenario:
    """The scenario in a YAML file, with `path.to.key=value` overrides applied.

    Raises ScenarioError naming the file and every mistake in it, ConfigError for an override that cannot be applied.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScenarioError(
            f"{path}: no such file; the scenarios that come with the project are in scenarios/"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from None
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ScenarioError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise ScenarioError(f"{path}: must hold a mapping of keys, got {type(raw).__name__}")
    raw = apply_overrides(raw, overrides)
    if isinstance(raw.get("plugins"), list):
        raw["plugins"] = [str((path.parent / str(file)).resolve()) for file in raw["plugins"]]
    return parse_scenario(raw, source=str(path))


def parse_scenario(raw: Mapping[str, Any], source: str = "scenario") -> Scenario:
    """The scenario that a mapping describes; each arm's `learner` is merged over the scenario's.

    Raises ScenarioError with a line a mistake.
    """
    merged = dict(raw)
    if merged.get("world") is None and merged.get("data") is None:
        merged["world"] = {}
    base, arms = merged.get("learner"), merged.get("arms")
    if isinstance(arms, list) and isinstance(base, Mapping | None):
        merged["arms"] = [_merge_arm(base or {}, arm) for arm in arms]
    if isinstance(files := merged.get("plugins"), list):
        try:
            plugins.load(map(str, files))
        except PluginError as error:
            raise ScenarioError(f"{source}: plugins: {error}") from None
    try:
        return Scenario.model_validate(merged)
    except ValidationError as error:
        lines = [explain(item, merged, json_schema()) for item in error.errors()]
        raise ScenarioError("\n".join(f"{source}: {line}" for line in dict.fromkeys(lines))) from None


def _merge_arm(base: Mapping[str, Any], arm: Any) -> Any:
    if not isinstance(arm, Mapping) or not isinstance(arm.get("learner", {}), Mapping | None):
        return arm
    return {**arm, "learner": _merge(base, arm.get("learner") or {})}


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, mapping by mapping. A mapping that chooses another `name` or `mode` replaces the base's."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            same_kind = all(value.get(tag, below.get(tag)) == below.get(tag) for tag in ("name", "mode"))
            merged[key] = _merge(below, value) if same_kind else dict(value)
        else:
            merged[key] = value
    return merged


def json_schema() -> dict[str, Any]:
    """The scenario's JSON Schema, for editors that complete and check YAML."""
    schema = Scenario.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "ReLoop Stream scenario", **schema}


def to_yaml(scenario: Scenario) -> str:
    """The resolved scenario: every default written out. Reading it again gives the same scenario."""
    return yaml.safe_dump(
        scenario.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True, width=100
    )


def scenario_hash(scenario: Scenario) -> str:
    """Eight hex digits that name the resolved scenario."""
    canonical = json.dumps(scenario.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]
