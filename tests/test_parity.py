"""How far two networks are apart: each figure against its definition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pyposefast.engines import Port
from pyposefast.errors import InputError, InputTypeError, ModelError
from pyposefast.parity import Samples, compare

RANDOM = np.random.default_rng(0)
BEFORE = [{"y": RANDOM.normal(1000, 1, (2, 5)).astype(np.float32)} for _ in range(3)]
NOISE = [{"y": each["y"] + RANDOM.normal(0, 0.1, (2, 5)).astype(np.float32)} for each in BEFORE]


def give(results: list[Any]) -> Any:
    """Return a network that gives one result after the other."""
    rest = iter(results)
    return lambda _: next(rest)


def compared(before: list[Any], after: list[Any]) -> Any:
    ((difference,),) = compare(give(before), [give(after)], iter([{}] * len(before)))
    return difference


def test_figures_are_what_they_are_defined_as() -> None:
    found = compared(BEFORE, NOISE)
    x = np.concatenate([each["y"].ravel() for each in BEFORE]).astype(np.float64)
    y = np.concatenate([each["y"].ravel() for each in NOISE]).astype(np.float64)
    assert found.output == "y"
    assert found.largest == np.abs(x - y).max()
    assert found.relative == pytest.approx(found.largest / (x.max() - x.min()), rel=1e-12)
    # 30 sums in float64 of numbers near 1, as the mean of 1000 is taken off first.
    assert found.correlation == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
    assert found.reshaped == 0


def test_equal_networks() -> None:
    found = compared(BEFORE, BEFORE)
    assert (found.largest, found.relative) == (0, 0)
    assert found.correlation == pytest.approx(1, abs=1e-12)


def test_constant_outputs_have_no_correlation() -> None:
    found = compared([{"y": np.ones(4)}], [{"y": np.ones(4)}])
    assert (found.largest, found.relative) == (0, 0)
    assert math.isnan(found.correlation)


def test_outputs_of_other_shapes_are_counted() -> None:
    found = compared(
        [{"y": np.ones(4)}, {"y": np.arange(3.0)}], [{"y": np.ones(3)}, {"y": np.ones(3)}]
    )
    assert found.reshaped == 1
    assert found.largest == 1
    assert math.isnan(compared([{"y": np.ones(4)}], [{"y": np.ones(3)}]).largest)


def test_empty_and_integer_outputs() -> None:
    assert math.isnan(compared([{"y": np.ones((0, 4))}], [{"y": np.ones((0, 4))}]).largest)
    big = np.array([0, 255], np.uint8)
    assert compared([{"y": big}], [{"y": big[::-1]}]).largest == 255


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_output_that_is_not_finite_any_more_is_an_error(bad: float) -> None:
    with pytest.raises(ModelError, match="output `y` is not finite on input 0"):
        compared([{"y": np.ones(2)}], [{"y": np.array([1, bad])}])
    assert compared([{"y": np.array([1, bad])}], [{"y": np.array([1, bad])}]).largest == 0


def test_a_missing_output_is_an_error() -> None:
    with pytest.raises(ModelError, match="an output `y`"):
        compared([{"y": np.ones(2)}], [{"z": np.ones(2)}])


# ---- inputs --------------------------------------------------------------------------------------

PORTS = [Port("image", (None, 3, 2, 2), "float32"), Port("pixels", (4,), "uint8")]


def test_noise_is_seeded_and_in_its_range() -> None:
    first, again = (list(Samples(None, (-2, 3), 7).feeds(PORTS)) for _ in range(2))
    other = next(iter(Samples(None, (-2, 3), 8).feeds(PORTS)))
    assert len(first) == 4
    for one, two in zip(first, again, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])
    assert (first[0]["image"] != other["image"]).any()
    assert first[0]["image"].shape == (1, 3, 2, 2)
    assert first[0]["image"].dtype == np.float32
    assert first[0]["pixels"].dtype == np.uint8
    every = np.concatenate([each["image"].ravel() for each in first])
    assert every.min() >= -2
    assert every.max() <= 3
    assert np.ptp(every) > 2


@pytest.mark.parametrize(
    "port", [Port("ids", (4,), "int64"), Port("image", (1, 3, None, None), "float32")]
)
def test_noise_is_refused_where_it_means_nothing(port: Port) -> None:
    with pytest.raises(InputError, match=f"`{port.name}`"):
        next(iter(Samples(None, (0, 1), 0).feeds([port])))


def test_given_inputs() -> None:
    image = np.ones((1, 3, 2, 2), np.float32)
    (single,) = Samples([image], (0, 1), 0).feeds(PORTS[:1])
    assert single["image"] is image
    (both,) = Samples([{"image": image}], (0, 1), 0).feeds(PORTS)
    assert both["image"] is image
    with pytest.raises(InputTypeError, match=r"images\[0\]: expected a dict"):
        next(iter(Samples([image], (0, 1), 0).feeds(PORTS)))


@pytest.mark.parametrize(
    ("images", "noise", "seed", "error", "name"),
    [
        (5, (0, 1), 0, InputTypeError, "images"),
        (np.ones((2, 3)), (0, 1), 0, InputTypeError, "images"),
        ([], (0, 1), 0, InputError, "images"),
        (["file.jpg"], (0, 1), 0, InputTypeError, r"images\[0\]"),
        (None, 1, 0, InputTypeError, "noise"),
        (None, (1, 0), 0, InputError, "noise"),
        (None, (0, math.nan), 0, InputError, "noise"),
        (None, (0, 1), -1, InputError, "seed"),
    ],
)
def test_wrong_inputs_are_refused(
    images: Any, noise: Any, seed: Any, error: type[Exception], name: str
) -> None:
    with pytest.raises(error, match=f"^{name}"):
        list(Samples(images, noise, seed).feeds(PORTS[:1]))
