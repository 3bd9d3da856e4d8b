"""`assign`: SciPy and the other oracles, edges, promises about gates, counts and limits."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from reference import assignment as reference
from reference import inputs

from pyposefast import ops
from pyposefast.errors import InputError

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


KINDS = (uniform, normal, tied, mostly_zero, one_value, separable, equal_rows, holes)
PROBLEMS = 16  # in a call


def random_calls() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(name, scores, options) of 832 calls, half of them rectangular, half of them gated."""
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
@pytest.mark.parametrize("kind", [uniform, tied, separable, holes])
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


# ---- edges ---------------------------------------------------------------------------------------

METHODS = ("greedy", "optimal")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(0, 3, 4), (0, 0, 0), (2, 0, 4), (2, 4, 0), (2, 0, 0)])
def test_nothing_to_match(device: Device, method: Any, shape: tuple[int, int, int]) -> None:
    got = device.get(ops.assign(device.put(np.ones(shape, F32)), method=method))
    n, r, c = shape
    assert got.column.shape == (n, r)
    assert got.row.shape == (n, c)
    assert (got.column == -1).all()
    assert (got.row == -1).all()
    assert got.total.tolist() == [0.0] * n
    assert got.finished.tolist() == [1] * n


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nothing_finite(device: Device, method: Any, value: float) -> None:
    scores = np.full((2, 5, 4), value, F32)
    for maximise in (False, True):
        got = device.get(ops.assign(device.put(scores), method=method, maximise=maximise))
        assert (got.column == -1).all()
        assert (got.row == -1).all()
        assert got.total.tolist() == [0.0, 0.0]
        assert got.finished.all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 5), (5, 8), (8, 5), (70, 90)])
def test_all_equal_in_order(device: Device, method: Any, shape: tuple[int, int]) -> None:
    """Ties by index: without any reason to do otherwise, row i gets column i."""
    got = device.get(ops.assign(device.put(np.full((2, *shape), 0.25, F32)), method=method))
    pairs = [(i, i) for i in range(min(shape))]
    for column in got.column:
        assert pairs_of(column) == pairs
    assert got.total.tolist() == [0.25 * min(shape)] * 2


@pytest.mark.parametrize("method", METHODS)
def test_one_row_takes_its_best_column(device: Device, method: Any) -> None:
    scores = np.array([[[np.nan, 3, 7, 7, -np.inf, np.inf]]], F32)
    for turned in (False, True):
        given = scores.transpose(0, 2, 1) if turned else scores
        best = device.get(ops.assign(device.put(given), method=method))
        worst = device.get(ops.assign(device.put(given), method=method, maximise=False))
        assert (best.row if turned else best.column).tolist() == [[2]]
        assert (worst.row if turned else worst.column).tolist() == [[1]]


@pytest.mark.parametrize("method", METHODS)
def test_the_gate_lets_its_own_value_through(device: Device, method: Any) -> None:
    scores = np.array([[[0.1, 0.0], [0.0, np.nextafter(F32(0.1), F32(0))]]], F32)
    got = device.get(ops.assign(device.put(scores), method=method, gate=0.1))
    assert got.column.tolist() == [[0, -1]]
    costs = np.array([[[0.1, 9.0], [9.0, np.nextafter(F32(0.1), F32(1))]]], F32)
    got = device.get(ops.assign(device.put(costs), method=method, maximise=False, gate=0.1))
    assert got.column.tolist() == [[0, -1]]
    zeros = np.array([[[-0.0, np.nan], [np.nan, 0.0]]], F32)
    for maximise in (False, True):
        for gate in (0.0, -0.0):
            got = device.get(
                ops.assign(device.put(zeros), method=method, maximise=maximise, gate=gate)
            )
            assert got.column.tolist() == [[0, 1]]


def test_more_pairs_come_before_a_better_total(device: Device) -> None:
    """Row 0 would like column 0, but row 1 has no other."""
    scores = np.array([[[100, 1], [1, np.nan]]], F32)
    assert device.get(ops.assign(device.put(scores))).column.tolist() == [[1, 0]]
    # Of three rows for two columns the one stays away whose absence is cheapest.
    few = np.array([[[5, np.nan], [9, np.nan], [8, 3]]], F32)
    assert device.get(ops.assign(device.put(few))).column.tolist() == [[-1, 0, 1]]


@pytest.mark.parametrize("method", METHODS)
def test_counts_cut_problems_out(device: Device, method: Any) -> None:
    """As if the entries beyond did not exist, whatever is there."""
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(30, 12, 9)).astype(F32)
    rows, columns = (rng.integers(0, most + 1, 60).astype(np.int32) for most in (12, 9))
    rows, columns = rows[::2], columns[::2]  # any strides
    for r, c in ((rows, columns), (rows, None), (None, columns)):
        got = device.get(
            ops.assign(device.put(scores), method=method, rows=device.put(r), columns=device.put(c))
        )
        for n, one in enumerate(scores):
            nr, nc = (12 if r is None else r[n]), (9 if c is None else c[n])
            part = device.get(ops.assign(device.put(one[None, :nr, :nc].copy()), method=method))
            assert got.column[n, :nr].tolist() == part.column[0].tolist()
            assert got.row[n, :nc].tolist() == part.row[0].tolist()
            assert got.total[n] == part.total[0]
            assert (got.column[n, nr:] == -1).all()
            assert (got.row[n, nc:] == -1).all()


def test_counts_out_of_range(device: Device) -> None:
    scores = np.arange(24, dtype=F32).reshape(2, 3, 4)
    for name, most in (("rows", 3), ("columns", 4)):
        for wrong in (-1, most + 1, np.iinfo(np.int32).max, np.iinfo(np.int32).min):
            counts = device.put(np.array([most, wrong], np.int32))
            if device.is_cpu:
                with pytest.raises(InputError) as caught:
                    ops.assign(scores, **{name: counts})
                assert caught.value.argument == f"{name}[1]"
            else:
                got = device.get(ops.assign(device.put(scores), **{name: counts}))
                assert (got.column[1] >= 0).sum() == (0 if wrong < 0 else 3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", inputs.LAYOUTS)
def test_memory_layouts(device: Device, method: Any, how: str) -> None:
    rng = np.random.default_rng(6)
    for shape in ((3, 6, 11), (3, 11, 6)):
        scores = rng.normal(size=shape).astype(F32)
        expected = ops.assign(scores, method=method) if device.is_cpu else None
        got = device.get(ops.assign(device.put(inputs.in_memory(scores, how)), method=method))
        again = device.get(ops.assign(device.put(scores), method=method))
        assert got.column.tobytes() == again.column.tobytes()
        assert got.total.tobytes() == again.total.tobytes()
        assert expected is None or expected.row.tobytes() == got.row.tobytes()


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("method", METHODS)
def test_threads_share_the_problems(threads: int, method: Any) -> None:
    scores = np.random.default_rng(7).random((21, 15, 18), F32)
    one = ops.assign(scores, method=method)
    several = ops.assign(scores, method=method, threads=threads)
    for name in ("column", "row", "total", "finished"):
        assert getattr(one, name).tobytes() == getattr(several, name).tobytes()


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
