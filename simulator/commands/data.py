"""python -m simulator data: data sets for replays."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reloop_stream.errors import ConfigError
from reloop_stream.runtime.exits import FAILED, OK, tell
from simulator.datasets.fetch import fetch, fetched
from simulator.datasets.publications import PUBLICATIONS, Publication

__all__ = ["add_parser"]


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


def _list(chosen: argparse.Namespace) -> int:
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


def _consents() -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("--yes: is not given, and there is no terminal to ask on; give it to accept the terms above")
    tell("fetch it on these terms? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
