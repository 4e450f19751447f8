"""The laboratory: a simulated feed or a replayed data set, the experiment around it, and the reading of its results.

In a notebook: `from simulator import run`, then `r = run("quickstart")`. Nothing is loaded before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.notebook import compare, list_runs, load_scenario, open_run, power, run
    from simulator.readout.compare_view import CompareView
    from simulator.readout.view import RunView, open_table
    from simulator.scenario import Scenario
    from simulator.studies.api import replicate, sweep
    from simulator.studies.power import PowerPlan

__all__ = [
    "CompareView",
    "PowerPlan",
    "RunView",
    "Scenario",
    "compare",
    "list_runs",
    "load_scenario",
    "open_run",
    "open_table",
    "power",
    "replicate",
    "run",
    "sweep",
]

_HOME_OF = {
    "CompareView": "readout.compare_view",
    "PowerPlan": "studies.power",
    "RunView": "readout.view",
    "Scenario": "scenario",
    "compare": "notebook",
    "list_runs": "notebook",
    "load_scenario": "notebook",
    "open_run": "readout.view",
    "open_table": "readout.view",
    "power": "notebook",
    "replicate": "studies.api",
    "run": "notebook",
    "sweep": "studies.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
