"""The scenario: the YAML contract of a run.

Every mistake is reported with the path of the key, the value, the rule and, for a misspelt key, the likely one.
"""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from reloop_stream.config import MOST_HOURS, NAME, LearnerConfig, ModelFields
from simulator.datasets.config import DataConfig
from simulator.scenario.sections import (
    ORACLE,
    RANDOM,
    ArmConfig,
    ExperimentConfig,
    JoinConfig,
    LogConfig,
    PhasesConfig,
    Section,
    SeedConfig,
    ServingConfig,
    Truth,
    TruthConfig,
)
from simulator.world.config import WorldConfig

__all__ = ["HASHED_BUCKETS", "Scenario"]

HASHED_BUCKETS = 1 << 15  # of a field of the world whose values keep coming, where the scenario lists no fields
CROWDED = 0.25  # share of items that share a bucket; with the default catalogue it is 6%

SHARE_TOLERANCE = 1e-9  # shares are decimal fractions written by hand; three thirds need a little room


class Scenario(Section):
    """A run of the laboratory: a world (or a data set), the arms, and what is measured."""

    name: str = Field(min_length=1, max_length=64, pattern=NAME, description="Names the run folder.")
    plugins: list[str] = Field(
        [],
        description="Python files that add models or losses; relative to the scenario's file. They run as your code.",
    )
    seed: SeedConfig = SeedConfig()
    phases: PhasesConfig = PhasesConfig()
    tick_minutes: int = Field(
        30,
        ge=1,
        le=1440,
        description="Length of the world's ticks, at whose beginnings items, drift and versions change. Divides a day.",
    )
    checkpoint_every_hours: float = Field(
        12.0, gt=0, le=MOST_HOURS, description="Simulated hours between checkpoints; no two come within 5 s."
    )
    world: WorldConfig | None = Field(
        None, description="The simulated feed. Left out together with `data`: its defaults."
    )
    data: DataConfig | None = Field(None, description="A real data set to replay instead of a simulated world.")
    features: ModelFields | None = Field(
        None, description="What the models see. Left out: every field of the world, exact where its size is known."
    )
    serving: ServingConfig = ServingConfig()
    join: JoinConfig = JoinConfig()
    log: LogConfig = LogConfig()
    experiment: ExperimentConfig = ExperimentConfig()
    truth: Truth = Field(
        TruthConfig(),
        description="Which true uplifts to compute, and how much there was to win. `paired`: both kinds of uplift; `none`: neither.",
    )
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
        if silent := [arm.name for arm in self.arms if arm.share is None]:
            if len(silent) < len(self.arms):
                raise ValueError(f"arms: {silent[0]} has no share, others have one; give it to each, or to none")
        elif abs((total := sum(self.shares)) - 1) > SHARE_TOLERANCE:
            raise ValueError(f"arms: the shares add up to {total:g}, must add up to 1")
        self._check_design()
        self._check_bounds(names)
        if 1440 % self.tick_minutes:
            raise ValueError(f"tick_minutes: got {self.tick_minutes}, must divide a day (1440 minutes)")
        if self.data is not None and self.features is None:
            raise ValueError("features: a replay needs the list of fields that the models see, got none")
        if self.world is not None and self.serving.slate > self.world.candidates.k:
            raise ValueError(
                f"serving.slate: got {self.serving.slate}, must be at most world.candidates.k ({self.world.candidates.k})"
            )
        return self

    def _check_design(self) -> None:
        if self.experiment.design == "paired" and not self.is_replay:
            raise ValueError(
                "experiment.design: got paired, must be split in a simulation: a user can be shown one slate only, and "
                "what the others would have given is what `truth` computes"
            )
        if not self.is_paired:
            return
        if self.experiment.data != "own":
            raise ValueError(
                f"experiment.data: got {self.experiment.data}, must be own in a paired replay: every arm has every event "
                "of its own; experiment.design: split has arms that share"
            )
        if len(set(self.shares)) > 1:
            raise ValueError(
                f"arms: got shares of {', '.join(f'{share:g}' for share in self.shares)}, must be equal or left out in a "
                "paired replay: every arm sees every event; experiment.design: split divides the users"
            )

    def _check_bounds(self, names: list[str]) -> None:
        if not self.truth.bounds:
            return
        if self.is_replay:
            raise ValueError(
                "truth.bounds: got true, must be false in a replay: only a simulator knows its click probabilities"
            )
        for name in {ORACLE, RANDOM} & {*names}:
            raise ValueError(f"arms: got the name {name!r}, which truth.bounds gives to its own; choose another name")

    @property
    def control(self) -> ArmConfig:
        return self.arms[0]

    @property
    def shares(self) -> list[float]:
        """Each arm's share of users; equal where none is given."""
        return [1 / len(self.arms) if arm.share is None else arm.share for arm in self.arms]

    @property
    def is_paired(self) -> bool:
        """Whether every arm sees every event."""
        return self.is_replay and self.experiment.design != "split"

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
        if self.experiment.data == "own" and len(set(self.shares)) > 1:
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
        found += self._crowded_buckets()
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

    def _crowded_buckets(self) -> list[str]:
        """Whether many items share a row of the embedding table with others that are alive."""
        if self.world is None:
            return []
        buckets = HASHED_BUCKETS
        if self.features is not None:
            buckets = next((f.buckets for f in self.features if f.name == "item_id" and f.mode == "hashed"), 0)
        items = self.world.items
        if not buckets or (shared := _sharing(items.live, buckets)) <= CROWDED:
            return []
        # With those born meanwhile, for what was learnt of the dead stays in their rows.
        ever = items.live + items.live / items.lifetime_days * self.days
        enough = 1 << max(1, math.ceil(math.log2(8 * items.live)))
        return [
            f"world.items.live: {items.live:,} items hash into {buckets:,} buckets of item_id, so {shared:.0%} of those that live "
            f"at a time share one with another and are learnt as one ({_sharing(ever, buckets):.0%} of all that are born in "
            f"{self.days} days); list the fields under `features` and give item_id more, "
            f"{{name: item_id, mode: hashed, buckets: {enough}}} say"
        ]


def _sharing(items: float, buckets: int) -> float:
    """The expected share of items that share their bucket with another."""
    return 1 - (1 - 1 / buckets) ** (items - 1)
