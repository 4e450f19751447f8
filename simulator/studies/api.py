"""Studies from Python: what the commands do, with tables as DataFrames; and what both leave in a study's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from reloop_stream.state.files import write_atomic
from simulator.scenario import find_scenario, raw_scenario
from simulator.studies.cells import CellsFailed, Failure
from simulator.studies.engines import Engine, Local
from simulator.studies.knobs import Knob, parse_knob
from simulator.studies.picture_file import save
from simulator.studies.ray_engine import Ray
from simulator.studies.replicate import Replication, ReplicationPlan, run_replication
from simulator.studies.replication_plots import draw_power, draw_worlds
from simulator.studies.replication_report import findings, to_json, to_text
from simulator.studies.sweep import Sweep, SweepPlan, Truth, run_sweep
from simulator.studies.sweep_plot import draw
from simulator.studies.tuning import TuningPlan, parse_tuning
from simulator.studies.worlds import seeds_from

__all__ = ["engine_of", "make_replication", "make_sweep", "replicate", "sweep"]

Values = str | Sequence[Any]  # as on the command line, or the values themselves


def engine_of(name: str, jobs: int | None, ray_address: str) -> Engine:
    """Raises ConfigError."""
    return Ray(ray_address, jobs) if name == "ray" else Local(jobs)


def make_sweep(plan: SweepPlan, out: Path | None, engine: Engine, *, quiet: bool) -> tuple[Sweep, str]:
    """The sweep and what it prints, with its plot beside its tables. Raises what `run_sweep` raises."""
    found = run_sweep(plan, out, engine, quiet=quiet)
    _save(found.out, "sweep", draw(found))
    return found, f"{found}\n\nstudy: {found.out}"


def make_replication(
    plan: ReplicationPlan, out: Path | None, engine: Engine, *, quiet: bool
) -> tuple[Replication, str]:
    """The same of a replication."""
    found = run_replication(plan, out, engine, quiet=quiet)
    all_findings = findings(found)
    write_atomic(found.out / "replicate.json", to_json(found, all_findings).encode())
    _save(found.out, "worlds", draw_worlds(found, all_findings))
    _save(found.out, "power", draw_power(found, all_findings))
    return found, f"{to_text(found, all_findings)}\n\nstudy: {found.out}"


def _save(out: Path, name: str, figure: Any) -> None:
    if figure is not None:
        for ending in ("svg", "png"):
            save(figure, out / f"{name}.{ending}")


def sweep(
    scenario: str | Path,
    grid: Mapping[str, Values] | None = None,
    set: Mapping[str, Any] | None = None,
    *,
    seeds: int = 5,
    first_seed: int = 1,
    truth: Truth = "launch",
    tune: Mapping[str, Values] | None = None,
    budget: int | None = None,
    tune_seeds: int = 3,
    jobs: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str = "auto",
    out: str | Path | None = None,
    quiet: bool = False,
) -> pd.DataFrame:
    """Turn knobs of a scenario over a grid, as `python -m simulator sweep` does: a row a point, seed and arm.

    grid: path → values, or a text as of --grid; left out, the arms are compared as they are. `found.attrs["study"]` is the folder, in which summary.csv has the intervals across
    seeds. Raises ConfigError for mistakes, Interrupted after Ctrl-C, CellsFailed where cells are missing: the rest is in the folder.
    """
    raw = raw_scenario(find_scenario(str(scenario)), set or {})
    knobs = [
        parse_knob(f"{path}={values}", "grid") if isinstance(values, str) else Knob(path, tuple(values))
        for path, values in (grid or {}).items()
    ]
    plan = SweepPlan(raw, knobs, seeds_from(first_seed, seeds), truth, _tuning(tune, budget, tune_seeds))
    found, _ = make_sweep(plan, _path(out), engine_of(engine, jobs, ray_address), quiet=quiet)
    return _table(found.rows, found.out, found.failures, found.cells)


def replicate(
    scenario: str | Path,
    set: Mapping[str, Any] | None = None,
    *,
    seeds: int = 20,
    first_seed: int = 1,
    data: Sequence[str] = (),
    aa_own: bool = True,
    tune: Mapping[str, Values] | None = None,
    budget: int | None = None,
    tune_seeds: int = 3,
    jobs: int | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str = "auto",
    out: str | Path | None = None,
    quiet: bool = False,
) -> pd.DataFrame:
    """The same experiment in many worlds, as `python -m simulator replicate` does: a row a seed, arm and estimator.

    data: what arms train on, own, shared, co_diverted. Folder and errors as of `sweep`.
    """
    raw = raw_scenario(find_scenario(str(scenario)), set or {})
    tuning = _tuning(tune, budget, tune_seeds)
    plan = ReplicationPlan(raw, seeds_from(first_seed, seeds), data, aa_own, tuning)
    found, _ = make_replication(plan, _path(out), engine_of(engine, jobs, ray_address), quiet=quiet)
    return _table(found.rows, found.out, found.failures, found.cells)


def _tuning(tune: Mapping[str, Values] | None, budget: int | None, seeds: int) -> TuningPlan | None:
    if not tune:
        return None
    texts = [
        f"{path}={values if isinstance(values, str) else ','.join(map(json.dumps, values))}"
        for path, values in tune.items()
    ]
    return parse_tuning(texts, budget, seeds)


def _path(out: str | Path | None) -> Path | None:
    return None if out is None else Path(out)


def _table(rows: pd.DataFrame, out: Path, failures: list[Failure], cells: int) -> pd.DataFrame:
    if failures:
        raise CellsFailed(failures, cells)
    rows.attrs["study"] = str(out)
    return rows
