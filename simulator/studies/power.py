"""Power before a run: how many users and days an effect needs, from what users' CTRs do in a pilot of the world itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape

import pandas as pd

from simulator.errors import ScenarioError
from simulator.readout.results import ESTIMATOR_LABELS
from simulator.readout.statistics.power import POWER, detectable, users_needed
from simulator.readout.statistics.uplift import ESTIMATORS
from simulator.readout.text_table import text_table
from simulator.run_folder.columns import PHASE_LABELS
from simulator.scenario import Scenario
from simulator.studies.pilot import pilot_of, run_pilot
from simulator.studies.spreads import spreads
from simulator.world.config import WorldConfig

__all__ = ["PILOT_USERS", "PowerPlan", "plan_power"]

PILOT_USERS = 5_000  # a pilot of so many takes a quarter of the time of `newsfeed.yaml`
HORIZON = 2  # how many times the planned days of A/B are piloted: what is too small for them may want more
TIMES = (0.5, 1.0, 2.0, 5.0)  # the effects in the table, over the one asked for
MOST_LINES = 14


@dataclass(frozen=True)
class PowerPlan:
    """What a test of this scenario could find.

    users: of the world. shares: of the control, and of the treatment that has the fewest. days: of A/B, as planned. seen:
    share of users who had come by each A/B day. pilot_users, pilot_days: what was piloted; phases by name.
    """

    name: str
    users: int
    shares: tuple[float, float]
    days: int
    effect: float
    power: float
    pilot_users: int
    pilot_days: Mapping[str, int]
    spreads: Mapping[str, list[float]]
    seen: list[float]
    treatments: int = 1

    @property
    def headline(self) -> str:
        """The estimator that the readout would put first."""
        return "raw" if math.isnan(self.spreads["cuped"][self.days - 1]) else "cuped"

    def log_error(self, days: int, users: float, estimator: str | None = None) -> float:
        """Standard error of log(1 + uplift) after this many A/B days of a world of this many users."""
        per_user = self.spreads[estimator or self.headline][days - 1]
        return math.sqrt(per_user / users * sum(1 / share for share in self.shares))

    def mde(self, days: int, users: float, estimator: str | None = None) -> float:
        """The smallest relative uplift that is found with this plan's power."""
        return detectable(self.log_error(days, users, estimator), self.power)

    def users_needed(self, effect: float, days: int) -> float:
        """Users of the world that the headline needs to find this relative uplift after this many A/B days."""
        return users_needed(effect, self.log_error(days, self.users), self.users, self.power)

    def days_needed(self, effect: float) -> int | None:
        """The fewest A/B days that the planned users need; None where all that were piloted are too few."""
        enough = [day for day in self._days if self.users_needed(effect, day) <= self.users]
        return min(enough, default=None)

    @property
    def users_by_day(self) -> pd.DataFrame:
        """A row a number of A/B days, from 1, a column an effect: users of the world that the headline needs."""
        needed = [[self.users_needed(effect, day) for effect in self._effects] for day in self._days]
        return pd.DataFrame(needed, pd.Index(self._days, name="ab_days"), pd.Index(self._effects, name="effect"))

    @property
    def smallest_by_day(self) -> pd.DataFrame:
        """A row a number of A/B days, from 1, a column an estimator: the smallest uplift that the planned users find."""
        found = [[self.mde(day, self.users, name) for name in ESTIMATORS] for day in self._days]
        return pd.DataFrame(found, pd.Index(self._days, name="ab_days"), pd.Index(ESTIMATORS, name="estimator"))

    @property
    def _effects(self) -> list[float]:
        return [times * self.effect for times in TIMES]

    @property
    def _days(self) -> range:
        return range(1, len(self.seen) + 1)

    def __str__(self) -> str:
        return self.render()

    def _repr_html_(self) -> str:
        users = self.users_by_day.map(_rounded).rename(columns=_percent)
        smallest = self.smallest_by_day.map(_percent).rename(columns=ESTIMATOR_LABELS)
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return (
            f"<div><p>{escape(self.sentence)}</p><p>Users needed:</p>{users.to_html(border=0)}"
            f"<p>The smallest uplift found:</p>{smallest.to_html(border=0)}<ul>{notes}</ul></div>"
        )

    @property
    def sentence(self) -> str:
        """The answer."""
        needed, found = self.users_needed(self.effect, self.days), self.mde(self.days, self.users)
        if math.isnan(needed):
            return f"A pilot of {self.name} cannot say: it needs users with clicks, and CTRs that differ between them."
        label, days, power = _label(self.headline), _days(self.days), f"{self.power:.0%} power"
        if needed <= self.users:
            return (
                f"With its {self.users:,} users {self.name} finds an uplift of {self.effect:+.2%} with {power} after "
                f"{_days(self.days_needed(self.effect) or self.days)} of A/B ({label}); the smallest that it finds in {days} "
                f"is {found:+.2%}."
            )
        longer = self.days_needed(self.effect)
        instead = f"more than {_days(len(self.seen))}" if longer is None else _days(longer)
        return (
            f"To find an uplift of {self.effect:+.2%} with {power} in {days} of A/B, {self.name} needs about "
            f"{_rounded(needed)} users ({label}), or {instead} with its {self.users:,}; in {days} those find {found:+.2%}."
        )

    @property
    def notes(self) -> list[str]:
        """What is not in the figures."""
        found = [
            "these are the users' differences alone; learners that trained on other users differ too, "
            "which `python -m simulator replicate` measures"
        ]
        if self.pilot_users < self.users:
            found.append(
                f"the pilot's control learnt from {self.pilot_users:,} users; --pilot-users says from how many"
            )
        if self.treatments > 1:
            found.append(
                f"each of {self.treatments} treatments is tested at 5%; corrected for all of them, it takes more to find one"
            )
        return found

    def render(self) -> str:
        """For the terminal: users by days and effect, the smallest uplift by days and estimator, the answer."""
        run = ", ".join(f"{_days(n)} of {PHASE_LABELS[phase]}" for phase, n in self.pilot_days.items() if n)
        days, effects = list(filter(self._is_shown, self._days)), self._effects
        needed = [
            [str(day), f"{self.seen[day - 1]:.0%}", *(_rounded(self.users_needed(effect, day)) for effect in effects)]
            for day in days
        ]
        smallest = [[str(day), *(_percent(self.mde(day, self.users, name)) for name in ESTIMATORS)] for day in days]
        control, treatment = self.shares
        lines = [
            f"pilot of {self.name}: its control alone, {self.pilot_users:,} users, {run}",
            "",
            f"users for {self.power:.0%} power at 5%, by {_label(self.headline)}, arms of {control:.0%} and {treatment:.0%} "
            "(came: share of users who had come by then)",
            *text_table(("A/B days", "came", *(f"{effect:+.2%}" for effect in effects)), needed, right=range(6)),
            "",
            f"the smallest uplift that {self.users:,} users find",
            *text_table(("A/B days", *map(_label, ESTIMATORS)), smallest, right=range(4)),
            "",
            self.sentence,
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _is_shown(self, day: int) -> bool:
        return len(self.seen) <= MOST_LINES or day <= 3 or day % 7 == 0 or day in (self.days, len(self.seen))


def _label(estimator: str) -> str:
    return ESTIMATOR_LABELS[estimator].replace("−", "-")


def _days(n: int) -> str:
    return f"{n} day{'s' if n != 1 else ''}"


def _rounded(users: float) -> str:
    """Two figures: a pilot does not know more."""
    return f"{float(f'{users:.2g}'):,.0f}" if math.isfinite(users) else "-"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.2%}"


def plan_power(
    scenario: Scenario,
    *,
    effect: float = 0.01,
    power: float = POWER,
    days: int | None = None,
    users: int | None = None,
    pilot_users: int = PILOT_USERS,
    quiet: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> PowerPlan:
    """Pilot a scenario's world, and say what a test of it could find.

    effect: the relative uplift to find. days, users: of the test, where they are not the scenario's. pilot_users: how many the
    pilot has at most. Raises ScenarioError for a replay and a test without days; KeyboardInterrupt.
    """
    planned = scenario.phases.ab_days if days is None else days
    if planned < 1:
        raise ScenarioError(f"{scenario.name}: phases.ab_days: got 0, there is no test; give it days, or say --days N")
    there = (scenario.world or WorldConfig()).users.n if users is None else users
    pilot = pilot_of(scenario, min(there, pilot_users), HORIZON * planned)
    assert pilot.world is not None
    population, arm = pilot.world.users.n, pilot.control.name
    table = run_pilot(pilot, command=f"a pilot of {scenario.name}", quiet=quiet, should_stop=should_stop)
    found, seen = spreads(table, arm, population, range(pilot.days - pilot.phases.ab_days, pilot.days))
    shares = scenario.shares if len(scenario.shares) > 1 else [0.5, 0.5]
    return PowerPlan(
        name=scenario.name,
        users=there,
        shares=(shares[0], min(shares[1:])),
        days=planned,
        effect=effect,
        power=power,
        pilot_users=population,
        pilot_days={str(phase): n for phase, n in pilot.phases.days.items()},
        spreads=found,
        seen=seen,
        treatments=len(shares) - 1,
    )
