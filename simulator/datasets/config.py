"""How a real data set is named in a scenario."""

from __future__ import annotations

import codecs
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from simulator.datasets.column_types import Type

__all__ = [
    "AvazuConfig",
    "ColumnConfig",
    "CriteoConfig",
    "CsvConfig",
    "DataConfig",
    "FrappeConfig",
    "KuaiRandConfig",
    "LabelConfig",
    "LibffmConfig",
    "LibfmConfig",
    "LibsvmConfig",
    "MindConfig",
    "MovieLensConfig",
    "MovieLensTagConfig",
    "MovieLensTagsConfig",
    "OffPolicyConfig",
    "OpenBanditConfig",
    "ParquetConfig",
    "TableConfig",
    "TrivagoConfig",
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OffPolicyConfig(_Section):
    """Judge what each arm's model would have earned by `serving.policy`, from the propensities of the log."""

    clip: float | None = Field(None, gt=0, description="Weights above this are cut to it. Left out: none is.")
    switch: float = Field(10.0, gt=0, description="Switch-DR leaves rows whose weight is above this to the model.")


class _Data(_Section):
    path: str = Field(
        min_length=1,
        description="The file or folder, or ARCHIVE.zip/FILE; from the working folder, then from the data cache.",
    )
    tick_events: int = Field(
        1000, ge=1, description="Events of a tick: what is served before anything is learnt of it."
    )
    period_events: int | None = Field(
        None, ge=1, description="Events of a `day`. Left out: days of the data's own clock, empty ones left out."
    )
    max_events: int | None = Field(None, ge=1, description="Replay only the first so many events.")
    order: Literal["time", "file", "shuffled"] | None = Field(
        None,
        description="time: by the data's own clock. file: as the rows stand, a second apart. shuffled: at random by "
        "`shuffle_seed`, a second apart. Left out: time where there is a clock, else file.",
    )
    shuffle_seed: int = Field(0, ge=0, lt=1 << 53, description="Which shuffle; order: shuffled alone uses it.")
    bad_rows: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of rows that may be unreadable: they are left out, counted and named in bad_rows.csv. 0: the "
        "first such row ends the run.",
    )
    top: list[Annotated[int, Field(ge=1)]] = Field(
        [5, 10],
        min_length=1,
        max_length=8,
        description="The k of CTR@k and nDCG@k, where the data set logs whole slates.",
    )
    off_policy: OffPolicyConfig | None = Field(
        None, description="Judge the arms as policies. Needs a log with propensities."
    )

    @field_validator("top")
    @classmethod
    def _rises(cls, top: list[int]) -> list[int]:
        if top != sorted(set(top)):
            raise ValueError(f"got {top}, must rise: say {sorted(set(top))}")
        return top


class LabelConfig(_Section):
    """Which rows count as clicks."""

    column: str = Field(min_length=1, description="The column.")
    at_least: float | None = Field(None, description="A click where the value is at least this.")
    equals: str | float | None = Field(
        None, description="A click where the value equals this. Left out, with at_least: 1."
    )

    @field_validator("equals", mode="before")
    @classmethod
    def _no_truth_value(cls, equals: object) -> object:
        if isinstance(equals, bool):  # YAML reads true, yes and on as one, and nobody knows any more which it was
            said = "true" if equals else "false"
            raise ValueError(
                f"got {said} (YAML's word for yes and on too), must be a number or a text: put it in quotes"
            )
        return equals

    @model_validator(mode="after")
    def _one_rule(self) -> LabelConfig:
        if self.at_least is not None and self.equals is not None:
            raise ValueError("at_least, equals: give one of them, not both")
        return self

    @property
    def rule(self) -> str:
        """In words, for messages."""
        said = f"at_least: {self.at_least:g}" if self.at_least is not None else f"equals: {self.equals!r}"
        return f"data.label.{'equals: 1' if self.at_least is None and self.equals is None else said} on {self.column!r}"


class ColumnConfig(_Section):
    """A column, and how its cells are taken."""

    column: str = Field(min_length=1, description="Its name in the file.")
    name: str | None = Field(None, min_length=1, description="The feature's name. Left out: the column's.")
    type: Type | None = Field(
        None,
        description="text: as written, `0012` too. integer: `12.0` is 12. number: with a point. Left out: told by the "
        "cells, where `007` or a word make the whole column text.",
    )
    missing: float | int | str | None = Field(
        None,
        description="What an empty cell or a null stands for (of numbers NA, nan and the like too); '' is a category of its "
        "own. Left out: such a row cannot be read.",
    )
    list_of: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="The mark between the values of a list, such as '|'. Lists of Parquet need none.",
    )

    weights: str | None = Field(
        None, min_length=1, description="Column of a list's weights, as many as it has values, written as it is."
    )

    @property
    def feature(self) -> str:
        return self.name or self.column


def _as_column(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


ColumnName = Annotated[ColumnConfig, BeforeValidator(_as_column, json_schema_input_type=str | ColumnConfig)]


class TableConfig(_Data):
    """What the columns of a table are."""

    user: ColumnName | None = Field(
        None, description="Column of the user's id. Left out: nobody is told apart, all are 0."
    )
    item: ColumnName | None = Field(
        None, description="Column of the item's id. Left out: nothing is told apart, all are 0."
    )
    label: LabelConfig
    time: str | None = Field(None, description="Column of the time. Left out: rows are a second apart, in order.")
    time_unit: Literal["s", "ms", "us", "ns", "iso"] = Field(
        "s", description="Of times that are numbers. iso: text such as 2024-01-31T12:00:00."
    )
    time_format: str | None = Field(
        None, min_length=2, description="How times are written, in strptime's signs: '%y%m%d%H'."
    )
    columns: list[ColumnName] = Field(default_factory=list, description="Further columns to offer as features.")
    weight: str | None = Field(
        None,
        description="Column of the example's weight: how often it counts in every loss and metric. Left out: once.",
    )
    propensity: str | None = Field(
        None, description="Column of the probability with which the item was shown in its place; for `off_policy`."
    )
    item_columns: list[str] = Field(
        default_factory=list,
        description="Which of `columns` describe the item; with `propensity`. The others say whom and when.",
    )
    request: str | None = Field(
        None, description="Column of the request's id (an integer): neighbouring rows that share it are one slate."
    )
    position: str | None = Field(None, description="Column of the item's place in its slate, from 0.")

    @model_validator(mode="after")
    def _own_names(self) -> TableConfig:
        names = [column.feature for column in self.columns]
        for name, column in (("user_id", self.user), ("item_id", self.item)):
            made_of = "nothing: every row has 0" if column is None else repr(column.column)
            if any(one.feature == name and (column is None or one.column != column.column) for one in self.columns):
                raise ValueError(
                    f"columns: got {name!r}, which is the feature made of {made_of}; rename the column, or give it another name"
                )
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"columns: {name!r} is there {names.count(name)} times; give each its own name")
        if self.item_columns and self.propensity is None:
            raise ValueError("item_columns: are for a log with propensities; name their column in propensity")
        if odd := [name for name in self.item_columns if name not in names]:
            raise ValueError(f"item_columns: got {odd[0]!r}, which is none of columns ({', '.join(names)})")
        return self


def _known_encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError(f"got {name!r}, must be an encoding that Python knows, such as utf-8 or latin-1") from None


class CsvConfig(TableConfig):
    """Values between separators, a row a line, in any encoding (also .gz, .xz, .bz2, .zst, .zip)."""

    format: Literal["csv", "tsv"] = Field(description="csv: a comma between values. tsv: a tab.")
    separator: str | None = Field(
        None,
        min_length=1,
        max_length=4,
        pattern=r"^[\t !#-~]+$",
        description="Between values: characters of ASCII, a tab too. Left out: as `format` says.",
    )
    names: list[str] | None = Field(
        None,
        min_length=1,
        description="Names of the columns of a file without a header. Left out: its first line has them.",
    )
    quotes: bool = Field(True, description='Whether " around a value quotes it. false: it belongs to the value.')
    encoding: Annotated[str, BeforeValidator(_known_encoding)] = Field("utf-8", description="Of the text.")

    @property
    def mark(self) -> str:
        """Between values."""
        return self.separator or ("\t" if self.format == "tsv" else ",")


class ParquetConfig(TableConfig):
    """A Parquet file, or a folder of its parts."""

    format: Literal["parquet"]


class MovieLensConfig(_Data):
    """MovieLens ratings (25M, small, 1M, 100k): the folder or zip, or the file of ratings alone (also compressed)."""

    format: Literal["movielens"]
    positive: float = Field(4.0, ge=0.5, le=5, description="A rating of at least this is a click.")


class MovieLensTagsConfig(_Data):
    """A MovieLens folder or zip with tags.csv: a tag that a user gave a film is a click, beside tags that were not given."""

    format: Literal["movielens_tags"]
    negatives: int = Field(2, ge=1, le=100, description="Tags drawn for each given one, that the user did not give it.")
    seed: int = Field(1, ge=0, le=1 << 53, description="Of the tags that are drawn.")


class CriteoConfig(_Data):
    """Criteo's display advertising challenge: train.txt, or a folder of its parts. No clock, no user, no item."""

    format: Literal["criteo"]


class AvazuConfig(_Data):
    """Avazu's click-through rate prediction: train.csv. Hours are the clock; rows of an hour keep the file's order."""

    format: Literal["avazu"]
    user: str = Field("device_ip", min_length=1, description="Column that stands for the user; none is published.")
    item: str = Field("C14", min_length=1, description="Column that stands for the advertisement; none is published.")


class FrappeConfig(_Data):
    """Frappe app usage in ten fields: libfm or CSV, one file, or a folder of train, validation (valid) and test."""

    format: Literal["frappe"]


class MovieLensTagConfig(_Data):
    """MovieLens tags in three fields (user, item, tag), as the paper used them: libfm or CSV, like Frappe."""

    format: Literal["movielens_tag"]


class MindConfig(_Data):
    """MIND news impressions: behaviors.tsv, or its folder with news.tsv, whose categories are then known."""

    format: Literal["mind"]
    history: int = Field(
        20, ge=1, le=1000, description="News of a user's history that a candidate carries, the latest."
    )


class TrivagoConfig(_Data):
    """trivago RecSys 2019: train.csv; a clickout shows its impressions, of which the one referred to is the click."""

    format: Literal["trivago"]


class KuaiRandConfig(_Data):
    """KuaiRand: a log_*.csv, or a folder of them."""

    format: Literal["kuairand"]
    label: str = Field(
        "is_click", min_length=1, description="Which feedback is the click: is_click, long_view, is_like, …"
    )


class LibfmConfig(_Data):
    """libFM text: `label index:1 ...`, a line an event. Field i of a line is the feature `f<i>`: its index."""

    format: Literal["libfm"]
    fields: int = Field(ge=1, description="Fields of a line.")
    user_field: int = Field(0, ge=0, description="Which of them is the user's id.")
    item_field: int = Field(1, ge=0, description="Which of them is the item's id.")
    at_least: float = Field(1.0, description="A click where the label is at least this.")

    @model_validator(mode="after")
    def _fields_exist(self) -> LibfmConfig:
        if max(self.user_field, self.item_field) >= self.fields:
            raise ValueError(f"user_field, item_field: must be below fields ({self.fields})")
        return self


class LibsvmConfig(_Data):
    """libSVM text: `label index:value ...`. The feature `x` is the list of indices, with the values as weights."""

    format: Literal["libsvm"]
    at_least: float = Field(1.0, description="A click where the label is at least this.")


class LibffmConfig(_Data):
    """libFFM text: `label field:index:value ...`. The feature `f<field>` is a list of indices, with the values as weights."""

    format: Literal["libffm"]
    fields: int = Field(ge=1, le=10_000, description="Fields are numbered from 0 to one below this.")
    at_least: float = Field(1.0, description="A click where the label is at least this.")


class OpenBanditConfig(_Data):
    """A log of the Open Bandit Dataset, as `bts/men/men.csv`, with its items beside it (also .gz, .xz, .bz2)."""

    format: Literal["open_bandit"]
    items: str = Field(
        "item_context.csv",
        min_length=1,
        pattern=r"^[^/\\]+$",
        description="The items' file, in the folder of the log.",
    )


DataConfig = Annotated[
    MovieLensConfig
    | MovieLensTagsConfig
    | CriteoConfig
    | AvazuConfig
    | FrappeConfig
    | MovieLensTagConfig
    | MindConfig
    | OpenBanditConfig
    | TrivagoConfig
    | KuaiRandConfig
    | CsvConfig
    | ParquetConfig
    | LibfmConfig
    | LibsvmConfig
    | LibffmConfig,
    Field(discriminator="format"),
]
