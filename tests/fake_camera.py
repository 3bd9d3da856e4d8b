"""A camera that follows a script, on a clock whose hours take milliseconds."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LOOK_S = 0.005  # real time after which a waiting thread looks whether another one has ended


@dataclass(eq=False)
class _Waiting:
    condition: threading.Condition
    is_reached: Callable[[], bool]
    deadline_s: float | None


class FakeClock:
    """Time that jumps to the next deadline, and only when every thread waits for it.

    Every thread: the one of the test, and those that the package has started since the clock was
    made. So what happens does not depend on how fast or busy the machine is.
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        self._lock = threading.RLock()
        self._others = set(threading.enumerate())
        self._waiting: list[_Waiting] = []

    def now(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        condition = threading.Condition()
        with condition:
            self.wait_for(condition, lambda: False, seconds)

    def wait_for(
        self,
        condition: threading.Condition,
        is_reached: Callable[[], bool],
        timeout_s: float | None = None,
    ) -> bool:
        deadline_s = None if timeout_s is None else self._now_s + timeout_s
        me = _Waiting(condition, is_reached, deadline_s)
        with self._lock:
            self._waiting.append(me)
        try:
            while not is_reached():
                if deadline_s is not None and self._now_s >= deadline_s:
                    return False
                condition.release()  # another thread's condition is looked at: never with mine held
                try:
                    self._advance()
                finally:
                    condition.acquire()
                if not is_reached() and (deadline_s is None or self._now_s < deadline_s):
                    condition.wait(_LOOK_S)
            return True
        finally:
            with self._lock:
                self._waiting.remove(me)

    def _advance(self) -> None:
        """Jump to the next deadline, if there is nothing that any thread could still do."""
        with self._lock:
            ours = [each for each in threading.enumerate() if each.name.startswith("pyposefast")]
            if len(self._waiting) < 1 + len(set(ours) - self._others):
                return
            waiting, before = list(self._waiting), self._now_s
        for each in waiting:
            with each.condition:
                is_due = each.deadline_s is not None and each.deadline_s <= self._now_s
                if is_due or each.is_reached():
                    each.condition.notify_all()
                    return
        with self._lock:
            deadlines = [each.deadline_s for each in waiting if each.deadline_s is not None]
            if self._waiting != waiting or self._now_s != before or not deadlines:
                return
            self._now_s = min(deadlines)
        for each in waiting:
            with each.condition:
                each.condition.notify_all()


@dataclass(eq=False)
class FakeCamera:
    """Gives frames at the times of a script.

    Each step is (seconds, what): "frame" is a new picture, "repeat" the last one again, "unplug"
    loses the connection, "absent" makes the next attempt to open it fail, "hang" is a read that
    does not come back for an hour, "end" is the end.
    """

    clock: FakeClock
    script: Iterable[tuple[float, str]]
    fps: float | None = None
    opened: int = 0
    closed: int = 0
    taken: int = 0  # pictures given so far; a picture shows its number
    made_at_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._steps = iter(self.script)
        self._absent = 0
        self._is_over = False

    def open(self) -> FakeCamera:
        if self._absent > 0:
            self._absent -= 1
            message = "no such camera"
            raise MediaError(message)
        self.opened += 1
        return self

    def close(self) -> None:
        self.closed += 1

    def read(self) -> Any:
        at_s, what = next(self._steps, (self.clock.now(), "end"))
        self.clock.sleep(max(at_s - self.clock.now(), 0.0))
        while what == "absent":
            self._absent += 1
            at_s, what = next(self._steps)
        if what == "hang":
            self.clock.sleep(3600.0)
            return None
        if what in ("unplug", "end"):
            self._absent = 10**9 if what == "end" else self._absent
            return None
        if what == "frame":
            self.taken += 1
        self.made_at_s.append(self.clock.now())
        return picture(self.taken - 1)


def picture(number: int) -> Any:
    """Return a picture [8, 16, 3] that shows a number below 2^24."""
    return np.full((8, 16, 3), [number >> 16 & 255, number >> 8 & 255, number & 255], np.uint8)


def number_of(image: Any) -> int:
    """Return the number that a picture shows."""
    red, green, blue = (int(each) for each in image[0, 0])
    return red << 16 | green << 8 | blue
