"""report.html: one page that stands alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from simulator.readout.plots.draw import plots_of
from simulator.readout.policies import POLICY_LABELS
from simulator.readout.results import ESTIMATOR_LABELS, METRIC_LABELS, SRM_ALARM, Results
from simulator.readout.statistics.estimate import Difference
from simulator.run_folder.columns import PHASE_LABELS

__all__ = ["write_report"]


def write_report(results: Results, plots: dict[str, Path]) -> None:
    """Write report.html into the run folder. plots: name → SVG."""
    environment = Environment(
        loader=PackageLoader("simulator.readout.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"percent": _percent, "number": _number, "signed": _signed}
    environment.filters["apart"] = _apart
    environment.tests["same"] = _same
    run, captions = results.run, plots_of(results)
    page = environment.get_template("report.html.j2").render(
        results=results,
        run=run,
        manifest=run.manifest,
        phases=PHASE_LABELS,
        figures=[(name, Markup(_inline(path)), captions[name].caption) for name, path in plots.items()],
        srm_alarm=results.srm_p < SRM_ALARM,
        config=run.config_text,
        estimators=ESTIMATOR_LABELS,
        metrics=METRIC_LABELS,
        policy_labels=POLICY_LABELS,
        isnan=math.isnan,
    )
    (run.path / "report.html").write_text(page, encoding="utf-8")


def _inline(path: Path) -> str:
    """The SVG without its XML head. It is drawn by us, from escaped text alone."""
    text = path.read_text(encoding="utf-8")
    return text[text.index("<svg") :]


def _percent(value: Any, digits: int = 2, sign: bool = False) -> str:
    if value is None or math.isnan(value):
        return "–"
    return f"{value:{'+' if sign else ''}.{digits}%}"


def _number(value: Any, digits: int = 4) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def _signed(value: float, digits: int = 5) -> str:
    return "–" if math.isnan(value) else f"{value:+.{digits}f}"


def _apart(found: Difference, digits: int = 5) -> str:
    if math.isnan(found.mean):
        return "–"
    return f"{_signed(found.mean, digits)} [{_signed(found.lo, digits)}, {_signed(found.hi, digits)}]"


def _same(found: Difference) -> bool:
    """Whether the arms are one and the same."""
    return found.lo == found.hi == 0
