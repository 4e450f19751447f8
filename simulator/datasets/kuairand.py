"""KuaiRand: exposures of a video feed with twelve kinds of feedback (Gao et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.datasets.config import ColumnConfig, KuaiRandConfig, LabelConfig, TableConfig
from simulator.datasets.csv_file import CsvFile
from simulator.datasets.rows import find
from simulator.datasets.tables import TableSource, csv_tables
from simulator.datasets.text_file import text_file
from simulator.errors import DataError

__all__ = ["kuairand_source"]


def kuairand_source(config: KuaiRandConfig, kinds: Mapping[str, str]) -> TableSource:
    """A file of exposures, or all log_*.csv of a folder.

    Features: user_id, item_id, tab (of the app), is_rand (1: shown at random), duration_ms (of the video). Raises DataError.
    """
    path = find(config.path)
    paths = sorted([*path.rglob("log_*.csv*")]) if path.is_dir() else [path]
    if not paths:
        raise DataError(f"{path}: has no log_*.csv; is it KuaiRand's folder?")
    files = [CsvFile(text_file(one), what="a log of KuaiRand") for one in paths]
    integer = {"type": "integer"}
    table = TableConfig.model_validate(
        {
            **config.model_dump(exclude={"format", "label"}),
            "user": {"column": "user_id", **integer},
            "item": {"column": "video_id", **integer},
            "label": LabelConfig(column=config.label, equals=1),
            "time": "time_ms",
            "time_unit": "ms",
            "columns": [ColumnConfig(column=name, type="integer") for name in ("tab", "is_rand", "duration_ms")],
        }
    )
    return TableSource(table, [file.path for file in files], csv_tables(files), kinds)
