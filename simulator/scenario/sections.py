"""The sections of a scenario; their descriptions are its documentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from reloop_stream.config import MOST_HOURS, MOST_SEED, NAME, LearnerConfig
from reloop_stream.errors import SettingsError
from reloop_stream.log import KAFKA
from reloop_stream.log.kafka_settings import check_bootstrap, check_settings, plain_secrets

__all__ = ["CONTROL_LEARNER", "EVERYONE", "ORACLE", "RANDOM", "ArmConfig", "Phase"]

Phase = Literal["warmup", "aa", "ab"]

MOST_DAYS = int(MOST_HOURS / 24)

# Roles of warm-up and A/A, which a run calls by name as it does arms.
EVERYONE = "everyone"  # the server of all arms
CONTROL_LEARNER = "control-learner"  # the learner of all arms

# What `truth.bounds` serves beside the arms, and calls so.
ORACLE = "oracle"
RANDOM = "random"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class SeedConfig(Section):
    """Three seeds: runs that share the world's seed meet the same users, items and luck."""

    world: int = Field(
        1, ge=0, le=MOST_SEED, description="Seed of the simulated world: users, items, arrivals, clicks, delays."
    )
    model: int = Field(1, ge=0, le=MOST_SEED, description="Seed of the models' initial weights and of shuffles.")
    salt: str = Field("1", min_length=1, description="Salt of the hash that assigns users to arms.")


class PhasesConfig(Section):
    """How many days each phase lasts. In a replay a day is a period of `data.period_events` events where that is set."""

    warmup_days: int = Field(
        3, ge=0, le=MOST_DAYS, description="Days of random slates; the control learner trains on them."
    )
    aa_days: int = Field(
        7, ge=0, le=MOST_DAYS, description="Days on which one control learner serves all arms (the A/A test)."
    )
    ab_days: int = Field(
        7, ge=0, le=MOST_DAYS, description="Days on which each arm is served by its own learner (the A/B test)."
    )

    @property
    def days(self) -> dict[Phase, int]:
        """How many days each phase has, in the order of the phases."""
        return {"warmup": self.warmup_days, "aa": self.aa_days, "ab": self.ab_days}

    @model_validator(mode="after")
    def _some_day(self) -> PhasesConfig:
        if self.warmup_days + self.aa_days + self.ab_days == 0:
            raise ValueError("the three phases have no day between them, need at least one")
        return self


class GreedyPolicy(Section):
    """The items with the highest pCTR, best first."""

    name: Literal["greedy"] = "greedy"


class EpsilonGreedyPolicy(Section):
    """In each slot: the best remaining item, or with probability `epsilon` a random one."""

    name: Literal["epsilon_greedy"]
    epsilon: float = Field(0.1, ge=0, le=1, description="Probability that a slot is filled at random.")


class SoftmaxPolicy(Section):
    """Without replacement, in proportion to exp(logit(pCTR) / temperature): the Plackett-Luce model."""

    name: Literal["softmax"]
    temperature: float = Field(0.5, gt=0, description="High: nearly random. Low: nearly greedy.")


Policy = Annotated[GreedyPolicy | EpsilonGreedyPolicy | SoftmaxPolicy, Field(discriminator="name")]


class ServingConfig(Section):
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
        le=MOST_HOURS,
        description="Simulated hours from the end of a version's training data to its first slate; at least a tick.",
    )


class JoinConfig(Section):
    """How exposures and clicks become labelled examples."""

    attribution_hours: float = Field(
        1.0, gt=0, le=MOST_HOURS, description="A click counts if it comes at most this long after the exposure."
    )
    emit: Literal["at_close", "at_click", "at_once"] = Field(
        "at_close",
        description="When a label is given: both when the window closes; 1 at the click; or 0 at serving and again 1 at the click.",
    )


class LogConfig(Section):
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
        if self.url == "embedded":
            return self
        if not self.url.startswith(KAFKA):
            raise ValueError(f"url: got {self.url!r}, must be `embedded` or `kafka://HOST:PORT[,HOST:PORT]`")
        try:
            check_bootstrap(self.url.removeprefix(KAFKA))
        except SettingsError as error:
            raise ValueError(f"url: {error}") from None
        return self


class ExperimentConfig(Section):
    """Who sees what, and what the arms' learners train on."""

    design: Literal["paired", "split"] | None = Field(
        None,
        description="paired: every arm sees every event, and its own model stamps it. split: a user's events go to one arm. "
        "Left out: paired in a replay, split in a simulation, where a user can be shown one slate only.",
    )
    data: Literal["own", "shared", "co_diverted"] = Field(
        "own",
        description="An arm's learner trains on its own users' events, on everyone's, or on a random part of both.",
    )
    aa: Literal["control", "own"] = Field(
        "control",
        description="In warm-up and A/A: one control learner serves all arms, or each arm trains a copy of its own.",
    )


class TruthConfig(Section):
    """Which true uplifts to compute, and how much there was to win. Only a simulator can. All worlds share their luck."""

    experiment: bool = Field(
        True,
        description="Everyone served by a model trained on the arm's own users: what the split estimates. Costs serving.",
    )
    launch: bool = Field(
        False,
        description="Everyone on the arm, trained on all of it: one more A/B period an arm. What a launch would give.",
    )
    bounds: bool = Field(
        False,
        description="Serve the requests of A/B by an oracle, which knows the world's click probabilities, and at random too: "
        "how much there was to win, and the best AUC and log loss that any model could have. Costs serving.",
    )


def _by_word(value: object) -> object:
    """`truth: paired` and `truth: none` in full."""
    if not isinstance(value, str):
        return value
    if value not in TRUTH_BY_WORD:
        raise ValueError(
            f"got {value!r}, must be {', '.join(TRUTH_BY_WORD)}, or a mapping of {', '.join(TruthConfig.model_fields)}"
        )
    return TRUTH_BY_WORD[value]


TRUTH_BY_WORD = {"paired": {"experiment": True, "launch": True}, "none": {"experiment": False, "launch": False}}
Truth = Annotated[
    TruthConfig, BeforeValidator(_by_word, json_schema_input_type=TruthConfig | Literal["paired", "none"])
]


class ArmConfig(Section):
    """One arm. The first is the control."""

    name: str = Field(min_length=1, max_length=64, pattern=NAME, description="Letters, digits, _ . -")
    share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of users. The arms' shares add up to 1; equal where no arm says one. Nothing in a paired replay.",
    )
    learner: LearnerConfig = Field(
        default_factory=LearnerConfig,
        description="What differs from the scenario's `learner`: the two are merged key by key.",
    )

    @field_validator("name")
    @classmethod
    def _not_a_role(cls, name: str) -> str:
        if name in (EVERYONE, CONTROL_LEARNER):
            raise ValueError(f"got {name!r}, which is what a run calls the one of all arms in A/A; choose another name")
        return name
