"""compare.html: runs side by side, on a page that stands alone."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from simulator.readout.compare import Comparison
from simulator.readout.report.write import _number, _percent, _signed
from simulator.readout.results import ESTIMATOR_LABELS, METRIC_LABELS

__all__ = ["compare_page"]


def compare_page(comparison: Comparison) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("simulator.readout.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"percent": _percent, "number": _number, "signed": _signed}
    return environment.get_template("compare.html.j2").render(
        comparison=comparison, estimators={**ESTIMATOR_LABELS, **METRIC_LABELS}
    )
