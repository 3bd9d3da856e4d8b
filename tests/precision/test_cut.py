"""The fewest casts, against trying every choice."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest

from pyposefast.precision.cut import Side, Value, halves

if TYPE_CHECKING:
    from collections.abc import Sequence


def casts(chosen: Sequence[bool], values: Sequence[Value]) -> int:
    """Count the casts as they are defined: a value that is needed in its other type too."""
    count = 0
    for value in values:
        is_half = value.producer is not None and chosen[value.producer]
        wanted = {chosen[consumer] for consumer in value.turning}
        if value.stays:
            wanted.add(False)
        count += any(each != is_half for each in wanted)
    return count


def best(sides: Sequence[Side], values: Sequence[Value]) -> tuple[int, int]:
    """Return the fewest casts, and the fewest nodes in float32 among the choices with so few."""
    choices = {"fp16": (True,), "fp32": (False,), "free": (True, False)}
    return min(
        (casts(chosen, values), chosen.count(False))
        for chosen in itertools.product(*(choices[side] for side in sides))
    )


def random_case(seed: int) -> tuple[list[Side], list[Value]]:
    generator = random.Random(seed)  # noqa: S311  tests
    count = generator.randint(1, 9)
    sides: list[Side] = generator.choices(["fp16", "fp32", "free"], [2, 2, 5], k=count)
    values = []
    for producer in (None, *range(count)):
        later = range(0 if producer is None else producer + 1, count)
        readers = [index for index in later if generator.random() < 0.35]
        stays = generator.random() < 0.2
        values.append(Value(producer, readers, readers, stays))
    return sides, values


@pytest.mark.parametrize("block", range(4))
def test_no_other_choice_has_fewer_casts_or_as_few_with_more_in_float16(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        sides, values = random_case(seed)
        chosen = halves(sides, values)
        assert (casts(chosen, values), chosen.count(False)) == best(sides, values), seed
        for side, is_half in zip(sides, chosen, strict=True):
            assert side == "free" or is_half == (side == "fp16")


def test_a_chain_between_two_single_nodes_stays_single() -> None:
    values = [Value(None, [0], [0]), Value(0, [1], [1]), Value(1, [2], [2]), Value(2, stays=True)]
    assert halves(["fp32", "free", "fp32"], values) == [False, False, False]


def test_a_free_network_is_half() -> None:
    values = [Value(None, [0], [0]), Value(0, [1], [1]), Value(1, stays=True)]
    assert halves(["fp16", "free"], values) == [True, True]


def test_no_nodes() -> None:
    assert halves([], []) == []
