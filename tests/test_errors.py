"""Errors: what they say, what they are, and that they survive the way between processes."""

from __future__ import annotations

import pickle

import pytest

from pyposefast import _C
from pyposefast.errors import (
    CapacityError,
    DeviceError,
    DeviceMismatchError,
    InputError,
    InputTypeError,
    PyposefastError,
    StorageError,
)

EVERY_ERROR = [
    InputError("maps", "[N, K, H, W]", "[17, 64, 48]"),
    InputTypeError("maps", "float32", "float64", "convert it first"),
    DeviceMismatchError("boxes", "images is on the CPU", "on cuda:0", "move it"),
    DeviceError("crop: no CUDA device", "pass CPU arrays"),
    CapacityError("size", "at most 8 GiB of results", "1 TiB", "split it", limit=8, seen=1024),
    StorageError("poses.json: cannot be written", "make room", errno=28),
]


def test_message_names_argument_expectation_and_what_came() -> None:
    assert str(EVERY_ERROR[0]) == "maps: expected [N, K, H, W], got [17, 64, 48]"


def test_hint_is_a_second_line() -> None:
    assert str(EVERY_ERROR[1]) == "maps: expected float32, got float64\nhint: convert it first"


def test_device_mismatch_says_where_both_arrays_are() -> None:
    assert str(EVERY_ERROR[2]).splitlines()[0] == "boxes: on cuda:0 but images is on the CPU"


def test_arguments_can_be_given_by_name() -> None:
    error = InputError(argument="size", expected="two numbers", got="one", hint="")
    assert (error.argument, error.expected, error.got, error.hint) == (
        "size",
        "two numbers",
        "one",
        "",
    )


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (EVERY_ERROR[0], (ValueError, PyposefastError)),
        (EVERY_ERROR[1], (TypeError, PyposefastError)),
        (EVERY_ERROR[2], (InputError, ValueError)),
        (EVERY_ERROR[3], (PyposefastError,)),
        (EVERY_ERROR[4], (InputError, ValueError)),
        (EVERY_ERROR[5], (PyposefastError, OSError)),
    ],
)
def test_errors_are_also_the_built_in_ones(
    error: PyposefastError, bases: tuple[type[Exception], ...]
) -> None:
    for base in bases:
        assert isinstance(error, base)


def test_codes_are_distinct() -> None:
    assert len({error.code for error in EVERY_ERROR}) == len(EVERY_ERROR)


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_pickling_keeps_everything(error: PyposefastError) -> None:
    error.note = "frame 7"  # type: ignore[attr-defined]
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert getattr(copy, "errno", None) == getattr(error, "errno", None)


def test_the_extension_raises_these_classes_with_their_attributes() -> None:
    with pytest.raises(InputTypeError) as caught:
        _C.describe_array([1.0], "boxes")
    error = caught.value
    assert error.argument == "boxes"
    assert error.got == "list"
    assert error.hint
    assert error.argument in str(error)
    assert error.expected in str(error)


def test_the_extension_tells_value_from_type() -> None:
    misaligned = memoryview(bytearray(9))[1:].cast("f")
    with pytest.raises(InputError, match=r"^maps: expected .*aligned.*misaligned float32"):
        _C.describe_array(misaligned, "maps")
