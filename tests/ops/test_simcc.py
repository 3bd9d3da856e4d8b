"""`decode_simcc`: the oracle, the published decoder, precision, edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from reference import inputs
from reference import simcc as reference
from reference.compare import peak_differences

from pyposefast import ops

if TYPE_CHECKING:
    from conftest import Device

F32 = np.float32
REFINES = ["none", "log_parabola", "dark"]


def smooth_vectors(rng: np.random.Generator, n: int, k: int, length: int, sigma: float) -> Any:
    """[N, K, length]: one Gaussian each; its centre too, in bins."""
    centre = rng.uniform(3 * sigma, length - 3 * sigma, (n, k))
    bins = np.arange(length)
    vectors = np.exp(-((bins - centre[..., None]) ** 2) / (2 * sigma**2))
    return vectors.astype(F32), centre


def ugly_vectors(rng: np.random.Generator, name: str, length: int, k: int = 6) -> Any:
    """[1, K, length] out of the maps that are hostile."""
    return inputs.ALL_MAPS[name](rng, 1, k, 1, length)[:, :, 0]


@pytest.mark.parametrize("refine", REFINES)
@pytest.mark.parametrize("score", ["min", "mean"])
def test_like_the_oracle(device: Device, refine: Any, score: Any) -> None:
    rng = np.random.default_rng(1)
    sure = []
    for lengths in [(1, 1), (1, 7), (2, 3), (5, 40), (96, 128), (64, 31)]:
        for name in inputs.ALL_MAPS:
            if name == "plateaus":
                continue  # shapes in two dimensions
            x, y = (ugly_vectors(rng, name, length) for length in lengths)
            if rng.random() < 0.3:
                x, y = inputs.as_float16(x), inputs.as_float16(y)
            options: dict[str, Any] = {
                "refine": refine,
                "score": score,
                "split": float(rng.choice([1.0, 2.0, 3.0])),
                "threshold": float(rng.choice([0.0, 0.3])),
                "kernel": int(rng.choice([5, 11, 31])),
            }
            got = ops.decode_simcc(device.put(x), device.put(y), **options)
            expected = reference.decode_simcc(x, y, **options)
            assert not peak_differences(device.get(got), expected), (name, lengths, options)
            sure.append(expected.is_sure.mean())
    assert np.mean(sure) > 0.95


def test_plain_is_the_published_decoder(device: Device) -> None:
    """RTMPose: two arg-max, divided by the split ratio, score from the two maxima."""
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (8, 17, 384)).astype(F32)
    y = rng.normal(0, 1, (8, 17, 512)).astype(F32)
    places = np.stack([x.argmax(axis=2), y.argmax(axis=2)], axis=-1) / F32(2)
    tops = np.stack([x.max(axis=2), y.max(axis=2)])
    for score, expected in (("min", tops.min(axis=0)), ("mean", tops.mean(axis=0))):
        got = device.get(ops.decode_simcc(device.put(x), device.put(y), refine="none", score=score))
        np.testing.assert_array_equal(got.xy, places)
        np.testing.assert_array_equal(got.score, expected)
        assert got.count.all()


@pytest.mark.parametrize(("refine", "allowed"), [("log_parabola", 0.001), ("dark", 0.03)])
@pytest.mark.parametrize("sigma", [4.9, 5.66])
def test_sub_bin_precision(device: Device, refine: Any, allowed: float, sigma: float) -> None:
    """On the published targets: 0.03 px, where whole bins are wrong by up to 0.25 px.

    Three logarithms of a Gaussian are a parabola, up to float32: curvature 1 / sigma^2 = 0.03, two
    units in the last place of the logarithms, 1e-7, over it. DARK's blur of 31 taps ends at 3 of
    its own sigmas.
    """
    rng = np.random.default_rng(3)
    x, centre_x = smooth_vectors(rng, 8, 17, 384, sigma)
    y, centre_y = smooth_vectors(rng, 8, 17, 512, sigma)
    got = device.get(ops.decode_simcc(device.put(x), device.put(y), refine=refine))
    error = np.abs(got.xy - np.stack([centre_x, centre_y], axis=-1) / 2)
    assert error.max() <= allowed


def test_dark_is_for_noise(device: Device) -> None:
    """The default: with 2 % noise still within 0.25 px, while three bins alone are not."""
    rng = np.random.default_rng(4)
    x, centre_x = smooth_vectors(rng, 8, 17, 384, 4.9)
    y, centre_y = smooth_vectors(rng, 8, 17, 512, 5.66)
    x += rng.normal(0, 0.02, x.shape).astype(F32)
    y += rng.normal(0, 0.02, y.shape).astype(F32)
    truth = np.stack([centre_x, centre_y], axis=-1) / 2
    errors = {}
    for refine in REFINES:
        got = device.get(ops.decode_simcc(device.put(x), device.put(y), refine=refine))
        errors[refine] = float(np.sqrt(np.mean((got.xy - truth) ** 2)))
    assert errors["dark"] < 0.5 * errors["none"]
    assert errors["dark"] < 0.5 * errors["log_parabola"]


@pytest.mark.parametrize("refine", REFINES)
@pytest.mark.parametrize("how", inputs.LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_memory_layouts(device: Device, refine: Any, how: str, dtype: Any) -> None:
    rng = np.random.default_rng(5)
    x = smooth_vectors(rng, 3, 5, 48, 4.9)[0].astype(dtype)
    y = smooth_vectors(rng, 3, 5, 64, 4.9)[0].astype(dtype)
    expected = device.get(ops.decode_simcc(device.put(x), device.put(y), refine=refine))
    got = device.get(
        ops.decode_simcc(
            device.put(inputs.in_memory(x, how)),
            device.put(inputs.in_memory(y, how)),
            refine=refine,
        )
    )
    assert got.xy.tobytes() == expected.xy.tobytes()
    assert got.score.tobytes() == expected.score.tobytes()


@pytest.mark.thread_orders
@pytest.mark.parametrize("refine", REFINES)
def test_shifting_and_permuting(device: Device, refine: Any) -> None:
    rng = np.random.default_rng(6)
    x, _ = smooth_vectors(rng, 2, 7, 100, 4.9)
    y, _ = smooth_vectors(rng, 2, 7, 130, 4.9)
    one = device.get(ops.decode_simcc(device.put(x), device.put(y), refine=refine))
    order = rng.permutation(7)
    other = device.get(
        ops.decode_simcc(device.put(x[:, order]), device.put(y[:, order]), refine=refine)
    )
    np.testing.assert_array_equal(one.xy[:, order], other.xy)
    np.testing.assert_array_equal(one.score[:, order], other.score)
    wide = np.zeros((2, 7, 180), F32)
    wide[..., 40:140] = x
    moved = device.get(ops.decode_simcc(device.put(wide), device.put(y), refine=refine))
    # Zeros that the blur reads beyond both ends are the same zeros; the last additions round.
    assert np.abs(moved.xy - one.xy - [20, 0]).max() <= 2.0**-16


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("refine", REFINES)
def test_invalid_bins(device: Device, value: float, refine: Any) -> None:
    """A22: all invalid is nobody; one invalid bin is passed over and counted."""
    rng = np.random.default_rng(7)
    x, _ = smooth_vectors(rng, 1, 4, 60, 3.0)
    y, _ = smooth_vectors(rng, 1, 4, 80, 3.0)
    x[0, 0] = value
    y[0, 1] = value
    x[0, 2, 1] = value
    got = device.get(ops.decode_simcc(device.put(x), device.put(y), refine=refine))
    assert got.count.tolist() == [[0, 0, 1, 1]]
    assert got.nonfinite.tolist() == [[60, 80, 1, 0]]
    assert not got.xy[0, :2].any()
    assert not got.score[0, :2].any()
    assert np.isfinite(got.xy).all()
    assert (got.xy[0, 2:] > 0).all()


@pytest.mark.parametrize("refine", REFINES)
def test_invalid_neighbours(device: Device, refine: Any) -> None:
    vector = np.exp(-((np.arange(40) - 20.3) ** 2) / 18).astype(F32)
    for value in (np.nan, np.inf, -np.inf):
        x = np.stack([vector] * 12)[None]
        for number, at in enumerate([14, 15, 16, 17, 18, 19, 21, 22, 23, 24, 25, 26]):
            x[0, number, at] = value
        got = device.get(ops.decode_simcc(device.put(x), device.put(x.copy()), refine=refine))
        assert got.count.all()
        assert (got.nonfinite == 2).all()
        # What is left without a refinement that reads it: the best bin, 20.
        assert np.abs(2 * got.xy - 20.3).max() <= 0.301


def test_all_equal_says_nothing(device: Device) -> None:
    for level in (0.0, 1.0, -2.0, 1e-40):
        flat, peak = np.full((1, 2, 30), level, F32), np.full((1, 2, 30), level, F32)
        peak[..., 7] += F32(5)
        for x, y in ((flat, flat), (flat, peak), (peak, flat)):
            got = device.get(ops.decode_simcc(device.put(x), device.put(y)))
            assert not got.count.any()
            assert not got.xy.any()
            assert not got.score.any()
        got = device.get(ops.decode_simcc(device.put(peak), device.put(peak)))
        assert got.count.all()


@pytest.mark.parametrize("refine", REFINES)
def test_ends_and_ties(device: Device, refine: Any) -> None:
    x = np.zeros((1, 3, 20), F32)
    x[0, 0, 0] = x[0, 1, 19] = 1.0
    x[0, 2, [4, 12]] = 1.0
    got = device.get(ops.decode_simcc(device.put(x), device.put(x), refine=refine, kernel=5))
    # A lone bin is its own middle, at the ends too, and of two equal ones the first counts.
    np.testing.assert_allclose(got.xy[0, :, 0], [0.0, 9.5, 2.0], atol=1e-5)


def test_threshold_and_score_rules(device: Device) -> None:
    x, y = np.zeros((1, 1, 9), F32), np.zeros((1, 1, 9), F32)
    x[0, 0, 3], y[0, 0, 5] = 0.25, 0.75
    for score, value in (("min", 0.25), ("mean", 0.5)):
        for threshold, count in ((value, 0), (value - 0.125, 1)):
            got = device.get(
                ops.decode_simcc(
                    device.put(x), device.put(y), score=score, threshold=threshold, refine="none"
                )
            )
            assert got.count[0, 0] == count
            assert got.score[0, 0] == value
            assert got.xy[0, 0].tolist() == ([1.5, 2.5] if count else [0.0, 0.0])


def test_no_vectors(device: Device) -> None:
    x, y = np.zeros((0, 17, 384), F32), np.zeros((0, 17, 512), F32)
    assert device.get(ops.decode_simcc(device.put(x), device.put(y))).xy.shape == (0, 17, 2)


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_share_the_work(threads: int) -> None:
    rng = np.random.default_rng(8)
    x, _ = smooth_vectors(rng, 5, 17, 100, 4.9)
    y, _ = smooth_vectors(rng, 5, 17, 130, 4.9)
    one = ops.decode_simcc(x, y)
    several = ops.decode_simcc(x, y, threads=threads)
    assert one.xy.tobytes() == several.xy.tobytes()
    assert one.score.tobytes() == several.score.tobytes()
