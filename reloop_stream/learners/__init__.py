"""Learners behind one protocol. torch, river and numba are imported when a learner of their kind is made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import StateError
from reloop_stream.learners.base import BASE_RATE, REMEMBERING, BaseRate, FrozenModel, Learner
from reloop_stream.learners.delayed_feedback import CALIBRATED, CalibratedLearner, CalibratedModel
from reloop_stream.state.packing import unpack

__all__ = ["BaseRate", "FrozenModel", "Learner", "digest", "freeze_from_bytes", "make_learner"]


def make_learner(
    config: LearnerConfig, fields: Sequence[FieldConfig], *, name: str, seed: int, base_rate: float
) -> Learner:
    """A learner at version 0.

    seed: of its first weights; learners that share it begin equal. base_rate: what it predicts at first, about.
    With loss fnc and with a memory it is a learner of that kind inside another (`LearnerWrapper`).
    Raises ValueError for a base rate outside (0, 1) and for a device that this machine lacks.
    """
    BaseRate(base_rate)  # checks it
    learner = _make_plain(config, fields, name, seed, base_rate)
    if config.loss.name == CALIBRATED:
        learner = CalibratedLearner(learner)
    if config.memory is None:
        return learner
    from reloop_stream.learners.error_memory import RememberingLearner

    learns_as_it_goes = config.updating.mode in ("incremental", "replay")
    every_hours = config.memory.base_every_hours if learns_as_it_goes else None
    return RememberingLearner(
        learner, config.memory, seed, every_hours, thaw=lambda data: freeze_from_bytes(data, fields, config)
    )


def _make_plain(
    config: LearnerConfig, fields: Sequence[FieldConfig], name: str, seed: int, base_rate: float
) -> Learner:
    if config.kind == "river":
        from reloop_stream.learners.river_learner import RiverLearner

        return RiverLearner(config, fields, name=name, seed=seed, base_rate=base_rate)
    if config.kind == "linear":
        from reloop_stream.learners.linear_learner import LinearLearner

        return LinearLearner(config, fields, name=name, seed=seed, base_rate=base_rate)
    from reloop_stream.learners.torch_learner import TorchLearner

    return TorchLearner(config, fields, name=name, seed=seed, base_rate=base_rate)


def freeze_from_bytes(data: bytes, fields: Sequence[FieldConfig], config: LearnerConfig) -> FrozenModel:
    """The deployed model that `to_bytes` wrote. Raises StateError where it is another model's."""
    meta, arrays = unpack(data)
    if meta.get("kind") == BASE_RATE:
        return BaseRate(meta["rate"], meta["name"])
    if meta.get("kind") == CALIBRATED:
        return CalibratedModel(freeze_from_bytes(arrays["biased"].tobytes(), fields, config))
    if meta.get("kind") == REMEMBERING:
        from reloop_stream.learners.error_memory import RememberingModel

        return RememberingModel.from_state(meta, arrays, lambda base: freeze_from_bytes(base, fields, config))
    if config.kind == "river":
        from reloop_stream.learners.river_learner import RiverModel

        return RiverModel.from_state(meta, arrays, fields, config)
    if config.kind == "linear":
        from reloop_stream.learners.linear_learner import LinearModel

        return LinearModel.from_state(meta, arrays, fields, config)
    from reloop_stream.learners.torch_learner import TorchModel

    return TorchModel.from_state(meta, arrays, fields, config)


def digest(state: bytes) -> str:
    """sha256 of a learner's weights, and of its error memory where it has one: names, shapes and bytes, and nothing else
    of its state.

    Raises StateError where the bytes are no learner's state.
    """
    _, arrays = unpack(state)
    weights = {name: array for name, array in arrays.items() if name.startswith(("weights.", "memory."))}
    if not weights:
        raise StateError("digest: the state holds no weights")
    sums = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        sums.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
        sums.update(array.tobytes())
    return sums.hexdigest()
