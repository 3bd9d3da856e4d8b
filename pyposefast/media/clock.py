"""Time as live sources and streams see it: one clock to read and to wait by.

Everything that waits does so here, so that a test can hand over a clock whose hours pass in
milliseconds and in a fixed order.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable


class Clock(Protocol):
    """Tells the time and waits; it never goes back."""

    def now(self) -> float:
        """Return seconds since some moment."""

    def wait_for(
        self,
        condition: threading.Condition,
        is_reached: Callable[[], bool],
        timeout_s: float | None = None,
    ) -> bool:
        """Wait until something is so, or for a while; return whether it is.

        Args:
            condition: held by the caller, and notified by whoever changes something.
            is_reached: asked with the condition held.
            timeout_s: how long at most, or for ever.
        """


class SystemClock:
    """The machine's monotonic clock, on which no daylight saving or correction is seen."""

    def now(self) -> float:
        """Return seconds of ``time.monotonic``."""
        return time.monotonic()

    def wait_for(
        self,
        condition: threading.Condition,
        is_reached: Callable[[], bool],
        timeout_s: float | None = None,
    ) -> bool:
        """Wait as ``threading.Condition.wait_for`` does."""
        return condition.wait_for(is_reached, timeout_s)


SYSTEM_CLOCK = SystemClock()
