"""What the columns of a table hold, before anything is said of them; and what each of them is likely to be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from simulator.datasets.column_types import Evidence
from simulator.datasets.table import Table, is_list, is_text, is_whole
from simulator.datasets.words import MISSING, NUMBER, Words

__all__ = ["Roles", "Surveyed", "likely_roles", "survey"]

SAMPLE = 1000  # cells by which roles are guessed
FEW = 50  # different values that are remembered

NAMES = {
    "label": "click clicked isclick label target y clk iclick converted conversion purchase purchased bought buy liked like "
    "rating ratings score stars event eventtype action response outcome",
    "user": "user userid uid visitor visitorid who customer customerid memberid member client clientid person personid "
    "reviewerid cookie cookieid deviceid deviceip",
    "item": "item itemid iid movie movieid article articleid news newsid product productid adid ad creative creativeid video "
    "videoid what sku content contentid docid song songid track trackid asin book bookid campaign campaignid",
    "time": "time timestamp ts t date datetime eventtime timems unixtime at when created createdat hour day unixreviewtime",
    "weight": "weight sampleweight exampleweight",
    "propensity": "propensity propensityscore pscore",
    "position": "position pos rank slot place",
    "request": "requestid request impressionid slateid queryid searchid srchid displayid pageviewid",
}
NAMED = frozenset(" ".join(NAMES.values()).split())
POSITIVE = re.compile(
    r"(?i)^(yes|y|true|t|click.*|buy|bought|purchase.*|transaction|like|liked|positive|pos|conversion)$"
)
# Labels that need no rule.
PLAIN_PAIRS = ({"0", "1"}, {"-1", "1"}, {"0.0", "1.0"}, {"-1.0", "1.0"}, {"true", "false"})
RATED = {"rating", "ratings", "score", "stars"}
# Of a time written otherwise than in ISO's way; the first that all cells fit.
WRITTEN = (
    "%Y%m%d",
    "%Y%m%d%H",
    "%y%m%d%H",
    "%Y%m%d%H%M%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
)
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
FIRST_YEAR, END_YEAR = 1995, 2036


@dataclass
class Surveyed:
    """A column. empty: cells that are empty, or null. gaps: NA and the like. values: different ones, None where many."""

    name: str
    is_typed: bool = False
    is_list: bool = False
    is_time: bool = False
    rows: int = 0
    empty: int = 0
    gaps: int = 0
    evidence: Evidence = field(default_factory=lambda: Evidence(0))
    values: set[str] | None = field(default_factory=set)
    sample: list[str] = field(default_factory=list)

    @property
    def is_number(self) -> bool:
        return not self.evidence & Evidence.WORD and bool(self.evidence & Evidence.NUMBER)

    @property
    def is_integer(self) -> bool:
        return not self.evidence & ~(Evidence.INTEGER | Evidence.MISSING) and Evidence.INTEGER in self.evidence

    @property
    def has_holes(self) -> bool:
        return bool(self.empty or (self.gaps and (self.is_number or self.is_integer)))

    @property
    def missing(self) -> float:
        """Share of the cells that say nothing."""
        return (self.empty + (self.gaps if self.has_holes else 0)) / max(self.rows, 1)

    @property
    def numbers(self) -> np.ndarray:
        """Those of the sample."""
        return np.array([float(text) for text in self.sample if re.fullmatch(NUMBER, text)])

    @property
    def plain(self) -> str:
        """The name without what people write differently."""
        return re.sub(r"[\W_]", "", self.name).lower()

    def add(self, table: Table) -> None:
        column = table.columns[self.name]
        self.rows += len(column)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        hole = pc.is_null(column)
        if is_text(column):
            hole = pc.or_(hole, pc.fill_null(pc.equal(column, ""), False))
        self.empty += int(pc.sum(hole).as_py() or 0)
        filled = column.filter(pc.invert(hole))
        self.is_typed, self.is_list = table.is_typed, is_list(column)
        self.is_time = pa.types.is_temporal(column.type)
        if self.is_list or not len(filled):
            return
        if not table.is_typed:
            words = Words.of(table, self.name, filled)
            self.evidence |= words.evidence()
            lower = pc.utf8_lower(words.different)
            is_gap = pc.is_in(lower, value_set=pa.array(MISSING)).to_numpy(zero_copy_only=False)
            self.gaps += int(np.count_nonzero(is_gap[words.index]))
        elif is_whole(filled):
            self.evidence |= Evidence.INTEGER
        elif pa.types.is_floating(filled.type) or pa.types.is_decimal(filled.type):
            self.evidence |= Evidence.NUMBER
        else:
            self.evidence |= Evidence.WORD
        if self.values is not None:
            self.values |= set(map(_text, pc.unique(filled).slice(0, FEW + 1).to_pylist()))
            if len(self.values) > FEW:
                self.values = None
        if len(self.sample) < SAMPLE:
            self.sample += map(_text, filled.slice(0, SAMPLE - len(self.sample)).to_pylist())


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def survey(tables: Iterable[Table], names: Sequence[str], most: int | None) -> dict[str, Surveyed]:
    """The columns of these names, by the first `most` rows. Raises DataError."""
    found = {name: Surveyed(name) for name in names}
    passed = 0
    for table in tables:
        for column in found.values():
            column.add(table)
        passed += len(table)
        if most is not None and passed >= most:
            break
    return found


class Roles(NamedTuple):
    """The part of a section `data` that says what the columns are. said: what was guessed, in words."""

    data: dict[str, Any]
    said: list[str]


def likely_roles(columns: dict[str, Surveyed]) -> Roles | None:
    """What the columns are likely to be; None where none looks like a label."""
    left = {name: column for name, column in columns.items() if name and column.rows > column.empty}
    data: dict[str, Any] = {}
    said: list[str] = []

    def take(
        role: str, rule: Callable[[Surveyed], Any], by_value: Callable[[Surveyed], bool]
    ) -> tuple[Surveyed, Any] | None:
        """The first column, by its name, then by its values, of which the rule makes something."""
        known = NAMES[role].split()
        named = sorted((one for one in left.values() if one.plain in known), key=lambda one: known.index(one.plain))
        others = [one for one in left.values() if one.plain not in NAMED and by_value(one)]
        for column in [*named, *others]:
            if (made := rule(column)) is not None:
                del left[column.name]
                said.append(
                    f"{column.name!r} is taken for the {role}" + ("" if column in named else ", by its values alone")
                )
                return column, made
        return None

    holes = 0.0
    if (time := take("time", _time, lambda one: one.is_time or Evidence.WORD in one.evidence)) is not None:
        data |= {"time": time[0].name, **time[1]}
        holes += time[0].missing
    if (label := take("label", _label, _is_binary)) is None:
        return None
    data["label"] = {"column": label[0].name, **label[1]}
    holes += label[0].missing
    for role in ("user", "item"):
        if (one := take(role, _id, _is_likely_id)) is not None:
            data[role] = one[1]
    for role in ("weight", "propensity", "request", "position"):
        if (one := take(role, partial(_logged, role), lambda _: False)) is not None:
            data[role] = one[1]
    if holes:
        data["bad_rows"] = round(min(0.99, 1.5 * holes + 0.01), 2)
        said.append("rows without a time or label cannot be read: bad_rows allows for them")
    data["columns"] = [_column(one, said) for one in left.values() if not one.is_time]
    return Roles(data, said)


def _time(column: Surveyed) -> dict[str, str] | None:
    """How a column's times are written; None where they are none."""
    if column.is_time:
        return {}
    if column.is_list or not column.sample:
        return None
    texts = pd.Series(column.sample, dtype=object)
    for form in WRITTEN:
        times = pd.to_datetime(texts, format=form, errors="coerce")
        if times.notna().all() and times.dt.year.between(FIRST_YEAR, END_YEAR).all():
            return {"time_format": form}
    if column.is_integer or column.is_number:
        for unit, per_second in UNITS.items():
            years = 1970 + column.numbers / per_second / 31_556_952
            if len(years) and years.min() >= FIRST_YEAR and years.max() <= END_YEAR:
                return {} if unit == "s" else {"time_unit": unit}
        return None
    try:
        pa.array(column.sample).cast(pa.timestamp("us"))
    except pa.ArrowException:
        try:
            pa.array(column.sample).cast(pa.timestamp("us", "UTC"))
        except pa.ArrowException:
            return None
    return {"time_unit": "iso"}


def _logged(role: str, column: Surveyed) -> str | None:
    """The column, where what it holds may be this of an exposure."""
    if column.has_holes or not (column.is_integer or (column.is_number and role in ("weight", "propensity"))):
        return None
    values = column.numbers
    above = values.min() > 0 if role in ("weight", "propensity") else values.min() >= 0
    return column.name if above and (role != "propensity" or values.max() <= 1) else None


def _is_binary(column: Surveyed) -> bool:
    return column.values is not None and {value.lower() for value in column.values} in (*PLAIN_PAIRS, {"yes", "no"})


def _label(column: Surveyed) -> dict[str, Any] | None:
    """Which values are clicks; None where that cannot be told."""
    if column.is_list or column.is_time:
        return None
    if column.values is not None and any({value.lower() for value in column.values} <= pair for pair in PLAIN_PAIRS):
        return {}
    if column.is_number or column.is_integer:
        values = column.numbers
        if column.plain in RATED and values.max() == 5:
            return {"at_least": 4.0}
        if values.min() < 1 <= values.max():
            return {"at_least": 1.0}
        above = np.unique(values[values > values.min()])
        return {"at_least": float(max(np.quantile(values, 0.6), above[0]))} if len(above) else None
    wanted = sorted(value for value in column.values or () if POSITIVE.match(value))
    return {"equals": wanted[-1]} if wanted else None


def _is_likely_id(column: Surveyed) -> bool:
    """Whether values come again, and are many."""
    n = len(column.sample)
    is_category = not column.is_number and not column.is_list and not column.is_time
    return is_category and n >= 20 and 10 <= len({*column.sample}) <= n / 2


def _id(column: Surveyed) -> str | dict[str, Any] | None:
    if column.is_list or column.is_time:
        return None
    if column.has_holes:
        return {"column": column.name, "type": "text", "missing": ""}
    if column.is_number:
        whole = bool((column.numbers % 1 == 0).all())
        return {"column": column.name, "type": "integer" if whole else "text"}
    return column.name


def _column(column: Surveyed, said: list[str]) -> str | dict[str, Any]:
    """How a further column is taken."""
    if column.is_list:
        return column.name
    if Evidence.WORD in column.evidence and not column.is_typed and _is_divided(column.sample):
        said.append(f"{column.name!r} holds lists, with | between values")
        return {"column": column.name, "list_of": "|"}
    if not column.has_holes:
        return column.name
    if column.is_number:
        said.append(f"{column.name!r} is 0 where it is missing")
        return {"column": column.name, "type": "number", "missing": 0}
    return {"column": column.name, "type": "text", "missing": ""}


def _is_divided(sample: Sequence[str]) -> bool:
    return sum("|" in text for text in sample) > 0.3 * len(sample)
