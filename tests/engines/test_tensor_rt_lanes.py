"""Who gets which execution context, when there are too few of them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pyposefast.engines.tensor_rt_lanes import Lanes
from pyposefast.errors import EngineError

ONE, TWO = (0, ((1, 3),)), (0, ((2, 3),))


class FakeLane:
    """What `Lanes` asks of a lane."""

    def __init__(self, key: Any) -> None:
        self.key = key
        self.is_sound = True
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def make_lanes(most: int) -> tuple[Lanes, list[FakeLane]]:
    made: list[FakeLane] = []

    def make(key: Any) -> Any:
        made.append(FakeLane(key))
        return made[-1]

    return Lanes(make, most), made


def test_a_lane_is_used_again_for_its_shapes_alone() -> None:
    lanes, made = make_lanes(4)
    for key in (ONE, TWO, ONE, TWO):
        with lanes.borrow(key) as lane:
            assert lane.key == key
    assert [lane.key for lane in made] == [ONE, TWO]


def test_nobody_shares_a_lane() -> None:
    lanes, made = make_lanes(4)
    with lanes.borrow(ONE):
        pass
    with lanes.borrow(ONE) as first, lanes.borrow(ONE) as second, lanes.borrow(ONE) as third:
        assert len({id(first), id(second), id(third)}) == 3
    assert len(made) == 3


def test_the_one_that_was_idle_for_longest_goes() -> None:
    lanes, made = make_lanes(2)
    for key in (ONE, TWO, ONE):
        with lanes.borrow(key):
            pass
    with lanes.borrow((0, ((3, 3),))):
        pass
    assert [lane.closed for lane in made] == [0, 1, 0]


def test_one_that_failed_is_not_used_again() -> None:
    lanes, made = make_lanes(1)
    with lanes.borrow(ONE) as lane:
        lane.is_sound = False
    with lanes.borrow(ONE) as lane:
        assert lane.is_sound
    assert [lane.closed for lane in made] == [1, 0]


def test_an_error_of_the_caller_costs_no_lane() -> None:
    lanes, made = make_lanes(1)
    with pytest.raises(ZeroDivisionError), lanes.borrow(ONE):
        raise ZeroDivisionError
    with lanes.borrow(ONE):
        pass
    assert len(made) == 1


def test_who_finds_none_waits_for_one() -> None:
    lanes, made = make_lanes(1)
    order: list[str] = []

    def work() -> None:
        with lanes.borrow(TWO):
            order.append("second")

    thread = threading.Thread(target=work)
    with lanes.borrow(ONE):
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]
    assert [lane.closed for lane in made] == [1, 0]


def test_closing_wakes_who_waits_and_spares_who_works() -> None:
    lanes, made = make_lanes(1)
    errors: list[str] = []

    def work() -> None:
        try:
            with lanes.borrow(ONE):
                pass
        except EngineError as error:
            errors.append(error.message)

    thread = threading.Thread(target=work)
    with lanes.borrow(ONE):
        thread.start()
        lanes.close()
        thread.join(60)
        assert made[0].closed == 0
    assert made[0].closed == 1
    assert errors == ["the engine is closed"]
