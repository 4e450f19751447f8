"""When examples are learnt, if at all.

`incremental`: as they come, in micro-batches. `replay`: likewise, beside examples drawn from all that came before.
`window`: again and again on a sliding window. `fine_tune`: from time to time those that are new. `none`: never.

Two more ways of the literature are made of these and a loss. Distillation from the last version (Hinton et al. 2015,
"Distilling the knowledge in a neural network", and Eq. 5 of the ReLoop paper): any of them with `loss: {name:
distillation, p_last: last_version}`. IncCTR (Wang et al. 2020, "A practical incremental method to train deep CTR models",
arXiv 2009.02147), a warm start and distillation from the model before: `fine_tune` with the same loss.
"""

from __future__ import annotations

from reloop_stream.clock import HOUR_MS
from reloop_stream.config import FineTuneConfig, LearnerConfig, NoUpdateConfig, ReplayConfig, WindowConfig
from reloop_stream.learners.base import Learner
from reloop_stream.learners.last_predictions import GROUP_COLUMNS
from reloop_stream.updating.base import NoUpdater, Updater
from reloop_stream.updating.incremental import IncrementalUpdater, ReplayUpdater
from reloop_stream.updating.monitored import MonitoredUpdater
from reloop_stream.updating.window import WindowUpdater

__all__ = ["make_updater", "publish_every_ms"]


def publish_every_ms(config: LearnerConfig) -> int:
    """How often a learner publishes: as told; else after each retraining where that alone changes it; else hourly."""
    updating, hours = config.updating, 1.0
    if config.publish_every_hours is not None:
        hours = config.publish_every_hours
    elif isinstance(updating, WindowConfig | FineTuneConfig) and config.memory is None:
        hours = updating.every_hours
    return round(hours * HOUR_MS)


def make_updater(config: LearnerConfig, learner: Learner, seed: int = 0) -> Updater:
    """seed: of a window's shuffles and of a reservoir's draws."""
    updater = _make_updater(config, learner, seed)
    return updater if config.monitor is None else MonitoredUpdater(config.monitor, updater)


def _make_updater(config: LearnerConfig, learner: Learner, seed: int) -> Updater:
    updating, columns = config.updating, GROUP_COLUMNS[config.loss.level]
    if isinstance(updating, NoUpdateConfig):
        return NoUpdater(learner)
    if isinstance(updating, WindowConfig):
        return WindowUpdater(updating, learner, seed, columns)
    if isinstance(updating, FineTuneConfig):
        same = {"every_hours", "passes", "batch_size", "shuffle", "held_mib"}
        days = 2 * updating.every_hours / 24  # the first interval is longer than the others by up to a tick
        window = WindowConfig(mode="window", days=days, **updating.model_dump(include=same))
        return WindowUpdater(window, learner, seed, columns, once=True)
    if isinstance(updating, ReplayConfig):
        return ReplayUpdater(updating, learner, seed, columns)
    return IncrementalUpdater(updating, learner, columns)
