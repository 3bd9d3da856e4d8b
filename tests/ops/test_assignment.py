"""`assign`: SciPy and the other oracles, properties, and what happens when iterations run out."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from reference import assignment as reference

from pyposefast import ops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Device

F32 = np.float32
Rng = np.random.Generator


def total_in_order(scores: Any, column: Any) -> Any:
    """What `total` is: a float64 sum in the order of the rows, rounded once."""
    total = 0.0
    for row, partner in enumerate(column.tolist()):
        if partner >= 0:
            total += float(scores[row, partner])
    with np.errstate(over="ignore"):
        return F32(total)


def pairs_of(column: Any) -> list[tuple[int, int]]:
    return [(row, partner) for row, partner in enumerate(column.tolist()) if partner >= 0]


# ---- against the oracles -------------------------------------------------------------------------


def uniform(rng: Rng, shape: tuple[int, ...]) -> Any:
    return rng.random(shape, F32)


def normal(rng: Rng, shape: tuple[int, ...]) -> Any:
    return rng.normal(size=shape).astype(F32)


def tied(rng: Rng, shape: tuple[int, ...]) -> Any:
    return rng.integers(-2, 3, shape).astype(F32)


def mostly_zero(rng: Rng, shape: tuple[int, ...]) -> Any:
    return np.where(rng.random(shape) < 0.1, rng.random(shape), 0).astype(F32)


def one_value(rng: Rng, shape: tuple[int, ...]) -> Any:
    return np.full(shape, rng.normal(), F32)


def separable(rng: Rng, shape: tuple[int, ...]) -> Any:
    """Products: every row wants the same columns, which is where searches are longest."""
    n, r, c = shape
    return (rng.random((n, r, 1)) * rng.random((n, 1, c))).astype(F32)


def equal_rows(rng: Rng, shape: tuple[int, ...]) -> Any:
    n, _, c = shape
    return np.broadcast_to(rng.random((n, 1, c), F32), shape)


def holes(rng: Rng, shape: tuple[int, ...]) -> Any:
    scores = normal(rng, shape)
    scores[rng.random(shape) < 0.4] = rng.choice([np.nan, np.inf, -np.inf])
    return scores


def contested(rng: Rng, shape: tuple[int, ...]) -> Any:
    """All want a few columns, so that rows go without and are displaced by later ones."""
    scores = rng.integers(-20, 20, shape).astype(F32)
    few = rng.integers(1, shape[2] // 2 + 2)
    scores[:, :, few:][rng.random(scores[:, :, few:].shape) < 0.9] = np.nan
    scores[rng.random(shape) < rng.choice([0.1, 0.5, 0.8])] = np.nan
    return scores


KINDS = (uniform, normal, tied, mostly_zero, one_value, separable, equal_rows, holes, contested)
PROBLEMS = 16  # in a call


def random_calls() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(name, scores, options) of 936 calls, half of them rectangular, half of them gated."""
    rng = np.random.default_rng(0)
    for turn in range(104):
        for kind in KINDS:
            r = int(rng.integers(1, 41 if turn % 2 else 9))
            c = r if turn % 4 < 2 else int(rng.integers(1, 41 if turn % 2 else 9))
            scores = kind(rng, (PROBLEMS, r, c))
            gate = None if turn % 8 < 4 else float(rng.choice([-1.0, 0.0, 0.2, 0.5, 0.9]))
            yield kind.__name__, scores, {"maximise": bool(rng.random() < 0.5), "gate": gate}


def test_there_are_ten_thousand_problems() -> None:
    assert sum(len(scores) for _, scores, _ in random_calls()) >= 10_000


def test_optimal_is_scipys_optimum(device: Device) -> None:
    for turn, (name, scores, options) in enumerate(random_calls()):
        if not device.is_cpu and turn % 13:
            continue  # the emulator is slow, and test_assignment_agreement compares it with the CPU
        got = device.get(ops.assign(device.put(scores), **options))
        assert got.finished.all()
        for index, one in enumerate(scores):
            column, row = got.column[index], got.row[index]
            what = (turn, name, index, options)
            assert not reference.differences(one, column, row, **options), what
            expected = reference.optimal(one, **options)
            pairs = pairs_of(column)
            assert len(pairs) == len(expected.pairs), what
            # Both sums are of float64 numbers; the optimum of either solver is off by no more than
            # some rounding errors of these, where 1e-6 is promised.
            scale = max(abs(float(one[pair])) for pair in pairs) if pairs else 0.0
            error = abs(reference.total_of(one, pairs) - expected.total)
            assert error <= 1e-12 * len(pairs) * scale, what
            assert got.total[index] == total_in_order(one, column), what


@pytest.mark.parametrize("shape", [(300, 300), (300, 200), (200, 300), (300, 30)])
@pytest.mark.parametrize("kind", [uniform, tied, separable, holes, contested])
def test_optimal_on_large_problems(shape: tuple[int, int], kind: Any) -> None:
    rng = np.random.default_rng(1)
    scores = kind(rng, (1, *shape))
    for options in ({}, {"maximise": False}, {"gate": 0.97}, {"maximise": False, "gate": 0.01}):
        got = ops.assign(scores, **options)
        both = {"maximise": True, "gate": None, **options}
        assert not reference.differences(scores[0], got.column[0], got.row[0], **both)
        expected = reference.optimal(scores[0], **both)
        pairs = pairs_of(got.column[0])
        assert len(pairs) == len(expected.pairs)
        assert reference.total_of(scores[0], pairs) == pytest.approx(
            expected.total, rel=1e-9, abs=1e-9
        )
        assert got.finished[0] == 1


def test_optimal_on_ugly_values(device: Device) -> None:
    """Against all matchings, in exact arithmetic: no overflow, and no digit lost to a huge pair."""
    rng = np.random.default_rng(2)
    values = [3e38, 1e38, 1.0, 0.5, 0.0, -0.0, 1e-38, 1e-40, 1e-45, np.nan, np.inf, -np.inf]
    for turn in range(60 if device.is_cpu else 12):
        r, c = (int(side) for side in rng.integers(1, 5, 2))
        scores = rng.choice(values, (8, r, c)).astype(F32)
        if turn % 3 == 0:
            scores *= rng.choice([-1, 1], scores.shape).astype(F32)
        gate = None if turn % 2 else 0.0
        maximise = turn % 5 < 2
        got = device.get(ops.assign(device.put(scores), maximise=maximise, gate=gate))
        for one, column, row in zip(scores, got.column, got.row, strict=True):
            assert not reference.differences(one, column, row, maximise=maximise, gate=gate)
            count, total = reference.exhaustive(one, maximise=maximise, gate=gate)
            pairs = pairs_of(column)
            assert len(pairs) == count
            ours = sum((Fraction(float(one[pair])) for pair in pairs), Fraction(0))
            if turn % 3 == 0 or maximise:  # signs differ: sums can cancel to nothing
                scale = max((abs(Fraction(float(one[pair]))) for pair in pairs), default=0)
                assert abs(ours - total) <= scale * Fraction(1, 10**12)
            else:
                assert abs(ours - total) <= abs(total) * Fraction(1, 10**12)


def test_greedy_takes_the_best_pair_first(device: Device) -> None:
    for turn, (name, scores, options) in enumerate(random_calls()):
        if turn % (4 if device.is_cpu else 41):
            continue
        got = device.get(ops.assign(device.put(scores), method="greedy", **options))
        assert got.finished.all()
        for index, one in enumerate(scores):
            column, row = got.column[index], got.row[index]
            expected = reference.greedy(one, **options)
            assert pairs_of(column) == expected.pairs, (turn, name, index, options)
            assert not reference.differences(one, column, row, **options)
            assert got.total[index] == total_in_order(one, column)


def test_greedy_on_a_large_problem() -> None:
    for kind in (uniform, tied, one_value):
        scores = kind(np.random.default_rng(3), (1, 120, 150))
        for maximise in (False, True):
            got = ops.assign(scores, method="greedy", maximise=maximise)
            assert pairs_of(got.column[0]) == reference.greedy(scores[0], maximise=maximise).pairs


def test_greedy_orders_all_magnitudes(device: Device) -> None:
    """Every bit of a score counts: neighbouring floats, of all exponents and both signs."""
    rng = np.random.default_rng(4)
    bits = rng.integers(0, 1 << 32, (4, 16, 16), np.uint64).astype(np.uint32)
    bits[:, ::2] = bits[:, 1::2] ^ 1
    scores = bits.view(F32)
    for maximise in (False, True):
        got = device.get(ops.assign(device.put(scores), method="greedy", maximise=maximise))
        for one, column in zip(scores, got.column, strict=True):
            assert pairs_of(column) == reference.greedy(one, maximise=maximise).pairs


def test_greedy_and_optimal_differ() -> None:
    """The pair that greedy takes first costs it the other two."""
    scores = np.array([[[10, 9], [9, 1]]], F32)
    assert ops.assign(scores, method="greedy").total[0] == 11
    assert ops.assign(scores).total[0] == 18


METHODS = ("greedy", "optimal")


# ---- properties ----------------------------------------------------------------------------------


@pytest.mark.thread_orders
@pytest.mark.parametrize("method", METHODS)
def test_permuting_permutes_and_turning_turns(device: Device, method: Any) -> None:
    """No two totals of these problems are equal, so that there is one answer."""
    rng = np.random.default_rng(8)
    scores = rng.random((6, 9, 13), F32)
    got = device.get(ops.assign(device.put(scores), method=method, gate=0.3))
    rows, columns = rng.permutation(9), rng.permutation(13)
    shuffled = np.ascontiguousarray(scores[:, rows][:, :, columns])
    other = device.get(ops.assign(device.put(shuffled), method=method, gate=0.3))
    turned = device.get(
        ops.assign(device.put(scores.transpose(0, 2, 1).copy()), method=method, gate=0.3)
    )
    for n in range(6):
        pairs = pairs_of(got.column[n])
        assert pairs == sorted(
            (int(rows[r]), int(columns[c])) for r, c in pairs_of(other.column[n])
        )
        assert pairs == sorted((r, c) for c, r in pairs_of(turned.column[n]))


def test_costs_are_negated_scores(device: Device) -> None:
    rng = np.random.default_rng(9)
    scores = rng.normal(size=(8, 10, 7)).astype(F32)
    for method in METHODS:
        for gate in (None, 0.5):
            one = device.get(ops.assign(device.put(scores), method=method, gate=gate))
            other = device.get(
                ops.assign(
                    device.put(-scores),
                    method=method,
                    maximise=False,
                    gate=None if gate is None else -gate,
                )
            )
            assert one.column.tobytes() == other.column.tobytes()
            assert (-one.total).tobytes() == other.total.tobytes()


# ---- the limit -----------------------------------------------------------------------------------


def test_iterations_run_out(device: Device) -> None:
    """What is matched by then is valid, and the best for the rows that had their turn."""
    rng = np.random.default_rng(10)
    scores = rng.random((1, 12, 14), F32)
    for gate in (None, 0.7):
        done = []
        for iterations in range(1, 170):
            got = device.get(ops.assign(device.put(scores), iterations=iterations, gate=gate))
            column, row = got.column[0], got.row[0]
            assert not reference.differences(scores[0], column, row, maximise=True, gate=gate)
            assert got.total[0] == total_in_order(scores[0], column)
            totals = [reference.optimal(scores[0, :first], gate=gate).total for first in range(13)]
            assert np.isclose(got.total[0], totals, rtol=1e-6).any()
            done.append(int(got.finished[0]))
        assert done[0] == 0
        assert done[-1] == 1
        assert done == sorted(done)
        assert np.isclose(got.total[0], totals[-1], rtol=1e-6)


def test_no_problem_takes_longer_than_promised() -> None:
    """On matrices whose searches see all that is matched: for n rows, n (n + 1) / 2 scans.

    Twice as many where somebody has to go without.
    """
    for n in (1, 2, 7, 60, 300):
        products = np.outer(np.arange(1, n + 1), np.arange(1, n + 1)).astype(F32)[None]
        for scores in (products, products[:, ::-1], products[:, :, ::-1]):
            for maximise in (False, True):
                got = ops.assign(scores, maximise=maximise, iterations=n * (n + 1) // 2)
                assert got.finished[0] == 1
        crowded = products.copy()
        crowded[:, :, n // 2 :] = np.nan
        for maximise in (False, True):
            got = ops.assign(crowded, maximise=maximise, iterations=n * (n + 1))
            assert got.finished[0] == 1
