"""A chart of lines, bands and points over one axis, whose values can be read by pointer, by keyboard and without either.

Each place across has one group of marks, and each mark a <title>: what a browser shows by itself, and what the page's
script reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from simulator.readout.plots.svg.parts import Chart, Rule, Series, Shade
from simulator.readout.plots.svg.picture import Picture
from simulator.readout.plots.svg.scale import Scale, nice_ticks, root_ticks, scale_of

__all__ = ["chart"]

LETTER = 6.6  # pixels that a letter of a label takes, as a rule
LEFT = 58  # pixels for the labels of the axis down, so that charts below each other begin alike
RIGHT = 14  # pixels beside the axis, for half of its last label


def chart(
    look: Chart,
    series: Sequence[Series],
    shades: Sequence[Shade] = (),
    rules: Sequence[Rule] = (),
    across: Scale | None = None,
    down: Scale | None = None,
) -> Markup:
    """The SVG. across, down: the scales of both axes, which otherwise hold all that is drawn; what is beyond is cut off.

    Where no value is defined the chart says so, in place of a scale that nothing stands on.
    """
    across = across or scale_of((x for one in series for x in one.x), 0.03, look.root)
    down = down or _down(series, rules, look.root)
    picture = Picture(across, down, look.height)
    y_ticks = root_ticks(down) if look.root else nice_ticks(down, 6, look.whole)
    x_ticks = root_ticks(across) if look.root else nice_ticks(across, 18, integer=True)
    y_words = look.y_axis(y_ticks)
    left = max(LEFT, 12 + math.ceil(LETTER * max((len(word) for word in y_words), default=1)))
    below_left = LETTER * len(look.x_label) <= left  # the name of the axis across has room beside its labels
    above, below = 28 if look.y_label else 20 if shades else 8, 24 if below_left else 40
    defined = any(math.isfinite(y) for one in series for y in one.y)
    inside = [
        *(picture.shade(one) for one in shades),
        *(picture.y_tick(y, word) for y, word in zip(y_ticks, y_words, strict=True) if defined),
        *picture.x_ticks(x_ticks, look.x_axis(x_ticks)),
        picture.label(look.y_label, "0", -13, 2 - left, "start"),
        picture.label(look.x_label, "0", look.height + 17, -7, "end")
        if below_left
        else picture.label(look.x_label, "100%", look.height + 34, 0, "end"),
        picture.stretched(series, rules),
        *picture.marks(series, look),
    ]
    if not defined:
        inside.append(picture.label("not defined", "50%", look.height / 2, 0, "middle"))
    return Markup(
        '<svg class="chart" role="img" data-height="{height}" aria-label="{title}. {description}"'
        ' style="height:{whole}px;padding:{above}px {right}px {below}px {left}px">{inside}</svg>'
    ).format(
        height=look.height, title=look.title, description=look.description, whole=look.height + above + below, above=above,
        right=RIGHT, below=below, left=left, inside=Markup("").join(inside),
    )  # fmt: skip


def _down(series: Sequence[Series], rules: Sequence[Rule], root: bool) -> Scale:
    shown = [y for one in series for y in one.y]
    shown += [y for one in series if one.spread != "none" for edge in (one.lo, one.hi) for y in edge or ()]
    return scale_of([*shown, *(rule.y for rule in rules)], 0.06, root)
