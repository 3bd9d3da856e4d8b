"""What commands print: results on the standard output, everything else on the error stream."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def say(text: str) -> None:
    """Print a result."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()  # here, where a full disk or a broken pipe is still ours to handle


def note(text: str) -> None:
    """Print what is no result: a warning, a failure, how far the work is."""
    if sys.stderr is not None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def say_json(record: Any) -> None:
    """Print a result for programs. NaN, which JSON has not, is a mistake of ours."""
    say(json.dumps(record, indent=2, allow_nan=False))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Return lines with columns one under the other.

    Args:
        header: a word for each column.
        rows: as many texts each.
        left: how many columns, from the first, hold words; the others hold numbers.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        placed = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return ("  " + "  ".join(placed)).rstrip()

    rule = "  " + "-" * (sum(widths) + 2 * len(widths) - 2)
    return [line(header), rule, *map(line, rows)]
