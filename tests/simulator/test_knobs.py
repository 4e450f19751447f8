"""Every knob of a scenario changes what a run gives, or the events that it writes. A knob without an entry fails."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from reloop_stream.config import apply_overrides
from simulator.lab.run import start_run
from simulator.scenario import Scenario, parse_scenario
from tests.conftest import TINY

pytestmark = pytest.mark.slow

WINDOW = "learner.updating={mode: window, days: 1, every_hours: 6}"
CASCADE = "world.choice.looking={examination: cascade}"
SUDDEN = "{kind: sudden, target: taste, magnitude: 0.9, day: 1}"
SOFTMAX = "serving.policy={name: softmax}"
FTRL = ["learner.kind=linear", "learner.model.name=lr", "learner.optimizer={name: ftrl}"]
MONITOR = (
    "learner.monitor={detector: page_hinkley, block: 20, delta: 0.001, threshold: 0.05, rolling: 100, "
    "action: raise_rate, raise_by: 2, raise_hours: 4}"
)
REPLAY = "learner.updating={mode: replay, batch_size: 64, capacity: 300, replayed: 30}"
RELOOP_BY_SESSION = "arms.1.learner.loss={name: reloop, level: session}"
MEMORY = "learner.memory={bits: 4}"
DISTILL = "arms.1.learner.loss={name: distillation}"

# knob → (settings of the base run, the change).
KNOBS: dict[str, tuple[list[str], str]] = {
    "seed.world": ([], "seed.world=5"),
    "seed.model": ([], "seed.model=5"),
    "seed.salt": ([], "seed.salt=pepper"),
    "phases.warmup_days": ([], "phases.warmup_days=2"),
    "phases.aa_days": ([], "phases.aa_days=2"),
    "phases.ab_days": ([], "phases.ab_days=2"),
    "tick_minutes": ([], "tick_minutes=240"),
    "world.ctr": ([], "world.ctr=0.3"),
    "world.users.n": ([], "world.users.n=200"),
    "world.users.taste_dimensions": ([], "world.users.taste_dimensions=3"),
    "world.users.observed_share": ([], "world.users.observed_share=0.9"),
    "world.users.activity_sigma": ([], "world.users.activity_sigma=0.1"),
    "world.users.requests_per_day": ([], "world.users.requests_per_day=3"),
    "world.users.away_share": ([], "world.users.away_share=0.5"),
    "world.users.away_days": ([], "world.users.away_days=5"),
    "world.items.live": ([], "world.items.live=200"),
    "world.items.lifetime_days": ([], "world.items.lifetime_days=9"),
    "world.items.topics": ([], "world.items.topics=9"),
    "world.items.topic_spread": ([], "world.items.topic_spread=3"),
    "world.items.quality_sigma": ([], "world.items.quality_sigma=2"),
    "world.items.freshness": ([], "world.items.freshness=3"),
    "world.items.freshness_half_life_hours": ([], "world.items.freshness_half_life_hours=2"),
    "world.items.popularity_sigma": ([], "world.items.popularity_sigma=3"),
    "world.arrivals.peak_hour": ([], "world.arrivals.peak_hour=8"),
    "world.arrivals.daily_swing": ([], "world.arrivals.daily_swing=0"),
    "world.arrivals.weekend_factor": ([], "world.arrivals.weekend_factor=3"),
    "world.arrivals.session_requests": ([], "world.arrivals.session_requests=3"),
    "world.choice.taste": ([], "world.choice.taste=3"),
    "world.choice.context": ([], "world.choice.context=2"),
    "world.choice.looking.eta": ([], "world.choice.looking.eta=0"),
    "world.choice.looking.go_on": ([CASCADE], "world.choice.looking.go_on=0.3"),
    "world.choice.looking.go_on_after_click": ([CASCADE], "world.choice.looking.go_on_after_click=0"),
    "world.choice.looking.examination": ([], CASCADE),
    "world.noise.accidental": ([], "world.noise.accidental=0.05"),
    "world.noise.bot_share": ([], "world.noise.bot_share=0.2"),
    "world.noise.bot_click": (["world.noise.bot_share=0.2"], "world.noise.bot_click=0.05"),
    "world.delay.distribution": ([], "world.delay.distribution=exponential"),
    "world.delay.median_minutes": ([], "world.delay.median_minutes=40"),
    "world.delay.sigma": ([], "world.delay.sigma=0.1"),
    "world.drift": ([], f"world.drift=[{SUDDEN}]"),
    "world.drift.kind": (
        [f"world.drift=[{SUDDEN}]"],
        "world.drift=[{kind: recurring, target: taste, magnitude: 0.9, period_days: 1}]",
    ),
    "world.drift.target": ([f"world.drift=[{SUDDEN}]"], "world.drift.0.target=popularity"),
    "world.drift.magnitude": ([f"world.drift=[{SUDDEN}]"], "world.drift.0.magnitude=0.2"),
    "world.drift.day": ([f"world.drift=[{SUDDEN}]"], "world.drift.0.day=2"),
    "world.drift.start_day": (
        ["world.drift=[{kind: gradual, target: base_rate, magnitude: 2, start_day: 0, end_day: 3}]"],
        "world.drift.0.start_day=1",
    ),
    "world.drift.end_day": (
        ["world.drift=[{kind: gradual, target: base_rate, magnitude: 2, start_day: 0, end_day: 3}]"],
        "world.drift.0.end_day=1",
    ),
    "world.drift.period_days": (
        ["world.drift=[{kind: recurring, target: base_rate, magnitude: 2, period_days: 3}]"],
        "world.drift.0.period_days=1",
    ),
    "world.candidates.k": ([], "world.candidates.k=20"),
    "world.candidates.topic_share": ([], "world.candidates.topic_share=0"),
    "world.candidates.popularity_share": ([], "world.candidates.popularity_share=0"),
    "features": ([], "features=[{name: item_id}]"),
    "features.name": (["features=[{name: item_id}]"], "features=[{name: topic}]"),
    "features.kind": (["features=[{name: topic}]"], "features=[{name: topic, kind: number}]"),
    "features.buckets": (["features=[{name: item_id}]"], "features=[{name: item_id, buckets: 3}]"),
    "features.mode": (["features=[{name: topic, buckets: 9}]"], "features=[{name: topic, buckets: 9, mode: exact}]"),
    "features.mode, growing": (
        ["features=[{name: topic, buckets: 9}]"],
        "features=[{name: topic, buckets: 9, mode: growing}]",
    ),
    "features.buckets, growing": (
        ["features=[{name: topic, buckets: 9, mode: growing}]"],
        "features=[{name: topic, buckets: 2, mode: growing}]",
    ),
    "features.transform": (
        ["features=[{name: hour, kind: number}]"],
        "features=[{name: hour, kind: number, transform: log1p}]",
    ),
    "features.transform, standardised": (
        ["features=[{name: hour, kind: number}]"],
        "features=[{name: hour, kind: number, transform: standardised}]",
    ),
    "features.edges": (
        ["features=[{name: hour, kind: number, transform: buckets}]"],
        "features=[{name: hour, kind: number, transform: buckets, edges: [6, 12, 18]}]",
    ),
    "serving.slate": ([], "serving.slate=8"),
    "serving.policy.name": ([], SOFTMAX),
    "serving.policy.epsilon": (["serving.policy={name: epsilon_greedy, epsilon: 0.1}"], "serving.policy.epsilon=0.9"),
    "serving.policy.temperature": ([SOFTMAX], "serving.policy.temperature=9"),
    "serving.random_share": ([], "serving.random_share=0.5"),
    "serving.deploy_delay_hours": ([], "serving.deploy_delay_hours=9"),
    "join.attribution_hours": ([], "join.attribution_hours=4"),
    "join.emit": ([], "join.emit=at_once"),
    "experiment.data": ([], "experiment.data=shared"),
    "experiment.aa": ([], "experiment.aa=own"),
    "truth.experiment": ([], "truth.experiment=false"),
    "truth.launch": ([], "truth.launch=true"),
    "truth.bounds": ([], "truth.bounds=true"),
    "learner.kind": (["learner.model.name=lr"], "learner.kind=river"),
    "learner.model.name": ([], "learner.model.name=lr"),
    "learner.model.embedding": ([], "learner.model.embedding=2"),
    "learner.model.hidden": (["learner.model.name=deepfm"], "learner.model.hidden=[4]"),
    "learner.model.crosses": (["learner.model.name=dcn"], "learner.model.crosses=1"),
    "learner.model.maps": (["learner.model.name=xdeepfm"], "learner.model.maps=[4]"),
    "learner.model.logarithmic": (["learner.model.name=afn_plus"], "learner.model.logarithmic=4"),
    "learner.model.heads": (["learner.model.name=finalmlp"], "learner.model.heads=2"),
    "learner.model.dropout": (["learner.model.name=deepfm"], "learner.model.dropout=0.5"),
    "learner.model.init_scale": ([], "learner.model.init_scale=0.3"),
    "learner.optimizer.name": ([], "learner.optimizer.name=adam"),
    "learner.optimizer.lr": ([], "learner.optimizer.lr=0.3"),
    "learner.optimizer.embedding_lr": ([], "learner.optimizer.embedding_lr=0.5"),
    "learner.optimizer.l2": ([], "learner.optimizer.l2=0.1"),
    "learner.optimizer.initial_accumulator": ([], "learner.optimizer.initial_accumulator=5"),
    "learner.optimizer.l1": (FTRL, "learner.optimizer.l1=1"),
    "learner.optimizer.beta": (FTRL, "learner.optimizer.beta=9"),
    "learner.loss.name": ([], DISTILL),
    "learner.loss.alpha": ([], "arms.1.learner.loss.alpha=0.9"),
    "learner.loss.p_last": ([], "arms.1.learner.loss.p_last=last_version"),
    "learner.loss.scale": ([], "arms.1.learner.loss.scale=0.3"),
    "learner.loss.level": ([], "arms.1.learner.loss.level=list"),
    "learner.loss.session_minutes": ([RELOOP_BY_SESSION], "arms.1.learner.loss.session_minutes=1200"),
    "learner.updating.mode": ([], WINDOW),
    "learner.updating.batch_size": ([], "learner.updating.batch_size=30"),
    "learner.updating.days": ([WINDOW], "learner.updating.days=0.3"),
    "learner.updating.every_hours": ([WINDOW], "learner.updating.every_hours=12"),
    "learner.updating.passes": ([WINDOW], "learner.updating.passes=3"),
    "learner.updating.start": ([WINDOW], "learner.updating.start=cold"),
    "learner.updating.shuffle": ([WINDOW], "learner.updating.shuffle=true"),
    "learner.monitor.rolling": ([MONITOR], "learner.monitor.rolling=50"),
    "learner.monitor.detector": ([MONITOR], "learner.monitor.detector=adwin"),
    "learner.monitor.block": ([MONITOR], "learner.monitor.block=30"),
    "learner.monitor.delta": ([MONITOR], "learner.monitor.delta=0.2"),
    "learner.monitor.threshold": ([MONITOR], "learner.monitor.threshold=3"),
    "learner.monitor.action": ([MONITOR], "learner.monitor.action=none"),
    "learner.monitor.raise_by": ([MONITOR], "learner.monitor.raise_by=5"),
    "learner.monitor.raise_hours": ([MONITOR], "learner.monitor.raise_hours=8"),
    "learner.updating.capacity": ([REPLAY], "learner.updating.capacity=100"),
    "learner.updating.replayed": ([REPLAY], "learner.updating.replayed=60"),
    "learner.memory.arrays": ([MEMORY], "learner.memory.arrays=1"),
    "learner.memory.bits": ([MEMORY], "learner.memory.bits=2"),
    "learner.memory.weight": ([MEMORY], "learner.memory.weight=0.9"),
    "learner.memory.gamma": ([MEMORY], "learner.memory.gamma=0"),
    "learner.memory.base_every_hours": ([MEMORY], "learner.memory.base_every_hours=8"),
    "learner.publish_every_hours": ([], "learner.publish_every_hours=12"),
    "arms.name": ([], "arms.1.name=other"),
    "arms.share": (
        [],
        "arms=[{name: control, share: 0.3}, {name: reloop, share: 0.7, learner: {loss: {name: reloop}}}]",
    ),
}
# Knobs that change no result, each with the test that covers it.
ELSEWHERE = {
    "name": "names the run folder, and is part of the assignment's hash: test_the_name_is_part_of_the_assignment",
    "checkpoint_every_hours": "must not change a result: test_kill_9_and_resume_equals_the_uninterrupted_run",
    "plugins": "test_a_loss_of_one_s_own_is_an_arm",
    "learner.loss.options": "test_a_loss_of_one_s_own_is_an_arm",
    "log.url": "must not change a result: test_kafka_and_the_embedded_log_give_the_same_run",
    "log.encoding": "test_the_log_s_knobs_change_what_is_written",
    "log.retention": "test_the_log_s_knobs_change_what_is_written",
    "log.examples": "test_the_log_s_knobs_change_what_is_written",
    "log.kafka": "must not change a result: test_a_broker_that_asks_for_tls_and_a_password_gives_the_same_run",
    "log.unavailable_after_s": "test_a_broker_gone_for_good_is_a_clear_error_and_the_run_can_be_resumed",
    "learner.updating.held_mib": "must not change a result: "
    "test_a_window_that_is_read_from_the_log_again_trains_as_one_that_is_held",
    "learner.device": "a machine with cuda alone has another",
    "data": "tests/simulator/datasets/test_knobs.py",
    "experiment.design": "has a choice in a replay alone: test_split_users_are_a_choice",
    "learner.model.batch_norm": "refused in a scenario: test_a_learner_of_a_stream_refuses_batch_norm",
    "learner.model.options": "test_a_model_of_a_user_s_own_is_an_arm_like_any_other",
}


def fingerprint(folder: Path, *settings: str) -> str:
    """What a run gave: its days, models, truth, and what its monitors read."""
    scenario = parse_scenario(apply_overrides(yaml.safe_load(TINY), settings))
    start_run(scenario, folder, command="test", workers=1, quiet=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    counts = manifest["counts"]["by_learner"]
    whole = [(folder / "daily.csv").read_text(), (folder / "truth.csv").read_text(), manifest["digests"], counts]
    whole += [path.read_text() for name in ("monitor.csv", "bounds.csv") for path in folder.glob(name)]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


@pytest.fixture(scope="session")
def known() -> dict[tuple[str, ...], str]:
    return {}


@pytest.mark.parametrize("knob", KNOBS)
def test_the_knob_changes_the_run(knob: str, tmp_path: Path, known: dict[tuple[str, ...], str]) -> None:
    base, change = KNOBS[knob]
    small = ["world.users.n=150"] if "users.n" not in change else []
    key = ("checkpoint_every_hours=24", *small, *base)
    if key not in known:
        known[key] = fingerprint(tmp_path / "base", *key)
    assert fingerprint(tmp_path / "changed", *key, change) != known[key]


def leaves(model: type[BaseModel], prefix: str = "") -> set[str]:
    """The paths of all keys that hold no further section."""
    from typing import get_args

    def sections(annotation: Any) -> list[type[BaseModel]]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return [annotation]
        return [found for part in get_args(annotation) for found in sections(part)]

    found: set[str] = set()
    for name, field in model.model_fields.items():
        below = sections(field.annotation)
        if prefix == "arms." and name == "learner":
            continue
        if not below or name == "data":
            found.add(prefix + name)
        for section in below if name != "data" or prefix else []:
            found |= leaves(section, f"{prefix}{name}.")
    return found


def test_every_knob_has_an_entry() -> None:
    missing = leaves(Scenario) - KNOBS.keys() - ELSEWHERE.keys()
    assert not missing, f"knobs without a test: {sorted(missing)}"


def test_the_log_s_knobs_change_what_is_written(tmp_path: Path) -> None:
    def size(name: str, *settings: str) -> dict[str, int]:
        fingerprint(tmp_path / name, "world.users.n=100", *settings)
        found: dict[str, int] = {}
        for path in (tmp_path / name / "events").glob("*/*/*.log"):
            topic = path.parent.parent.name.split(".", 1)[1]
            found[topic] = found.get(topic, 0) + path.stat().st_size
        return found

    plain, written, text = size("plain"), size("examples", "log.examples=true"), size("json", "log.encoding=json")
    assert plain.get("examples", 0) == 0 < written["examples"]
    assert text["exposures"] > 2 * plain["exposures"]


def test_the_name_is_part_of_the_assignment() -> None:
    import numpy as np

    from simulator.experiment.assignment import Assignment

    users = np.arange(200)
    arms = [Assignment(name, "1", [0.5, 0.5]).arms(users) for name in ("one", "two")]
    assert (arms[0] != arms[1]).any() and (arms[0] == Assignment("one", "1", [0.5, 0.5]).arms(users)).all()
