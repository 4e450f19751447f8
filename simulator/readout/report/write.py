"""report.html: one page that stands alone. Nothing in it is loaded from anywhere, and it reads without its script."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from simulator.readout.plots.svg.numbers import number, p_value, percent, signed
from simulator.readout.report.context import context_of
from simulator.readout.report.words import apart, interval_of, is_same
from simulator.readout.results import Results

__all__ = ["load_templates", "page", "part", "render", "write_report"]

ROOM = "simulator.readout.report"


def write_report(results: Results) -> None:
    """Write report.html into the run folder."""
    (results.run.path / "report.html").write_text(page(results), encoding="utf-8")


def page(results: Results) -> str:
    """The whole page, of a run that is finished or goes on, of a replay, or of a table of one's own.

    A section that would hold nothing is left out. Whoever puts the body of a newer page in the place of this one's, or
    its <main> alone, calls the page's `enlivenReport()` afterwards.
    """
    return render("report.html.j2", context_of(results))


def load_templates() -> None:
    """Compile what pages are made of, which else the first page of a process waits for."""
    environment = _environment()
    for name in environment.list_templates(extensions=["j2"]):
        environment.get_template(name)


def render(template: str, context: Mapping[str, Any]) -> str:
    """A page made of a template of this room, with the style and the script that all have."""
    return _environment().get_template(template).render(context, css=part("page.css"), script=part("page.js"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(ROOM, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "percent": percent,
        "number": number,
        "signed": signed,
        "p": p_value,
        "interval": interval_of,
        "apart": apart,
        "typographic": _typographic,
    }
    environment.filters |= filters
    environment.tests["same"] = is_same
    return environment


def part(name: str) -> Markup:
    """A file of ours, as it is."""
    return Markup(resources.files(ROOM).joinpath(name).read_text(encoding="utf-8"))


def _typographic(text: str) -> Markup:
    """A sentence with minus signs where it has hyphens before a number, and with what is between backticks as code.

    >>> print(_typographic("CTR by -0.78% (-1.90% to +0.36%) in run-2: `run <x> --seed -1`"))
    CTR by −0.78% (−1.90% to +0.36%) in run-2: <code>run &lt;x&gt; --seed -1</code>
    """
    parts = [
        Markup("<code>{}</code>").format(part) if i % 2 else escape(re.sub(r"(?<![\w-])-(?=[\d.])", "−", part))
        for i, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)
