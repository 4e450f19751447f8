"""A reservoir: a uniform sample of all that came, whatever the cuts, and the same after a restart."""

from __future__ import annotations

import numpy as np
import pytest

from reloop_stream.events import ExampleBatch
from reloop_stream.state.packing import pack, unpack
from reloop_stream.testing import examples
from reloop_stream.updating.reservoir import Reservoir


def numbered(first: int, n: int) -> ExampleBatch:
    """Examples whose items are numbered through."""
    return examples(n, features={"item": np.arange(first, first + n)})


def items(reservoir: Reservoir) -> list[int]:
    held = reservoir.draw(10**6)
    return [] if held is None else sorted(held.examples.exposures.features["item"].tolist())  # type: ignore[union-attr]


def filled(cuts: list[int], capacity: int = 10, seed: int = 3) -> Reservoir:
    reservoir, first = Reservoir(capacity, seed), 0
    for n in cuts:
        reservoir.offer(numbered(first, n), np.zeros(n, dtype=bool))
        first += n
    return reservoir


def test_it_holds_everything_until_it_is_full() -> None:
    assert items(filled([3, 5])) == list(range(8))
    assert items(filled([6, 4])) == list(range(10))
    assert Reservoir(10, 1).draw(5) is None


@pytest.mark.parametrize("cuts", [[200], [1] * 200, [9, 2, 100, 89]])
def test_what_it_holds_does_not_depend_on_how_the_stream_was_cut(cuts: list[int]) -> None:
    held = items(filled(cuts))
    assert held == items(filled([200])) and len(set(held)) == 10 and held != list(range(10))


def test_every_example_is_in_it_with_the_same_probability() -> None:
    counts = np.zeros(50)
    for seed in range(4000):
        counts[items(filled([20, 30], seed=seed))] += 1
    # Each of fifty is in a reservoir of ten in a fifth of the runs; the standard deviation of its count is 25.3.
    assert abs(counts - 800).max() < 4.5 * 25.3 and counts.sum() == 40_000
    assert abs(counts.reshape(5, 10).sum(1) - 8000).max() < 4.5 * 80


def test_algorithm_r_by_hand() -> None:
    # Capacity 2. Vitter's rule, example by example: number t goes to a place in [0, t], and in where that is below 2.
    seed, places = 5, []
    from reloop_stream.features.hashing import field_salt, hash_integers, mix64

    salt = mix64(np.array([seed], dtype=np.uint64))[0] ^ field_salt("reservoir")
    held: list[int] = []
    for t in range(12):
        fraction = int(hash_integers(np.array([t]), salt)[0]) / 2**64
        place = t if t < 2 else int(fraction * (t + 1))
        places.append(place)
        if place < 2:
            held[place : place + 1] = [t]
    assert items(filled([12], capacity=2, seed=seed)) == sorted(held)
    assert any(place < 2 for place in places[2:])


def test_a_draw_is_without_replacement_and_changes_with_each_step() -> None:
    reservoir = filled([100], capacity=50)
    draws = [reservoir.draw(20) for _ in range(3)]
    drawn = [held.examples.exposures.features["item"].tolist() for held in draws if held is not None]  # type: ignore[union-attr]
    assert all(len(set(row)) == 20 for row in drawn) and len({tuple(row) for row in drawn}) == 3
    assert reservoir.draw(0) is None


def test_a_restored_reservoir_goes_on_as_if_it_had_never_stopped() -> None:
    one, other = filled([30, 7]), Reservoir(10, 3)
    one.draw(4)
    other.restore(*unpack(pack(*one.state())))
    for reservoir in (one, other):
        reservoir.offer(numbered(37, 60), np.arange(60) % 2 == 0)
    assert pack(*one.state()) == pack(*other.state())
    a, b = one.draw(6), other.draw(6)
    assert a is not None and b is not None
    assert a.foreign.tolist() == b.foreign.tolist()
    assert a.examples.exposures.features["item"].tolist() == b.examples.exposures.features["item"].tolist()  # type: ignore[union-attr]
