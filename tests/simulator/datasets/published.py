"""Small files in the exact format of each published data set, their values made up: some rows by hand, and more where a test
wants them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["PUBLISHED", "hashed"]

Written = dict[str, Any]  # the part of a scenario that reads what was written

MONDAY = 1_573_430_400  # 2019-11-11
AVAZU = (
    "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,device_id,device_ip,"
    "device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21"
)
FRAPPE = ["user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city"]
TRIVAGO = (
    "user_id,session_id,timestamp,step,action_type,reference,platform,city,device,current_filters,impressions,prices"
)
KUAIRAND = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
)


def hashed(n: int) -> str:
    """Eight hexadecimal digits, as Criteo and Avazu publish categories."""
    return f"{n * 2_654_435_761 % 2**32:08x}"


def _write(path: Path, lines: Iterable[str], encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding=encoding, newline="")
    return path


def _draws(more: int, *below: int) -> list[list[int]]:
    """Columns of `more` integers each, below these."""
    rng = np.random.default_rng(7)
    return [rng.integers(0, end, more).tolist() for end in below]


def criteo(folder: Path, more: int = 0) -> Written:
    rows = [
        ["0", "1", "-3", "", *"0123456789", *map(hashed, range(26))],
        ["1", "", "20", "7", *"9876543210", "00000012", *map(hashed, range(1, 25)), ""],
    ]
    for label, count, category in zip(*_draws(more, 4, 9, 12), strict=True):
        rows.append([f"{label // 3}", f"{count}", *["1"] * 12, hashed(category), *map(hashed, range(25))])
    return {"format": "criteo", "path": str(_write(folder / "train.txt", map("\t".join, rows)))}


def avazu(folder: Path, more: int = 0) -> Written:
    def row(n: int, click: int, hour: str, ip: str, c14: int) -> str:
        texts = [hashed(i) for i in range(7)]
        cells = [10_000_000_000_000_000_000 + n, click, hour, 1005, 0, *texts, ip, "00000042", 1, 0, c14]
        return ",".join(map(str, [*cells, 320, 50, 1722, 0, 35, -1, 79]))

    rows = [row(1, 0, "14102100", "ddd2926e", 15706), row(2, 1, "14102100", "00000007", 15706)]
    rows += [row(3, 0, "14102123", "ddd2926e", 99)]
    hours = sorted(_draws(more, 96)[0])
    for n, (hour, click, ip, item) in enumerate(zip(hours, *_draws(more, 4, 30, 12), strict=True)):
        rows.append(row(n + 4, click // 3, f"1410{22 + hour // 24}{hour % 24:02}", hashed(ip), item))
    return {"format": "avazu", "path": str(_write(folder / "train.csv", [AVAZU, *rows]))}


# User, film, rating, seconds. Film 3 is not in the list of films, and the times are not in order.
RATINGS = [(2, 1, 5, 978_300_761), (1, 2, 3, 978_300_760), (1, 1, 4, 978_300_762), (1, 3, 1, 978_300_763)]


def _ratings(more: int) -> list[tuple[int, int, int, int]]:
    seconds = sorted(_draws(more, 6 * 86_400)[0])
    return RATINGS + [
        (user, film, rating + 1, 978_307_200 + second)
        for second, user, film, rating in zip(seconds, *_draws(more, 30, 12, 5), strict=True)
    ]


def movielens_25m(folder: Path, more: int = 0) -> Written:
    ratings = [f"{user},{film},{rating}.0,{at}" for user, film, rating, at in _ratings(more)]
    _write(folder / "ml-25m" / "ratings.csv", ["userId,movieId,rating,timestamp", *ratings])
    films = ['1,"Amélie, la (2001)",Comedy|Romance', "2,Untitled,(no genres listed)"]
    _write(folder / "ml-25m" / "movies.csv", ["movieId,title,genres", *films])
    return {"format": "movielens", "path": str(folder / "ml-25m")}


def movielens_zip(folder: Path, more: int = 0) -> Written:
    inner = Path(movielens_25m(folder, more)["path"])
    with zipfile.ZipFile(folder / "ml-25m.zip", "w") as archive:
        for file in sorted(inner.iterdir()):
            archive.write(file, f"ml-25m/{file.name}")
    return {"format": "movielens", "path": str(folder / "ml-25m.zip")}


def movielens_alone(folder: Path, more: int = 0) -> Written:
    inner = Path(movielens_25m(folder, more)["path"])
    (inner / "movies.csv").unlink()
    return {"format": "movielens", "path": str(inner / "ratings.csv")}


def movielens_1m(folder: Path, more: int = 0) -> Written:
    ratings = ["::".join(map(str, row)) for row in _ratings(more)]
    _write(folder / "ml-1m" / "ratings.dat", ratings)
    films = ["1::Amélie: la vie (2001)::Comedy|Romance", "2::Untitled::"]
    _write(folder / "ml-1m" / "movies.dat", films, "latin-1")
    return {"format": "movielens", "path": str(folder / "ml-1m")}


def movielens_100k(folder: Path, more: int = 0) -> Written:
    _write(folder / "ml-100k" / "u.data", ["\t".join(map(str, row)) for row in _ratings(more)])
    flags = ["0"] * 19
    comedy = [*flags[:5], "1", *flags[6:14], "1", *flags[15:]]
    films = ["|".join(["1", "Amélie (2001)", "25-Apr-2001", "", "http://x", *comedy])]
    films += ["|".join(["2", "unknown", "", "", "", *flags])]
    _write(folder / "ml-100k" / "u.item", films, "latin-1")
    return {"format": "movielens", "path": str(folder / "ml-100k")}


def _fields(n: int, more: int) -> list[tuple[int, list[int]]]:
    """Label −1 or 1 and indices of n fields, each field with indices of its own."""
    rows = [(1, [100 * i + 1 for i in range(n)]), (-1, [100 * i + 2 for i in range(n)])]
    for label, *values in zip(*_draws(more, 3, *[9] * n), strict=True):
        rows.append((2 * (label // 2) - 1, [100 * i + value for i, value in enumerate(values)]))
    return rows


def _libfm(rows: Iterable[tuple[int, list[int]]]) -> list[str]:
    return [f"{label} {' '.join(f'{index}:1' for index in indices)}" for label, indices in rows]


def _csv(header: Sequence[str], rows: Iterable[tuple[int, list[int]]]) -> list[str]:
    return [",".join(["label", *header]), *(",".join(map(str, [max(label, 0), *values])) for label, values in rows)]


def frappe_libfm(folder: Path, more: int = 0) -> Written:
    path = _write(folder / "frappe.train.libfm", _libfm(_fields(10, more)))
    return {"format": "frappe", "path": str(path)}


def frappe_csv(folder: Path, more: int = 0) -> Written:
    return {"format": "frappe", "path": str(_write(folder / "train.csv", _csv(FRAPPE, _fields(10, more))))}


def frappe_parts(folder: Path, more: int = 0) -> Written:
    rows = _fields(10, more)
    parts = {"train": rows[:1] + rows[2:], "validation": rows[1:2], "test": rows[:1]}
    for part, those in parts.items():
        _write(folder / "frappe" / f"frappe.{part}.libfm", _libfm(those))
    return {"format": "frappe", "path": str(folder / "frappe")}


def tag_libfm(folder: Path, more: int = 0) -> Written:
    path = _write(folder / "ml-tag.train.libfm", _libfm(_fields(3, more)))
    return {"format": "movielens_tag", "path": str(path)}


def tag_csv(folder: Path, more: int = 0) -> Written:
    path = _write(folder / "train.csv", _csv(["user_id", "item_id", "tag_id"], _fields(3, more)))
    return {"format": "movielens_tag", "path": str(path)}


def mind(folder: Path, more: int = 0) -> Written:
    behaviors = [
        "2\tU13740\t11/11/2019 1:05:58 PM\tN55189 N42782 N34694\tN55689-1 N35729-0",
        "1\tU91836\t11/11/2019 11:59:07 AM\t\tN35729-0 N55689-0 N1-1",
    ]
    for n, (hour, user, first, clicked) in enumerate(zip(*_draws(more, 120, 30, 9, 4), strict=True), start=3):
        at = f"11/{12 + hour // 24}/2019 {(hour - 1) % 12 + 1}:00:{n % 60:02} {'AM' if hour % 24 < 12 else 'PM'}"
        shown = " ".join(f"N{first + i}-{int(i == clicked)}" for i in range(3))
        behaviors.append(f"{n}\tU{user}\t{at}\tN1 N2\t{shown}")
    _write(folder / "MINDsmall_train" / "behaviors.tsv", behaviors)
    news = [
        'N55689\tsports\tfootball_nfl\tA "title\tAn abstract\thttps://x\t[]\t[]',
        "N35729\tnews\tnewsus\tAnother\t\thttps://y\t[]\t[]",
    ]
    _write(folder / "MINDsmall_train" / "news.tsv", news)
    return {"format": "mind", "path": str(folder / "MINDsmall_train")}


def trivago(folder: Path, more: int = 0) -> Written:
    def row(user: str, at: int, action: str, reference: str, shown: str = "", prices: str = "") -> str:
        cells = [user, "s1", str(at), "1", action, reference, "AU", '"Sydney, Australia"', "mobile", "", shown, prices]
        return ",".join(cells)

    rows = [
        row("00RL8Z82B2Z1", MONDAY, "search for poi", "Newtown"),
        row("00RL8Z82B2Z1", MONDAY + 9, "clickout item", "109038", "3400638|1253714|109038", "95|66|501"),
        row("0001VQMGUI65", MONDAY + 5, "clickout item", "666856", "109038|666856", "65|112"),
        row("0001VQMGUI65", MONDAY + 6, "clickout item", "", "109038|666856", "65|112"),
    ]
    for second, user, first, chosen in zip(*_draws(more, 6 * 86_400, 30, 9, 3), strict=True):
        shown = [str(first + i) for i in range(3)]
        rows.append(row(f"U{user}", MONDAY + 9 + second, "clickout item", shown[chosen], "|".join(shown), "9|10|11"))
    return {"format": "trivago", "path": str(_write(folder / "train.csv", [TRIVAGO, *rows]))}


def kuairand(folder: Path, more: int = 0) -> Written:
    def row(user: int, video: int, at_ms: int, click: int, long_view: int) -> str:
        cells = [user, video, 20_220_421, 700, at_ms, click, 0, 0, 0, 0, 0, long_view, 0, 8_567, 0, 0, 0, 1, 4]
        return ",".join(map(str, cells))

    rows = [row(0, 3_374, 1_650_495_674_417, 1, 0), row(5, 71, 1_650_495_674_416, 0, 1)]
    for second, user, video, click in zip(*_draws(more, 6 * 86_400, 30, 12, 3), strict=True):
        rows.append(row(user, video, 1_650_499_200_000 + 1000 * second, click // 2, 0))
    path = folder / "KuaiRand-Pure" / "data" / "log_random_4_22_to_5_08_pure.csv"
    return {"format": "kuairand", "path": str(_write(path, [KUAIRAND, *rows]).parent)}


PUBLISHED: dict[str, Callable[..., Written]] = {
    "criteo": criteo,
    "avazu": avazu,
    "movielens 25m": movielens_25m,
    "movielens zip": movielens_zip,
    "movielens ratings alone": movielens_alone,
    "movielens 1m": movielens_1m,
    "movielens 100k": movielens_100k,
    "frappe libfm": frappe_libfm,
    "frappe csv": frappe_csv,
    "frappe in three parts": frappe_parts,
    "movielens_tag libfm": tag_libfm,
    "movielens_tag csv": tag_csv,
    "mind": mind,
    "trivago": trivago,
    "kuairand": kuairand,
}
