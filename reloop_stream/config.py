"""How a learner is described: model, optimiser, loss, way of updating. Free of torch, so that reading one is quick."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = [
    "FieldConfig",
    "IncrementalConfig",
    "LearnerConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "WindowConfig",
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FieldConfig(_Section):
    """One field that a model sees."""

    name: str = Field(min_length=1, description="The feature's name in the exposures.")
    kind: Literal["category", "number", "list"] = Field(
        "category", description="category: one id or text. number: a float. list: several ids or texts, averaged."
    )
    buckets: int = Field(
        1 << 16, ge=1, le=1 << 28, description="Rows of the embedding table for this field (number: not used)."
    )
    mode: Literal["hashed", "exact"] = Field(
        "hashed", description="hashed: any value. exact: integers below `buckets`; all others share one row."
    )


class ModelConfig(_Section):
    """The CTR backbone."""

    name: Literal["lr", "fm", "deepfm", "dcn"] = Field("deepfm", description="The backbone.")
    embedding: int = Field(8, ge=1, le=256, description="Dimensions of an embedding (lr: not used).")
    hidden: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (64, 32), description="Units of the hidden layers (deepfm, dcn)."
    )
    crosses: int = Field(2, ge=1, le=8, description="Cross layers (dcn).")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout in the hidden layers while training.")
    init_scale: float = Field(0.01, gt=0, le=1, description="Standard deviation of the embeddings' first values.")


class OptimizerConfig(_Section):
    """The optimiser. Embeddings are updated sparsely: rows that a batch does not touch stay as they are."""

    name: Literal["adagrad", "sgd", "adam"] = Field("adagrad", description="The rule of update.")
    lr: float = Field(0.05, gt=0, le=10, description="Learning rate of the dense layers.")
    embedding_lr: float | None = Field(
        None, gt=0, le=10, description="Learning rate of the embeddings; left out: `lr`."
    )
    l2: float = Field(0.0, ge=0, description="Weight decay of the embedding rows that a batch touches.")
    initial_accumulator: float = Field(
        0.1, ge=0, description="Adagrad's sum of squares to begin with: from 0 its first steps are sign steps."
    )


class LossConfig(_Section):
    """What is minimised."""

    name: Literal["bce", "distillation", "reloop"] = Field(
        "bce", description="Cross-entropy; with knowledge distillation (Eq. 5); or ReLoop's self-correction (Eq. 2-4)."
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


class IncrementalConfig(_Section):
    """Learn every example once, as it comes."""

    mode: Literal["incremental"] = "incremental"
    batch_size: int = Field(1024, ge=1, le=1 << 20, description="Examples a step; cut by count, whatever the tick.")


class WindowConfig(_Section):
    """Retrain from time to time on a sliding window, as the paper's production loop does."""

    mode: Literal["window"]
    days: float = Field(3.0, gt=0, description="Length of the window, in days of label time.")
    every_hours: float = Field(24.0, gt=0, description="Simulated hours between two trainings.")
    passes: int = Field(1, ge=1, le=100, description="Passes over the window in a training.")
    start: Literal["warm", "cold"] = Field(
        "warm", description="warm: from the last weights. cold: from the first ones."
    )
    batch_size: int = Field(1024, ge=1, le=1 << 20, description="Examples a step.")
    shuffle: bool = Field(False, description="Each pass in a seeded random order instead of the order of labels.")


def _with_mode(value: object) -> object:
    """`updating: {batch_size: 64}` means the default mode."""
    return {"mode": "incremental", **value} if isinstance(value, dict) and "mode" not in value else value


Updating = Annotated[
    Annotated[IncrementalConfig | WindowConfig, Field(discriminator="mode")], BeforeValidator(_with_mode)
]


class LearnerConfig(_Section):
    """A learner: what it is, what it minimises, when it learns, how often it publishes."""

    kind: Literal["torch", "river"] = Field(
        "torch", description="river: lr and fm one example at a time, slow and simple."
    )
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    loss: LossConfig = LossConfig()
    updating: Updating = Field(IncrementalConfig(), description="When examples are learnt.")
    publish_every_hours: float | None = Field(
        None,
        gt=0,
        description="Simulated hours between published versions. Left out: hourly, or after each retraining.",
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="cuda is outside the promise of equal results.")

    @model_validator(mode="after")
    def _river_models(self) -> LearnerConfig:
        if self.kind == "river" and self.model.name not in ("lr", "fm"):
            raise ValueError(f"model.name: got {self.model.name!r}, with kind river it must be lr or fm")
        return self
