"""Replays: every adapter, in the order of time, without a look ahead; and a run of each."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reloop_stream.events import ExposureBatch, ListColumn
from simulator.datasets.fetch import Release, fetch
from simulator.datasets.read import read_rows
from simulator.errors import DataError, FetchError
from simulator.lab.run import start_run
from simulator.replay.stream import ReplayStream
from simulator.scenario import parse_scenario

N = 600


def log_of(n: int = N, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "who": rng.integers(1, 40, n),
            "what": [f"i{i}" for i in rng.integers(0, 30, n)],
            "when": 1_700_000_000 + rng.permutation(n) * 600,
            "price": rng.uniform(0, 9, n).round(2),
        }
    )
    frame["bought"] = (rng.random(n) < 0.1 + 0.5 * (frame["who"] % 2)).astype(int)
    return frame


def scenario(data: dict[str, Any], **more: Any) -> Any:
    raw: dict[str, Any] = {
        "name": "replayed",
        "phases": {"warmup_days": 1, "aa_days": 1, "ab_days": 2},
        "data": {"tick_events": 50, "period_events": 150, **data},
        "features": [{"name": "user_id", "buckets": 64}, {"name": "item_id", "buckets": 64}],
        "join": {"attribution_hours": 0.01},
        "serving": {"deploy_delay_hours": 0},
        "learner": {"model": {"name": "fm", "embedding": 4}, "updating": {"batch_size": 32}},
        "arms": [
            {"name": "control", "share": 0.5, "learner": {"loss": {"name": "bce"}}},
            {"name": "reloop", "share": 0.5, "learner": {"loss": {"name": "reloop", "alpha": 0.3}}},
        ],
    }
    return parse_scenario(raw | more)


def stream_of(data: dict[str, Any], **more: Any) -> ReplayStream:
    described = scenario(data, **more)
    return ReplayStream(described.data, described.phases.days, described.features, described.attribution_ms)


TABLE = {"user": "who", "item": "what", "label": {"column": "bought"}, "time": "when", "columns": ["price"]}


def write(folder: Path, kind: str) -> dict[str, Any]:
    """The same log in each format: the part of the scenario that reads it."""
    frame = log_of()
    if kind == "csv":
        frame.to_csv(folder / "log.csv", index=False)
    elif kind == "csv.gz":
        frame.to_csv(folder / "log.csv.gz", index=False)
    elif kind == "parquet":
        frame.to_parquet(folder / "log.parquet")
    elif kind == "libfm":
        ordered = frame.sort_values("when")
        lines = [f"{b} {w}:1 {i[1:]}:1" for b, w, i in ordered[["bought", "who", "what"]].itertuples(index=False)]
        (folder / "log.libfm").write_text("\n".join(lines) + "\n")
        return {"format": "libfm", "path": str(folder / "log.libfm"), "fields": 2}
    return {"format": kind.split(".")[0], "path": str(folder / f"log.{kind}"), **TABLE}


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "libfm"])
def test_every_format_gives_the_same_rows_in_the_order_of_time(tmp_path: Path, kind: str) -> None:
    rows = read_rows(scenario(write(tmp_path, kind)).data)
    expected = log_of().sort_values("when")
    assert np.array_equal(rows.label, expected["bought"]) and np.array_equal(rows.user_id, expected["who"])
    assert (np.diff(rows.time_ms) > 0).all()
    items = rows.item_id if kind != "libfm" else [f"i{i}" for i in rows.item_id]
    assert list(items) == list(expected["what"])
    if kind != "libfm":
        assert np.asarray(rows.features["price"]).tolist() == expected["price"].tolist()


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
    rows = read_rows(scenario({"format": "movielens", "path": str(path), "positive": 4}).data)
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


def test_ticks_and_days_cut_the_rows_once_and_keep_equal_times_together(tmp_path: Path) -> None:
    frame = log_of()
    frame["when"] = frame["when"] // 6000 * 6000  # ten rows at a time
    frame.to_csv(tmp_path / "log.csv", index=False)
    stream = stream_of({"format": "csv", "path": str(tmp_path / "log.csv"), **TABLE, "tick_events": 45})
    seen = []
    last = -1
    for tick in range(stream.calendar.serving_ticks):
        first, rows = stream.tick(tick)
        assert rows.time_ms[0] > last
        last = rows.time_ms[-1]
        seen.append((first, len(rows)))
    assert [first for first, _ in seen] == np.cumsum([0, *(n for _, n in seen)])[:-1].tolist()
    assert sum(n for _, n in seen) == N and stream.calendar.days == 4


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no file": ({"path": "nowhere.csv"}, "data.path: nowhere.csv: no such file or folder"),
    "no column": ({"user": "nobody"}, "has no column 'nobody'; it has who, what, when, price, bought"),
    "text label": ({"label": {"column": "what", "at_least": 1}}, "column 'what' holds text, data.label.at_least"),
    "text time": ({"time": "what"}, "column 'what' holds text, data.time_unit: s needs numbers"),
    "too few days": ({"period_events": 300}, "has 2 days (data.period_events: 300), the phases need 4"),
    "no event": ({"path": "empty.csv"}, "holds no event"),
    "empty value": ({"path": "holes.csv"}, "column 'who' is empty in row 3; every row must have a value"),
    "no csv": ({"path": "bytes.csv"}, "bytes.csv"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_an_error_that_names_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    data = write(tmp_path, "csv")
    log_of(0).to_csv("empty.csv", index=False)
    holes = log_of(9).astype({"who": "Int64"})
    holes.loc[2, "who"] = None
    holes.to_csv("holes.csv", index=False)
    Path("bytes.csv").write_bytes(bytes(range(256)))
    change, message = BAD[name]
    with pytest.raises(DataError) as caught:
        stream_of({**data, **change})
    assert message in str(caught.value)


@pytest.mark.parametrize("line, message", [("1 a:1 2:1", "line 2 is not"), ("1 3:1", "line 2 has 1 fields")])
def test_a_bad_line_of_libfm_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "x.libfm").write_text(f"0 1:1 2:1\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_rows(scenario({"format": "libfm", "path": str(tmp_path / "x.libfm"), "fields": 2}).data)


def test_a_feature_that_the_data_do_not_offer_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="features: colour: the data set does not offer it; it offers user_id"):
        stream_of(write(tmp_path, "csv"), features=[{"name": "colour"}])


@pytest.mark.slow
def test_a_replay_runs_through_the_whole_harness_the_same_with_two_workers(tmp_path: Path) -> None:
    from simulator.readout import read_out

    data = write(tmp_path, "csv")
    outcomes = []
    for workers in (1, 2):
        out = tmp_path / f"run{workers}"
        watched = {"updating": {"batch_size": 32}, "monitor": {"block": 10}}
        start_run(scenario(data, learner=watched), out, command="", workers=workers, quiet=True)
        manifest = json.loads((out / "manifest.json").read_text())
        readings = (out / "monitor.csv").read_text()
        outcomes.append(((out / "daily.csv").read_text(), readings, manifest["digests"]))
    assert outcomes[0] == outcomes[1]
    daily = pd.read_csv(out / "daily.csv")
    assert daily["exposures"].sum() == N and daily["clicks"].sum() == log_of()["bought"].sum()
    assert set(daily["phase"]) == {"warmup", "aa", "ab"}
    results = read_out(out)
    found = json.loads((out / "results.json").read_text())
    assert found["uplift"]["reloop"]["cuped"] is None and found["truth"]["reloop"]["experiment"] is None
    assert found["difference_of_quality"]["reloop"]["logloss"]["mean"] is not None
    assert any("no uplift in CTR" in note for note in results.notes)
    times = pd.read_csv(out / "monitor.csv")["time"]
    assert times.min() > 0 and times.max() == 4 and (out / "plots" / "monitor.svg").exists()


def test_no_stamp_knows_its_own_label(tmp_path: Path) -> None:
    """Turning the last tick's labels round changes no stamp: only what came before a tick has been learnt."""
    from reloop_stream.codec.records import decode
    from reloop_stream.log import open_log

    stamps = []
    for turned in (False, True):
        frame = log_of().sort_values("when")
        if turned:
            frame["bought"] = frame["bought"].where(np.arange(N) < N - 50, 1 - frame["bought"])
        frame.to_csv(tmp_path / "log.csv", index=False)
        out = tmp_path / f"turned{turned}"
        start_run(scenario(write_path(tmp_path)), out, command="", workers=1, quiet=True)
        with open_log(out / "events") as log:
            reader = log.reader(log.begin_offsets(log.partitions(f"{out.name}.exposures")))
            batches = [d.batch for d in decode(reader.poll(1), "exposure", lambda record, reason: None)]
        stamps.append(
            {
                i: p
                for b in batches
                if isinstance(b, ExposureBatch)
                for i, p in zip(b.exposure_id.tolist(), b.pctr.tolist())
            }
        )
    assert stamps[0] == stamps[1] and len(stamps[0]) == N and len(set(stamps[0].values())) > 100


def write_path(folder: Path) -> dict[str, Any]:
    return {"format": "csv", "path": str(folder / "log.csv"), **TABLE}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A web server on a folder."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_data_set_is_downloaded_once_and_checked(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = site
    (folder / "set.zip").write_bytes(b"the data")
    sources = {"set": Release(f"{url}/set.zip", hashlib.sha256(b"the data").hexdigest())}
    path = fetch("set", tmp_path / "cache", sources)
    assert path.read_bytes() == b"the data"
    (folder / "set.zip").unlink()
    assert fetch("set", tmp_path / "cache", sources) == path  # not asked for again
    path.write_bytes(b"other data")
    with pytest.raises(FetchError, match="its sha256 is"):
        fetch("set", tmp_path / "cache", sources)


def test_a_download_that_fails_leaves_nothing_and_says_how_to_go_on(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = site
    (folder / "bad.zip").write_bytes(b"tampered with")
    for name in ("bad", "gone"):
        with pytest.raises(FetchError, match=r"data\.path=FILE"):
            fetch(name, tmp_path / "cache", {name: Release(f"{url}/{name}.zip", "0" * 64)})
    assert list((tmp_path / "cache").iterdir()) == []
