"""What a test says, as pandas DataFrames with a row a figure: for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from simulator.readout.findings import Findings
from simulator.readout.reliability import ReliabilityBin
from simulator.readout.statistics.catalogue import Catalogue
from simulator.readout.statistics.estimate import UNDEFINED, Estimate

__all__ = [
    "bounds",
    "by_day",
    "catalogue",
    "checks",
    "headline",
    "looks",
    "novelty",
    "phases",
    "reliability",
    "segments",
    "true_by_day",
]

UPLIFT = Estimate._fields


def headline(found: Findings) -> pd.DataFrame:
    """A row a treatment, named: the headline, its p-value corrected over all treatments, what it can find, the truth."""
    rows = {}
    for arm, estimates in found.uplift.items():
        truth = found.truth.get(arm, {})
        rows[arm] = {
            "estimator": found.headline,
            **estimates[found.headline]._asdict(),
            "holm": found.holm.get(arm),
            "mde": found.mde.get(arm),
            "truth": truth.get("experiment"),
            "launch": truth.get("launch"),
            "error": found.error.get(arm, {}).get(found.headline),
        }
    columns = ("estimator", *UPLIFT, "holm", "mde", "truth", "launch", "error")
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("treatment")
    return frame.astype(dict.fromkeys(columns[1:], float))


def by_day(found: Findings) -> pd.DataFrame:
    """A row a treatment, day and estimator: raw, ab_minus_aa, and so_far, which is the headline from the first day on."""
    return _frame(
        (
            {"treatment": day.row["arm"], "day": day.row["day"], "phase": day.row["phase"], "estimator": name} | _of(of)
            for day in found.days
            for name, of in (("raw", day.uplift), ("ab_minus_aa", day.corrected), ("so_far", day.so_far))
            if of is not None
        ),
        ("treatment", "day", "phase", "estimator", *UPLIFT),
    )


def looks(found: Findings) -> pd.DataFrame:
    """A row a treatment and day of A/B; bound is of |z|, bound_lo and bound_hi are the repeated interval."""
    return _frame(
        (
            {
                "treatment": arm,
                "day": look.day,
                "information": look.information,
                **_of(look.estimate),
                "bound": look.bound,
            }
            | {"bound_lo": look.lo, "bound_hi": look.hi, "crossed": look.crossed}
            for arm, of in found.sequential.items()
            for look in of
        ),
        ("treatment", "day", "information", *UPLIFT, "bound", "bound_lo", "bound_hi", "crossed"),
    )


def segments(found: Findings) -> pd.DataFrame:
    """A row a segment, value and treatment. adjusted_p is Holm's over all of them."""
    return _frame(
        (
            {"segment": row.segment, "value": row.value, "treatment": row.arm, "users": row.users}
            | {"exposures": row.exposures, **_of(row.estimate), "adjusted_p": row.adjusted_p}
            for row in found.segments
        ),
        ("segment", "value", "treatment", "users", "exposures", *UPLIFT, "adjusted_p"),
    )


def novelty(found: Findings) -> pd.DataFrame:
    """A row a treatment and day since a user's first in A/B."""
    return _frame(
        (
            {"treatment": arm, "day": row.day, "users": row.users, **_of(row.estimate)}
            for arm, of in found.novelty.items()
            for row in of
        ),
        ("treatment", "day", "users", *UPLIFT),
    )


def phases(found: Findings) -> pd.DataFrame:
    """A row a phase and arm: users, exposures, clicks, ctr, lo, hi."""
    return _frame(
        (row._asdict() for row in found.phases), ("phase", "arm", "users", "exposures", "clicks", "ctr", "lo", "hi")
    )


def checks(found: Findings) -> pd.DataFrame:
    """A row a check: verdict (good, warn, bad), what it says, what to do."""
    return _frame((row._asdict() for row in found.checks), ("name", "verdict", "says", "do"))


def true_by_day(found: Findings) -> pd.DataFrame:
    """A row a treatment, kind of truth and day: the true relative uplift."""
    return _frame(
        (
            {"treatment": arm, "kind": kind, "day": day, "relative": value}
            for arm, kinds in found.truth_days.items()
            for kind, days in kinds.items()
            for day, value in days.items()
        ),
        ("treatment", "kind", "day", "relative"),
    )


def bounds(found: Findings) -> pd.DataFrame:
    """A row a policy (oracle, random, each arm) and day: ctr, and auc and logloss of the world's own probabilities. Empty where the
    run kept no bounds."""
    days = found.bounds.days if found.bounds is not None else {}
    return _frame(
        (
            {"policy": policy, "day": day, "ctr": ctr, "auc": auc, "logloss": logloss}
            for policy, of in days.items()
            for day, (ctr, auc, logloss) in of.items()
        ),
        ("policy", "day", "ctr", "auc", "logloss"),
    )


def catalogue(found: Findings) -> pd.DataFrame:
    """A row an arm and day: coverage, gini and new_share of what was shown."""
    return _frame(
        (
            {"arm": arm, "day": day, **of._asdict()}
            for arm, days in found.catalogue_days.items()
            for day, of in days.items()
        ),
        ("arm", "day", *Catalogue._fields),
    )


def reliability(found: Findings) -> pd.DataFrame:
    """A row an arm and bin of pCTR: predicted, observed with its interval, exposures."""
    return _frame(
        ({"arm": arm, **bin_._asdict()} for arm, bins in found.reliability.items() for bin_ in bins),
        ("arm", *ReliabilityBin._fields),
    )


def _of(estimate: Estimate | None) -> dict[str, float]:
    return (estimate or UNDEFINED)._asdict()


def _frame(rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> pd.DataFrame:
    """With its columns where there is no row too."""
    return pd.DataFrame(list(rows), columns=list(columns))
