"""How a real data set is named in a scenario."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["CsvConfig", "DataConfig", "LabelConfig", "LibfmConfig", "MovieLensConfig", "ParquetConfig"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Data(_Section):
    path: str = Field(
        min_length=1, description="The file or folder; from the working folder, then from the data cache."
    )
    tick_events: int = Field(
        1000, ge=1, description="Events of a tick: what is served before anything is learnt of it."
    )
    period_events: int | None = Field(
        None, ge=1, description="Events of a `day`. Left out: days of the data's own clock, empty ones left out."
    )
    max_events: int | None = Field(None, ge=1, description="Replay only the first so many events.")


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


class MovieLensConfig(_Data):
    """A MovieLens folder or zip with ratings.csv and movies.csv (also compressed: .gz, .xz)."""

    format: Literal["movielens"]
    positive: float = Field(4.0, ge=0.5, le=5, description="A rating of at least this is a click.")


class _Table(_Data):
    user: str = Field(min_length=1, description="Column of the user's id.")
    item: str = Field(min_length=1, description="Column of the item's id.")
    label: LabelConfig
    time: str | None = Field(None, description="Column of the time. Left out: rows are a second apart, in order.")
    time_unit: Literal["s", "ms", "us", "iso"] = Field("s", description="iso: text such as 2024-01-31T12:00:00.")
    columns: list[str] = Field(default_factory=list, description="Further columns to offer as features.")

    @model_validator(mode="after")
    def _own_names(self) -> _Table:
        for name, column in (("user_id", self.user), ("item_id", self.item)):
            if name in self.columns and name != column:
                raise ValueError(f"columns: got {name!r}, which is the feature made of {column!r}; rename the column")
        return self


class CsvConfig(_Table):
    """Comma-separated values in UTF-8 with a header (also .gz, .xz, .bz2)."""

    format: Literal["csv"]
    separator: str = Field(
        ",",
        min_length=1,
        max_length=1,
        pattern=r"^[\t !#-~]$",
        description="Between values: a character of ASCII, a tab too.",
    )


class ParquetConfig(_Table):
    """A Parquet file."""

    format: Literal["parquet"]


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


DataConfig = Annotated[MovieLensConfig | CsvConfig | ParquetConfig | LibfmConfig, Field(discriminator="format")]
