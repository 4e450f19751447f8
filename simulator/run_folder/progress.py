"""How far a run has come, told from its folder without the tables that are large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from simulator.run_folder.columns import DAILY_NEEDED
from simulator.run_folder.manifest import Manifest, read_manifest
from simulator.run_folder.reader import read_config
from simulator.run_folder.tables import read_csv

__all__ = ["Progress", "moment_of", "progress_of"]


class Progress(NamedTuple):
    """days: how many every arm has finished; of_days: how many the scenario has; changed: when the last of them was."""

    manifest: Manifest
    arms: tuple[str, ...]
    days: int
    of_days: int
    changed: datetime | None

    @property
    def status(self) -> str:
        """running, which a killed run says too, finished, interrupted or failed."""
        return self.manifest.status


def progress_of(folder: Path) -> Progress:
    """As it is at this moment; a run may be going on. Raises RunFolderError."""
    manifest, config, daily = read_manifest(folder), read_config(folder), folder / "daily.csv"
    arms = tuple(arm["name"] for arm in config["arms"])
    changed = moment_of(daily)
    days = 0 if changed is None else _days(daily, arms)
    return Progress(manifest, arms, days, _planned(config), changed)


def moment_of(path: Path) -> datetime | None:
    """When a file was last written; None where there is none."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def _planned(config: Mapping[str, Any]) -> int:
    phases = config.get("phases", {})
    return sum(days for days in phases.values() if isinstance(days, int)) if isinstance(phases, dict) else 0


def _days(daily: Path, arms: Sequence[str]) -> int:
    table = read_csv(daily, DAILY_NEEDED)
    of_arm: dict[str, set[int]] = {arm: set() for arm in arms}
    for day, arm in zip(table["day"].to_pylist(), table["arm"].to_pylist(), strict=True):
        of_arm.setdefault(arm, set()).add(day)
    return len(set.intersection(*of_arm.values()))
