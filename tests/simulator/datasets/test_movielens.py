"""MovieLens: ratings become clicks, with features from the past alone."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reloop_stream.events import ListColumn
from simulator.errors import DataError
from tests.simulator.datasets.logged import facts_of, read

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


def small(folder: Path, *more: str, films: tuple[str, ...] = ()) -> dict[str, str]:
    ratings = ["userId,movieId,rating,timestamp", "1,1,5.0,900000000", "1,2,1.0,900000001", *more]
    (folder / "ratings.csv").write_text("\n".join(ratings) + "\n")
    movies = ["movieId,title,genres", "1,One (1990),Comedy", "2,Two,", *films]
    (folder / "movies.csv").write_text("\n".join(movies) + "\n")
    return {"format": "movielens", "path": str(folder)}


@pytest.mark.parametrize(
    "row, message",
    [
        ("3,1,,900000002", r"ratings.csv: column 'rating' is empty in row 3 \(line 4\)"),
        (",1,4.0,900000002", r"ratings.csv: column 'userId' is empty in row 3 \(line 4\)"),
        ("3,1,nan,900000002", r"ratings.csv: column 'rating' holds text, .* 'nan' in row 3"),
        ("007,1,4.0,900000002", r"ratings.csv: column 'userId' holds '007' in row 3 \(line 4\), must be an integer"),
        ("3,1.0,4.0,900000002", r"ratings.csv: column 'movieId' holds '1.0' in row 3 .*must be an integer"),
        (f"{2**63},1,4.0,900000002", "ratings.csv: column 'userId' holds '9223372036854775808' in row 3"),
        ("3,1,4.0", "ratings.csv: line 4 has 3 values, the header has 4"),
    ],
)
def test_a_bad_rating_is_refused_by_its_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(small(tmp_path, row))


def test_of_a_film_that_is_there_twice_the_first_counts_and_that_is_said(tmp_path: Path) -> None:
    data = small(tmp_path, films=("2,Two,", "1,Another (2001),War", "1,A third (2010),War"))
    rows = read(data)
    genres = rows.features["genres"]
    assert isinstance(genres, ListColumn) and genres.values.tolist() == ["Comedy"]
    assert np.asarray(rows.features["year"]).tolist() == [1990, 0]
    (warning,) = facts_of(data, tmp_path / "prepared").warnings
    assert "movieId 1 is there twice" in warning and "row 1 (line 2) and row 4 (line 5), and 1 more" in warning


def test_another_file_than_the_ratings_is_refused(tmp_path: Path) -> None:
    small(tmp_path)
    (tmp_path / "mine.csv").write_text("userId,movieId\n")
    with pytest.raises(
        DataError, match=r"mine\.csv: is no MovieLens file of ratings \(ratings\.csv, ratings\.dat, u\.data\)"
    ):
        read({"format": "movielens", "path": str(tmp_path / "mine.csv")})


def test_a_bad_line_in_a_zip_and_a_second_data_set_in_it_are_named(tmp_path: Path) -> None:
    small(tmp_path, "3,1,,900000002")
    with zipfile.ZipFile(tmp_path / "ml.zip", "w") as archive:
        for name in ("ratings.csv", "movies.csv"):
            archive.write(tmp_path / name, f"ml/{name}")
    with pytest.raises(DataError, match=r"ml.zip: ml/ratings.csv: column 'rating' is empty in row 3 \(line 4\)"):
        read({"format": "movielens", "path": str(tmp_path / "ml.zip")})
    with zipfile.ZipFile(tmp_path / "ml.zip", "a") as archive:
        archive.write(tmp_path / "ratings.csv", "other/ratings.csv")
    with pytest.raises(DataError, match=r"has ml/ratings\.csv and other/ratings\.csv"):
        read({"format": "movielens", "path": str(tmp_path / "ml.zip")})
