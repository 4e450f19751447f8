"""How a learner is described: model, optimiser, loss, way of updating. Free of torch, so that reading one is quick."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from reloop_stream import plugins

__all__ = [
    "LOSSES",
    "MODELS",
    "MOST_HOURS",
    "MOST_SEED",
    "NAME",
    "FieldConfig",
    "FineTuneConfig",
    "IncrementalConfig",
    "LearnerConfig",
    "LossConfig",
    "MemoryConfig",
    "ModelConfig",
    "ModelFields",
    "MonitorConfig",
    "NoUpdateConfig",
    "OptimizerConfig",
    "ReplayConfig",
    "WindowConfig",
]

ModelName = Literal[
    "lr", "fm", "nfm", "ipnn", "wide_deep", "dcn", "deepfm", "xdeepfm", "fmfm", "afn_plus", "dcnv2", "finalmlp"
]
LossName = Literal["bce", "distillation", "reloop", "fnw", "fnc"]
MODELS: tuple[str, ...] = get_args(ModelName)
LOSSES: tuple[str, ...] = get_args(LossName)


def _is_option(value: object) -> object:
    # Within what checkpoints and snapshots can hold: integers of 64 bits.
    number = (isinstance(value, int) and -(2**63) <= value < 2**63) or (
        isinstance(value, float) and math.isfinite(value)
    )
    if not (number or isinstance(value, str)):
        shown = "null" if value is None else f"{value!r:.40}"
        raise ValueError(f"got {shown}, must be a finite number, a text, true or false")
    return value


# Hours that a setting may say: more than a century, and far from where milliseconds overflow.
MOST_HOURS = 1e6
# The largest integer that JSON's readers agree about.
MOST_SEED = 1 << 53
# What names files, folders, topics and columns.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"

Option = Annotated[bool | int | float | str, BeforeValidator(_is_option)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FieldConfig(_Section):
    """One field that a model sees."""

    name: str = Field(min_length=1, description="The feature's name in the exposures.")
    kind: Literal["category", "number", "list"] = Field(
        "category",
        description="category: one id or text. number: a float. list: several ids or texts, averaged, by their weights where they have any.",
    )
    transform: Literal["none", "log1p", "standardised", "buckets"] = Field(
        "none",
        description="What the model sees of a number. none: it as it is. log1p: sign(x)*log(1 + |x|). standardised: its "
        "distance from the mean of those learnt before, in their standard deviations, at most 10. buckets: a category, "
        "which has rows of the embedding table by `buckets` and `mode`.",
    )
    edges: tuple[float, ...] | None = Field(
        None,
        min_length=1,
        description="Where buckets begin (transform: buckets), rising. Left out: at each integer up to 2, and above it "
        "wherever floor(log(x)^2) rises, as is usual for Criteo's counts.",
    )
    buckets: int = Field(
        1 << 16,
        ge=1,
        le=1 << 28,
        description="Rows of the embedding table for this field (a number has none, but for transform: buckets).",
    )
    mode: Literal["hashed", "exact", "growing"] = Field(
        "hashed",
        description="hashed: any value. exact: integers below `buckets`; all others share one row. growing: an exact "
        "vocabulary that each new value, integer or text, joins when it is first learnt, up to `buckets` of them.",
    )

    @model_validator(mode="after")
    def _transform_fits(self) -> FieldConfig:
        if self.transform != "none" and self.kind != "number":
            raise ValueError(f"transform: got {self.transform!r}, which is for kind number, not {self.kind}")
        if self.edges is None:
            return self
        if not self.is_bucketed:
            raise ValueError(f"edges: got {list(self.edges)}, which are for transform buckets, not {self.transform}")
        if any(a >= b for a, b in itertools.pairwise(self.edges)):
            raise ValueError(f"edges: got {list(self.edges)}, each must be above the one before it")
        if self.mode == "exact" and self.buckets <= len(self.edges):
            raise ValueError(
                f"buckets: got {self.buckets}, {len(self.edges)} edges have {len(self.edges) + 1} (mode: exact)"
            )
        return self

    @property
    def is_bucketed(self) -> bool:
        """Whether it is a number that models see as a category."""
        return self.transform == "buckets"


def _named_once(fields: list[FieldConfig]) -> list[FieldConfig]:
    names = [field.name for field in fields]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ValueError(f"the field {name!r} is there twice ([{names.index(name)}] and [{number}]); remove one")
    return fields


ModelFields = Annotated[list[FieldConfig], AfterValidator(_named_once)]


class ModelConfig(_Section):
    """The CTR backbone."""

    name: ModelName | str = Field(
        "deepfm", description="The backbone: one of the package's, or one that a plugin adds."
    )
    embedding: int = Field(8, ge=1, le=256, description="Dimensions of an embedding (lr: not used).")
    hidden: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (64, 32), description="Units of the hidden layers (all but lr, fm and fmfm)."
    )
    crosses: int = Field(2, ge=1, le=8, description="Cross layers (dcn, dcnv2).")
    maps: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field(
        (16, 16), min_length=1, description="Feature maps of the compressed interaction layers (xdeepfm)."
    )
    logarithmic: int = Field(32, ge=1, le=4096, description="Logarithmic neurons (afn_plus).")
    heads: int = Field(
        4, ge=1, le=64, description="Heads of the bilinear fusion (finalmlp); divides the last hidden layer."
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout in the hidden layers while training.")
    batch_norm: bool = Field(
        False, description="Batch norm in the hidden layers: for the paper's offline tables alone, refused in a stream."
    )
    init_scale: float = Field(0.01, gt=0, le=1, description="Standard deviation of the embeddings' first values.")
    options: dict[str, Option] = Field({}, description="Settings of a plugin's own model.")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return plugins.known("model", name, MODELS)

    @model_validator(mode="after")
    def _heads_fit(self) -> ModelConfig:
        if self.name == "finalmlp":
            if not self.hidden:
                raise ValueError("hidden: got [], finalmlp needs at least one hidden layer")
            if self.hidden[-1] % self.heads:
                raise ValueError(f"heads: got {self.heads}, must divide the last hidden layer, {self.hidden[-1]}")
        return self


class OptimizerConfig(_Section):
    """The optimiser. Embeddings are updated sparsely: rows that a batch does not touch stay as they are."""

    name: Literal["adagrad", "sgd", "adam", "ftrl"] = Field(
        "adagrad", description="The rule of update. ftrl: FTRL-proximal, for kind linear and model lr alone."
    )
    lr: float = Field(0.05, gt=0, le=10, description="Learning rate of the dense layers.")
    embedding_lr: float | None = Field(
        None, gt=0, le=10, description="Learning rate of the embeddings; left out: `lr`."
    )
    l2: float = Field(0.0, ge=0, description="Weight decay of the embedding rows that a batch touches.")
    initial_accumulator: float = Field(
        0.1, ge=0, description="Adagrad's sum of squares to begin with: from 0 its first steps are sign steps."
    )
    l1: float = Field(0.0, ge=0, description="L1 penalty (ftrl): weights that say too little are exactly zero.")
    beta: float = Field(
        1.0, ge=0, description="Smooths the first rates of ftrl: lr / (beta + root of the squares' sum)."
    )


class LossConfig(_Section):
    """What is minimised."""

    name: LossName | str = Field(
        "bce",
        description="Cross-entropy; with knowledge distillation (Eq. 5); ReLoop's self-correction (Eq. 2-4); fnw or fnc, "
        "which correct for labels that come late (join.emit: at_once); or one that a plugin adds.",
    )
    alpha: float = Field(
        0.2, ge=0, le=1, description="Weight of the second part of the loss; cross-entropy has 1 - alpha."
    )
    p_last: Literal["stamp", "last_version"] = Field(
        "stamp",
        description="The last prediction: that of the version that served, or of the version deployed when training starts.",
    )
    scale: float = Field(
        1.0, gt=0, le=1, description="Multiplies the loss: 1 - alpha makes the control of a ReLoop arm."
    )
    level: Literal["item", "list", "session"] = Field(
        "item",
        description="Whose error reloop compares with the last version's: an exposure's own, or the mean over its request "
        "or its user's session, within a batch.",
    )
    session_minutes: float = Field(
        30.0,
        gt=0,
        le=MOST_HOURS * 60,
        description="A user's exposures further apart than this are of two sessions (level: session).",
    )
    options: dict[str, Option] = Field({}, description="Settings of a plugin's own loss.")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return plugins.known("loss", name, LOSSES)


class IncrementalConfig(_Section):
    """Learn every example once, as it comes."""

    mode: Literal["incremental"] = "incremental"
    batch_size: int = Field(1024, ge=1, le=1 << 20, description="Examples a step; cut by count, whatever the tick.")


class WindowConfig(_Section):
    """Retrain from time to time on a sliding window, as the paper's production loop does."""

    mode: Literal["window"]
    days: float = Field(3.0, gt=0, le=MOST_HOURS / 24, description="Length of the window, in days of label time.")
    every_hours: float = Field(24.0, gt=0, le=MOST_HOURS, description="Simulated hours between two trainings.")
    passes: int = Field(1, ge=1, le=100, description="Passes over the window in a training.")
    start: Literal["warm", "cold"] = Field(
        "warm", description="warm: from the last weights. cold: from the first ones."
    )
    batch_size: int = Field(1024, ge=1, le=1 << 20, description="Examples a step.")
    shuffle: bool = Field(False, description="Each pass in a seeded random order instead of the order of labels.")
    held_mib: int = Field(
        2048,
        ge=0,
        le=1 << 20,
        description="MiB of rows that are held (some 30 bytes a row). Those of a larger window are read from the log again at each "
        "training, to the same result; with `shuffle`, and in a launch, all are held.",
    )


class NoUpdateConfig(_Section):
    """Score and never learn: the weights stay those that the learner began with (in A/B, those of the end of A/A)."""

    mode: Literal["none"]


class FineTuneConfig(_Section):
    """From time to time learn the examples that have come since the last time, from the last weights."""

    mode: Literal["fine_tune"]
    every_hours: float = Field(24.0, gt=0, le=MOST_HOURS, description="Simulated hours between two trainings.")
    passes: int = Field(1, ge=1, le=100, description="Passes over the new examples in a training.")
    batch_size: int = Field(1024, ge=1, le=1 << 20, description="Examples a step.")
    shuffle: bool = Field(False, description="Each pass in a seeded random order instead of the order of labels.")
    held_mib: int = Field(
        2048,
        ge=0,
        le=1 << 20,
        description="MiB of rows that are held (some 30 bytes a row). Those of a larger window are read from the log again at each "
        "training, to the same result; with `shuffle`, and in a launch, all are held.",
    )


class ReplayConfig(_Section):
    """Learn every example once, as it comes, beside examples drawn from a reservoir of all that came before."""

    mode: Literal["replay"]
    batch_size: int = Field(1024, ge=1, le=1 << 20, description="New examples a step; cut by count, whatever the tick.")
    capacity: int = Field(20_000, ge=1, le=1 << 24, description="Examples that the reservoir holds.")
    replayed: int = Field(256, ge=0, le=1 << 20, description="Examples drawn from the reservoir for each step.")


class MemoryConfig(_Section):
    """ReLoop2's error memory: what the model got wrong lately on exposures alike corrects what it serves."""

    arrays: int = Field(4, ge=1, le=64, description="Hash arrays; an estimate is the mean over them.")
    bits: int = Field(10, ge=1, le=20, description="Random projections of an array's hash; it has 2^bits buckets.")
    weight: float = Field(0.3, ge=0, le=1, description="How much of the estimated error is added to the prediction.")
    gamma: float = Field(
        1.0, ge=0, le=1, description="1: towards the labels of the bucket. 0: by the mean error that was made there."
    )
    base_every_hours: float = Field(
        24.0,
        gt=0,
        le=MOST_HOURS,
        description="Simulated hours after which the model that is corrected moves on and the memory is emptied "
        "(incremental, replay). With window and fine_tune each retraining does; with none it stays.",
    )


class MonitorConfig(_Section):
    """Watches a learner by river: rolling metrics, drift of the log loss, and what an alarm does."""

    rolling: int = Field(
        5000, ge=10, le=1 << 20, description="The newest examples that rolling metrics are taken over."
    )
    detector: Literal["adwin", "page_hinkley"] = Field(
        "adwin", description="river's detector of drift in the log loss."
    )
    block: int = Field(200, ge=1, le=1 << 20, description="Examples whose mean log loss is one value for the detector.")
    delta: float = Field(
        0.002, gt=0, lt=1, description="adwin: level of its test. page_hinkley: deviation that is tolerated."
    )
    threshold: float = Field(1.0, gt=0, description="Sum of deviations that is an alarm (page_hinkley).")
    action: Literal["none", "retrain", "raise_rate"] = Field(
        "none", description="On an alarm: nothing; retrain at the end of the tick (window, fine_tune); raise the rates."
    )
    raise_by: float = Field(3.0, ge=1, le=100, description="Multiplies the learning rates (raise_rate).")
    raise_hours: float = Field(
        6.0, gt=0, le=MOST_HOURS, description="Simulated hours that the rates stay raised (raise_rate)."
    )


def _with_mode(value: object) -> object:
    """`updating: {batch_size: 64}` means the default mode."""
    return {"mode": "incremental", **value} if isinstance(value, dict) and "mode" not in value else value


Updating = Annotated[
    Annotated[
        IncrementalConfig | WindowConfig | FineTuneConfig | ReplayConfig | NoUpdateConfig, Field(discriminator="mode")
    ],
    BeforeValidator(_with_mode),
]


class LearnerConfig(_Section):
    """A learner: what it is, what it minimises, when it learns, how often it publishes."""

    kind: Literal["torch", "river", "linear"] = Field(
        "torch",
        description="torch: every model. linear: lr and fm, compiled, one example at a time and fast. river: lr and fm, "
        "one example at a time, slow and simple.",
    )
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    loss: LossConfig = LossConfig()
    updating: Updating = Field(IncrementalConfig(), description="When examples are learnt.")
    memory: MemoryConfig | None = Field(None, description="ReLoop2's error memory on top of the model; left out: none.")
    monitor: MonitorConfig | None = Field(None, description="Rolling metrics and drift detection; left out: none.")
    publish_every_hours: float | None = Field(
        None,
        gt=0,
        le=MOST_HOURS,
        description="Simulated hours between published versions. Left out: hourly, or after each retraining where there "
        "is no memory.",
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="cuda is outside the promise of equal results.")

    @model_validator(mode="after")
    def _fits(self) -> LearnerConfig:
        model, optimizer = self.model.name, self.optimizer.name
        if self.model.batch_norm:
            raise ValueError(
                "model.batch_norm: got true, must be false: a stream may be learnt one example at a time, which has no "
                "variance to be normalised by; it is for `python -m simulator paper`, which trains offline"
            )
        if self.kind != "torch" and model not in ("lr", "fm"):
            raise ValueError(f"model.name: got {model!r}, with kind {self.kind} it must be lr or fm")
        if optimizer == "ftrl" and (self.kind, model) != ("linear", "lr"):
            raise ValueError(
                f"optimizer.name: got 'ftrl', which is for kind linear and model lr, not {self.kind} and {model}"
            )
        if self.kind == "linear" and optimizer not in ("ftrl", "adagrad"):
            raise ValueError(
                f"optimizer.name: got {optimizer!r}, with kind linear it must be adagrad, or for model lr ftrl"
            )
        retrains = self.updating.mode in ("window", "fine_tune")
        if self.monitor is not None and self.monitor.action == "retrain" and not retrains:
            raise ValueError(
                f"monitor.action: got 'retrain', needs updating.mode window or fine_tune, not {self.updating.mode}"
            )
        if self.loss.level != "item" and self.loss.name != "reloop":
            raise ValueError(f"loss.level: got {self.loss.level!r}, which is for loss reloop, not {self.loss.name}")
        return self
