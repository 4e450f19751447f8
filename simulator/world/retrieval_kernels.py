"""Compiled parts of `retrieval`: sums by block, items at their cap, and drawing at evenly spaced points.

Items lie in a `layout`: topic by topic, each topic cut into blocks of BLOCK items (its last one may be shorter). A segment's
share of an item is scale · (level + slope · popularity), at most 1, in units of 1 / k; level is the segment's for the item's
topic. So the shares up to any place follow from two sums that are the same for all segments: of items, and of their
popularity.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reloop_stream.runtime.compiled import compiled

__all__ = [
    "BLOCK",
    "Line",
    "Shares",
    "add_up",
    "draw",
    "find_heads",
    "lay_line",
    "number",
    "raise_scales",
    "sum_blocks",
]

BLOCK = 8
CAPPED = 1 - 1e-12  # shares from here on are 1
LEAST = 1e-30  # popularity of the living is more, of the dead and the unborn less


class Shares(NamedTuple):
    """Whose shares, and of which items: `layout.Layout` and `layout.BlockSums` say what the arrays are."""

    of_topic: np.ndarray
    starts: np.ndarray
    popularity: np.ndarray
    before: np.ndarray
    level: np.ndarray  # float64 [segments, topics]
    slope: float
    scale: np.ndarray  # float64 [segments]


class Line(NamedTuple):
    """Each segment's shares on a line, in runs of neighbours in the layout; an item at its cap is a run of its own."""

    ends: np.ndarray  # int64 [segments], how many runs
    runs: np.ndarray  # int64 [segments, most, 5]: topic, first place, last place (exclusive), first block or -1 of an item at its cap, last block (exclusive)
    begins: np.ndarray  # float64 [segments, most]: where on the line
    before: (
        np.ndarray
    )  # float64 [segments, most]: the unscaled shares of all items that lie before the run in the layout
    pace: np.ndarray  # float64 [segments, most]: its blocks over their unscaled shares


@compiled
def sum_blocks(blocks, starts, popularity, sums, top):  # type: ignore[no-untyped-def]
    """How many of these blocks' items are alive and the sum of their popularity, [blocks, 2], and the most popular one's."""
    for block in blocks:
        n, added, most = 0, 0.0, np.float32(-1.0)
        for place in range(starts[block], starts[block + 1]):
            if popularity[place] > 0:
                n += 1
                added += popularity[place]
                most = max(most, popularity[place])
        sums[block, 0], sums[block, 1], top[block] = n, added, most


@compiled
def add_up(sums, before):  # type: ignore[no-untyped-def]
    """Sums over the blocks before each, and behind the last: [blocks + 1, 2]."""
    n, added = 0.0, 0.0
    for block in range(len(sums)):
        before[block, 0], before[block, 1] = n, added
        n += sums[block, 0]
        added += sums[block, 1]
    before[len(sums), 0], before[len(sums), 1] = n, added


@compiled
def find_heads(shares, threshold, top, places, first):  # type: ignore[no-untyped-def]
    """Into places: where the living items lie that are at least as popular as their topic's threshold; into first,
    [topics + 1]: where each topic's begin. Returns how many they are; what does not fit into places is counted alone."""
    n = 0
    for topic in range(len(threshold)):
        first[topic] = n
        least = max(threshold[topic], np.float64(LEAST))
        for block in range(shares.of_topic[topic], shares.of_topic[topic + 1]):
            if top[block] >= least:
                for place in range(shares.starts[block], shares.starts[block + 1]):
                    if shares.popularity[place] >= least:
                        if n < len(places):
                            places[n] = place
                        n += 1
    first[len(threshold)] = n
    return n


@compiled
def raise_scales(shares, mass, k, places, first):  # type: ignore[no-untyped-def]
    """Raise each segment's scale until its shares add up to k, those of the heads capped; mass: [segments], their sum unscaled."""
    segments, topics = shares.level.shape
    for s in range(segments):
        while True:
            free, capped = mass[s], 0
            for topic in range(topics):
                for h in range(first[topic], first[topic + 1]):
                    share = shares.level[s, topic] + shares.slope * shares.popularity[places[h]]
                    if shares.scale[s] * share >= CAPPED:
                        free -= share
                        capped += 1
            if capped == 0 or free <= 1e-12 * mass[s]:
                break
            raised = (k - capped) / free
            if raised <= shares.scale[s] * (1 + 1e-12):
                break
            shares.scale[s] = raised


@compiled
def _sums_before(shares, place, topic):  # type: ignore[no-untyped-def]
    """Of the items that lie before a place in a topic: how many, and their popularity."""
    begin = shares.of_topic[topic]
    block = min(begin + (place - shares.starts[begin]) // BLOCK, shares.of_topic[topic + 1])
    n, added = shares.before[block, 0], shares.before[block, 1]
    for other in range(shares.starts[block], place):
        if shares.popularity[other] > 0:
            n += 1
            added += shares.popularity[other]
    return n, added


@compiled
def lay_line(shares, order, heads, first, line):  # type: ignore[no-untyped-def]
    """Lay each segment's line, topics in this order."""
    segments = len(shares.level)
    for s in range(segments):
        n, at = 0, 0.0
        for topic in order:
            level = shares.level[s, topic]
            begin, end = shares.starts[shares.of_topic[topic]], shares.starts[shares.of_topic[topic + 1]]
            for h in range(first[topic], first[topic + 1] + 1):
                is_head = h < first[topic + 1]
                if is_head and shares.scale[s] * (level + shares.slope * shares.popularity[heads[h]]) < CAPPED:
                    continue
                to = heads[h] if is_head else end
                items, popularity = _sums_before(shares, begin, topic)
                items_to, popularity_to = _sums_before(shares, to, topic)
                if items_to > items:
                    block = shares.of_topic[topic] + (begin - shares.starts[shares.of_topic[topic]]) // BLOCK
                    line.runs[s, n, 0], line.runs[s, n, 1] = topic, begin
                    blocks_end = block + (to - 1 - shares.starts[block]) // BLOCK + 1
                    line.runs[s, n, 2], line.runs[s, n, 3], line.runs[s, n, 4] = to, block, blocks_end
                    line.begins[s, n] = at
                    line.before[s, n] = level * items + shares.slope * popularity
                    more = shares.before[blocks_end] - shares.before[block]
                    line.pace[s, n] = (blocks_end - block) / (level * more[0] + shares.slope * more[1])
                    at += shares.scale[s] * (level * (items_to - items) + shares.slope * (popularity_to - popularity))
                    n += 1
                if is_head:
                    line.runs[s, n, 0], line.runs[s, n, 1] = topic, to
                    line.runs[s, n, 2], line.runs[s, n, 3], line.runs[s, n, 4] = to + 1, -1, -1
                    line.begins[s, n] = at
                    at += 1.0
                    n += 1
                    begin = to + 1
        line.ends[s] = n


@compiled
def _make_distinct(places, popularity):  # type: ignore[no-untyped-def]
    """Where rounding at a cap hits an item again, another living one takes its place the second time."""
    spare = 0
    for j in range(1, len(places)):
        if (places[:j] == places[j]).any():
            while popularity[spare] <= 0 or (places == spare).any():
                spare += 1
            places[j] = spare


@compiled
def draw(shares, line, segment, start, rows, found):  # type: ignore[no-untyped-def]
    """Into found, int32 [requests, k]: the items at the points start, start + 1, …, start + k - 1 of the segments' lines.

    rows: of the items by place. The points are at least the share of any item apart.
    """
    # By name, since compiled code that reads them from the tuples in the inner loop is three times slower.
    starts, popularity, sums_before, slope = shares.starts, shares.popularity, shares.before, shares.slope
    runs, begins, runs_before, pace = line.runs, line.begins, line.before, line.pace
    n, k = found.shape
    places, blocks, lasts = np.empty(k, dtype=np.int64), np.empty(k, dtype=np.int64), np.empty(k, dtype=np.int64)
    wanted, sums, levels = np.empty(k), np.empty(k), np.empty(k)
    for i in range(n):
        s = segment[i]
        ends, unscaled, run = line.ends[s], 1.0 / shares.scale[s], 0
        for j in range(k):
            point = start[i] + j
            while run + 1 < ends and begins[s, run + 1] <= point:
                run += 1
            first, end, block = runs[s, run, 1], runs[s, run, 2], runs[s, run, 3]
            places[j], blocks[j], lasts[j] = first, block, end
            if block < 0:
                continue
            level, before = shares.level[s, runs[s, run, 0]], runs_before[s, run]
            levels[j] = level
            wanted[j] = want = before + (point - begins[s, run]) * unscaled
            # The last block that begins at or before what is wanted: shuffled items have nearly even shares, so it is near where
            # it would be if they were even.
            blocks_end = runs[s, run, 4]
            low = min(max(block + np.int64((want - before) * pace[s, run]), block), blocks_end - 1)
            while low > block and level * sums_before[low, 0] + slope * sums_before[low, 1] > want:
                low -= 1
            while low + 1 < blocks_end and level * sums_before[low + 1, 0] + slope * sums_before[low + 1, 1] <= want:
                low += 1
            sums[j] = before
            if low > block:
                places[j], sums[j] = starts[low], level * sums_before[low, 0] + slope * sums_before[low, 1]
            lasts[j] = min(end, starts[low + 1])
        for j in range(k):
            if blocks[j] < 0:
                continue
            begin, added, place, level, want = places[j], sums[j], -1, levels[j], wanted[j]
            for at in range(begin, lasts[j]):
                alive = popularity[at] > 0
                place = at if alive and added <= want else place
                added += level + slope * popularity[at] if alive else 0.0
            while place < 0:  # by rounding behind the last living item of the run: there is one
                begin -= 1
                if popularity[begin] > 0:
                    place = begin
            places[j] = place
        twice = False
        for j in range(1, k):
            twice = twice or places[j] == places[j - 1]
        if twice:
            _make_distinct(places, popularity)
        for j in range(k):
            found[i, j] = rows[places[j]]


@compiled
def number(rows, start_ms, birth_ms, edges_ms, numbers, used, since_ms, numbered):  # type: ignore[no-untyped-def]
    """Number the different rows in the order in which they are first met: into numbered, int32 [n, m], the number of each of
    rows [n, m]; into used, the row of each number. Returns how many. numbers: int32 scratch, -1 for every row before and after.

    A row whose item has come over an edge of age from one start to the next is another one from then on; into since_ms, from which
    start on each number is met."""
    n = 0
    for i in range(rows.shape[0]):
        if i > 0 and start_ms[i] != start_ms[i - 1]:
            for at in range(n):
                row = used[at]
                for edge_ms in edges_ms:
                    if start_ms[i - 1] < birth_ms[row] + edge_ms <= start_ms[i]:
                        numbers[row] = -1
        for j in range(rows.shape[1]):
            row = rows[i, j]
            if numbers[row] < 0:
                numbers[row] = n
                used[n] = row
                since_ms[n] = start_ms[i]
                n += 1
            numbered[i, j] = numbers[row]
    for i in range(n):
        numbers[used[i]] = -1
    return n
