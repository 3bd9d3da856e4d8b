"""Live sources: a thread that reads a camera, notices when it falls silent and finds it again.

A robot acts on what it gets. So an old picture is never given twice, silence is said, and every
reconnection starts a new epoch.
"""

from __future__ import annotations

import threading
import zlib
from collections import deque
from typing import TYPE_CHECKING, Protocol

from pyposefast.errors import MediaError, PyposefastError, StreamEnded, StreamStalled
from pyposefast.extras import opencv
from pyposefast.files import shown
from pyposefast.media.frames import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pyposefast.media.clock import Clock
    from pyposefast.media.pictures import Image

_WAITING_FRAMES = 4  # of a camera whose every frame is wanted; then the camera has to wait
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.1, 1.0  # between attempts to reconnect
_CLOSE_TIMEOUT_S = 2.0
_HUNG_STALLS = 5  # a single read that takes this many stalls is given up
_MOST_HUNG = 3  # readers that never came back, before the source counts as gone
_FROZEN_AFTER = 30  # equal pictures in a row
_DIGEST_STEP = 8  # every 8th pixel of every 8th row: noise of a working sensor is everywhere


class Capture(Protocol):
    """An open camera, or anything that gives one picture after the other."""

    @property
    def fps(self) -> float | None:
        """Frames per second, if the device says so."""

    def read(self) -> Image | None:
        """Wait for the next picture; None when there will be no more.

        Raises:
            MediaError: the connection is lost.
        """

    def close(self) -> None:
        """Give the device back."""


class Feed:
    """The frames of a capture, read by a thread of its own."""

    def __init__(
        self,
        open_capture: Callable[[], Capture],
        *,
        name: str,
        latest: bool,
        stall_s: float,
        give_up_s: float | None,
        does_reconnect: bool,
        clock: Clock,
    ) -> None:
        """Open the capture, which may fail, and start to read.

        Args:
            open_capture: opens the device, and opens it again after it was lost.
            name: for messages.
            latest: keep the newest frame only and count the others; else the capture waits.
            stall_s: silence that is reported, and reported again, as an error record.
            give_up_s: silence after which the source ends; None: never.
            does_reconnect: False: the end of the capture is the end of the source.
            clock: to wait by.
        """
        self._open = open_capture
        self._name = name
        self._is_latest = latest
        self._stall_s = stall_s
        self._give_up_s = give_up_s
        self._does_reconnect = does_reconnect
        self._clock = clock
        self._changed = threading.Condition()  # guards all that follows
        self._waiting: deque[Frame] = deque()
        self._next_index = 0
        self._dropped = 0
        self._epoch = -1
        self._attempts = 0  # to reconnect, since the last frame
        self._last_frame_s = self._quiet_since_s = clock.now()
        self._reading_since_s: float | None = None
        self._reader = 0  # which of the threads is the one that counts
        self._hung = 0
        self._running = 0
        self._is_closed = self._is_done = False
        self._failure: BaseException | None = None
        self._digest, self._equal = 0, 0
        self._threads: list[threading.Thread] = []
        capture = open_capture()
        self.fps = capture.fps
        self._start(capture)

    def frames(self) -> Generator[Frame, None, None]:
        """Give the frames as they come, and a record of every silence."""
        while (frame := self._take()) is not None:
            yield frame

    def close(self) -> None:
        """Stop reading; wait for the thread, but not for a device that does not answer."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            is_over = self._clock.wait_for(
                self._changed, lambda: self._running == 0, _CLOSE_TIMEOUT_S
            )
        for thread in self._threads if is_over else ():
            if thread is not threading.current_thread():
                thread.join(_CLOSE_TIMEOUT_S)

    # ---- the consumer's side --------------------------------------------------------------------

    def _take(self) -> Frame | None:
        def is_ready() -> bool:
            return bool(self._waiting) or self._is_done or self._is_closed

        with self._changed:
            remaining = max(self._quiet_since_s + self._stall_s - self._clock.now(), 0.0)
            is_in_time = self._clock.wait_for(self._changed, is_ready, remaining)
            if self._is_closed:
                return None
            if self._waiting:
                frame = self._waiting.popleft()
                self._changed.notify_all()
                return frame
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            return None if is_in_time else self._stalled()

    def _stalled(self) -> Frame:
        now = self._clock.now()
        self._quiet_since_s = now
        age_s = now - self._last_frame_s
        about = f"{shown(self._name)}: no frame for {age_s:.1f} s, {self._attempts} attempts"
        self._look_after_reader(now)
        is_over = self._give_up_s is not None and age_s >= self._give_up_s
        if is_over or self._hung > _MOST_HUNG:
            self._is_done = self._is_closed = True
            self._changed.notify_all()
            return self._record(StreamEnded(f"{about}; given up"))
        return self._record(StreamStalled(about))

    def _look_after_reader(self, now: float) -> None:
        """Replace a reader that a device holds for too long; it ends when the device lets go."""
        since = self._reading_since_s
        if since is None or now - since < _HUNG_STALLS * self._stall_s or not self._does_reconnect:
            return
        self._hung += 1
        if self._hung <= _MOST_HUNG:
            self._start(None)

    def _record(self, error: PyposefastError) -> Frame:
        index, self._next_index = self._next_index, self._next_index + 1
        now, dropped, self._dropped = self._clock.now(), self._dropped, 0
        name = f"{self._name}:{index}"
        return Frame(index, now, name, None, error, max(self._epoch, 0), dropped)

    # ---- the reader's side ----------------------------------------------------------------------

    def _start(self, capture: Capture | None) -> None:
        """Start the thread that counts from now on, with a capture that may be open already."""
        self._reader += 1
        self._running += 1
        self._reading_since_s = None
        # A daemon, since a device may never return; whoever owns the feed closes it before exit.
        thread = threading.Thread(
            target=self._run, args=(self._reader, capture), name="pyposefast-camera", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _run(self, reader: int, capture: Capture | None) -> None:
        try:
            self._read_on(reader, capture)
        except BaseException as error:  # noqa: BLE001  whatever it is, the consumer has to get it
            with self._changed:
                if self._counts(reader):
                    self._failure = error
        finally:
            with self._changed:
                self._is_done |= reader == self._reader
                self._running -= 1
                self._changed.notify_all()

    def _counts(self, reader: int) -> bool:
        return reader == self._reader and not self._is_closed

    def _read_on(self, reader: int, capture: Capture | None) -> None:
        delay_s = _FIRST_DELAY_S
        while True:
            if capture is not None:
                try:
                    if self._read_all(reader, capture):
                        delay_s = _FIRST_DELAY_S
                finally:
                    capture.close()
            if not self._does_reconnect:
                return
            with self._changed:
                self._attempts += 1
                self._reading_since_s = None
                self._clock.wait_for(self._changed, lambda: not self._counts(reader), delay_s)
                if not self._counts(reader):
                    return
                self._reading_since_s = self._clock.now()  # opening can hang as well
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
            try:
                capture = self._open()
            except MediaError:
                capture = None  # still gone: said by the records of silence

    def _read_all(self, reader: int, capture: Capture) -> bool:
        """Read until the capture is lost; return whether it gave anything."""
        count = 0
        while True:
            with self._changed:
                if not self._counts(reader):
                    return count > 0
                self._reading_since_s = self._clock.now()
            try:
                image = capture.read()
            except MediaError:
                image = None
            with self._changed:
                if image is None or not self._counts(reader):
                    return count > 0
                self._reading_since_s = None
                self._put(reader, image, is_first=count == 0)
            count += 1

    def _put(self, reader: int, image: Image, *, is_first: bool) -> None:
        now = self._clock.now()
        self._last_frame_s = self._quiet_since_s = now
        self._epoch += is_first
        self._attempts = 0
        digest = zlib.crc32(image[::_DIGEST_STEP, ::_DIGEST_STEP].tobytes())
        self._equal = self._equal + 1 if digest == self._digest and not is_first else 1
        self._digest = digest
        if self._is_latest:
            for old in self._waiting:
                self._dropped += 1 + old.dropped
            self._waiting.clear()
        else:
            self._clock.wait_for(
                self._changed,
                lambda: len(self._waiting) < _WAITING_FRAMES or not self._counts(reader),
            )
            if not self._counts(reader):
                return
        index, self._next_index = self._next_index, self._next_index + 1
        is_frozen = self._equal >= _FROZEN_AFTER
        name, dropped, self._dropped = f"{self._name}:{index}", self._dropped, 0
        self._waiting.append(Frame(index, now, name, image, None, self._epoch, dropped, is_frozen))
        self._changed.notify_all()


class OpenCVCapture:
    """A camera of this machine by its number, or one on the network by its address."""

    def __init__(self, source: int | str, timeout_s: float) -> None:
        """Open the camera.

        Args:
            source: an index, or an ``rtsp://`` address.
            timeout_s: how long opening or one read may take, as far as the driver honours it.

        Raises:
            MediaError: there is no such camera, or it does not answer.
        """
        cv2 = opencv()
        timeout_ms = int(1000 * timeout_s)
        if isinstance(source, int):
            self._capture = cv2.VideoCapture(source)
        else:
            timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms]
            timeouts += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
            self._capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, timeouts)
        if not self._capture.isOpened():
            message = f"camera {shown(source)}: cannot be opened"
            raise MediaError(message, "is it plugged in, allowed, and not in use elsewhere?")
        self._cv2 = cv2
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < float("inf") else None

    def read(self) -> Image | None:
        """Wait for the next picture; None when the camera is gone."""
        is_read, bgr = self._capture.read()
        if not is_read:
            return None
        image: Image = self._cv2.cvtColor(bgr, self._cv2.COLOR_BGR2RGB)
        return image

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()
