"""Cameras in fake time: silence is said, reconnections are found, nothing old is given as new."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_camera import FakeCamera, FakeClock, number_of, picture

from pyposefast.errors import InputError, InputTypeError, MediaError, StreamEnded, StreamStalled
from pyposefast.media import open_source


def open_camera(
    script: Any, *, clock: FakeClock | None = None, **options: Any
) -> tuple[Any, FakeCamera]:
    clock = clock or FakeClock()
    camera = FakeCamera(clock, script)
    return open_source(0, open_capture=camera.open, clock=clock, **options), camera


def steady(count: int, period_s: float = 0.1, start_s: float = 0.0) -> list[tuple[float, str]]:
    return [(start_s + period_s * index, "frame") for index in range(count)]


def test_frames_come_in_order_with_the_time_they_came() -> None:
    source, camera = open_camera(steady(20))
    with source:
        assert source.is_live
        frames = [next(source) for _ in range(20)]
    assert [frame.index for frame in frames] == list(range(20))
    assert [number_of(frame.image) for frame in frames] == list(range(20))
    assert [frame.time_s for frame in frames] == pytest.approx(camera.made_at_s)
    assert {(frame.epoch, frame.dropped, frame.error) for frame in frames} == {(0, 0, None)}
    assert camera.opened == camera.closed == 1


def test_silence_is_reported_once_each_time_it_lasts() -> None:
    source, _ = open_camera([*steady(3), (5.0, "frame")], stall_s=1.0)
    with source:
        frames = [next(source) for _ in range(8)]
    kinds = [type(frame.error).__name__ for frame in frames]
    # The last frame came after 0.2 s: silence is noticed at 1.2, 2.2, 3.2 and 4.2 s.
    assert kinds == [*["NoneType"] * 3, *["StreamStalled"] * 4, "NoneType"]
    assert [frame.time_s for frame in frames[3:7]] == pytest.approx([1.2, 2.2, 3.2, 4.2])
    assert [frame.index for frame in frames] == list(range(8))
    assert all(frame.image is None for frame in frames[3:7])
    assert "camera 0: no frame for 2.0 s" in str(frames[4].error)
    assert number_of(frames[7].image) == 3


def test_a_camera_that_comes_back_starts_a_new_epoch() -> None:
    script = [*steady(3), (0.3, "absent"), (0.3, "absent"), (0.3, "unplug"), *steady(2, 0.1, 0.4)]
    source, camera = open_camera(script)
    with source:
        frames = [next(source) for _ in range(5)]
    assert [frame.epoch for frame in frames] == [0, 0, 0, 1, 1]
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, 3, 4]
    # Attempts after 0.1, 0.2 and 0.4 s: two fail.
    assert frames[3].time_s == pytest.approx(0.3 + 0.1 + 0.2 + 0.4)
    assert camera.opened == 2


def test_a_thousand_unplugs_are_found_again_within_two_seconds_each() -> None:
    script: list[tuple[float, str]] = []
    now, back = 0.0, []
    random = np.random.default_rng(3)
    for _ in range(1000):
        now += 0.1
        script += [(now, "frame"), (now, "unplug")]
        now += float(random.uniform(0.0, 3.0))  # then the camera gives frames again
        back.append(now)
        script.append((now, "frame"))
    source, camera = open_camera(script, stall_s=100.0)
    with source:
        frames = [next(source) for _ in range(2000)]
    assert [number_of(frame.image) for frame in frames] == list(range(2000))
    assert frames[-1].epoch == 1000
    late = np.array([frame.time_s for frame in frames[1::2]]) - back
    assert late.max() <= 2.0
    assert camera.opened == 1001


def test_a_camera_that_stays_away_ends_the_source() -> None:
    source, camera = open_camera(steady(2), stall_s=1.0, give_up_s=5.0)
    with source:
        frames = list(source)
    assert [type(frame.error) for frame in frames[2:]] == [StreamStalled] * 4 + [StreamEnded]
    assert frames[-1].time_s == pytest.approx(5.1)
    assert "given up" in str(frames[-1].error)
    assert camera.closed == camera.opened


def test_a_read_that_never_returns_is_left_behind() -> None:
    clock = FakeClock()
    first = FakeCamera(clock, [(0.0, "frame"), (0.1, "hang")])
    second = FakeCamera(clock, steady(5, 0.1, 3.0))
    second.taken = 100
    cameras = iter([first, second])

    def open_next() -> FakeCamera:
        camera = next(cameras)
        return camera.open()

    source = open_source(0, open_capture=open_next, clock=clock, stall_s=1.0, give_up_s=None)
    frames = []
    while len(frames) < 4 or frames[-1].image is None:
        frames.append(next(source))
    assert frames[0].epoch == 0
    # Given up after five stalls, and read again 0.1 s later.
    assert [type(each.error) for each in frames[1:-1]] == [StreamStalled] * 5
    assert frames[-1].time_s == pytest.approx(5.1)
    assert frames[-1].epoch == 1
    assert number_of(frames[-1].image) == 100
    source.close()
    assert first.closed == 0
    clock.sleep(4000.0)  # it comes back at last
    assert first.closed == 1


@pytest.mark.parametrize("latest", [False, True])
def test_a_slow_consumer_waits_for_nothing_or_loses_nothing(*, latest: bool) -> None:
    clock = FakeClock()
    source, camera = open_camera(steady(300, 0.01), clock=clock, latest=latest, stall_s=50.0)
    frames = []
    while not frames or number_of(frames[-1].image) < 290:
        frames.append(next(source))
        clock.sleep(0.1)  # ten times as slow as the camera
    source.close()
    indices = [frame.index for frame in frames]
    assert [number_of(frame.image) for frame in frames] == indices
    assert indices == sorted(set(indices))
    assert sum(frame.dropped for frame in frames) + len(frames) == indices[-1] + 1
    if not latest:
        assert indices == list(range(len(indices)))
        assert camera.taken <= len(frames) + 6  # the camera had to wait
        return
    taken_at_s = np.arange(len(frames)) * 0.1
    ages = taken_at_s - np.array([frame.time_s for frame in frames])
    assert ages[1:].max() <= 2 * 0.01
    assert sum(frame.dropped for frame in frames) > 8 * len(frames)


def test_a_frozen_sensor_is_noticed_and_a_live_one_is_not() -> None:
    script = [*steady(5), *[(0.5 + 0.1 * index, "repeat") for index in range(40)]]
    script += steady(2, 0.1, 5.0)
    source, _ = open_camera(script)
    with source:
        frames = [next(source) for _ in range(47)]
    # The fifth picture came 41 times: its thirtieth showing is frame 4 + 29.
    assert [frame.is_frozen for frame in frames] == [False] * 33 + [True] * 12 + [False] * 2


def test_zero_and_thousand_frames_a_second_are_rates_as_any_other() -> None:
    bursts = [(index // 50 * 1.0, "frame") for index in range(200)]
    for script in (steady(1000, 0.001), bursts):
        source, _ = open_camera(script, stall_s=10.0)
        with source:
            frames = [next(source) for _ in range(len(script))]
        assert [frame.index for frame in frames] == list(range(len(script)))


def test_a_camera_that_is_not_there_at_first_is_an_error() -> None:
    def absent() -> Any:
        message = "camera 7: cannot be opened"
        raise MediaError(message)

    with pytest.raises(MediaError, match="camera 7"):
        open_source(7, open_capture=absent)


def test_a_number_without_a_camera_is_named() -> None:
    pytest.importorskip("cv2", reason="cameras need OpenCV: the extra `cpu`")
    with pytest.raises(MediaError, match="camera 1000: cannot be opened\nhint: is it plugged in"):
        open_source("1000")


def test_closing_ends_the_thread_and_the_iteration() -> None:
    source, camera = open_camera(steady(3))
    next(source)
    source.close()
    source.close()
    assert list(source) == []
    assert camera.closed == 1


def test_an_iterable_can_be_taken_as_live() -> None:
    clock = FakeClock()

    def pictures() -> Any:
        for number in range(100):
            clock.sleep(0.01)
            yield picture(number)

    with open_source(pictures(), latest=True, clock=clock) as source:
        frames = []
        for frame in source:
            frames.append(frame)
            clock.sleep(0.1)
    assert number_of(frames[-1].image) == 99
    assert len(frames) + sum(frame.dropped for frame in frames) == 100
    assert len(frames) <= 12


def test_what_goes_wrong_in_a_live_iterable_is_raised() -> None:
    def broken() -> Any:
        yield picture(0)
        message = "sensor on fire"
        raise ValueError(message)

    source = open_source(broken(), latest=True)
    with pytest.raises(ValueError, match="sensor on fire"):
        list(source)
    with pytest.raises(InputTypeError, match=r"source\[0\]: expected a NumPy array"):
        list(open_source([None], latest=True))  # type: ignore[list-item]


@pytest.mark.parametrize(
    "address", ["http://x/y.m3u8", "https://x", "file:///etc/passwd", "udp://x"]
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(InputError, match="rtsp://"):
        open_source(address)


def test_a_password_is_not_shown() -> None:
    camera = FakeCamera(FakeClock(), [])
    source = open_source("rtsp://me:secret@host/1", open_capture=camera.open, clock=camera.clock)
    assert source.name == "rtsp://***@host/1"
    source.close()


@pytest.mark.parametrize("source", [True, -1, 10**6, 1.5, None, b"x"])
def test_what_is_no_source_is_refused(source: Any) -> None:
    with pytest.raises((InputError, InputTypeError), match="source"):
        list(open_source(source))
