"""The Open Bandit Dataset, in its published format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.datasets.config import OpenBanditConfig
from simulator.datasets.read import open_source, read_rows
from simulator.errors import DataError
from tests.simulator.datasets.bandit import ITEMS, ROWS, bandit_log, write_bandit
from tests.simulator.datasets.logged import parsed, read


def test_rows_are_those_of_the_file_with_what_describes_the_item_shown(tmp_path: Path) -> None:
    log, items = bandit_log()
    rows = read(write_bandit(tmp_path))
    times = pd.to_datetime(log["timestamp"], format="ISO8601")
    assert rows.time_ms.tolist() == (times.astype("int64") // 1000).tolist()
    assert rows.position is not None and rows.position.tolist() == (log["position"] - 1).tolist()
    assert rows.propensity is not None and rows.propensity.tolist() == log["propensity_score"].tolist()
    assert rows.label.tolist() == log["click"].tolist() and rows.request_id is None
    shown = items.loc[log["item_id"]]
    assert np.asarray(rows.features["item_feature_0"]).tolist() == shown["item_feature_0"].tolist()
    assert np.asarray(rows.features["item_feature_1"]).tolist() == shown["item_feature_1"].tolist()
    affinity = log[[f"user-item_affinity_{i}" for i in range(ITEMS)]].to_numpy()
    assert (rows.pairs["affinity"] == affinity).all()
    assert (np.asarray(rows.features["affinity"]) == affinity[np.arange(ROWS), log["item_id"]]).all()
    part = rows.take(np.array([5, 3]))
    assert (part.pairs["affinity"] == affinity[[5, 3]]).all()
    catalogue = open_source(parsed(write_bandit(tmp_path))).catalogue
    assert catalogue is not None and catalogue.item_id.tolist() == list(range(ITEMS))


def test_users_are_the_combinations_of_their_features(tmp_path: Path) -> None:
    log, _ = bandit_log()
    rows = read(write_bandit(tmp_path))
    combination = log["user_feature_0"] + log["user_feature_1"]
    pairs = set(zip(combination, rows.user_id.tolist(), strict=True))
    assert len(pairs) == combination.nunique() == len(set(rows.user_id.tolist()))
    backwards = read(write_bandit(tmp_path, log.iloc[::-1]))
    assert (backwards.user_id == rows.user_id).all()  # a number of the features alone, whatever the order


def test_affinities_are_read_where_a_model_sees_them(tmp_path: Path) -> None:
    config = OpenBanditConfig.model_validate(write_bandit(tmp_path))
    without = read_rows(config, {"item_id": "category"})
    assert not without.pairs and "affinity" not in without.features


def test_a_number_that_a_model_takes_for_a_category_is_refused(tmp_path: Path) -> None:
    config = OpenBanditConfig.model_validate(write_bandit(tmp_path))
    with pytest.raises(DataError, match=r"'item_feature_0' holds numbers .*say kind: number"):
        open_source(config, {"item_feature_0": "category"})


def test_both_files_are_the_data_set(tmp_path: Path) -> None:
    config = OpenBanditConfig.model_validate(write_bandit(tmp_path))
    assert [file.name for file in open_source(config).files] == ["men.csv", "item_context.csv"]
    (tmp_path / "item_context.csv").rename(tmp_path / "elsewhere.csv")
    with pytest.raises(DataError, match=r"item_context.csv: no such file; data.items names the items' file"):
        open_source(config)
    assert len(read_rows(config.model_copy(update={"items": "elsewhere.csv"}))) == ROWS


def changed(column: str, value: float | str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        log, _ = bandit_log()
        log[column] = [value if row == 3 else cell for row, cell in enumerate(log[column])]
        write_bandit(folder, log)

    return write


def twice(folder: Path) -> None:
    _, items = bandit_log()
    write_bandit(folder, items=pd.concat([items, items.iloc[[2]]]))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (changed("propensity_score", 0.0), r"'propensity_score' holds 0 in row 4 \(line 5\), .* in \(0, 1\]"),
        (changed("propensity_score", 1.5), r"'propensity_score' holds 1.5 in row 4"),
        (changed("propensity_score", "nan"), r"'propensity_score' holds text.*'nan' in row 4"),
        (changed("item_id", ITEMS), r"'item_id' holds 6 in row 4 \(line 5\), which .*item_context.csv does not have"),
        (changed("position", 0), r"'position' holds 0 in row 4 .*counted from 1"),
        (changed("timestamp", "soon"), r"'timestamp' is no ISO time in row 4"),
        (twice, r"item_context.csv: column 'item_id' holds 2 in row 7 .*is there twice"),
    ],
)
def test_bad_rows_are_refused_with_their_place(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(tmp_path)
    with pytest.raises(DataError, match=message):
        read({"format": "open_bandit", "path": str(tmp_path / "men.csv")})
