"""How the parts of a chart are drawn: paths in an inner picture that is stretched, marks in groups by their place across."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from simulator.readout.plots.svg.marks import colour_class, dot
from simulator.readout.plots.svg.numbers import interval
from simulator.readout.plots.svg.parts import Chart, Rule, Series, Shade
from simulator.readout.plots.svg.scale import Scale

__all__ = ["Picture"]

ACROSS = 1000  # units of the inner picture
SLIM = 0.17  # share of the width


class Picture:
    """The two scales, and what stands on them."""

    def __init__(self, across: Scale, down: Scale, height: int) -> None:
        self.across, self.down, self.height = across, down, height

    def x(self, value: float) -> str:
        return f"{100 * self.across(value):.2f}%"

    def y(self, value: float) -> float:
        return round(self.height * (1 - self.down(value)), 1)

    def label(self, text: str, x: str, y: float, dx: float, anchor: str) -> Markup:
        if not text:
            return Markup("")
        return Markup('<text class="label" x="{}" y="{:g}" dx="{:g}" text-anchor="{}">{}</text>').format(
            x, y, dx, anchor, text
        )

    def shade(self, one: Shade) -> Markup:
        """A narrow one has no name on a narrow page, a very narrow one on none."""
        if one.lo == one.hi:
            return Markup('<line class="{}" x1="{x}" x2="{x}" y2="{}"><title>{}</title></line>').format(
                one.kind, self.height, one.name, x=self.x(one.lo)
            )
        lo, hi = (min(max(self.across(value), 0.0), 1.0) for value in (one.lo, one.hi))
        if hi <= lo:
            return Markup("")
        box = Markup('<rect class="shade {}" x="{:.2f}%" width="{:.2f}%" height="{}"/>').format(
            one.kind, 100 * lo, 100 * (hi - lo), self.height
        )
        if hi - lo < SLIM / 3:
            return box
        return box + Markup('<text class="phase{}" x="{:.2f}%" y="-6" text-anchor="middle">{}</text>').format(
            Markup(" slim") if hi - lo < SLIM else "", 50 * (lo + hi), one.name
        )

    def y_tick(self, y: float, word: str) -> Markup:
        return Markup(
            '<line class="grid" x2="100%" y1="{y}" y2="{y}"/><text x="0" dx="-7" y="{y}" dy=".33em" text-anchor="end">{word}</text>'
        ).format(y=self.y(y), word=word)

    def x_ticks(self, ticks: Sequence[float], words: Sequence[str]) -> list[Markup]:
        """Where there are many, only every second or third is left on a narrow page."""
        every = math.ceil(len(ticks) / 9)
        return [
            Markup('<text{more} x="{x}" y="{y}" text-anchor="middle">{word}</text>').format(
                more=Markup(' class="more"') if i % every else "", x=self.x(x), y=self.height + 17, word=word
            )
            for i, (x, word) in enumerate(zip(ticks, words, strict=True))
        ]

    def stretched(self, series: Sequence[Series], rules: Sequence[Rule]) -> Markup:
        """Bands below, then rules, then lines."""
        paths = (
            [self.band(one) for one in series] + [self.rule(one) for one in rules] + [self.line(one) for one in series]
        )
        return Markup(
            '<svg class="paths" viewBox="0 0 {across} {height}" width="100%" height="{height}" preserveAspectRatio="none">{paths}</svg>'
        ).format(across=ACROSS, height=self.height, paths=Markup("").join(paths))

    def point(self, x: float, y: float) -> str:
        return f"{ACROSS * self.across(x):.0f} {self.y(y):g}"

    def line(self, one: Series) -> Markup:
        lines = [(one.y, one.stroke)] if one.stroke != "none" else []
        if one.spread == "edges":
            lines += [(edge, "dashed") for edge in (one.lo, one.hi) if edge is not None]
        drawn = []
        for y, stroke in lines:
            d = "".join(f"M{'L'.join(run)}" for run in self.runs(one.x, y))
            if d:
                drawn.append(Markup('<path class="line {} {}" d="{}"/>').format(stroke, colour_class(one.colour), d))
        return Markup("").join(drawn)

    def band(self, one: Series) -> Markup:
        if one.lo is None or one.hi is None or one.spread != "band":
            return Markup("")
        both = [math.isfinite(lo) and math.isfinite(hi) for lo, hi in zip(one.lo, one.hi, strict=True)]
        pairs = [
            self.runs(one.x, [y if ok else math.nan for y, ok in zip(edge, both, strict=True)])
            for edge in (one.lo, one.hi)
        ]
        d = "".join(f"M{'L'.join(low)}L{'L'.join(reversed(high))}z" for low, high in zip(*pairs, strict=True))
        if not d:
            return Markup("")
        return Markup('<path class="band {}" d="{}"/>').format(colour_class(one.colour), d)

    def runs(self, x: Sequence[float], y: Sequence[float]) -> list[list[str]]:
        """The points of each stretch without a gap."""
        found: list[list[str]] = [[]]
        for at, value in zip(x, y, strict=True):
            if math.isfinite(value):
                found[-1].append(self.point(at, value))
            elif found[-1]:
                found.append([])
        return [run for run in found if run]

    def rule(self, one: Rule) -> Markup:
        if not math.isfinite(one.y):
            return Markup("")
        lo, hi = max(one.lo, self.across.lo), min(one.hi, self.across.hi)
        return Markup('<path class="rule {stroke} {colour}" d="M{start}L{end}"/>').format(
            stroke=one.stroke, colour=colour_class(one.colour), start=self.point(lo, one.y), end=self.point(hi, one.y)
        )

    def marks(self, series: Sequence[Series], look: Chart) -> list[Markup]:
        """A group a place across, from left to right, with what every series has there."""
        groups: dict[float, list[Markup]] = {}
        for one in (one for one in series if not one.quiet):
            for i, at in enumerate(one.x if one.at is None else one.at):
                if math.isfinite(one.y[i]):
                    groups.setdefault(at, []).append(self.mark(one, i, at, look))
        return [
            Markup('<svg class="at" x="{x}" data-name="{name}">{marks}</svg>').format(
                x=self.x(at), name=look.name_of(at), marks=Markup("").join(groups[at])
            )
            for at in sorted(groups)
        ]

    def mark(self, one: Series, i: int, at: float, look: Chart) -> Markup:
        """A value, beside the middle of its group where it is shifted, with its whisker."""
        said, whisker = one.name, Markup("")
        if one.stroke != "none" or one.dots:  # else there is an interval alone
            said += f" {look.words(one.y[i])}"
        shift = 100 * (self.across(one.x[i]) - self.across(at))
        x = f"{shift:.2f}%" if shift else ""
        if one.lo is not None and one.hi is not None and math.isfinite(one.lo[i]) and math.isfinite(one.hi[i]):
            said += f" {interval(one.lo[i], one.hi[i], look.words)}"
            if one.spread == "whiskers":
                across = Markup(' x1="{x}" x2="{x}"').format(x=x) if x else ""
                ends = (min(max(self.y(end), 0), self.height) for end in (one.lo[i], one.hi[i]))
                whisker = Markup('<line{} y1="{:g}" y2="{:g}"/>').format(across, *ends)
        mark = dot(one.colour, x, f"{self.y(one.y[i]):g}") if one.dots else ""
        return Markup('<g class="{}">{}{}<title>{}</title></g>').format(colour_class(one.colour), whisker, mark, said)
