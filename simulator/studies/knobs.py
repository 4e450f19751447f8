"""What a study turns: paths of a scenario, arms by their names, and the values that each takes.

arms.reloop.learner.loss.alpha=0:1:0.1      from 0 to 1 in steps of 0.1, both ends included
learner.updating.passes=1,2,4               these values, in YAML
arms.*.learner.optimizer.lr=0.01..2:log7    seven values from 0.01 to 2, at equal ratios, in every arm
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import numpy as np

from reloop_stream.config import apply_overrides
from reloop_stream.config.yaml_files import parse_yaml
from reloop_stream.errors import ConfigError
from simulator.scenario import ArmConfig

__all__ = ["EVERY_ARM", "Knob", "Range", "parse_knob", "parse_range", "points", "with_values"]

MOST_VALUES = 1000  # of a knob
DIGITS = 6  # of a value that is computed: a knob is no finer, and a file's name need not be
EVERY_ARM = "arms.*."
OF_ARM = set(ArmConfig.model_fields)


class Knob(NamedTuple):
    """A path, and the values that it takes."""

    path: str
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """How tables and axes call it.

        >>> Knob("arms.reloop.learner.loss.alpha", ()).name
        'reloop.loss.alpha'
        """
        return self.path.removeprefix(EVERY_ARM).removeprefix("arms.").replace("learner.", "", 1)


class Range(NamedTuple):
    """Values between two ends. is_log: equal ratios instead of equal steps."""

    low: float
    high: float
    is_log: bool

    def at(self, places: np.ndarray) -> tuple[float, ...]:
        """The values at these places in [0, 1], rounded to six digits.

        >>> Range(0.01, 1.0, True).at(np.linspace(0, 1, 3))
        (0.01, 0.1, 1.0)
        """
        ends = np.array([self.low, self.high])
        low, high = np.log(ends) if self.is_log else ends
        values = low + places * (high - low)
        return tuple(float(f"{value:.{DIGITS}g}") for value in (np.exp(values) if self.is_log else values))


def parse_knob(text: str, flag: str = "--grid") -> Knob:
    """A knob from PATH=LO:HI:STEP, PATH=LO..HI:logN or PATH=VALUE,VALUE. Raises ConfigError.

    >>> parse_knob("world.users.n=100:300:100").values
    (100, 200, 300)
    >>> parse_knob("learner.optimizer.lr=0.01..1:log3").values
    (0.01, 0.1, 1.0)
    >>> parse_knob("arms.*.learner.loss={name: bce},{name: kd, alpha: 0.5}").values
    ({'name': 'bce'}, {'name': 'kd', 'alpha': 0.5})
    """
    path, said = _path_and_values(text, flag, "LO:HI:STEP, LO..HI:logN or VALUE,VALUE")
    place = f"{flag} {text}"
    if found := re.fullmatch(r"([^\s,\[{:]+):([^\s,\[{:]+):([^\s,\[{:]+)", said):
        values: tuple[Any, ...] = _steps(place, *found.groups())
    elif found := re.fullmatch(r"(.+\.\..+):log(\d+)", said):
        between = _range(place, f"{found[1]}:log")
        if not 2 <= (n := int(found[2])) <= MOST_VALUES:
            raise ConfigError(f"{place}: got log{n}, must be of 2 to {MOST_VALUES} values")
        values = between.at(np.linspace(0, 1, n))
    elif ".." in said and not said.startswith(("[", "{", '"', "'")):
        raise ConfigError(f"{place}: how many values from {said}? LO..HI:logN has N of them, LO:HI:STEP one each STEP")
    else:
        values = tuple(parse_yaml(f"[{said}]", place, with_lines=False))
    if len({json.dumps(value, sort_keys=True) for value in values}) < len(values):
        raise ConfigError(f"{place}: a value is given twice; remove one")
    return Knob(path, values)


def parse_range(text: str, flag: str) -> tuple[str, Range | tuple[Any, ...]]:
    """A path and its range, from PATH=LO..HI or PATH=LO..HI:log; or a knob's path and values. Raises ConfigError."""
    path, said = _path_and_values(text, flag, "LO..HI, LO..HI:log or VALUE,VALUE")
    if re.fullmatch(r"[^,\[{]+\.\.[^,:]+(:log)?", said):
        return path, _range(f"{flag} {text}", said)
    return parse_knob(text, flag)


def _path_and_values(text: str, flag: str, rule: str) -> tuple[str, str]:
    path, equals, said = (part.strip() for part in text.partition("="))
    if not path or not equals or not said:
        raise ConfigError(f"{flag} {text}: must be path.to.key={rule}")
    return path, said


def _steps(place: str, *ends: str) -> tuple[float | int, ...]:
    """In decimals, so that 0:1:0.1 ends at 1 and holds 0.3 and not 0.30000000000000004."""
    try:
        low, high, step = (Decimal(end) for end in ends)
    except InvalidOperation:
        raise ConfigError(f"{place}: got {':'.join(ends)}, must be three numbers LO:HI:STEP") from None
    if not all(number.is_finite() for number in (low, high, step)) or step <= 0 or high < low:
        raise ConfigError(f"{place}: got {':'.join(ends)}, must have LO <= HI and STEP > 0")
    n = int((high - low) / step) + 1
    if n > MOST_VALUES:
        raise ConfigError(f"{place}: has {n} values, must have at most {MOST_VALUES}")
    are_whole = all(number == number.to_integral_value() for number in (low, step))
    return tuple(int(low + i * step) if are_whole else float(low + i * step) for i in range(n))


def _range(place: str, said: str) -> Range:
    ends, _, kind = said.partition(":")
    try:
        low, high = (float(end) for end in ends.split(".."))
    except ValueError:
        raise ConfigError(f"{place}: got {ends}, must be two numbers LO..HI") from None
    if not (math.isfinite(low) and math.isfinite(high)) or low >= high:
        raise ConfigError(f"{place}: got {ends}, must have LO < HI")
    if kind == "log" and low <= 0:
        raise ConfigError(f"{place}: got {ends}, must have LO > 0 for equal ratios")
    return Range(low, high, kind == "log")


def points(knobs: Sequence[Knob]) -> Iterator[dict[str, Any]]:
    """Every combination of values, path → value; the last knob's change first."""
    for values in itertools.product(*(knob.values for knob in knobs)):
        yield dict(zip((knob.path for knob in knobs), values, strict=True))


def with_values(raw: Mapping[str, Any], values: Mapping[str, Any], flag: str = "--grid") -> dict[str, Any]:
    """A scenario's mapping with other values. An arm goes by its number or its name, `*` is every arm, and what is no key of an
    arm is one of its learner. Raises ConfigError.

    >>> with_values({"arms": [{"name": "a"}, {"name": "b"}]}, {"arms.b.loss.alpha": 0.5})["arms"][1]
    {'name': 'b', 'learner': {'loss': {'alpha': 0.5}}}
    """
    arms = raw.get("arms")
    names = [arm.get("name") if isinstance(arm, Mapping) else None for arm in arms] if isinstance(arms, list) else []
    found: dict[str, Any] = {}
    for path, value in values.items():
        for one in _of_arms(path, names, flag):
            found[one] = value
    try:
        return apply_overrides(raw, found)
    except ConfigError as error:
        raise ConfigError(f"{flag} {str(error).removeprefix('--set ')}") from None


def _of_arms(path: str, names: Sequence[str | None], flag: str) -> list[str]:
    """The path as a scenario has it, an arm each."""
    first, _, rest = path.partition(".")
    if first != "arms" or not rest:
        return [path]
    # A name may hold dots, so the longest that fits is meant.
    said = max((name for name in names if name and rest.startswith(f"{name}.")), key=len, default=None)
    if said is None:
        said, _, key = rest.partition(".")
    else:
        key = rest.removeprefix(f"{said}.")
    if said == "*":
        numbers = list(range(len(names)))
    elif said in names:
        numbers = [names.index(said)]
    elif said.isdigit() and int(said) < len(names):
        numbers = [int(said)]
    else:
        known = ", ".join(str(name) for name in names)
        raise ConfigError(f"{flag} {path}: got arm {said!r}, must be of {known}, their numbers from 0, or * for all")
    if key and key.partition(".")[0] not in OF_ARM:
        key = f"learner.{key}"
    return [f"arms.{number}.{key}" for number in numbers]
