"""Runs side by side in a notebook: tables as pandas DataFrames, and a page of its own."""

from __future__ import annotations

from functools import cached_property
from html import escape

import pandas as pd

from simulator.readout.compare import COMPARE_COLUMNS, Comparison

__all__ = ["CompareView"]


class CompareView:
    """Runs beside one another. `print` shows what the command prints."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    @cached_property
    def arms(self) -> pd.DataFrame:
        """A row an arm and run: over, estimator, estimate, lo, hi, p, truth, ctr, auc, logloss, calibration.

        `arms["truth"].unstack()` is a table of arm × run.
        """
        rows = [{name: arm.row.get(name) for name in COMPARE_COLUMNS} for arm in self.comparison.arms]
        return pd.DataFrame(rows, columns=list(COMPARE_COLUMNS)).set_index(["arm", "run"])

    @cached_property
    def settings(self) -> pd.DataFrame:
        """A row a key on which the scenarios do not agree, a column a run; values as texts."""
        frame = pd.DataFrame.from_dict(self.comparison.settings, orient="index", columns=list(self.comparison.runs))
        return frame.rename_axis("key")

    @property
    def notes(self) -> list[str]:
        """What makes the runs hard to compare."""
        return self.comparison.notes

    def __repr__(self) -> str:
        return f"<{len(self.comparison.runs)} runs side by side: {', '.join(self.comparison.runs)}>"

    def __str__(self) -> str:
        return self.comparison.render()

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        settings = "<p>Their scenarios are the same.</p>" if self.settings.empty else self.settings.to_html(border=0)
        return f"<div>{self.arms.to_html(border=0, na_rep='–')}<ul>{notes}</ul>{settings}</div>"
