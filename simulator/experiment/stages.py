"""What a run consists of: stages, one after the other, and in each the servers and learners that work side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from simulator.experiment.calendar import Calendar
from simulator.experiment.shards import WHOLE, Shards
from simulator.scenario import CONTROL_LEARNER, EVERYONE, Scenario

__all__ = ["Learning", "Serving", "Share", "Stage", "most_processes", "plan_stages", "spread"]


@dataclass(frozen=True, slots=True)
class Serving:
    """A server: whose users it serves (a shard of the users of some arms, by number), and whose versions it deploys."""

    name: str
    arms: tuple[int, ...]
    learner: str
    shard: int = 0
    fork_of: tuple[str, ...] = ()  # the servers of the stage before that it goes on from


@dataclass(frozen=True, slots=True)
class Learning:
    """A learner: whose settings it uses, which partitions it reads, which arms' days it counts."""

    name: str
    config_of: int
    partitions: tuple[int, ...]
    counts: tuple[int, ...]
    loss_of: int  # the arm whose loss it trains with: a shadow of the A/A period trains with the control's
    updating_of: int  # the arm whose way of updating it has: a shadow of an arm that never learns has the control's
    arm: int | None = None  # the arm that it belongs to, which decides what it trains on; None: everything
    fork_of: str | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """Ticks first..last, through which the same servers and learners work."""

    name: str
    first_tick: int
    last_tick: int
    serving: tuple[Serving, ...]
    learning: tuple[Learning, ...]


# One stage's work for one process.
Share: TypeAlias = tuple[tuple[Serving, ...], tuple[Learning, ...]]


def plan_stages(scenario: Scenario, calendar: Calendar, shards: Shards = WHOLE) -> list[Stage]:
    """Warm-up and A/A with one learner for all, then A/B with one an arm, forked from it.

    A server there is for each shard: of everyone in A/A, of each arm in A/B. A learner reads all shards of its arms.

    An arm whose model or way of updating is not the control's cannot take over the control's state: its own learner
    trains beside the control through A/A, on the same events, and serves nobody until A/B. An arm that never learns
    takes over the weights alone, so the control's way of updating is no obstacle; a shadow of it learns as the control
    does until A/B.
    """
    arms = scenario.arms
    everyone = tuple(range(len(arms)))
    everything = shards.partitions(everyone)
    fork = calendar.first_tick_of("ab")
    has_ab = "ab" in calendar.phases
    last = calendar.ticks - 1
    stages: list[Stage] = []
    if fork > 0:
        end = fork - 1 if has_ab else last
        if scenario.experiment.aa == "own":
            servers = [server for i, arm in enumerate(arms) for server in _servers(arm.name, (i,), arm.name, shards)]
            learners = [
                Learning(arm.name, i, shards.partitions((i,)), (i,), 0, _learns_like(scenario, i), i)
                for i, arm in enumerate(arms)
            ]
        else:
            servers = _servers(EVERYONE, everyone, CONTROL_LEARNER, shards)
            learners = [Learning(CONTROL_LEARNER, 0, everything, everyone, 0, 0)]
            for i, arm in enumerate(arms):
                if has_ab and not _same_state(scenario, i):
                    # In a paired replay its own arm's partition holds every event.
                    read = shards.partitions((i,)) if scenario.is_paired else everything
                    learners.append(Learning(arm.name, i, read, (), 0, _learns_like(scenario, i)))
        stages.append(Stage("aa", 0, end, tuple(servers), tuple(learners)))
    if has_ab:
        before = stages[0] if stages else None
        servers, learners = [], []
        for i, arm in enumerate(arms):
            servers += _servers(arm.name, (i,), arm.name, shards, before)
            read = shards.partitions((i,)) if scenario.experiment.data == "own" else everything
            fork_of = None
            if before is not None:
                fork_of = arm.name if any(role.name == arm.name for role in before.learning) else CONTROL_LEARNER
            learners.append(Learning(arm.name, i, read, (i,), i, i, i, fork_of))
        stages.append(Stage("ab", fork, last, tuple(servers), tuple(learners)))
    return stages


def _servers(
    name: str, arms: tuple[int, ...], learner: str, shards: Shards, before: Stage | None = None
) -> list[Serving]:
    """A server for each shard. It goes on from those of the stage before that served users of its own."""
    return [
        Serving(
            name if shards.n == 1 else f"{name}@{shard}",
            arms,
            learner,
            shard,
            ()
            if before is None
            else tuple(role.name for role in before.serving if role.shard == shard and {*arms} & {*role.arms}),
        )
        for shard in range(shards.n)
    ]


def _same_state(scenario: Scenario, arm: int) -> bool:
    """Whether the arm's learner can go on from the control's weights, optimiser, window and rates.

    Losses differ in no state; an error memory begins empty where the control has none.
    """
    mine, control = scenario.arms[arm].learner, scenario.control.learner
    if control.monitor is not None and control.monitor.action == "raise_rate" and mine.monitor is None:
        return False  # nobody would bring down a rate that is raised when the arms part
    same_optimizer = mine.optimizer.name == control.optimizer.name
    same_model = (mine.kind, mine.model) == (control.kind, control.model) and same_optimizer
    return same_model and (mine.updating == control.updating or mine.updating.mode == "none")


def _learns_like(scenario: Scenario, arm: int) -> int:
    """The arm whose way of updating this arm's learner has before A/B: its own, or the control's if it never learns."""
    return 0 if scenario.arms[arm].learner.updating.mode == "none" else arm


def most_processes(stage: Stage) -> int:
    """How many processes a stage has work for."""
    return len(stage.serving) + len(stage.learning)


def spread(stage: Stage, processes: int) -> list[Share]:
    """Share a stage's roles out among processes: as many shares, some of which may be empty.

    With more processes than learners each learner has one to itself, for it takes the longest, and the servers share the
    rest. Else an arm's servers and its learner go together: nothing but the log connects them with the rest. The servers
    of A/A and the one learner of all go apart as soon as there are two processes, so that they overlap.
    """
    shares: list[tuple[list[Serving], list[Learning]]] = [([], []) for _ in range(max(1, processes))]
    n, learners = len(shares), len(stage.learning)
    is_one_for_all = len(stage.serving[0].arms) > 1
    if n > learners:
        for i, learning in enumerate(stage.learning):
            shares[n - learners + i][1].append(learning)
        for i, serving in enumerate(stage.serving):
            shares[i % (n - learners)][0].append(serving)
    elif is_one_for_all:
        shares[0][0].extend(stage.serving)
        for i, learning in enumerate(stage.learning):
            shares[(1 + i) % n][1].append(learning)
    else:
        for i, learning in enumerate(stage.learning):
            shares[i % n][0].extend(serving for serving in stage.serving if serving.learner == learning.name)
            shares[i % n][1].append(learning)
    return [(tuple(servers), tuple(learners)) for servers, learners in shares]
