"""Who belongs to whom: rows and columns of score matrices, matched one to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pyposefast import _C, arguments
from pyposefast.arrays import Array, home_of, shape_of
from pyposefast.errors import InputError

Method = Literal["greedy", "optimal"]

NO_LIMIT = (1 << 31) - 1  # no problem takes as many scans


@dataclass(frozen=True, slots=True)
class Assignment:
    """Partners of rows and columns, problem by problem."""

    column: Array  # [N, R] int32, the column matched with each row; -1: none
    row: Array  # [N, C] int32, the row matched with each column; -1: none
    total: Array  # [N] float32, the matched scores, summed in the order of the rows
    finished: Array  # [N] int32, 0 where the iterations ran out, else 1


def assign(
    scores: Array,
    *,
    method: Method = "optimal",
    maximise: bool = True,
    gate: float | None = None,
    rows: Array | None = None,
    columns: Array | None = None,
    iterations: int = NO_LIMIT,
    threads: int = 1,
) -> Assignment:
    """Match rows with columns, one to one, in N problems at once.

    A pair exists when its score is finite and not worse than ``gate``. "greedy" takes the best pair
    of those whose row and column are still free, again and again; equal pairs in order of row, then
    column. "optimal" finds a matching of the most pairs and, among those matchings, one of the best
    total: without a gate what ``scipy.optimize.linear_sum_assignment`` finds. Where all totals are
    wanted large and all scores are positive, as those of limbs, more pairs are never worse.

    Args:
        scores: [N, R, C] float32, any strides, at most 2^15 rows and columns.
        method: "greedy" or "optimal".
        maximise: scores are good when large; False: they are costs, good when small.
        gate: the worst score that may be matched, in the units of the scores.
        rows: [N] int32, how many rows of each problem exist; by default all R.
        columns: [N] int32, how many columns exist; by default all C.
        iterations: how many scans of one row's pairs "optimal" may spend on a problem. For n rows
            and columns it needs n (n + 1) / 2 at most, twice as many with a gate. When they run
            out, ``finished`` is 0, and the rows (or columns, if these are fewer) that had their
            turn are matched as if the others did not exist.
        threads: how many CPU threads share the problems.

    Raises:
        InputError: an argument has the wrong shape or value. On a device, where nobody can look at
            ``rows`` and ``columns`` without waiting, a count out of range is the nearest in range.
        InputTypeError: an argument has the wrong dtype or is no array.
    """
    home = home_of(scores, "scores")
    shape = shape_of(scores, "scores")
    if len(shape) != 3:  # noqa: PLR2004
        raise InputError("scores", "[N, R, C]", str(list(shape)))
    n, r, c = shape
    arguments.word(method, "method", ("greedy", "optimal"))
    settings: dict[str, Any] = {
        "method": method,
        "maximise": arguments.flag(maximise, "maximise"),
        "gate": None if gate is None else arguments.number(gate, "gate"),
        "iterations": arguments.integer(iterations, "iterations", 1, NO_LIMIT),
        "threads": arguments.threads(threads),
    }
    words = _C.assign_scratch(
        method, n, r, c, threads=settings["threads"], is_cuda=home.device_kind == "cuda"
    )
    result = home.result(
        Assignment, ((n, r), "int32"), ((n, c), "int32"), ((n,), "float32"), ((n,), "int32")
    )
    _C.assign(
        scores,
        rows,
        columns,
        result.column,
        result.row,
        result.total,
        result.finished,
        home.empty((words,), "float64"),
        stream=home.stream,
        **settings,
    )
    return result
