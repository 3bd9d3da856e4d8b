"""A line that says how far the work is, on a terminal; nothing at all where nobody watches."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_REFRESH_S = 0.1
_WIDTH = 28  # characters of the bar
_ERASE_LINE = "\r\x1b[K"


class Progress:
    """Counts what is done; a context manager, which cleans its line up at the end."""

    def __init__(self, total: int | None, unit: str, *, stream: TextIO | None = None) -> None:
        """Start at nothing.

        Args:
            total: how much there is to do; None: not known.
            unit: what is counted, in the plural.
            stream: by default the standard error stream; a pipe or a file gets nothing.
        """
        stream = sys.stderr if stream is None else stream
        self._stream = stream if stream is not None and stream.isatty() else None
        self._total, self._unit = total, unit
        self._done, self._start, self._shown = 0, time.monotonic(), 0.0

    def __enter__(self) -> Progress:  # noqa: PYI034  Self came with Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def add(self, count: int = 1) -> None:
        """Note that so many more are done."""
        self._done += count
        now = time.monotonic()
        if self._stream is None or now - self._shown < _REFRESH_S:
            return
        self._shown = now
        self._stream.write(f"{_ERASE_LINE}{self._line(now - self._start)}")
        self._stream.flush()

    def clear(self) -> None:
        """Wipe the line, so that something else can be printed in its place."""
        if self._stream is not None:
            self._stream.write(_ERASE_LINE)
            self._stream.flush()

    def _line(self, elapsed_s: float) -> str:
        rate = self._done / max(elapsed_s, 1e-9)
        if not self._total:
            return f"{self._done} {self._unit}, {rate:.1f}/s"
        part = min(self._done / self._total, 1.0)
        filled = int(_WIDTH * part)
        left_s = max(self._total - self._done, 0) / max(rate, 1e-9)
        bar = "#" * filled + "." * (_WIDTH - filled)
        return (
            f"[{bar}] {self._done}/{self._total} {self._unit}, {rate:.1f}/s, {_time(left_s)} left"
        )


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
