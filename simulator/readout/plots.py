"""The plots of a run: SVG and PNG, the same bytes for the same run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from simulator.readout.results import PHASE_NAMES, Day, Results, sudden_drifts
from simulator.readout.statistics import Estimate

__all__ = ["draw"]

# Okabe and Ito (2008): told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SHADES = {"warmup": "#e9e9e9", "aa": "#f5f5f5", "ab": "#ffffff"}
STYLE = {
    "svg.hashsalt": "reloop-stream",
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 11,
    "legend.frameon": False,
}
WIDTH, HEIGHT, DPI = 8.5, 4.2, 150


def draw(results: Results) -> dict[str, Path]:
    """Draw everything into plots/; name → path of the SVG, in the order of the report."""
    folder = results.run.path / "plots"
    folder.mkdir(exist_ok=True)
    makers: dict[str, Any] = {"ctr": _ctr}
    if results.run.is_replay:
        makers = {"difference": _difference_of_quality} if results.run.treatments else {}
    elif any(day.uplift is not None for day in results.days):
        makers["uplift"] = _uplift
        if any(not math.isnan(e.relative) for found in results.uplift.values() for e in found.values()):
            makers["estimators"] = _estimators
    makers["quality"] = _quality
    if results.run.monitor is not None:
        makers["monitor"] = _monitor
    found = {}
    for name, make in makers.items():
        with matplotlib.rc_context(STYLE):
            figure = make(results)
            FigureCanvasAgg(figure)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
            figure.savefig(folder / f"{name}.png", dpi=DPI, metadata={"Software": None})
        found[name] = folder / f"{name}.svg"
    return found


def _figure(rows: int = 1, height: float = HEIGHT) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, 1, sharex=rows > 1, squeeze=False)[:, 0]


def _colour(results: Results, arm: str) -> str:
    return COLOURS[results.run.arms.index(arm) % len(COLOURS)]


def _of(results: Results, arm: str) -> list[Day]:
    return [day for day in results.days if day.row["arm"] == arm]


def _shade_phases(axes: Axes, results: Results, label: bool = True) -> None:
    """Shade warm-up and A/A, and name the phases along the top."""
    for phase, shade in SHADES.items():
        days = [day.row["day"] + 1 for day in results.days if day.row["phase"] == phase]
        if not days:
            continue
        axes.axvspan(min(days) - 0.5, max(days) + 0.5, color=shade, zorder=0, lw=0)
        if label:
            axes.text(
                (min(days) + max(days)) / 2, 0.985, PHASE_NAMES[phase], transform=axes.get_xaxis_transform(),
                ha="center", va="top", fontsize=9, color="#666666", clip_on=True,
            )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=18))
    axes.margins(x=0.01)


def _numbers(days: list[Day], name: str) -> list[float]:
    return [math.nan if day.row.get(name) is None else day.row[name] for day in days]


def _percent(axes: Axes, digits: int = 1, sign: bool = False) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:{'+' if sign else ''}.{digits}%}"))


def _head_room(axes: Axes, share: float = 0.12) -> None:
    """Room above the curves for the names of the phases."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + share * (high - low))


def _ctr(results: Results) -> Figure:
    figure, (axes,) = _figure()
    for arm in results.run.arms:
        days = _of(results, arm)
        x = [day.row["day"] + 1 for day in days]
        colour = _colour(results, arm)
        axes.plot(x, _numbers(days, "ctr"), color=colour, marker="o", ms=3.5, lw=1.6, label=arm)
        axes.fill_between(x, [d.lo for d in days], [d.hi for d in days], color=colour, alpha=0.16, lw=0)
    _percent(axes)
    _head_room(axes)
    _shade_phases(axes, results)
    axes.set(title="CTR per simulated day and arm, with 95% intervals across users", xlabel="day", ylabel="CTR")
    axes.legend(loc="lower right", ncols=len(results.run.arms))
    return figure


def _uplift(results: Results) -> Figure:
    treatments = results.run.treatments
    figure, all_axes = _figure(len(treatments), HEIGHT * max(1.0, 0.75 * len(treatments)))
    for axes, arm in zip(all_axes, treatments, strict=True):
        colour = _colour(results, arm)
        days = [day for day in _of(results, arm) if day.row["phase"] != "warmup" and day.uplift is not None]
        _bars(axes, days, [d.uplift for d in days], -0.12, "#888888", "raw")
        _bars(axes, days, [d.corrected for d in days], 0.12, colour, "A/B − A/A")
        axes.axhline(0, color="#333333", lw=0.8)
        ab = [day.row["day"] + 1 for day in days if day.row["phase"] == "ab"]
        headline = results.uplift[arm][results.headline]
        if ab and not math.isnan(headline.relative):
            name = {"cuped": "CUPED", "raw": "raw"}[results.headline]
            span = [min(ab) - 0.5, max(ab) + 0.5]
            axes.fill_between(span, headline.lo, headline.hi, color=colour, alpha=0.13, lw=0)
            label = f"{name} over A/B: {headline.relative:+.2%}"
            axes.plot(span, [headline.relative] * 2, color=colour, lw=1.2, ls="--", label=label)
        for kind, value in results.truth[arm].items():
            if value is not None and ab:
                style = "-" if kind == "experiment" else ":"
                axes.plot(
                    [min(ab) - 0.5, max(ab) + 0.5], [value] * 2, color="#111111", lw=1.4, ls=style,
                    label=f"truth ({kind}): {value:+.2%}",
                )  # fmt: skip
        _percent(axes, sign=True)
        _head_room(axes, 0.16)
        _shade_phases(axes, results)
        first = min((day.row["day"] + 1 for day in days), default=1)
        axes.set_xlim(first - 0.6, max((day.row["day"] + 1 for day in days), default=1) + 0.6)
        axes.set(title=f"Uplift in CTR of {arm} over {results.run.control}, per day", ylabel="relative uplift")
        axes.legend(loc="lower left", ncols=2, fontsize=8.5)
        low, high = axes.get_ylim()
        axes.set_ylim(low - 0.2 * (high - low), high)  # the legend's room
    all_axes[-1].set_xlabel("day")
    return figure


def _bars(axes: Axes, days: list[Day], estimates: list[Estimate | None], shift: float, colour: str, label: str) -> None:
    points = [(day.row["day"] + 1 + shift, e) for day, e in zip(days, estimates, strict=True) if e is not None]
    points = [(x, e) for x, e in points if not math.isnan(e.relative)]
    if points:
        y = [e.relative for _, e in points]
        spread = [[e.relative - e.lo for _, e in points], [e.hi - e.relative for _, e in points]]
        axes.errorbar([x for x, _ in points], y, spread, fmt="o", ms=4, lw=1.2, capsize=2, color=colour, label=label)


def _estimators(results: Results) -> Figure:
    labels = {"raw": "raw", "ab_minus_aa": "A/B − A/A", "cuped": "CUPED"}
    rows = [(arm, name) for arm in results.run.treatments for name in labels]
    figure, (axes,) = _figure(height=1.4 + 0.42 * len(rows))
    for y, (arm, name) in enumerate(reversed(rows)):
        estimate = results.uplift[arm][name]
        if math.isnan(estimate.relative):
            continue
        colour = _colour(results, arm)
        axes.plot([estimate.lo, estimate.hi], [y, y], color=colour, lw=2.2, solid_capstyle="round")
        axes.plot(estimate.relative, y, "o", color=colour, ms=6)
        axes.annotate(
            f"{estimate.relative:+.2%}",
            (estimate.relative, y),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},  # the truth's line may lie behind it
        )
    for arm in results.run.treatments:
        for kind, value in results.truth[arm].items():
            if value is not None:
                ls = "-" if kind == "experiment" else ":"
                axes.axvline(value, color="#111111", lw=1.3, ls=ls, label=f"truth of {arm} ({kind}): {value:+.2%}")
    axes.axvline(0, color="#999999", lw=0.8)
    several = len(results.run.treatments) > 1
    axes.set_yticks(range(len(rows)), [f"{arm}: {labels[n]}" if several else labels[n] for arm, n in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:+.1%}"))
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.set(
        title="Uplift in CTR over the A/B period, by estimator (95% intervals across users)", xlabel="relative uplift"
    )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="lower center", bbox_to_anchor=(0.5, -0.02 - 1.1 / (1.4 + 0.42 * len(rows))), ncols=2, fontsize=8.5
        )
    return figure


def _quality(results: Results) -> Figure:
    figure, all_axes = _figure(3, 7.4)
    panels = (
        ("auc", "progressive_auc", "AUC"),
        ("logloss", "progressive_logloss", "log loss"),
        ("calibration", "progressive_calibration", "calibration"),
    )
    for i, (axes, (stamped, progressive, name)) in enumerate(zip(all_axes, panels, strict=True)):
        for arm in results.run.arms:
            days = _of(results, arm)
            x = [day.row["day"] + 1 for day in days]
            colour = _colour(results, arm)
            axes.plot(x, _numbers(days, stamped), color=colour, marker="o", ms=3, lw=1.5, label=f"{arm}: stamps")
            axes.plot(x, _numbers(days, progressive), color=colour, lw=1.1, ls="--", label=f"{arm}: progressive")
        if name == "calibration":
            axes.axhline(1, color="#333333", lw=0.8)
        axes.set_ylabel(name)
        if i == 0:
            _head_room(axes, 0.14)
        _shade_phases(axes, results, label=i == 0)
    all_axes[0].set_title("Quality of the predictions: as stamped when served, and progressive (test, then train)")
    all_axes[-1].set_xlabel("day")
    all_axes[-1].legend(loc="best", ncols=2, fontsize=8)
    return figure


def _monitor(results: Results) -> Figure:
    """Each learner's rolling log loss and calibration, in the colour of the arm whose settings it has."""
    assert results.run.monitor is not None
    by_learner: dict[str, list[dict[str, Any]]] = {}
    for row in results.run.monitor.to_pylist():
        by_learner.setdefault(row["learner"], []).append(row)
    figure, all_axes = _figure(2, 6.0)
    for axes, name in zip(all_axes, ("logloss", "calibration"), strict=True):
        for learner, rows in by_learner.items():
            # A tick's end, on an axis where a day's number stands at its noon.
            x = [row["time"] + 0.5 for row in rows]
            y = [math.nan if row[name] is None else row[name] for row in rows]
            colour, style = _colour(results, rows[0]["arm"]), "-" if learner in results.run.arms else "--"
            axes.plot(x, y, style, color=colour, lw=1.4, label=learner)
            # Alarms lie along the bottom, a row an arm: those of one moment would hide each other on the curves.
            alarms = [at for at, row in zip(x, rows, strict=True) if row["alarm"]]
            height = 0.04 + 0.06 * results.run.arms.index(rows[0]["arm"])
            across = axes.get_xaxis_transform()
            axes.plot(alarms, [height] * len(alarms), "^", color=colour, ms=8, mec="white", transform=across, zorder=3)
        for day in sudden_drifts(results.run):
            axes.axvline(day + 0.5, color="#333333", lw=1.0, ls=":")
        low, high = axes.get_ylim()
        axes.set_ylim(low - 0.08 * len(results.run.arms) * (high - low), high + 0.15 * (high - low))
        _shade_phases(axes, results, label=name == "logloss")
    all_axes[0].set(title="Rolling log loss and calibration, as the monitors read them", ylabel="log loss")
    all_axes[1].axhline(1, color="#333333", lw=0.8)
    all_axes[1].set(ylabel="calibration", xlabel="day")
    all_axes[1].legend(loc="upper center", ncols=len(by_learner))
    return figure


def _difference_of_quality(results: Results) -> Figure:
    figure, all_axes = _figure(2, 6.0)
    control = {day.row["day"]: day for day in _of(results, results.run.control)}
    for axes, (name, title) in zip(all_axes, (("auc", "AUC"), ("logloss", "log loss")), strict=True):
        for arm in results.run.treatments:
            days = [day for day in _of(results, arm) if day.row["day"] in control]
            x = [day.row["day"] + 1 for day in days]
            theirs = _numbers([control[day.row["day"]] for day in days], name)
            y = [a - b for a, b in zip(_numbers(days, name), theirs, strict=True)]
            colour = _colour(results, arm)
            axes.plot(x, y, color=colour, marker="o", ms=3, lw=1.3, label=arm)
            overall = results.differences[arm][name]
            ab = [day.row["day"] + 1 for day in days if day.row["phase"] == "ab"]
            if ab and not math.isnan(overall.relative):
                span = [min(ab) - 0.5, max(ab) + 0.5]
                axes.fill_between(span, overall.lo, overall.hi, color=colour, alpha=0.15, lw=0)
                axes.plot(span, [overall.relative] * 2, color=colour, ls="--", lw=1.2)
        axes.axhline(0, color="#333333", lw=0.8)
        axes.set_ylabel(f"difference in {title}")
        _head_room(axes, 0.14)
        _shade_phases(axes, results, label=name == "auc")
    all_axes[0].set_title(f"Treatment − {results.run.control}, stamps per day; band: mean over A/B with 95% t interval")
    all_axes[-1].set_xlabel("day")
    all_axes[0].legend(loc="best")
    return figure
