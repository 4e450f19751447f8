"""The plots of a sweep: without a knob the arms side by side; for one the uplift against it, a line an arm; for two a heat map an arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from simulator.readout.plots.style import COLOURS, HEIGHT, MARKERS, STYLE, WIDTH
from simulator.studies.knobs import Knob
from simulator.studies.measures import short, shown_value
from simulator.studies.sweep import Sweep

__all__ = ["draw"]

LOG_FROM = 20.0  # values above 0 whose largest is this many times the smallest stand on a logarithmic axis
MOST_NUMBERS = 12  # of a heat map's side: more would run into each other
MOST_ACROSS = 2  # heat maps beside each other


def draw(sweep: Sweep) -> Figure | None:
    """None where there is nothing to draw: three knobs or more, or no cell."""
    arms = [arm for arm in sweep.summary["arm"].unique() if arm != sweep.control]
    if not arms or len(sweep.knobs) > 2:
        return None
    with matplotlib.rc_context(STYLE):
        return (_arms, _lines, _maps)[len(sweep.knobs)](sweep, arms)


def _arms(sweep: Sweep, arms: Sequence[str]) -> Figure:
    """A line an arm: each seed's uplift as a dot, the mean with its interval."""
    figure = Figure(figsize=(WIDTH, 1.4 + 0.3 * len(arms)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.axvline(0, color="#444444", linewidth=0.8)
    of_arm = {row["arm"]: row for row in sweep.summary.to_dict("records")}
    for height, arm in enumerate(reversed(arms)):
        seeds, row = sweep.rows.loc[sweep.rows["arm"] == arm, "uplift"], of_arm[arm]
        axes.plot(seeds, [height] * len(seeds), "o", color=COLOURS[0], alpha=0.25, markersize=3.5, markeredgewidth=0)
        axes.plot([row["lo"], row["hi"]], [height - 0.25] * 2, color="#222222", linewidth=1.6)
        axes.plot([row["uplift"]], [height - 0.25], "D", color="#222222", markersize=4)
    axes.set_yticks(range(len(arms)), [*reversed(arms)])
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"true uplift over {sweep.control} ({sweep.truth})")
    axes.xaxis.set_major_formatter(_percent())
    figure.suptitle(_title(sweep), x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def _percent() -> FuncFormatter:
    return FuncFormatter(lambda value, _: f"{value:+.1%}".replace("-", "−"))


def _lines(sweep: Sweep, arms: Sequence[str]) -> Figure:
    (knob,) = sweep.knobs
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = _places(knob)
    axes.axhline(0, color="#444444", linewidth=0.8)
    for number, arm in enumerate(arms):
        mine = sweep.summary[sweep.summary["arm"] == arm]
        at = [places[value] for value in mine[knob.path]]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number // len(COLOURS) % len(MARKERS)]
        axes.plot(at, mine["uplift"], color=colour, marker=marker, markersize=4, label=arm)
        axes.fill_between(at, mine["lo"].to_numpy(float), mine["hi"].to_numpy(float), color=colour, alpha=0.15, lw=0)
    if _is_log(knob):
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks([*places.values()], [short(value) for value in places])
    axes.set_xlabel(knob.name)
    axes.set_ylabel(f"true uplift over {sweep.control} ({sweep.truth})")
    axes.yaxis.set_major_formatter(_percent())
    figure.suptitle(_title(sweep), x=0.01, ha="left", fontsize=11, fontweight="bold")
    figure.legend(loc="outside lower center", ncols=min(len(arms), 4), fontsize=8.5)
    return figure


def _maps(sweep: Sweep, arms: Sequence[str]) -> Figure:
    down, across = sweep.knobs
    rows, columns = math.ceil(len(arms) / MOST_ACROSS), min(len(arms), MOST_ACROSS)
    size = (WIDTH * columns / MOST_ACROSS + 1.5, 1.2 + rows * (1.0 + 0.42 * len(down.values)))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    tables = {arm: _table(sweep.summary[sweep.summary["arm"] == arm], down, across) for arm in arms}
    widest = max(
        (float(np.nanmax(np.abs(table))) for table in tables.values() if not np.isnan(table).all()), default=0.0
    )
    for axes in grid.flat[len(arms) :]:
        axes.axis("off")
    for axes, (arm, table) in zip(grid.flat, tables.items(), strict=False):
        image = axes.imshow(table, cmap="RdBu_r", vmin=-widest or None, vmax=widest or None, aspect="auto")
        axes.grid(False)
        axes.set_title(arm)
        axes.set_xticks(range(len(across.values)), [short(shown_value(value)) for value in across.values])
        axes.set_yticks(range(len(down.values)), [short(shown_value(value)) for value in down.values])
        axes.set_xlabel(across.name)
        axes.set_ylabel(down.name)
        axes.tick_params(length=0)
        if max(table.shape) <= MOST_NUMBERS:
            for (row, column), value in np.ndenumerate(table):
                text = "–" if math.isnan(value) else f"{100 * value:+.1f}".replace("-", "−")
                dark = not math.isnan(value) and abs(value) > 0.6 * widest
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "#222222")
    figure.colorbar(
        image, ax=grid, format=_percent(), label=f"true uplift over {sweep.control} ({sweep.truth})", shrink=0.8
    )
    figure.suptitle(_title(sweep), x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def _title(sweep: Sweep) -> str:
    n = sweep.rows["seed"].nunique()
    if n == 1:
        return f"{sweep.scenario}: one seed, which says nothing of others"
    what = "means over" if len(sweep.knobs) == 2 else "95% intervals across"
    return f"{sweep.scenario}: {what} {n} seeds"


def _table(mine: pd.DataFrame, down: Knob, across: Knob) -> np.ndarray:
    """Uplifts [down, across]; NaN where a cell failed."""
    found = {(row[down.path], row[across.path]): row["uplift"] for row in mine.to_dict("records")}
    values = [[found.get((shown_value(a), shown_value(b)), math.nan) for b in across.values] for a in down.values]
    return np.array(values, dtype=float)


def _is_log(knob: Knob) -> bool:
    return _are_numbers(knob) and min(knob.values) > 0 and max(knob.values) >= LOG_FROM * min(knob.values)


def _are_numbers(knob: Knob) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in knob.values)


def _places(knob: Knob) -> dict[Any, float]:
    """Where each value stands on the axis: numbers at themselves, others one after the other."""
    return {
        shown_value(value): float(value) if _are_numbers(knob) else float(number)
        for number, value in enumerate(knob.values)
    }
