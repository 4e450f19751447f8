"""A table of one's own is read for what it says, or refused with the row that is wrong and what to do."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.errors import MISTAKES, TableError
from simulator.run_folder.own_table import check_out, folder_of, read_table
from simulator.run_folder.reader import Run
from tests.simulator.readout.own import experiment

HEAD = "user,arm,exposures,clicks"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def as_rows(run: Run) -> pd.DataFrame:
    assert run.users is not None
    return run.users.to_pandas().astype({"arm": str, "phase": str})


WRONG = {
    "no such column": (f"{HEAD[:-1]}\n1,a,3,1", "has no column 'clicks', did you mean 'click'?; it has user_id, arm, exposures, click"),
    "twice": (f"{HEAD},clicks\n1,a,3,1,1", "has two columns 'clicks'; take one out"),
    "no row": (f"{HEAD}\n", "holds no row"),
    "nothing": ("", "cannot be read: Empty CSV file"),
    "ragged": (f"{HEAD}\n1,a,3,1,7", "cannot be read: CSV parse error"),
    "more clicks": (f"{HEAD}\n1,a,3,1\n2,a,3,4", ":3: clicks: got 4, must be at most its 3 exposures"),
    "negative": (f"{HEAD}\n1,a,3,1\n2,a,-3,0", ":3: exposures: got -3, must be a whole number, 0 or more"),
    "half a click": (f"{HEAD}\n1,a,3,0.5", ":2: clicks: got 0.5, must be a whole number, 0 or more"),
    "no number": (f"{HEAD}\n1,a,3,1\n2,a,many,1", ":3: exposures: got 'many', must be a whole number"),
    "empty": (f"{HEAD}\n1,a,3,1\n2,a,,1", ":3: exposures: is empty; every row needs one"),
    "no user": (f"{HEAD}\n,a,3,1", ":2: user_id: is empty"),
    "a late blank": (HEAD + "".join(f"\n{i},a,3,1" for i in range(2000)) + "\n ,a,3,1", ":2002: user_id: is empty"),
    "no arm": (f"{HEAD}\n1,,3,1", ":2: arm: is empty"),
    "two arms": (
        f"{HEAD}\n1,a,3,1\n2,a,3,1\n1,b,3,1",
        ":2: arm: user '1' is in 'a' here and in 'b' further down; a user is in one arm all along: leave out who changed",
    ),
    "phase": (f"{HEAD},phase\n1,a,3,1,before", ":2: phase: got 'before', must be warmup, aa (A/A) or ab (A/B)"),
    "day of two": (
        f"{HEAD},phase,day\n1,a,3,1,ab,4\n2,a,3,1,aa,4",
        ":3: phase: aa on day 4, when ab had begun; a day is of one phase, and warmup, aa, ab follow each other",
    ),
    "A/A after A/B": (f"{HEAD},phase,day\n1,a,3,1,ab,4\n2,a,3,1,aa,5", ":3: phase: aa on day 5, when ab had begun"),
    "no day": (f"{HEAD},day\n1,a,3,1,monday", ":2: day: got 'monday', must be a whole number, or a date such as 2024-05-31"),
    "no such date": (f"{HEAD},day\n1,a,3,1,2024-02-30", ":2: day: got '2024-02-30', must be a whole number, or a date"),
    "a time": (f"{HEAD},day\n1,a,3,1,1700000000\n2,a,3,1,1700090000", ":3: day: lies 90,000 days after the first, must be at most 3,660"),
    "half a day": (f"{HEAD},day\n1,a,3,1,1.5", "day: holds double, must be whole numbers, or dates"),
    "no exposure": (f"{HEAD}\n1,a,0,0", "exposures: 0 in every row; there is nothing to read out"),
    "arms by the thousand": (
        HEAD + "".join(f"\n{i},arm{i},1,0" for i in range(20_000)),
        "arm: got 20000 different ones, must be at most 64; is it the right column?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_file_row_and_remedy(tmp_path: Path, name: str) -> None:
    text, message = WRONG[name]
    path = written(tmp_path / "own.csv", text)
    with pytest.raises(TableError) as caught:
        read_table(path)
    assert str(caught.value).startswith(str(path)) and message in str(caught.value)
    assert isinstance(caught.value, MISTAKES)


def test_a_file_that_is_not_there_or_no_table_is_a_mistake_too(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"none\.csv: no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(TableError, match="cannot be read"):
        read_table(written(tmp_path / "own.parquet", HEAD))
    (tmp_path / "own.csv").write_bytes(b"user,arm,exposures,clicks\n\xff\xfe,a,1,0\n")
    with pytest.raises(TableError, match="cannot be read"):
        read_table(tmp_path / "own.csv")


def test_who_to_compare_with_and_the_sizes_of_arms_must_be_of_the_table(tmp_path: Path) -> None:
    path = written(tmp_path / "own.csv", f"{HEAD}\n1,a,3,1\n2,b,3,1")
    with pytest.raises(TableError, match="baseline: got 'c', the arms are a, b"):
        read_table(path, baseline="c")
    with pytest.raises(TableError, match="shares: got a, c, must be of the arms a, b"):
        read_table(path, shares={"a": 0.5, "c": 0.5})
    run = read_table(path, shares={"a": 9, "b": 1}, baseline="b")
    assert run.control == "b" and run.treatments == ["a"] and [arm["share"] for arm in run.config["arms"]] == [9, 1]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["own.csv", "own.csv.gz"])
def test_separators_quotes_byte_order_marks_and_compression_do_not_matter(
    tmp_path: Path, separator: str, name: str
) -> None:
    frame = experiment(users=40).rename(columns={"user": "User", "arm": " ARM", "clicks": "Clicks"})
    path = tmp_path / name
    frame.to_csv(path, sep=separator, index=False, encoding="utf-8-sig", quoting=2)
    found = as_rows(read_table(path))
    assert found[["exposures", "clicks"]].to_numpy().tolist() == frame[["exposures", "Clicks"]].to_numpy().tolist()
    assert (
        found["arm"].tolist() == frame[" ARM"].tolist()
        and found["user_id"].tolist() == frame["User"].astype(str).tolist()
    )


def test_parquet_and_csv_of_one_table_are_one(tmp_path: Path) -> None:
    frame = experiment(users=40)
    frame.to_csv(tmp_path / "own.csv", index=False)
    frame.assign(user=frame["user"].astype(str)).to_parquet(tmp_path / "own.parquet")
    one, other = read_table(tmp_path / "own.csv"), read_table(tmp_path / "own.parquet")
    rows, others = (as_rows(run).astype({"device": str}) for run in (one, other))
    pd.testing.assert_frame_equal(rows, others, check_dtype=False)
    assert one.daily.equals(other.daily) and one.arms == other.arms == ["control", "new"]


def test_ids_and_arms_stay_as_they_are_written(tmp_path: Path) -> None:
    run = read_table(written(tmp_path / "own.csv", f"{HEAD}\n007,1,3,1\n7,1,3,1\n1e3,02,3,1"))
    assert as_rows(run)["user_id"].tolist() == ["007", "7", "1e3"] and run.arms == ["02", "1"]


def test_days_are_counted_from_the_first_and_dates_are_days(tmp_path: Path) -> None:
    text = f"{HEAD},day\n1,a,3,1,2024-02-28\n2,a,3,1,2024-03-01\n"
    run = read_table(written(tmp_path / "own.csv", text))
    assert as_rows(run)["day"].tolist() == [0, 2] and run.has_days  # 2024 had a 29th of February
    frame = experiment(users=20).assign(
        day=lambda f: [datetime.date(2024, 1, 30 + d) if d < 2 else datetime.date(2024, 2, d - 1) for d in f["day"]]
    )
    frame.to_parquet(tmp_path / "own.parquet")
    assert as_rows(read_table(tmp_path / "own.parquet"))["day"].tolist() == experiment(users=20)["day"].tolist()


def test_without_days_there_are_phases_and_without_phases_all_is_a_b(tmp_path: Path) -> None:
    run = read_table(written(tmp_path / "own.csv", f"{HEAD},phase\n1,a,3,1,A/A\n1,a,3,1,A/B\n2,b,3,1, warm-up\n"))
    assert not run.has_days and as_rows(run)["phase"].tolist() == ["aa", "ab", "warmup"]
    bare = read_table(written(tmp_path / "bare.csv", f"{HEAD}\n1,a,3,1\n2,b,3,1\n"))
    assert as_rows(bare)["phase"].tolist() == ["ab", "ab"] and bare.manifest is None and bare.status == "finished"


def test_the_daily_table_counts_users_once_and_names_arms_that_were_empty(tmp_path: Path) -> None:
    frame = experiment(users=80, days=4)
    frame = frame[(frame["arm"] == "control") | (frame["day"] != 3)]
    frame = pd.concat([frame, frame[:50]])  # a user may have several rows a day
    frame.to_csv(tmp_path / "own.csv", index=False)
    daily = read_table(tmp_path / "own.csv").daily.to_pandas().set_index(["day", "arm"])
    assert len(daily) == 8 and daily.loc[(3, "new"), "users"] == 0 and np.isnan(daily.loc[(3, "new"), "ctr"])
    for (day, arm), rows in frame.groupby(["day", "arm"]):
        of = daily.loc[(day, arm)]
        assert (of["users"], of["exposures"], of["clicks"]) == (
            rows["user"].nunique(),
            rows["exposures"].sum(),
            rows["clicks"].sum(),
        )
        assert of["ctr"] == rows["clicks"].sum() / rows["exposures"].sum() and of["phase"] == rows["phase"].iloc[0]


def test_rows_without_exposures_and_columns_that_make_no_segment_are_left_out_and_it_is_said(tmp_path: Path) -> None:
    frame = experiment(users=300)
    frame["session"] = [f"s{i}" for i in range(len(frame))]
    frame.loc[frame.index[:5], ["exposures", "clicks"]] = 0
    frame.to_csv(tmp_path / "own.csv", index=False)
    run = read_table(tmp_path / "own.csv")
    assert run.users is not None and len(run.users) == len(frame) - 5 and "session" not in run.users.column_names
    assert [note.split(":")[0] for note in run.notes] == [
        "left out the column session",
        "left out 5 rows without exposures",
    ]


def test_the_arm_called_control_comes_first_and_others_by_name(tmp_path: Path) -> None:
    text = f"{HEAD}\n1,zebra,3,1\n2,control,3,1\n3,apple,3,1\n"
    assert read_table(written(tmp_path / "own.csv", text)).arms == ["control", "apple", "zebra"]


def test_a_readout_goes_beside_the_table_and_never_over_a_run(tmp_path: Path) -> None:
    assert folder_of(Path("data/mine.csv.gz")) == Path("data/mine-readout")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text("{}")
    with pytest.raises(TableError, match="holds a run, whose results would be lost; choose another --out"):
        check_out(tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError, match="cannot be written"):
        check_out(tmp_path / "file")
