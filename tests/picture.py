"""python -m tests.picture: draw the rooms of the house, and who imports whom, into docs/rooms.svg.

Rooms lie in layers, each above all that it imports. An arrow that a way over other rooms says already is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias
from xml.sax.saxutils import escape

import networkx as nx

from tests.rooms import LADDER, ROOT, imports, room_of

__all__ = ["PICTURE", "picture"]

PICTURE = ROOT / "docs" / "rooms.svg"

BOX_W, BOX_H, GAP_X, GAP_Y, WAY_W = 104, 34, 14, 40, 10  # of a box, between two, and of an arrow that passes a layer
MARGIN, HEAD, BETWEEN = 16, 44, 40  # around all, above the layers, between the packages
COLOURS = {"reloop_stream": ("#e8f1f8", "#0072B2"), "simulator": ("#fbeee3", "#D55E00")}


class Passing(NamedTuple):
    """Where the arrow between two rooms passes a layer between theirs."""

    upper: str
    lower: str
    height: int


Node: TypeAlias = str | Passing


def room_graph() -> nx.DiGraph:
    """room → room that it imports, without the arrows that others imply."""
    graph = nx.DiGraph()
    graph.add_nodes_from(LADDER)
    pairs = {(room_of(one.importer), room_of(one.imported)) for one in imports()}
    graph.add_edges_from(sorted(pair for pair in pairs if pair[0] != pair[1]))
    return nx.transitive_reduction(graph)


def _layers(graph: nx.DiGraph) -> list[list[Node]]:
    """From the bottom up: the rooms that import nothing, those above them, …; long arrows have a place in each between."""
    level: dict[str, int] = {}
    for height, rooms in enumerate(nx.topological_generations(graph.reverse())):
        level |= dict.fromkeys(rooms, height)
    layers: list[list[Node]] = [[] for _ in range(max(level.values()) + 1)]
    for room in sorted(level, key=LADDER.index):
        layers[level[room]].append(room)
    ways = nx.DiGraph()
    ways.add_nodes_from(graph)
    for upper, lower in sorted(graph.edges):
        way = _way(upper, lower, level)
        nx.add_path(ways, way)
        for node in way:
            if isinstance(node, Passing):
                layers[node.height].append(node)
    # Each layer in the order of what lies below it, then of what lies above, until the arrows cross seldom.
    for turn in range(24):
        down = turn % 2 == 1
        for height in range(len(layers) - 2, -1, -1) if down else range(1, len(layers)):
            beside = {node: i for i, node in enumerate(layers[height + 1 if down else height - 1])}
            near = ways.predecessors if down else ways.successors
            middle = {}
            for i, node in enumerate(layers[height]):
                found = [beside[other] for other in near(node) if other in beside]
                middle[node] = sum(found) / len(found) * len(layers[height]) / len(beside) if found else i
            layers[height].sort(key=middle.__getitem__)
    return layers


def _way(upper: str, lower: str, level: dict[str, int]) -> list[Node]:
    return [upper, *(Passing(upper, lower, height) for height in range(level[upper] - 1, level[lower], -1)), lower]


def _width(nodes: list[Node]) -> float:
    return sum(BOX_W if isinstance(node, str) else WAY_W for node in nodes) + GAP_X * (len(nodes) - 1)


def _panel(package: str, graph: nx.DiGraph, uses: dict[str, list[str]], left: float, bottom: float) -> Iterator[str]:
    layers = _layers(graph)
    width = max(map(_width, layers))
    at: dict[Node, tuple[float, float]] = {}
    for height, nodes in enumerate(layers):
        x = left + (width - _width(nodes)) / 2
        for node in nodes:
            own = BOX_W if isinstance(node, str) else WAY_W
            at[node] = (x + own / 2, bottom - height * (BOX_H + GAP_Y) - BOX_H / 2)
            x += own + GAP_X
    level = {node: height for height, nodes in enumerate(layers) for node in nodes if isinstance(node, str)}
    fill, edge = COLOURS[package]
    for upper, lower in sorted(graph.edges):
        points = [at[node] for node in _way(upper, lower, level)]
        (x0, y0), *between, (x1, y1) = points
        path, (x, y) = f"M{x0:.0f} {y0 + BOX_H / 2:.0f}", (x0, y0 + BOX_H / 2)
        for to_x, to_y in [*between, (x1, y1 - BOX_H / 2 - 5)]:
            middle = (y + to_y) / 2
            path += f" C{x:.0f} {middle:.0f} {to_x:.0f} {middle:.0f} {to_x:.0f} {to_y:.0f}"
            x, y = to_x, to_y
        yield f'<path d="{path}" fill="none" stroke="#888888" stroke-width="1.1" marker-end="url(#tip)"/>'
    for room in level:
        x, y = at[room]
        name = room.rpartition(".")[2] if "." in room else "(its face)"
        small = ", ".join(uses.get(room, ()))
        yield (
            f'<rect x="{x - BOX_W / 2:.0f}" y="{y - BOX_H / 2:.0f}" width="{BOX_W}" height="{BOX_H}" rx="4" '
            f'fill="{fill}" stroke="{edge}"/>'
        )
        up = 4 if small else 0
        yield f'<text x="{x:.0f}" y="{y + 4.5 - up:.0f}" font-size="13">{escape(name)}</text>'
        if small:
            yield f'<text x="{x:.0f}" y="{y + 13:.0f}" font-size="8.5" fill="#555555">{escape(small)}</text>'


def picture() -> str:
    """The picture, as SVG. The same code gives the same text."""
    graph = room_graph()
    parts = {package: [room for room in LADDER if room.split(".")[0] == package] for package in COLOURS}
    uses = {
        room: sorted(other.rpartition(".")[2] for other in graph.successors(room) if other in parts["reloop_stream"])
        for room in parts["simulator"]
    }
    panels = {package: _layers(graph.subgraph(rooms)) for package, rooms in parts.items()}
    widths = {package: max(map(_width, layers)) for package, layers in panels.items()}
    rows = max(map(len, panels.values()))
    bottom = HEAD + MARGIN + rows * BOX_H + (rows - 1) * GAP_Y
    lines, left = [], float(MARGIN)
    for package, rooms in parts.items():
        lines.append(
            f'<text x="{left + widths[package] / 2:.0f}" y="30" font-size="15" font-weight="bold">{package}</text>'
        )
        lines.extend(_panel(package, graph.subgraph(rooms), uses, left, bottom))
        left += widths[package] + BETWEEN
    w, h = left - BETWEEN + MARGIN, bottom + MARGIN
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}" '
        'font-family="DejaVu Sans, Verdana, sans-serif" text-anchor="middle" fill="#222222">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#888888"/></marker></defs>',
        f'<rect width="{w:.0f}" height="{h:.0f}" fill="#ffffff"/>',
    ]
    return "\n".join([*head, *lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    print(PICTURE.relative_to(ROOT))
