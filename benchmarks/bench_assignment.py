"""`assign` against SciPy's solver, and against greedy matching as it is usually written."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from measure import Report, race
from scipy.optimize import linear_sum_assignment

from pyposefast import ops


def scipy_each(costs: Any) -> list[Any]:
    """SciPy, a problem at a time: it has no other way."""
    return [linear_sum_assignment(cost, maximize=True) for cost in costs]


def usual_greedy(scores: Any) -> list[list[tuple[int, int]]]:
    """All pairs sorted, best first, and taken while both sides are free."""
    matchings = []
    for one in scores:
        pairs: list[tuple[int, int]] = []
        rows: set[int] = set()
        columns: set[int] = set()
        for index in np.argsort(-one, axis=None, kind="stable").tolist():
            row, column = divmod(index, one.shape[1])
            if row in rows or column in columns:
                continue
            rows.add(row)
            columns.add(column)
            pairs.append((row, column))
            if len(pairs) == min(one.shape):
                break
        matchings.append(pairs)
    return matchings


def bench(report: Report, size: int, count: int) -> None:
    """Both methods on square problems without a gate, which SciPy does not know."""
    random = np.random.default_rng([5, size])
    scores = random.random((count, size, size), np.float32)
    costs = scores.astype(np.float64)  # SciPy's own type, so that it need not convert
    optimal = partial(ops.assign, scores)
    greedy = partial(ops.assign, scores, method="greedy")
    best = [
        cost[rows, columns].sum()
        for cost, (rows, columns) in zip(costs, scipy_each(costs), strict=True)
    ]
    same = [
        sorted(pairs) == list(enumerate(column.tolist()))
        for pairs, column in zip(usual_greedy(scores), greedy().column, strict=True)
    ]
    for name, ours, peer, peer_name, facts in (
        (
            "optimal",
            optimal,
            partial(scipy_each, costs),
            "scipy linear_sum_assignment",
            {"largest_difference_of_totals": float(np.abs(optimal().total / best - 1).max())},
        ),
        (
            "greedy",
            greedy,
            partial(usual_greedy, scores),
            "NumPy sort, Python loop",
            {"same_matchings": float(np.mean(same))},
        ),
    ):
        timings = race({"pyposefast": ours, peer_name: peer}, repeats=report.repeats)
        us = timings["pyposefast"].median_ms * 1e3 / count
        report.add(
            f"{name}, {count} x {size}x{size}",
            timings,
            ours="pyposefast",
            us_per_problem=us,
            **facts,
        )


def main() -> None:
    """Race on one problem, and on the 19 limbs of 8 images."""
    report = Report("assignment: uniform scores, one thread", __doc__)
    for size in (5, 20, 30, 100, 300):
        bench(report, size, 1)
    for size in (5, 20, 30):
        bench(report, size, 152)
    report.close()


if __name__ == "__main__":
    main()
