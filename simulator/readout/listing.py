"""The runs of a folder: of each what it is, how far it has come, and its headline. A folder that is no run is passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from simulator.readout.compute import compute
from simulator.readout.results import Results, without_nan
from simulator.readout.statistics.estimate import UNDEFINED, Difference, Estimate
from simulator.readout.text_table import text_table
from simulator.run_folder.manifest import Manifest, read_manifest
from simulator.run_folder.progress import moment_of, progress_of
from simulator.run_folder.reader import read_run, run_folders

__all__ = ["BROKEN", "LIST_COLUMNS", "Headline", "ListedRun", "list_runs", "listed_as_json", "render_list"]

NEVER = datetime.fromtimestamp(0, UTC)
BROKEN = "broken"  # the status of a folder whose manifest, scenario or tables cannot be read
NUMBERS = ("estimate", "lo", "hi", "p")
LIST_COLUMNS = (
    "run", "status", "scenario", "kind", "days", "of_days", "begun", "wall_s", "treatment", "over", *NUMBERS, "truth", "note",
    "path",
)  # fmt: skip
RESUME = "python -m simulator resume"


class Headline(NamedTuple):
    """What a run says of a treatment. over: which arm. found: the relative uplift in CTR by the run's headline estimator; of
    a replay the difference in log loss. truth: the true uplift (`experiment`), where a simulator knows it."""

    over: str
    found: Estimate | Difference
    truth: float | None


class ListedRun(NamedTuple):
    """A run as `list` shows it.

    status: the manifest's, or BROKEN. begun: when the folder was made. days: how many every arm has finished; of_days: how
    many the scenario has; changed: when the last of them was. wall_s: seconds that the run took, up to its last end.
    headlines: treatment → what is said of it. note: why there is nothing to say, or "".
    """

    path: Path
    status: str
    begun: datetime
    changed: datetime
    scenario: str = ""
    kind: str = ""
    arms: tuple[str, ...] = ()
    days: int = 0
    of_days: int = 0
    wall_s: float = 0.0
    headlines: Mapping[str, Headline] = {}
    note: str = ""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row a treatment, by LIST_COLUMNS; one without any where nothing is said of one."""
        mine = self._asdict() | {"run": self.path.name, "path": str(self.path)}
        found = [
            mine | {"treatment": arm, "over": of.over, "truth": of.truth, **dict(zip(NUMBERS, of.found, strict=True))}
            for arm, of in self.headlines.items()
        ] or [mine]
        return [{name: row.get(name) for name in LIST_COLUMNS} for row in found]


def list_runs(folder: Path) -> list[ListedRun]:
    """The runs that lie in a folder, the newest first; of one that cannot be read, why.

    results.json is believed where it is as new as the run; elsewhere the results are computed from the tables, as while a
    run goes on. Raises RunFolderError where there is no such folder.
    """
    found = map(_listed, run_folders(folder))
    return sorted(found, key=lambda run: (run.begun, run.path.name), reverse=True)


def _listed(path: Path) -> ListedRun:
    # The resolved scenario is the first file of a run, and is not written again.
    begun = moment_of(path / "config.yaml") or moment_of(path / "manifest.json") or NEVER
    run = ListedRun(path, BROKEN, begun, begun)
    try:
        manifest = read_manifest(path)
        run = run._replace(scenario=manifest.scenario, kind=manifest.kind, wall_s=manifest.timings.wall_s)
        far = progress_of(path)
        run = run._replace(arms=far.arms, days=far.days, of_days=far.of_days, changed=far.changed or begun)
        headlines = _headlines(path) if far.days else {}
        return run._replace(status=manifest.status, headlines=headlines, note=_note(run, manifest, headlines))
    except Exception as error:  # whatever is damaged in one folder hides no other
        return run._replace(note=f"{type(error).__name__}: {error}")


def _headlines(path: Path) -> dict[str, Headline]:
    written = path / "results.json"
    at = moment_of(written)
    if at is not None and all((moment_of(path / name) or at) <= at for name in ("manifest.json", "daily.csv")):
        try:
            return _as_written(msgspec.json.decode(written.read_bytes()))
        except (OSError, msgspec.MsgspecError, KeyError, TypeError, AttributeError):
            pass  # of another version, or no results at all: the tables have everything
    return _computed(compute(read_run(path)))


def _as_written(results: Any) -> dict[str, Headline]:
    arms = list(results["ctr"])
    if differences := results["difference_of_quality"]:
        return {
            arm: Headline(_baseline(arms, differences), Difference(**_numbers(of["logloss"])), None)
            for arm, of in differences.items()
        }
    return {
        arm: Headline(
            _baseline(arms, results["uplift"]),
            Estimate(**_numbers(of[of["headline"]])),
            results["truth"][arm]["experiment"],
        )
        for arm, of in results["uplift"].items()
        if of["headline"] is not None
    }


def _baseline(arms: Sequence[str], treatments: Mapping[str, Any]) -> str:
    (baseline,) = [arm for arm in arms if arm not in treatments] or [""]
    return baseline


def _numbers(written: Mapping[str, float | None]) -> dict[str, float]:
    return {name: UNDEFINED.relative if value is None else value for name, value in written.items()}


def _computed(results: Results) -> dict[str, Headline]:
    over = results.run.control
    if results.run.is_replay:
        return {arm: Headline(over, of["logloss"].whole, None) for arm, of in results.differences.items()}
    return {
        arm: Headline(over, of[results.headline], results.truth[arm]["experiment"])
        for arm, of in results.uplift.items()
    }


def _note(run: ListedRun, manifest: Manifest, headlines: Mapping[str, Headline]) -> str:
    if manifest.error is not None:
        return manifest.error
    if not run.days:
        return "no day is complete yet"
    return "" if headlines else "one arm" if len(run.arms) == 1 else "no uplift yet"


def render_list(runs: Sequence[ListedRun]) -> str:
    """For the terminal: a line a run, and one more for each further treatment; below, what is wrong with any."""
    rows, below = [], []
    for run in runs:
        days = f"{run.days}/{run.of_days}" if run.of_days else "-"
        first = [run.path.name, run.status, run.scenario, days, _when(run.begun), _spent(run)]
        said = [_said(arm, headline) for arm, headline in run.headlines.items()] or [["-", "-", ""]]
        rows += [[*(first if at == 0 else [""] * len(first)), *cells] for at, cells in enumerate(said)]
        if run.note:
            below.append(f"{run.path.name}: {run.note}")
        if run.status == "running" and run.days:  # which a killed run says too
            below.append(
                f"{run.path.name}: its last day was complete at {_when(run.changed)}; if it was killed: {RESUME} {run.path}"
            )
    header = ("run", "status", "scenario", "days", "begun", "took", "arm", "uplift in CTR", "truth")
    return "\n".join([*text_table(header, rows, right=(3, 5, 8)), *([""] if below else []), *below])


def _when(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _spent(run: ListedRun) -> str:
    if not run.wall_s:
        return "-"
    return f"{run.wall_s:.0f} s" if run.wall_s < 600 else f"{run.wall_s / 60:.0f} min"


def _said(arm: str, headline: Headline) -> list[str]:
    unit = "log loss " if isinstance(headline.found, Difference) else ""
    truth = "" if headline.truth is None else f"{headline.truth:+.2%}"
    return [f"{arm} over {headline.over}", f"{unit}{headline.found}", truth]


def listed_as_json(runs: Sequence[ListedRun]) -> list[dict[str, Any]]:
    """The same for programs: undefined numbers are null, times in UTC."""
    found = []
    for run in runs:
        headlines = {
            arm: {
                "over": of.over,
                "measure": "logloss" if isinstance(of.found, Difference) else "ctr",
                **of.found._asdict(),
                "truth": of.truth,
            }
            for arm, of in run.headlines.items()
        }
        moments = {"begun": run.begun.isoformat(), "changed": run.changed.isoformat()}
        found.append(run._asdict() | moments | {"path": str(run.path), "arms": list(run.arms), "headlines": headlines})
    return [without_nan(one) for one in found]
