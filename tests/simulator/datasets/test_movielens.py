"""MovieLens: ratings become clicks, with features from the past alone."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reloop_stream.events import ListColumn
from tests.simulator.datasets.logged import read

N = 600


def movielens(folder: Path, as_zip: bool) -> Path:
    rng = np.random.default_rng(0)
    ratings = pd.DataFrame({"userId": rng.integers(1, 20, N), "movieId": rng.integers(1, 12, N)})
    ratings["rating"] = rng.integers(1, 11, N) / 2
    ratings["timestamp"] = 900_000_000 + rng.permutation(N) * 1000
    titles = [f"Film, the {i}th ({1980 + i})" for i in range(1, 11)]  # film 11 is missing
    movies = pd.DataFrame({"movieId": range(1, 11), "title": titles, "genres": ["Drama|War", "Comedy"] * 5})
    if not as_zip:
        ratings.to_csv(folder / "ratings.csv", index=False)
        movies.to_csv(folder / "movies.csv", index=False)
        return folder
    with zipfile.ZipFile(folder / "ml.zip", "w") as archive:
        for name, frame in (("ratings", ratings), ("movies", movies)):
            text = io.StringIO()
            frame.to_csv(text, index=False)
            archive.writestr(f"../ml-small/{name}.csv", text.getvalue())
    return folder / "ml.zip"


@pytest.mark.parametrize("as_zip", [False, True])
def test_movielens_ratings_become_clicks_with_features_from_the_past_alone(tmp_path: Path, as_zip: bool) -> None:
    path = movielens(tmp_path, as_zip)
    rows = read({"format": "movielens", "path": str(path), "positive": 4})
    assert 0.2 < rows.label.mean() < 0.5 and (np.diff(rows.time_ms) >= 0).all()
    genres = rows.features["genres"]
    assert isinstance(genres, ListColumn)
    for i in (0, 17, 599):
        movie = int(rows.item_id[i])
        found = genres.values[genres.offsets[i] : genres.offsets[i + 1]].tolist()
        assert found == ([] if movie == 11 else ["Drama", "War"] if movie % 2 else ["Comedy"])
        assert np.asarray(rows.features["year"])[i] == (0 if movie == 11 else 1980 + movie)
        seen = int((rows.user_id[:i] == rows.user_id[i]).sum())
        assert np.asarray(rows.features["user_count"])[i] == int(np.log2(1 + seen))
