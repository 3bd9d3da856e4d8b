"""Streams: a source read, a pipeline run and the caller's own work, all at the same time, in order.

One thread reads, one or more run the pipeline, and the caller's loop takes the results. All queues
are bounded, so whoever is slow makes the others wait, or, with ``latest=True``, makes old frames
disappear: dropped, and counted.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyposefast import arguments
from pyposefast.errors import InputError, InputTypeError, PyposefastError
from pyposefast.media.clock import SYSTEM_CLOCK
from pyposefast.media.frames import Frame, Source
from pyposefast.media.sources import AnySource, open_source

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from pyposefast.media.clock import Clock
    from pyposefast.poses import Poses

    Run = Callable[[list[npt.NDArray[np.uint8]]], list[Poses]]

_MOST_WAITING = 1 << 10
_CLOSE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """What became of one frame: people, nobody, or the reason why that is not known."""

    index: int  # of the frame in its source; dropped frames leave gaps
    time_s: float | None  # see Frame
    name: str
    image: npt.NDArray[np.uint8] | None  # [H, W, 3] RGB; None: could not be read
    poses: Poses | None  # None: see error
    error: PyposefastError | None
    dropped: int = 0  # frames that were dropped since the last result
    is_late: bool = False  # the result came after the deadline
    epoch: int = 0  # of a camera: goes up with every reconnection
    is_frozen: bool = False  # the camera repeats one picture


@dataclass(frozen=True, slots=True)
class StreamStats:
    """Counts so far; in the end, ``frames`` and ``dropped`` add up to what the source gave."""

    frames: int = 0  # results handed out
    people: int = 0
    empty: int = 0  # results with nobody in them
    errors: int = 0  # results with an error instead
    dropped: int = 0
    late: int = 0


class Stream:
    """A pipeline run over a source: reading, running and the caller's own work overlap.

    An iterator of results, and a context manager; leaving the loop early stops the threads. Every
    frame becomes one result, in the order of the source, or is counted as dropped. A frame that
    cannot be read, or on which ``run`` raises a ``PyposefastError``, is a result with that error;
    any other exception ends the stream and is raised where the results are taken.
    """

    def __init__(
        self,
        run: Run,
        source: AnySource,
        *,
        latest: bool = False,
        prefetch: int = 2,
        workers: int = 1,
        batch: int = 1,
        deadline_s: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Open the source and begin.

        Args:
            run: takes pictures uint8 [H, W, 3] RGB and returns as many Poses; a pipeline, say.
            source: whatever ``open_source`` takes, or a Source, which the stream then closes.
            latest: for robots: a result is always of the newest frame. Frames that came while
                others were worked on, and results that nobody took before the next was ready, are
                dropped. For cameras and iterables of arrays.
            prefetch: frames read ahead, at most; more of them even out slow files. Not used with
                ``latest``.
            workers: how many frames, or batches, are run at once; ``run`` is thread-safe then.
            batch: as many successive frames of one size are run together; of a live source, only
                as many as have come.
            deadline_s: results that come later than this after their frame are marked late.
            clock: what all threads wait by.

        Raises:
            InputError: an argument is out of range, or ``latest`` is asked of files.
            MediaError: the source cannot be opened.
        """
        if not callable(run):
            raise InputTypeError("run", "a function of a list of pictures", type(run).__name__)
        latest = arguments.flag(latest, "latest")
        arguments.integer(prefetch, "prefetch", 1, _MOST_WAITING)
        arguments.integer(workers, "workers", 1, arguments.MOST_THREADS)
        arguments.integer(batch, "batch", 1, _MOST_WAITING)
        if deadline_s is not None:
            arguments.number(deadline_s, "deadline_s", 0.0)
        if not isinstance(source, Source):
            source = open_source(source, latest=latest, clock=clock)
        elif latest != source.is_latest:
            got = f"a Source opened with latest={source.is_latest}"
            raise InputError("source", f"one opened with latest={latest}", got)
        self._core = _Core(run, source, max(prefetch, batch), workers, batch, deadline_s, clock)
        # The threads know the core alone: they end when this object is closed, forgotten, or
        # still there at the exit of the interpreter, which joins no thread that it might hang on.
        self._close = weakref.finalize(self, self._core.close)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> FrameResult:
        try:
            return self._core.take()
        except BaseException:  # the end, a failure or Ctrl-C
            self.close()
            raise

    def __enter__(self) -> Stream:  # noqa: PYI034  Self came with Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def stats(self) -> StreamStats:
        """Counts of what has been handed out so far."""
        return self._core.stats

    def close(self) -> None:
        """Stop reading and running and close the source.

        What is under way is waited for, but only for some seconds.
        """
        self._close()


class _Core:
    """The threads and what they share, all under one condition."""

    def __init__(
        self,
        run: Run,
        source: Source,
        capacity: int,
        workers: int,
        batch: int,
        deadline_s: float | None,
        clock: Clock,
    ) -> None:
        self._run = run
        self._source = source
        self._capacity = capacity
        self._workers = workers
        self._batch = batch
        self._deadline_s = deadline_s
        self._clock = clock
        self._changed = threading.Condition()  # guards all that follows
        self._read: deque[tuple[Frame, float]] = deque()  # waiting to be run, and since when
        self._is_read_to_end = self._is_closed = False
        self._next_group = 0  # the number that the next frames to be run get
        self._idle = workers
        self._done: dict[int, list[FrameResult]] = {}  # by group, waiting for the ones before
        self._next_out = 0  # the group whose results are handed out next
        self._out: deque[FrameResult] = deque()
        self._dropped = 0  # since the last result that was handed out
        self._failure: BaseException | None = None
        self._running = workers + 1
        self.stats = StreamStats()
        jobs = [("reader", self._read_all)]
        jobs += [(f"worker-{index}", self._work) for index in range(workers)]
        self._threads = [
            threading.Thread(
                target=self._guarded, args=(job,), name=f"pyposefast-{name}", daemon=True
            )
            for name, job in jobs
        ]
        for thread in self._threads:
            thread.start()

    # ---- the caller's side ----------------------------------------------------------------------

    def take(self) -> FrameResult:
        """Wait for the next result.

        Raises:
            StopIteration: there are no more.
        """
        with self._changed:
            self._clock.wait_for(self._changed, self._has_news)
            if self._is_closed or not self._collect():
                failure, self._failure = self._failure, None
                if failure is not None:
                    raise failure
                raise StopIteration
            result = self._out.popleft()
            self._count(result)
            dropped, self._dropped = self._dropped, 0
            self._changed.notify_all()
            return replace(result, dropped=result.dropped + dropped)

    def close(self) -> None:
        """Stop all threads and the source."""
        with self._changed:
            self._is_closed = True
            self._read.clear()
            self._done.clear()
            self._out.clear()
            self._changed.notify_all()
        self._source.close()  # also wakes a reader that waits for a camera
        with self._changed:
            is_over = self._clock.wait_for(
                self._changed, lambda: self._running == 0, _CLOSE_TIMEOUT_S
            )
        for thread in self._threads if is_over else ():
            if thread is not threading.current_thread():
                thread.join(_CLOSE_TIMEOUT_S)

    def _has_news(self) -> bool:
        is_ready = bool(self._out) or self._next_out in self._done
        return is_ready or self._is_closed or self._failure is not None or self._is_finished()

    def _is_finished(self) -> bool:
        is_all_run = self._idle == self._workers and not self._read
        return self._is_read_to_end and is_all_run and not self._done and not self._out

    def _collect(self) -> bool:
        """Have the next result in order at hand, if there is one."""
        if not self._out and self._next_out in self._done:
            self._out.extend(self._done.pop(self._next_out))
            self._next_out += 1
        return bool(self._out)

    def _count(self, result: FrameResult) -> None:
        old = self.stats
        people = 0 if result.poses is None else len(result.poses)
        self.stats = StreamStats(
            frames=old.frames + 1,
            people=old.people + people,
            empty=old.empty + (result.poses is not None and people == 0),
            errors=old.errors + (result.error is not None),
            dropped=old.dropped + result.dropped,
            late=old.late + result.is_late,
        )

    # ---- the threads' side ----------------------------------------------------------------------

    def _guarded(self, job: Callable[[], None]) -> None:
        """Do a thread's job; what goes wrong in it is raised where the results are taken."""
        failure: BaseException | None = None
        try:
            job()
        except BaseException as error:  # noqa: BLE001  it is raised again, by `take`
            failure = error
        with self._changed:
            self._failure = self._failure or failure
            self._running -= 1
            self._changed.notify_all()

    def _read_all(self) -> None:
        while True:
            with self._changed:
                self._clock.wait_for(self._changed, lambda: self._may_read() or self._is_over())
                if self._is_over():
                    break
            frame = next(self._source, None)
            with self._changed:
                if frame is None:
                    break
                now = self._clock.now()
                # A camera's frame is as old as the camera says, a file's begins its life here.
                since = frame.time_s if self._source.is_live and frame.time_s is not None else now
                self._read.append((frame, since))
                self._changed.notify_all()
        with self._changed:
            self._is_read_to_end = True
            self._changed.notify_all()

    def _is_over(self) -> bool:
        return self._is_closed or self._failure is not None

    def _may_read(self) -> bool:
        # What is read ahead of need would be stale when it is needed.
        room = self._idle if self._source.is_latest else self._capacity
        return len(self._read) < room

    def _work(self) -> None:
        while True:
            with self._changed:
                self._clock.wait_for(self._changed, lambda: self._may_run() or self._is_over())
                if self._is_over() or not self._read:
                    return
                frames = self._next_frames()
                group, self._next_group = self._next_group, self._next_group + 1
                self._idle -= 1
                self._changed.notify_all()
            results = self._results(frames)
            with self._changed:
                self._idle += 1
                if not self._is_closed:
                    self._hand_over(group, results)
                self._changed.notify_all()

    def _may_run(self) -> bool:
        if not self._read:
            return self._is_read_to_end
        if self._source.is_latest:
            return True
        together = len(self._next_frames(peek=True))
        is_full = together == self._batch or together < len(self._read)
        is_enough = is_full or self._is_read_to_end or self._source.is_live
        return is_enough and self._next_group - self._next_out < self._workers + self._capacity

    def _next_frames(self, *, peek: bool = False) -> list[tuple[Frame, float]]:
        """Take, or only look at, the frames that can be run together."""
        frames: list[tuple[Frame, float]] = []
        for each in self._read:
            image = each[0].image
            first = frames[0][0].image if frames else image
            fits = image is not None and first is not None and image.shape == first.shape
            if frames and (len(frames) == self._batch or not fits):
                break
            frames.append(each)
            if image is None:
                break
        if not peek:
            for _ in frames:
                self._read.popleft()
        return frames

    def _results(self, frames: list[tuple[Frame, float]]) -> list[FrameResult]:
        images = [frame.image for frame, _ in frames if frame.image is not None]
        outcomes: list[Poses | PyposefastError] = []
        if images:
            outcomes = self._outcomes(images)
        elif frames[0][0].error is not None:
            outcomes = [frames[0][0].error]
        now = self._clock.now()
        return [
            FrameResult(
                index=frame.index,
                time_s=frame.time_s,
                name=frame.name,
                image=frame.image,
                poses=None if isinstance(outcome, PyposefastError) else outcome,
                error=outcome if isinstance(outcome, PyposefastError) else None,
                dropped=frame.dropped,
                is_late=self._deadline_s is not None and now - since > self._deadline_s,
                epoch=frame.epoch,
                is_frozen=frame.is_frozen,
            )
            for (frame, since), outcome in zip(frames, outcomes, strict=True)
        ]

    def _outcomes(self, images: list[npt.NDArray[np.uint8]]) -> list[Poses | PyposefastError]:
        try:
            poses = list(self._run(images))
        except PyposefastError as error:
            if len(images) == 1:
                return [error]
            # One of them is to blame, and the others shall not pay for it.
            return [self._outcomes([image])[0] for image in images]
        if len(poses) != len(images):
            raise InputError("run", f"{len(images)} Poses for as many pictures", f"{len(poses)}")
        return list(poses)

    def _hand_over(self, group: int, results: list[FrameResult]) -> None:
        if not self._source.is_latest:
            self._done[group] = results
            return
        if group < self._next_out:  # a later one was faster
            self._drop(results)
            return
        # Newer than all that wait to be taken: those are stale now.
        for old in (list(self._out), *self._done.values()):
            self._drop(old)
        self._out.clear()
        self._done.clear()
        self._done[group] = results
        self._next_out = group

    def _drop(self, results: list[FrameResult]) -> None:
        dropped = sum(1 + result.dropped for result in results)
        self._dropped += dropped
        self.stats = replace(self.stats, dropped=self.stats.dropped + dropped)
