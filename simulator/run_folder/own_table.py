"""A table of one's own, of an experiment that this laboratory never saw, read as the `Run` that it would have been."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from simulator.errors import TableError
from simulator.run_folder.cells import Cells
from simulator.run_folder.columns import DAILY_COLUMNS, TRUTH_COLUMNS
from simulator.run_folder.reader import Run

__all__ = ["check_out", "folder_of", "read_table", "run_of_table"]

NEEDED = ("user_id", "arm", "exposures", "clicks")
KNOWN = (*NEEDED, "phase", "day")
ALIASES = {"user": "user_id"}
PHASES = ("warmup", "aa", "ab")
PHASE_NAMES = {"warmup": 0, "warm-up": 0, "aa": 1, "a/a": 1, "ab": 2, "a/b": 2}
CONTROL = "control"  # the arm to compare with, where one is called so
MOST_ARMS = 64
MOST_KINDS = 200  # of text in a segment: more are ids
SEGMENTS = (pa.types.is_dictionary, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating)
TEXT = pa.dictionary(pa.int32(), pa.string())


def folder_of(path: Path) -> Path:
    """Where the readout of a table goes, unless one says: beside it."""
    return path.parent / f"{path.name.split('.')[0]}-readout"


def check_out(out: Path) -> None:
    """Make the folder of a readout. Raises TableError where a run lies in it, or nothing can be written."""
    if (out / "manifest.json").exists():
        raise TableError(f"{out}: holds a run, whose results would be lost; choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TableError(f"{out}: cannot be written: {error.strerror or error}") from None


def read_table(
    path: Path, out: Path | None = None, baseline: str | None = None, shares: Mapping[str, float] | None = None
) -> Run:
    """A row a user, day and arm, or finer, as CSV (separated by `,`, `;` or tab) or Parquet.

    Columns: user (or user_id), arm, exposures, clicks; phase (warmup, aa or ab; all is A/B where there is none), and day (a
    whole number, or a date) where there are days. Every other column is a segment. Rows without exposures are left out.

    out: the folder of the readout. baseline: the arm to compare with; the one called control, or else the first by name, where
    it is None. shares: arm → how large it was meant to be; all alike where nobody says.

    Raises TableError naming the file, the row and the remedy.
    """
    return run_of_table(path, _read(path), out, baseline, shares)


def run_of_table(
    path: Path,
    table: pa.Table,
    out: Path | None = None,
    baseline: str | None = None,
    shares: Mapping[str, float] | None = None,
) -> Run:
    """The same of a table that is in memory. path: what it is called in messages."""
    table = table.rename_columns([_plain(name) for name in table.column_names])
    _check_names(path, table)
    cells = Cells(path, table, 1 if _is_parquet(path) else 2)
    shown, clicked = cells.counts("exposures"), cells.counts("clicks")
    cells.refuse(
        clicked > shown, "clicks", lambda row: f"got {clicked[row]}, must be at most its {shown[row]} exposures"
    )
    arms, arm = cells.names("arm")
    user = cells.coded("user_id")
    _check_arms(cells, arms, arm, user, baseline, shares)
    phase = _phases(cells)
    day = _days(cells, phase)
    segments, notes = _segments(table)
    users = pa.table(
        {
            "user_id": pa.chunked_array([user]),
            "arm": pa.DictionaryArray.from_arrays(pa.array(arm, pa.int32()), arms),
            "day": day,
            "phase": pa.DictionaryArray.from_arrays(pa.array(phase, pa.int32()), PHASES),
            "exposures": shown,
            "clicks": clicked,
            **{name: table[name] for name in segments},
        }
    )
    if not (keep := shown > 0).all():
        notes.append(
            f"left out {int((~keep).sum()):,} rows without exposures: who was shown nothing is not in the test"
        )
        users = users.filter(keep)
    if not len(users):
        raise TableError(f"{path}: exposures: 0 in every row; there is nothing to read out")
    in_order = sorted(arms, key=lambda name: name != CONTROL)
    return Run(
        out or folder_of(path),
        {
            "name": path.name.split(".")[0],
            "arms": [{"name": name, "share": (shares or {}).get(name, 1.0)} for name in in_order],
        },
        None,
        _daily(in_order, users),
        users,
        pa.table({name: [] for name in TRUTH_COLUMNS}),
        baseline=baseline,
        has_days="day" in table.column_names,
        shares_are_known=shares is not None,
        notes=tuple(notes),
    )


def _is_parquet(path: Path) -> bool:
    return path.suffix in (".parquet", ".pq")


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path) if _is_parquet(path) else _read_csv(path)
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TableError(f"{path}: cannot be read: {error}") from None


def _read_csv(path: Path) -> pa.Table:
    with pa.input_stream(str(path), compression="detect") as stream:
        head = stream.read(1 << 16).decode("utf-8-sig", errors="replace").split("\n")[0]
    delimiter = max(",;\t", key=head.count)
    names = next(csv.reader([head.rstrip("\r")], delimiter=delimiter), [])
    # Ids and names as they are written: 007 is not 7.
    types = {"user_id": pa.string(), "arm": TEXT, "phase": TEXT}
    return pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: types[_plain(name)] for name in names if _plain(name) in types},
            auto_dict_encode=True,
            auto_dict_max_cardinality=MOST_KINDS,
        ),
    )


def _plain(name: str) -> str:
    """A known column by its name here, in whatever case; another as it is."""
    known = name.strip().lower()
    known = ALIASES.get(known, known)
    return known if known in KNOWN else name


def _check_names(path: Path, table: pa.Table) -> None:
    names = table.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TableError(f"{path}: has two columns {twice[0]!r}; take one out")
    for name in NEEDED:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            raise TableError(
                f"{path}: has no column {name!r}{f', did you mean {near[0]!r}?' if near else ''}; it has "
                f"{', '.join(names)}, and needs {', '.join(NEEDED)}"
            )
    if not len(table):
        raise TableError(f"{path}: holds no row; it needs one a user at least")


def _check_arms(
    cells: Cells,
    arms: list[str],
    arm: np.ndarray,
    user: pa.DictionaryArray,
    baseline: str | None,
    shares: Mapping[str, float] | None,
) -> None:
    if len(arms) > MOST_ARMS:
        raise TableError(
            f"{cells.path}: arm: got {len(arms)} different ones, must be at most {MOST_ARMS}; is it the right column?"
        )
    if baseline is not None and baseline not in arms:
        raise TableError(f"{cells.path}: baseline: got {baseline!r}, the arms are {', '.join(arms)}")
    if shares is not None and set(shares) != set(arms):
        raise TableError(f"{cells.path}: shares: got {', '.join(shares)}, must be of the arms {', '.join(arms)}")
    who = user.indices.to_numpy()
    arm_of = np.zeros(len(user.dictionary), dtype=arm.dtype)
    arm_of[who] = arm
    cells.refuse(
        arm_of[who] != arm,
        "arm",
        lambda row: (
            f"user {user[row].as_py()!r} is in {arms[arm[row]]!r} here and in {arms[arm_of[who[row]]]!r} further down; "
            "a user is in one arm all along: leave out who changed"
        ),
    )


def _phases(cells: Cells) -> np.ndarray:
    """The place of each row's phase in PHASES; A/B where nobody says."""
    if "phase" not in cells.table.column_names:
        return np.full(len(cells.table), PHASES.index("ab"))
    names, place = cells.names("phase")
    known = np.array([PHASE_NAMES.get(name.strip().lower(), -1) for name in names])[place]
    cells.refuse(known < 0, "phase", lambda row: f"got {names[place[row]]!r}, must be warmup, aa (A/A) or ab (A/B)")
    return known


def _days(cells: Cells, phase: np.ndarray) -> np.ndarray:
    """Days from 0 on, each of one phase, in their order; the phases themselves where nobody says."""
    if "day" not in cells.table.column_names:
        return phase
    day = cells.days("day")
    latest = np.full(int(day.max()) + 1, -1)
    np.maximum.at(latest, day, phase)
    reached = np.maximum.accumulate(latest)
    cells.refuse(
        phase < reached[day],
        "phase",
        lambda row: (
            f"{PHASES[phase[row]]} on day {cells.table['day'][row].as_py()}, when {PHASES[reached[day[row]]]} had begun; "
            "a day is of one phase, and warmup, aa, ab follow each other"
        ),
    )
    return day


def _segments(table: pa.Table) -> tuple[list[str], list[str]]:
    """The columns that are segments, and what is said of those that are none."""
    found, notes = [], []
    for name in table.column_names:
        kind = table.schema.field(name).type
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if name in KNOWN:
            continue
        if any(fits(kind) for fits in SEGMENTS) or (is_text and len(table[name].unique()) <= MOST_KINDS):
            found.append(name)
        else:
            notes.append(
                f"left out the column {name}: a segment is a number, yes or no, or text of at most {MOST_KINDS} kinds"
            )
    return found, notes


def _daily(arms: list[str], users: pa.Table) -> pa.Table:
    """A row a day and arm, as a run has it, with nothing known of any model."""
    day, phase = users["day"].to_numpy(), users["phase"].combine_chunks().indices.to_numpy()
    arm = users["arm"].combine_chunks()
    place = np.array([arms.index(name) for name in arm.dictionary.to_pylist()])[arm.indices.to_numpy()]
    came = np.bincount(day) > 0
    days, at = np.flatnonzero(came), (np.cumsum(came) - 1)[day]
    cell, n = at * len(arms) + place, int(came.sum()) * len(arms)
    who = users["user_id"].combine_chunks()
    # Each user once in each cell: a sort, for numpy's unique of so many takes three times as long.
    pairs = np.sort(cell.astype(np.int64) * len(who.dictionary) + who.indices.to_numpy())
    once = pairs[np.diff(pairs, prepend=-1) > 0] // len(who.dictionary)
    shown, clicked = (np.bincount(cell, users[name].to_numpy(), n) for name in ("exposures", "clicks"))
    of_day = np.zeros(len(days), dtype=int)
    of_day[at] = phase
    columns = {
        "day": np.repeat(days, len(arms)),
        "phase": [PHASES[i] for i in of_day.tolist() for _ in arms],
        "arm": arms * len(days),
        "users": np.bincount(once, minlength=n),
        "exposures": shown.astype(np.int64),
        "clicks": clicked.astype(np.int64),
        "ctr": pa.array(clicked / np.maximum(shown, 1), mask=shown == 0),
    }
    nothing = pa.nulls(n, pa.float64())
    return pa.table({name: columns.get(name, nothing) for name in DAILY_COLUMNS})
