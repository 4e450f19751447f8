"""What a run consists of: stages, one after the other, and in each the servers and learners that work side by side."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.experiment.calendar import Calendar
from simulator.scenario import CONTROL_LEARNER, EVERYONE, Scenario

__all__ = ["Learning", "Serving", "Stage", "plan_stages", "spread"]


@dataclass(frozen=True, slots=True)
class Serving:
    """A server: whose users it serves (numbers of arms), and whose versions it deploys."""

    name: str
    arms: tuple[int, ...]
    learner: str
    fork_of: str | None = None  # the server of the stage before that it goes on from


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


def plan_stages(scenario: Scenario, calendar: Calendar) -> list[Stage]:
    """Warm-up and A/A with one learner for all, then A/B with one an arm, forked from it.

    An arm whose model or way of updating is not the control's cannot take over the control's state: its own learner
    trains beside the control through A/A, on the same events, and serves nobody until A/B. An arm that never learns
    takes over the weights alone, so the control's way of updating is no obstacle; a shadow of it learns as the control
    does until A/B.
    """
    everyone = tuple(range(len(scenario.arms)))
    fork = calendar.first_tick_of("ab")
    has_ab = "ab" in calendar.phases
    last = calendar.ticks - 1
    stages: list[Stage] = []
    if fork > 0:
        end = fork - 1 if has_ab else last
        if scenario.experiment.aa == "own":
            stages.append(
                Stage(
                    "aa",
                    0,
                    end,
                    tuple(Serving(arm.name, (i,), arm.name) for i, arm in enumerate(scenario.arms)),
                    tuple(
                        Learning(arm.name, i, (i,), (i,), 0, _learns_like(scenario, i), i)
                        for i, arm in enumerate(scenario.arms)
                    ),
                )
            )
        else:
            shadows = tuple(
                # In a paired replay its own arm's partition holds every event.
                Learning(arm.name, i, (i,) if scenario.is_paired else everyone, (), 0, _learns_like(scenario, i))
                for i, arm in enumerate(scenario.arms)
                if has_ab and not _same_state(scenario, i)
            )
            control = Learning(CONTROL_LEARNER, 0, everyone, everyone, 0, 0)
            stages.append(Stage("aa", 0, end, (Serving(EVERYONE, everyone, CONTROL_LEARNER),), (control, *shadows)))
    if has_ab:
        reads_all = scenario.experiment.data != "own"
        before = stages[0] if stages else None
        stages.append(
            Stage(
                "ab",
                fork,
                last,
                tuple(
                    Serving(arm.name, (i,), arm.name, _origin(before, arm.name, EVERYONE))
                    for i, arm in enumerate(scenario.arms)
                ),
                tuple(
                    Learning(
                        arm.name,
                        i,
                        everyone if reads_all else (i,),
                        (i,),
                        i,
                        i,
                        i,
                        _origin(before, arm.name, CONTROL_LEARNER),
                    )
                    for i, arm in enumerate(scenario.arms)
                ),
            )
        )
    return stages


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


def _origin(before: Stage | None, arm: str, otherwise: str) -> str | None:
    if before is None:
        return None
    roles: tuple[Serving | Learning, ...] = before.serving if otherwise == EVERYONE else before.learning
    names = {role.name for role in roles}
    return arm if arm in names else otherwise


def spread(stage: Stage, processes: int) -> list[tuple[tuple[Serving, ...], tuple[Learning, ...]]]:
    """Share a stage's roles out among processes.

    An arm's server and learner go together: nothing but the log connects them with the rest. The one server of A/A and
    its learner go apart, so that they overlap.
    """
    shares: list[tuple[list[Serving], list[Learning]]] = [([], []) for _ in range(max(1, processes))]
    if len(stage.serving) == 1 and len(stage.serving[0].arms) > 1:
        shares[0][0].append(stage.serving[0])
        for i, learning in enumerate(stage.learning):
            shares[(1 + i) % len(shares)][1].append(learning)
    else:
        for i, serving in enumerate(stage.serving):
            shares[i % len(shares)][0].append(serving)
            shares[i % len(shares)][1].extend(role for role in stage.learning if role.name == serving.learner)
    return [(tuple(servers), tuple(learners)) for servers, learners in shares]
