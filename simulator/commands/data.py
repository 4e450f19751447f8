"""python -m simulator data: data sets for replays."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reloop_stream.errors import ConfigError
from reloop_stream.runtime.exits import FAILED, OK, tell
from simulator.datasets.publications import PUBLICATIONS, Publication

if TYPE_CHECKING:
    from simulator.datasets.describe import Description

__all__ = ["add_parser"]

WIDEST = 24  # letters of an example
FEWEST_COLUMNS = 120  # of the table: a file takes any number


def add_parser(commands: Any) -> None:
    """Add `data` to the subparsers."""
    data = commands.add_parser("data", help="list, fetch, describe data sets", description="Data sets for replays.")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")

    listing = actions.add_parser(
        "list",
        help="the data sets that are known",
        description="The data sets that are known: what they are, on what terms, and where they lie once fetched.",
    )
    listing.add_argument("--json", action="store_true", help="as JSON, with publisher, page and terms")
    listing.add_argument(
        "--to", type=Path, metavar="DIR", help="where they were fetched to (default: the user's cache)"
    )
    listing.set_defaults(carry_out=_list)

    fetching = actions.add_parser(
        "fetch",
        help="download a data set",
        description="Download a data set into the user's cache, after its terms were shown. A download that broke off goes "
        "on where it did.",
    )
    fetching.add_argument("name", choices=[*PUBLICATIONS], metavar="NAME", help=f"which: {', '.join(PUBLICATIONS)}")
    fetching.add_argument("--to", type=Path, metavar="DIR", help="where to (default: the user's cache)")
    fetching.add_argument("--yes", action="store_true", help="accept the terms without being asked")
    fetching.set_defaults(carry_out=_fetch)

    describing = actions.add_parser(
        "describe",
        help="look at a file or folder, and get a scenario that replays it",
        description="What a file or folder holds: format, fields, span of time, share of clicks; and a scenario that replays "
        "it as it is.",
        epilog="example: python -m simulator data describe log.csv --scenario log.yaml",
    )
    describing.add_argument("path", metavar="PATH", help="a file, a folder, or a file in a zip: ARCHIVE.zip/FILE")
    describing.add_argument("--rows", type=int, metavar="N", help="look at the first N rows alone (default: all)")
    describing.add_argument(
        "--scenario", type=Path, metavar="FILE", help="write the scenario there, not below the rest"
    )
    describing.set_defaults(carry_out=_describe)


def _list(chosen: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from simulator.datasets.fetch import fetched

    places = {name: fetched(name, chosen.to) for name in PUBLICATIONS}
    if chosen.json:
        print(json.dumps([_as_json(name, PUBLICATIONS[name], place) for name, place in places.items()], indent=2))
        return OK
    table = Table("name", "what", "format", "licence", "lies at", box=None, pad_edge=False)
    for name, one in PUBLICATIONS.items():
        place = places[name]
        table.add_row(
            name,
            one.title,
            one.format,
            one.licence,
            escape(str(place)) if place else "not fetched" if one.files else "by hand",
        )
    Console().print(table)
    return OK


def _as_json(name: str, one: Publication, place: Path | None) -> dict[str, Any]:
    told = one._asdict()
    del told["is_packed"]
    files = [file._asdict() for file in one.files]
    return {"name": name, **told, "files": files, "path": None if place is None else str(place)}


def _fetch(chosen: argparse.Namespace) -> int:
    from simulator.datasets.fetch import fetch, fetched

    name, publication = chosen.name, PUBLICATIONS[chosen.name]
    if publication.files and fetched(name, chosen.to) is None:
        _show(publication)
        if not chosen.yes and not _consents():
            tell("nothing was fetched")
            return FAILED
    path = fetch(name, chosen.to)
    tell(f"replay it as data: {{format: {publication.format}, path: {path}}}")
    print(path)
    return OK


def _show(publication: Publication) -> None:
    """What one should know before a download."""
    tell(f"{publication.title}\npublisher: {publication.publisher}, {publication.page}")
    tell(f"licence:   {publication.licence}\nterms:     {publication.terms}")
    for file in publication.files:
        tell(
            f"file:      {file.url}\nsha256:    {file.sha256 or 'none is published: that of what comes is kept beside it'}"
        )


def _describe(chosen: argparse.Namespace) -> int:
    if chosen.rows is not None and chosen.rows < 1:
        raise ConfigError(f"--rows: got {chosen.rows}, must be at least 1")
    if chosen.scenario is not None and chosen.scenario.exists():
        raise ConfigError(f"--scenario: {chosen.scenario} is there already; choose another name, or remove it")
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    from reloop_stream.config import as_yaml
    from simulator.datasets.describe import describe
    from simulator.scenario.starter import starter

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("reading")
        told = lambda rows: progress.update(task, description=f"{rows:,} rows")  # noqa: E731
        found = describe(chosen.path, chosen.rows, told)
    _print(found)
    scenario = as_yaml(starter(found), is_short=True)
    if chosen.scenario is None:
        print(f"\n# A scenario that replays it:\n{scenario}", end="")
        return OK
    written = f"# {chosen.path}, as `python -m simulator data describe` found it.\n{scenario}"
    chosen.scenario.write_text(written, encoding="utf-8")
    print(f"\nrun it: python -m simulator run {shlex.quote(str(chosen.scenario))}")
    return OK


def _print(found: Description) -> None:
    """The data set, for people."""
    import numpy as np
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    which = "" if found.is_whole else "the first "
    lines = [f"format  {found.data['format']}", f"rows    {which}{found.rows:,}"]
    if found.rejected:
        lines.append(f"        {found.rejected:,} more cannot be read")
    lines += [f"        {n:,} left out: {why}" for why, n in found.left_out.items()]
    if found.requests:
        lines.append(f"        in {found.requests:,} slates")
    lines.append(f"clicks  {found.clicks:,}, {found.clicks / found.rows:.2%}, by {found.rule}")
    if found.span is None:
        lines.append("time    none: rows are a second apart, in the order of the file")
    else:
        first, last = (
            np.datetime_as_string(np.datetime64(end, "ms"), unit="s").replace("T", " ") for end in found.span
        )
        order = "in order" if found.is_in_order else "not in order: a replay sorts them"
        lines.append(f"time    {first} to {last}, {found.days:,} days with rows, by {found.clock}; {order}")
    if not found.has_users:
        lines.append("users   none is told from another")
    if found.doubt:
        lines.append(f"doubt   {found.doubt}")
    lines += [f"{'guess' if i == 0 else '     '}   {said}" for i, said in enumerate(found.guesses)]
    print("\n".join(lines), end="\n\n")
    about = "" if found.is_exact else "≈"
    table = Table("field", "type", "examples", "distinct", "missing", "from", "to", box=None, pad_edge=False)
    for field in found.fields:
        ends = ["" if end is None else f"{end:g}" if isinstance(end, float) else f"{end}" for end in field[-2:]]
        missing = f"{field.missing:.2%}" if field.missing else ""
        examples = ", ".join(one if len(one) <= WIDEST else f"{one[: WIDEST - 1]}…" for one in field.examples)
        table.add_row(*map(escape, (field.name, field.kind, examples, f"{about}{field.distinct:,}", missing, *ends)))
    Console(width=max(Console().width, FEWEST_COLUMNS)).print(table)


def _consents() -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("--yes: is not given, and there is no terminal to ask on; give it to accept the terms above")
    tell("fetch it on these terms? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
