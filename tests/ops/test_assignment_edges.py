"""`assign` at its edges: nothing to match, ties, gates, counts, memory layouts, threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from reference import inputs

from pyposefast import ops
from pyposefast.errors import InputError

if TYPE_CHECKING:
    from conftest import Device

F32 = np.float32
METHODS = ("greedy", "optimal")


def pairs_of(column: Any) -> list[tuple[int, int]]:
    return [(row, partner) for row, partner in enumerate(column.tolist()) if partner >= 0]


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


def test_a_pair_that_has_to_earn_its_place(device: Device) -> None:
    """With a column of its own for each row, the total alone counts: docs/ops.md."""
    scores = np.array([[[100, -1], [-1, -99]], [[3, 2], [2, -5]]], F32)
    alone = np.full((2, 2, 2), np.nan, F32)
    alone[:, [0, 1], [0, 1]] = 0
    got = device.get(ops.assign(device.put(np.concatenate([scores, alone], axis=2))))
    assert got.column.tolist() == [[0, 3], [1, 0]]
    assert got.total.tolist() == [100, 4]


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
