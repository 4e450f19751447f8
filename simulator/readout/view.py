"""A run folder in a notebook: its tables as pandas DataFrames, its plots as figures, and a page of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure

from simulator.readout import frames
from simulator.readout.compute import compute
from simulator.readout.plots.draw import figure, plots_of
from simulator.readout.results import ESTIMATOR_LABELS, Results
from simulator.run_folder.columns import PHASE_LABELS
from simulator.run_folder.own_table import read_table
from simulator.run_folder.reader import read_run

__all__ = ["RunView", "open_run", "open_table"]


class RunView:
    """What a run left behind, finished or not. What is asked for is computed once.

    path: the run folder.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        self.path: Path = results.run.path

    @property
    def status(self) -> str:
        """running, finished, interrupted or failed."""
        return self.results.run.status

    @property
    def scenario(self) -> dict[str, Any]:
        """The resolved scenario."""
        return self.results.run.config

    @property
    def arms(self) -> list[str]:
        """In their order."""
        return self.results.run.arms

    @property
    def manifest(self) -> dict[str, Any]:
        """Seeds, versions, counts, digests of the final models. Empty of a table of one's own."""
        manifest = self.results.run.manifest
        return {} if manifest is None else manifest.as_dict()

    @cached_property
    def daily(self) -> pd.DataFrame:
        """A row a day and arm: the columns of daily.csv."""
        return _frame(self.results.run.daily)

    @cached_property
    def users(self) -> pd.DataFrame:
        """A row a user and day: user_id, arm, day, phase, exposures, clicks. Empty before they are put together."""
        users = self.results.run.users
        return pd.DataFrame() if users is None else _frame(users)

    @cached_property
    def truth(self) -> pd.DataFrame:
        """A row a kind of truth, day and arm: exposures, expected_clicks. Empty for a replay: only a simulator knows."""
        return _frame(self.results.run.truth)

    @cached_property
    def uplift(self) -> pd.DataFrame:
        """A row a treatment and estimator: relative, lo, hi, p; NaN where it is not defined. Empty for a replay.

        `uplift["relative"].unstack()` is a table of treatment × estimator.
        """
        rows = self.results.uplift
        return _table(
            {(arm, name): e._asdict() for arm, found in rows.items() for name, e in found.items()}, "estimator"
        )

    @cached_property
    def headline(self) -> pd.DataFrame:
        """A row a treatment: estimator, relative, lo, hi, p, holm (p over all treatments), mde, truth, launch, error."""
        return frames.headline(self.results)

    @cached_property
    def daily_uplift(self) -> pd.DataFrame:
        """A row a treatment, day and estimator: raw, ab_minus_aa, and so_far, the headline from the first A/B day on."""
        return frames.by_day(self.results)

    @cached_property
    def looks(self) -> pd.DataFrame:
        """A row a treatment and A/B day: the estimate so far, its fixed interval, and the bounds for who looks daily."""
        return frames.looks(self.results)

    @cached_property
    def segments(self) -> pd.DataFrame:
        """A row a segment, value and treatment: users, exposures, the uplift there, adjusted_p."""
        return frames.segments(self.results)

    @cached_property
    def novelty(self) -> pd.DataFrame:
        """A row a treatment and day since a user's first in A/B: users, the uplift."""
        return frames.novelty(self.results)

    @cached_property
    def phases(self) -> pd.DataFrame:
        """A row a phase and arm: users, exposures, clicks, ctr, lo, hi."""
        return frames.phases(self.results)

    @cached_property
    def checks(self) -> pd.DataFrame:
        """A row a check: name, verdict (good, warn, bad), says, do."""
        return frames.checks(self.results)

    @cached_property
    def true_uplift(self) -> pd.DataFrame:
        """A row a treatment, kind of truth and day: relative. Empty where only a simulator would know."""
        return frames.true_by_day(self.results)

    @cached_property
    def bounds(self) -> pd.DataFrame:
        """A row a policy (oracle, random, each arm) and day: ctr, and auc and logloss of the world's own probabilities. Empty
        without `truth.bounds`."""
        return frames.bounds(self.results)

    @cached_property
    def catalogue(self) -> pd.DataFrame:
        """A row an arm and day: coverage, gini, new_share. Empty for a replay."""
        return frames.catalogue(self.results)

    @cached_property
    def reliability(self) -> pd.DataFrame:
        """A row an arm and bin of pCTR: predicted, observed, lo, hi, exposures."""
        return frames.reliability(self.results)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """Of a replay: a row a treatment and metric of the stamps: mean, lo, hi, p of the difference to the control."""
        found = self.results.differences
        return _table({(arm, name): d.whole._asdict() for arm, of in found.items() for name, d in of.items()}, "metric")

    @cached_property
    def daily_differences(self) -> pd.DataFrame:
        """The same by day: a row a treatment, metric and day, with its phase."""
        rows = [
            {"treatment": arm, "metric": name, "day": day.day, "phase": day.phase, **day.difference._asdict()}
            for arm, of in self.results.differences.items() for name, found in of.items() for day in found.days
        ]  # fmt: skip
        return pd.DataFrame(rows)

    @cached_property
    def blocks(self) -> pd.DataFrame:
        """Of a replay: a row a day, arm and block of time, as in blocks.csv. Empty before they are put together."""
        blocks = self.results.run.blocks
        return pd.DataFrame() if blocks is None else _frame(blocks)

    @cached_property
    def ranking(self) -> pd.DataFrame:
        """Of a replay of slates: a row a day, arm and metric: value, lo, hi. Empty otherwise."""
        found = self.results.ranking
        rows = [
            {"day": day.day, "arm": day.arm, "metric": name, "value": of.value, "lo": of.lo, "hi": of.hi}
            for day in (found.days if found else [])
            for name, of in day.metrics.items()
        ]
        return pd.DataFrame(rows)

    @cached_property
    def off_policy(self) -> pd.DataFrame:
        """Of a replay with `data.off_policy`: a row an arm and estimator: estimate, lo, hi, ess, n, cut. Empty otherwise."""
        rows = self.results.policies
        frame = _table(
            {(arm, name): v._asdict() for arm, policy in rows.items() for name, v in policy.values.items()},
            "estimator",
            "arm",
        )
        return frame.drop(columns="ratio", errors="ignore")

    @property
    def plots(self) -> list[str]:
        """The names that `plot` takes."""
        return list(plots_of(self.results))

    def plot(self, name: str) -> Figure:
        """One of the plots. Raises ValueError naming those that there are."""
        return figure(self.results, name)

    def __repr__(self) -> str:
        return f"<run {self.path}, {self.status}: {self._headline()}>"

    def __str__(self) -> str:
        return self.results.render()

    def _headline(self) -> str:
        results = self.results
        if results.run.is_replay:
            said = [f"{arm} log loss {found['logloss'].whole}" for arm, found in results.differences.items()]
            return "; ".join(said) or "one arm"
        known = {arm: found[results.headline] for arm, found in results.uplift.items()}
        return "; ".join(f"{arm} {e}" for arm, e in known.items() if not math.isnan(e.relative)) or "no uplift yet"

    def _repr_html_(self) -> str:
        results, frame = self.results, self.differences if self.results.run.is_replay else self.uplift
        title = f"<b>{escape(results.run.config['name'])}</b> · {' vs '.join(map(escape, self.arms))} · {self.status}"
        notes = "".join(f"<li>{escape(note)}</li>" for note in results.notes)
        table = "" if frame.empty else _as_html(frame, in_percent=not results.run.is_replay)
        truths = [
            f"truth of {escape(arm)} ({kind}): {value:+.2%}"
            for arm, found in results.truth.items() for kind, value in found.items() if value is not None
        ]  # fmt: skip
        phases = ", ".join(f"{PHASE_LABELS[phase]} {n} day{'s' if n > 1 else ''}" for phase, n in self._days().items())
        return (
            f"<div><p>{title}<br><small>{phases} · <code>{escape(str(self.path))}</code></small></p>{table}"
            f"<p>{'<br>'.join(truths)}</p><ul>{notes}</ul></div>"
        )

    def _days(self) -> dict[str, int]:
        phases = self.daily.drop_duplicates("day")["phase"]
        return {phase: int((phases == phase).sum()) for phase in PHASE_LABELS if (phases == phase).any()}


def open_run(path: str | Path, baseline: str | None = None) -> RunView:
    """A run folder as it is now, finished or not. baseline: the arm to compare the others with; the first where it is None.

    Raises RunFolderError naming what is missing in it, or the arms that there are.
    """
    return RunView(compute(read_run(Path(path), baseline)))


def open_table(path: str | Path, baseline: str | None = None, shares: Mapping[str, float] | None = None) -> RunView:
    """A table of one's own, CSV or Parquet, of an experiment that this laboratory never saw; nothing is written.

    Columns: user, arm, exposures, clicks; phase (warmup, aa, ab) and day, if there are any; every other is a segment. shares:
    how large the arms were meant to be, by name; all alike where it is None. Raises TableError naming row and remedy.
    """
    return RunView(compute(read_table(Path(path), None, baseline, shares)))


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _table(rows: dict[tuple[str, str], dict[str, Any]], second: str, first: str = "treatment") -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(list(rows), names=[first, second])
    return pd.DataFrame(list(rows.values()), index=index)


def _as_html(frame: pd.DataFrame, *, in_percent: bool) -> str:
    shown = frame.rename(index=ESTIMATOR_LABELS)
    number = "{:+.2%}".format if in_percent else "{:+.5f}".format
    formatters = {name: "{:.3f}".format if name == "p" else number for name in shown.columns}
    html: str = shown.to_html(formatters=formatters, na_rep="–", border=0)
    return html
