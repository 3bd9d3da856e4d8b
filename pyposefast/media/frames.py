"""Frames: what every source gives, one record for each picture, whether it could be read or not."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pyposefast.errors import PyposefastError
    from pyposefast.media.pictures import Image

_CLOSE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source, or why there is none."""

    index: int  # counts up from 0; what was dropped leaves gaps
    time_s: float | None  # in a video from its start, of a camera when it came (time.monotonic)
    name: str  # the file, or the source and the index
    image: Image | None  # [H, W, 3] uint8 RGB; None: see error
    error: PyposefastError | None = None
    epoch: int = 0  # of a camera: goes up by one with every reconnection
    dropped: int = 0  # frames of a camera that nobody took, since the last one that was taken
    is_frozen: bool = False  # a camera has sent this very picture many times in a row


class Source:
    """An iterator of frames that knows where they come from; also a context manager."""

    def __init__(
        self,
        frames: Generator[Frame, None, None],
        *,
        name: str,
        len_hint: int | None = None,
        fps: float | None = None,
        size: tuple[int, int] | None = None,
        is_live: bool = False,
        is_latest: bool = False,
        stop: Callable[[], None] | None = None,
        release: Callable[[], None] | None = None,
    ) -> None:
        """Wrap a generator of frames.

        Args:
            frames: gives the frames, one error record for each that cannot be read.
            name: for messages.
            len_hint: how many there will be, as far as the header or the folder says.
            fps: frames per second, if known.
            size: (height, width) of the frames, if known beforehand.
            is_live: frames come when they come, and there may be no end.
            is_latest: frames that nobody took in time are dropped.
            stop: ends a wait within ``frames`` from another thread, and any threads behind it.
            release: closes files; called once, after the last frame.
        """
        self.name = name
        self.len_hint = len_hint
        self.fps = fps
        self.size = size
        self.is_live = is_live
        self.is_latest = is_latest
        self._frames = frames
        self._busy = threading.Lock()
        self._is_closed = False
        # Also called when the source is forgotten, and when the interpreter exits. What releases
        # is no `finally` of the generator, which does not run unless the first frame was taken.
        self._stop = weakref.finalize(self, stop or _nothing)
        self._release = weakref.finalize(self, release or _nothing)

    def __iter__(self) -> Source:
        return self

    def __next__(self) -> Frame:
        with self._busy:
            frame = None if self._is_closed else next(self._frames, None)
            if frame is None or self._is_closed:  # closed, perhaps, while the frame was read
                self._frames.close()
                self._release()
                raise StopIteration
            return frame

    def __enter__(self) -> Source:  # noqa: PYI034  Self came with Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the iteration and give back files, devices and threads; any thread may, repeatedly.

        A file that another thread is reading from is closed by that thread, once it has its frame.
        """
        self._is_closed = True
        self._stop()
        if self._busy.acquire(timeout=_CLOSE_TIMEOUT_S):
            try:
                self._frames.close()
                self._release()
            finally:
                self._busy.release()


def _nothing() -> None:
    """Nothing to stop, nothing to release."""
