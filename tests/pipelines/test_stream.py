"""Streams: every frame is accounted for, in order, whoever is slow; and nothing outlives them."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fake_camera import FakeCamera, FakeClock, number_of, picture
from picture_files import encode, scene

from pyposefast import skeletons
from pyposefast.errors import DeviceError, InputError, InputTypeError, MediaError
from pyposefast.media import open_source
from pyposefast.pipelines.stream import Stream, StreamStats
from pyposefast.poses import Poses

if TYPE_CHECKING:
    from pathlib import Path

COCO = skeletons.load("coco17")
TIMEOUT_S = 20.0  # for what should take microseconds; only a test that fails waits for it


def answer(image: Any) -> Poses:
    """Return one person whose box says which picture it was; nobody for every fifth picture."""
    number = number_of(image)
    if number % 5 == 4:
        return Poses.empty(COCO)
    box = np.full((1, 4), number, np.float32)
    return Poses(np.zeros((1, 17, 2), np.float32), np.ones((1, 17), np.float32), box, COCO)


def run(images: list[Any]) -> list[Poses]:
    return [answer(image) for image in images]


def threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name.startswith("pyposefast")}


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    assert not threads()
    yield
    gc.collect()
    assert not threads()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("prefetch", [1, 5])
def test_every_frame_gives_one_result_in_order(workers: int, batch: int, prefetch: int) -> None:
    pictures = [picture(number) for number in range(50)]
    stream = Stream(run, pictures, workers=workers, batch=batch, prefetch=prefetch)
    results = list(stream)
    assert [result.index for result in results] == list(range(50))
    for number, result in enumerate(results):
        assert result.image is pictures[number]
        assert result.poses is not None
        assert result.error is None
        assert len(result.poses) == (number % 5 != 4)
        assert np.all(result.poses.box == number)
    assert stream.stats == StreamStats(frames=50, people=40, empty=10)


def test_an_empty_source_gives_no_result() -> None:
    stream = Stream(run, [])
    assert list(stream) == []
    assert list(stream) == []
    assert stream.stats == StreamStats()


def test_workers_run_at_once_and_results_stay_in_order() -> None:
    barrier = threading.Barrier(3, timeout=TIMEOUT_S)

    def meet(images: list[Any]) -> list[Poses]:
        barrier.wait()  # passed only if three frames are run at once
        return run(images)

    results = list(Stream(meet, [picture(number) for number in range(9)], workers=3))
    assert [result.index for result in results] == list(range(9))


def test_reading_running_and_taking_overlap() -> None:
    # All three have to be in the middle of a frame at one moment, or the barrier breaks.
    barrier = threading.Barrier(3, timeout=TIMEOUT_S)

    def read() -> Any:
        for number in range(6):
            if number == 2:
                barrier.wait()
            yield picture(number)

    def run_slowly(images: list[Any]) -> list[Poses]:
        if number_of(images[0]) == 1:
            barrier.wait()
        return run(images)

    for result in Stream(run_slowly, read(), prefetch=1):
        if result.index == 0:
            barrier.wait()


def test_batches_hold_successive_frames_of_one_size() -> None:
    sizes = [(8, 16)] * 5 + [(16, 8)] * 2 + [(8, 16)] * 3
    pictures = [np.zeros((*size, 3), np.uint8) for size in sizes]
    seen = []

    def note(images: list[Any]) -> list[Poses]:
        seen.append([image.shape[:2] for image in images])
        return run(images)

    assert len(list(Stream(note, pictures, batch=4))) == 10
    assert [len(group) for group in seen] == [4, 1, 2, 3]
    assert all(len(set(group)) == 1 for group in seen)


def test_one_unreadable_picture_among_many_costs_only_itself(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.png").write_bytes(encode(".png", scene(8, 16, seed=number)))
    (tmp_path / "7.png").write_bytes(b"no picture")
    for batch in (1, 4):
        stream = Stream(run, tmp_path, batch=batch)
        results = list(stream)
        assert [result.name for result in results] == [f"{number}.png" for number in range(20)]
        assert [result.index for result in results if result.error] == [7]
        assert isinstance(results[7].error, MediaError)
        assert results[7].image is results[7].poses is None
        assert stream.stats.errors == 1


@pytest.mark.parametrize("batch", [1, 4])
def test_a_frame_that_cannot_be_run_costs_only_itself(batch: int) -> None:
    def fail(images: list[Any]) -> list[Poses]:
        if any(number_of(image) == 5 for image in images):
            message = "the fifth"
            raise DeviceError(message)
        return run(images)

    results = list(Stream(fail, [picture(number) for number in range(12)], batch=batch))
    assert [result.index for result in results] == list(range(12))
    assert [result.index for result in results if result.error is not None] == [5]
    assert results[5].image is not None
    assert results[5].poses is None


def test_any_other_exception_ends_the_stream_after_what_came_before() -> None:
    def fail(images: list[Any]) -> list[Poses]:
        if number_of(images[0]) == 3:
            message = "a bug"
            raise ZeroDivisionError(message)
        return run(images)

    stream = Stream(fail, (picture(number) for number in range(1000)))
    assert [next(stream).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError, match="a bug"):
        next(stream)
    assert list(stream) == []


def test_a_source_that_breaks_raises_where_results_are_taken() -> None:
    def broken() -> Any:
        yield picture(0)
        message = "no more film"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="no more film"):
        list(Stream(run, broken()))
    with pytest.raises(InputError, match=r"source\[1\]: expected a NumPy array uint8"):
        list(Stream(run, [picture(0), np.zeros((4, 4), np.uint8)]))


def test_as_many_poses_as_pictures_are_expected() -> None:
    with pytest.raises(InputError, match="run: expected 1 Poses for as many pictures, got 2"):
        list(Stream(lambda images: run(images) * 2, [picture(0)]))


def test_leaving_the_loop_stops_reading_and_running() -> None:
    read = []

    def endless() -> Any:
        number = 0
        while True:
            read.append(number)
            yield picture(number)
            number += 1

    for result in Stream(run, endless(), prefetch=2):
        if result.index == 3:
            break
    gc.collect()
    assert not threads()
    assert len(read) < 15  # bounded queues: nobody runs ahead


def test_queues_are_bounded_while_the_caller_is_busy() -> None:
    read, was_read = [], threading.Event()

    def pictures() -> Any:
        for number in range(200):
            read.append(number)
            if number == 7:
                was_read.set()
            yield picture(number)

    with Stream(run, pictures(), prefetch=3) as stream:
        next(stream)
        assert was_read.wait(TIMEOUT_S)
        # Three read ahead, one in the reader's hands, four results waiting, and the one taken.
        assert len(read) <= 3 + 1 + 4 + 1
        assert len(list(stream)) == 199


def test_frames_are_let_go_once_they_are_taken() -> None:
    alive: list[Any] = []

    class Picture(np.ndarray):
        pass

    def pictures() -> Any:
        for number in range(300):
            each = picture(number).view(Picture)
            alive.append(weakref.ref(each))
            yield each

    most = 0
    for _ in Stream(run, pictures()):
        most = max(most, sum(each() is not None for each in alive))
    assert most < 15


def test_closing_twice_or_from_another_thread_is_fine() -> None:
    stream = Stream(run, (picture(number) for number in range(10**6)))
    next(stream)
    other = threading.Thread(target=stream.close)
    other.start()
    for _ in stream:
        pass
    other.join(TIMEOUT_S)
    stream.close()
    assert list(stream) == []


def test_results_past_the_deadline_are_marked() -> None:
    clock = FakeClock()

    def slow(images: list[Any]) -> list[Poses]:
        clock.sleep(0.5 if number_of(images[0]) in (2, 3) else 0.1)
        return run(images)

    pictures = [picture(number) for number in range(5)]
    stream = Stream(slow, pictures, prefetch=1, deadline_s=0.4, clock=clock)
    late = [result.is_late for result in stream]
    # Frame 4 was read while frame 3 was run, and had to wait for it.
    assert late == [False, False, True, True, True]
    assert stream.stats.late == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_ten_times_too_many_frames_are_dropped_and_counted(workers: int) -> None:
    seconds, period_s, work_s = 60, 0.01, 0.1
    clock = FakeClock()
    script = [(period_s * index, "frame") for index in range(int(seconds / period_s))]
    camera = FakeCamera(clock, script)

    def work(images: list[Any]) -> list[Poses]:
        clock.sleep(work_s)
        return run(images)

    source = open_source(
        0, latest=True, open_capture=camera.open, clock=clock, stall_s=1.0, give_up_s=1.0
    )
    stream = Stream(work, source, latest=True, workers=workers, clock=clock)
    results, ages = [], []
    for result in stream:
        results.append(result)
        if result.image is not None:
            ages.append(clock.now() - result.time_s)
    shown = [result for result in results if result.image is not None]
    assert [number_of(result.image) for result in shown] == [result.index for result in shown]
    indices = [result.index for result in results]
    assert indices == sorted(set(indices))
    # Each result is of a frame that was at most two periods old when its work began.
    assert max(ages) <= work_s + 2 * period_s + 1e-6
    assert len(shown) >= 0.9 * workers * seconds / work_s
    # Nothing is lost: what was not handed out was counted.
    assert stream.stats.dropped + stream.stats.frames == indices[-1] + 1 == camera.taken + 1
    assert sum(result.dropped for result in results) <= stream.stats.dropped


def test_a_caller_who_is_slow_gets_the_newest_result() -> None:
    clock = FakeClock()
    camera = FakeCamera(clock, [(0.05 * index, "frame") for index in range(2000)])

    def work(images: list[Any]) -> list[Poses]:
        clock.sleep(0.02)
        return run(images)

    source = open_source(0, latest=True, open_capture=camera.open, clock=clock, stall_s=200.0)
    with Stream(work, source, latest=True, clock=clock) as stream:
        for _ in range(50):
            result = next(stream)
            assert clock.now() - result.time_s <= 0.02 + 2 * 0.05 + 1e-6
            clock.sleep(1.0)
        assert stream.stats.dropped >= 15 * 50


def test_a_caller_who_is_slow_makes_the_camera_wait_when_all_frames_count() -> None:
    clock = FakeClock()
    camera = FakeCamera(clock, [(0.01 * index, "frame") for index in range(100)])
    source = open_source(0, open_capture=camera.open, clock=clock, stall_s=200.0)
    with Stream(run, source, clock=clock) as stream:
        for index in range(60):
            result = next(stream)
            assert (result.index, number_of(result.image), result.dropped) == (index, index, 0)
            clock.sleep(0.1)
        assert camera.taken < 80


def test_a_stream_that_waits_for_a_camera_can_be_closed() -> None:
    asleep, wake = threading.Event(), threading.Event()

    class Silent:
        fps = None

        def read(self) -> None:
            asleep.set()
            wake.wait(TIMEOUT_S)

        def close(self) -> None:
            pass

    source = open_source(0, open_capture=Silent, stall_s=1000.0)
    stream = Stream(run, source)
    assert asleep.wait(TIMEOUT_S)
    wake.set()
    stream.close()


SCRIPT = """
import os, signal, sys, threading, time
import numpy as np
from pyposefast import skeletons
from pyposefast.pipelines.stream import Stream
from pyposefast.poses import Poses

nobody = Poses.empty(skeletons.load("coco17"))

def endless():
    while True:
        yield np.zeros((8, 8, 3), np.uint8)

def run(images):
    return [nobody] * len(images)

stream = Stream(run, endless(), workers=2)
next(stream)
{rest}
"""


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        ("", 0),  # still there at exit
        ("raise SystemExit(7)", 7),
        ("keep = [stream]; keep.append(keep); del stream", 0),  # in a cycle
        ("print('ready', flush=True)\nfor _ in stream: pass", -signal.SIGINT),
    ],
)
def test_the_interpreter_leaves_at_once_with_work_under_way(rest: str, code: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(rest=rest)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if code < 0:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=TIMEOUT_S)
    assert child.returncode == code
    assert errors == "" or (code < 0 and errors.rstrip().endswith("KeyboardInterrupt"))


def test_arguments_are_checked_before_any_thread_starts(tmp_path: Path) -> None:
    with pytest.raises(InputTypeError, match="run: expected a function"):
        Stream(None, [])  # type: ignore[arg-type]
    for name in ("prefetch", "workers", "batch"):
        with pytest.raises(InputError, match=f"{name}: expected a whole number from 1"):
            Stream(run, [], **{name: 0})
    with pytest.raises(InputError, match="deadline_s: "):
        Stream(run, [], deadline_s=-1.0)
    with pytest.raises(MediaError, match="absent"):
        Stream(run, tmp_path / "absent")
    with pytest.raises(InputError, match="latest: expected a camera or an iterable"):
        Stream(run, tmp_path, latest=True)
    with pytest.raises(InputError, match="source: expected one opened with latest=True"):
        Stream(run, open_source([]), latest=True)
