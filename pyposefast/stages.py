"""What a pipeline is busy with: named stretches of a call, for who wants to time them.

Nobody listens, usually, and then a stage costs a look-up.
"""

from __future__ import annotations

import contextlib
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

_listener: ContextVar[Recorder | None] = ContextVar("pyposefast_stages", default=None)
_NOBODY: AbstractContextManager[None] = contextlib.nullcontext()


def stage(name: str) -> AbstractContextManager[None]:
    """Mark what the body of a ``with`` statement does, for example "network"."""
    recorder = _listener.get()
    return _NOBODY if recorder is None else recorder.stage(name)


class Recorder:
    """Adds up the time of each stage of the calls that are made while it listens.

    A stage within another has both names, as in "detect/network". It listens to the thread that
    started it, and no other.
    """

    def __init__(self, *, wait: Callable[[], object] | None = None, nvtx: bool = False) -> None:
        """Start with nothing.

        Args:
            wait: called at the end of every stage; on a device, what waits for its work.
            nvtx: show the stages in NVIDIA's profilers too. Needs the package nvtx.
        """
        self.seconds: dict[str, float] = {}
        self._wait = wait
        self._path: list[str] = []
        self._range = _nvtx_ranges() if nvtx else None

    @contextlib.contextmanager
    def listening(self) -> Iterator[Recorder]:
        """Listen while the body of a ``with`` statement runs."""
        before = _listener.set(self)
        try:
            yield self
        finally:
            _listener.reset(before)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage."""
        self._path.append(name)
        path = "/".join(self._path)
        start = time.perf_counter()
        try:
            with _NOBODY if self._range is None else self._range(path):
                yield
                if self._wait is not None:
                    self._wait()
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[path] = self.seconds.get(path, 0.0) + elapsed
            self._path.pop()

    def take(self) -> dict[str, float]:
        """Return the seconds of each stage so far, and start again with nothing."""
        taken, self.seconds = self.seconds, {}
        return taken


def _nvtx_ranges() -> Callable[[str], AbstractContextManager[None]]:
    try:
        import nvtx  # noqa: PLC0415  an extra: imported when needed
    except ImportError as error:
        message = "nvtx does not import here\nhint: pip install nvtx"
        raise ImportError(message) from error
    ranges: Callable[[str], AbstractContextManager[None]] = nvtx.annotate
    return ranges
