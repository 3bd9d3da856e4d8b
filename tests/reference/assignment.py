"""Oracles of ``assign``: every matching of a small problem, SciPy for larger ones, a sort."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment


@dataclass(frozen=True)
class Matching:
    """The pairs that a problem's oracle takes, and what they add up to."""

    pairs: list[tuple[int, int]]
    total: float


def allowed(scores: Any, *, maximise: bool, gate: float | None) -> Any:
    """Which pairs exist: [R, C] bool."""
    fits = np.isfinite(scores)
    if gate is not None:
        limit = np.float32(gate)
        with np.errstate(invalid="ignore"):
            fits &= scores >= limit if maximise else scores <= limit
    return fits


def total_of(scores: Any, pairs: list[tuple[int, int]]) -> float:
    """The sum of a matching, in float64."""
    return float(np.sum([np.float64(scores[pair]) for pair in pairs])) if pairs else 0.0


def greedy(scores: Any, *, maximise: bool = True, gate: float | None = None) -> Matching:
    """The best pair of free rows and columns, as long as there is one."""
    fits = allowed(scores, maximise=maximise, gate=gate)
    key = np.where(fits, scores, 0).astype(np.float64) * (-1 if maximise else 1)
    order = sorted((key[r, c], r, c) for r, c in np.argwhere(fits).tolist())
    rows: set[int] = set()
    columns: set[int] = set()
    pairs = []
    for _, r, c in order:
        if r not in rows and c not in columns:
            rows.add(r)
            columns.add(c)
            pairs.append((r, c))
    return Matching(sorted(pairs), total_of(scores, sorted(pairs)))


def optimal(scores: Any, *, maximise: bool = True, gate: float | None = None) -> Matching:
    """A matching of the most pairs, and of the best total among those; by SciPy.

    Costs are scaled into [0, 1], and a pair that does not exist costs more than all others together
    can differ, so that as few of those as possible are taken.
    """
    fits = allowed(scores, maximise=maximise, gate=gate)
    if not fits.any():
        return Matching([], 0.0)
    cost = np.where(fits, scores, 0).astype(np.float64) * (-1 if maximise else 1)
    cost -= cost[fits].min()
    cost /= cost[fits].max() or 1.0
    cost[~fits] = min(fits.shape) + 1.0
    pairs = [(int(r), int(c)) for r, c in zip(*linear_sum_assignment(cost), strict=True)]
    pairs = [pair for pair in pairs if fits[pair]]
    return Matching(pairs, total_of(scores, pairs))


def exhaustive(
    scores: Any, *, maximise: bool = True, gate: float | None = None
) -> tuple[int, Fraction]:
    """Number of pairs and exact total of the best matching, by trying all of them."""
    fits = allowed(scores, maximise=maximise, gate=gate)
    sign = 1 if maximise else -1

    def best(row: int, taken: frozenset[int]) -> tuple[int, Fraction]:
        if row == len(scores):
            return 0, Fraction(0)
        found = best(row + 1, taken)
        for column in np.flatnonzero(fits[row]).tolist():
            if column not in taken:
                count, total = best(row + 1, taken | {column})
                found = max(found, (count + 1, total + sign * Fraction(float(scores[row, column]))))
        return found

    count, total = best(0, frozenset())
    return count, sign * total


def differences(
    scores: Any, column: Any, row: Any, *, maximise: bool = True, gate: float | None = None
) -> list[str]:
    """Why this is no matching of existing pairs, in words; an empty list when it is one."""
    fits = allowed(scores, maximise=maximise, gate=gate)
    wrong = [
        f"row {r} has column {c}, which has row {row[c] if 0 <= c < len(row) else None}"
        for r, c in enumerate(column.tolist())
        if c != -1 and not (0 <= c < len(row) and row[c] == r)
    ]
    wrong += [
        f"column {c} has row {r}, which has another column"
        for c, r in enumerate(row.tolist())
        if r != -1 and not (0 <= r < len(column) and column[r] == c)
    ]
    wrong += [
        f"({r}, {c}) does not exist"
        for r, c in enumerate(column.tolist())
        if 0 <= c < len(row) and not fits[r, c]
    ]
    return wrong
