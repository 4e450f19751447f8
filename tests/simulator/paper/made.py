"""A small data set like Frappe and MovieLens-tag: libFM lines of one-hot indices over all fields, label 1 or -1."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from simulator.paper.data_sets import prepare, read
from simulator.paper.protocol import Prepared

__all__ = ["libfm", "prepared", "published"]

VALUES = (12, 9, 20)  # of each field


def libfm(path: Path, n: int, seed: int = 0) -> Path:
    """Write n rows of three fields, whose values and pairs of values say something of the label."""
    rng = np.random.default_rng(seed)
    values = np.stack([rng.integers(0, size, n) for size in VALUES], 1)
    vectors = [np.random.default_rng(field).normal(0, 1, (size, 3)) for field, size in enumerate(VALUES)]
    a, b, c = (vector[column] for vector, column in zip(vectors, values.T, strict=True))
    clicked = rng.random(n) < 1 / (1 + np.exp(1 - (a * b + b * c).sum(1)))
    indices = values + np.cumsum((0, *VALUES[:-1]))
    lines = [
        " ".join([label, *(f"{i}:1" for i in row)])
        for label, row in zip(np.where(clicked, "1", "-1"), indices.tolist(), strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def published(folder: Path, n: int = 300) -> Path:
    """A folder of train, validation and test, 7:2:1."""
    for seed, (part, share) in enumerate((("train", 0.7), ("validation", 0.2), ("test", 0.1))):
        libfm(folder / f"tags.{part}.libfm", round(n * share), seed)
    return folder


def prepared(folder: Path, n: int = 300, seed: int = 1) -> Prepared:
    """Such a data set in one file, split and encoded."""
    return prepare(read("movielens_tag", str(libfm(folder / "tags.libfm", n))), seed)
