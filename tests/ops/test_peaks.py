"""`best_peaks` and `find_peaks`: the oracle, the usual implementations, properties."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from reference import inputs
from reference import peaks as reference
from reference.compare import peak_differences
from reference.inputs import LOCAL_REFINES, REFINES, gaussian_at, offsets_for

from pyposefast import ops

if TYPE_CHECKING:
    from conftest import Device

F32 = np.float32


def one_map(values: Any, dtype: Any = F32) -> Any:
    """[H, W] -> [1, 1, H, W]."""
    return np.asarray(values, dtype)[None, None]


# ---- against the oracle --------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def oracle_cases(op: str, refine: str, *, logits: bool) -> list[tuple[str, Any, Any, Any, Any]]:
    """(name, maps, offsets, options, what the oracle says), the same for every device."""
    rng = np.random.default_rng(1)
    cases = []
    for height, width in [*inputs.SMALL_SIZES, (32, 24)]:
        for name, make in inputs.ALL_MAPS.items():
            if refine == "second_peak" and name in ("huge", "wide", "tiny"):
                continue  # nothing but overflow and rounding: test_agreement has them
            maps = make(rng, 1, 2, height, width)
            if logits:
                maps = np.clip(maps, -5, 5) * F32(4)
            if rng.random() < 0.3:
                maps = inputs.as_float16(maps)
            offsets = offsets_for(rng, maps, refine)
            options: dict[str, Any] = {
                "refine": refine,
                "logits": logits,
                "threshold": float(rng.choice([0.0, 0.1, 0.3])),
                "kernel": int(rng.choice([3, 11, 17])),
            }
            if op == "find_peaks":
                options["capacity"] = int(rng.choice([1, 4, 32]))
            expected = getattr(reference, op)(maps, offsets=offsets, **options)
            cases.append((name, maps, offsets, options, expected))
    return cases


CALLS = [("best_peaks", refine) for refine in REFINES]
CALLS += [("find_peaks", refine) for refine in LOCAL_REFINES]


@pytest.mark.parametrize(("op", "refine"), CALLS)
@pytest.mark.parametrize("logits", [False, True])
def test_like_the_oracle(device: Device, op: str, refine: Any, logits: bool) -> None:  # noqa: FBT001
    cases = oracle_cases(op, refine, logits=logits)
    for name, maps, offsets, options, expected in cases:
        call = getattr(ops, op)
        got = device.get(call(device.put(maps), offsets=device.put(offsets), **options))
        assert not peak_differences(got, expected), (name, maps.shape, options)
    # The oracle must have an opinion: few of these maps are a matter of rounding. But a flat map
    # stays flat when UDP's blur reflects it, and the blurred map of "second_peak" has equal
    # neighbours for every symmetric input.
    sure = np.mean([case[-1].is_sure.mean() for case in cases])
    assert sure > {"second_peak": 0.6, "udp_dark": 0.8}.get(refine, 0.9)


@pytest.mark.parametrize("refine", REFINES)
@pytest.mark.parametrize("how", inputs.LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_memory_layouts(device: Device, refine: Any, how: str, dtype: Any) -> None:
    """Any strides: the very bytes of a contiguous copy."""
    rng = np.random.default_rng(3)
    maps = inputs.crowd(rng, 3, 4, 13, 18).astype(dtype)
    offsets = offsets_for(rng, maps, refine)
    strided = inputs.in_memory(maps, how)
    if offsets is not None:
        offsets = inputs.in_memory(offsets, how)
    calls = [ops.best_peaks] if refine == "second_peak" else [ops.best_peaks, ops.find_peaks]
    for call in calls:
        got = device.get(call(device.put(strided), refine=refine, offsets=device.put(offsets)))
        expected = device.get(
            call(
                device.put(maps),
                refine=refine,
                offsets=device.put(None if offsets is None else np.ascontiguousarray(offsets)),
            )
        )
        for name in ("xy", "score", "count", "nonfinite"):
            assert getattr(got, name).tobytes() == getattr(expected, name).tobytes()


@pytest.mark.parametrize("refine", REFINES)
def test_nhwc(device: Device, refine: Any) -> None:
    rng = np.random.default_rng(4)
    maps = inputs.noisy(rng, 2, 5, 13, 18)
    offsets = device.put(offsets_for(rng, maps, refine))
    last = device.put(np.ascontiguousarray(maps.transpose(0, 2, 3, 1)))
    calls = [ops.best_peaks] if refine == "second_peak" else [ops.best_peaks, ops.find_peaks]
    for call in calls:
        got = device.get(call(last, refine=refine, offsets=offsets, layout="nhwc"))
        expected = device.get(call(device.put(maps), refine=refine, offsets=offsets))
        assert got.xy.tobytes() == expected.xy.tobytes()
        assert got.score.tobytes() == expected.score.tobytes()


@pytest.mark.parametrize("refine", REFINES)
def test_float16_is_widened(device: Device, refine: Any) -> None:
    rng = np.random.default_rng(5)
    maps = inputs.as_float16(inputs.crowd(rng, 2, 3, 20, 15))
    offsets = offsets_for(rng, maps, refine)
    calls = [ops.best_peaks] if refine == "second_peak" else [ops.best_peaks, ops.find_peaks]
    for call in calls:
        got = device.get(call(device.put(maps), refine=refine, offsets=device.put(offsets)))
        wide = None if offsets is None else offsets.astype(F32)
        expected = device.get(
            call(device.put(maps.astype(F32)), refine=refine, offsets=device.put(wide))
        )
        assert got.xy.tobytes() == expected.xy.tobytes()
        assert got.score.tobytes() == expected.score.tobytes()


def test_large_float16_sums(device: Device) -> None:
    """A23: sums of 60000 are beyond float16, and are not made in it."""
    maps = one_map(np.full((9, 9), 60000.0), np.float16)
    maps[0, 0, 4, 4] = 60032.0
    for refine, half in (("centroid7", 0.0), ("centroid5", 0.5), ("dark", 0.0)):
        got = device.get(ops.best_peaks(device.put(maps), refine=refine))
        np.testing.assert_allclose(got.xy[0, 0], 4 + half, atol=1e-4)


# ---- against the usual implementations -----------------------------------------------------------


def usual_quarter(maps: Any) -> Any:
    """HRNet's get_max_preds and the shift of its get_final_preds."""
    n, k, height, width = maps.shape
    flat = maps.reshape(n, k, -1)
    best, score = flat.argmax(axis=2), flat.max(axis=2)
    xy = np.stack([best % width, best // width], axis=-1).astype(F32) * (score > 0)[..., None]
    for index in np.ndindex(n, k):
        px, py = (int(np.floor(value + 0.5)) for value in xy[index])
        one = maps[index]
        if 1 < px < width - 1 and 1 < py < height - 1:
            xy[index] += 0.25 * np.sign(
                [one[py, px + 1] - one[py, px - 1], one[py + 1, px] - one[py - 1, px]]
            )
    return xy


def test_quarter_is_hrnet(device: Device) -> None:
    rng = np.random.default_rng(6)
    for make in (inputs.noisy, inputs.gaussians, inputs.quantised):
        maps = make(rng, 4, 17, 64, 48)
        got = device.get(ops.best_peaks(device.put(maps)))
        np.testing.assert_array_equal(got.xy, usual_quarter(maps))
        half = device.get(ops.best_peaks(device.put(maps), refine="quarter_half"))
        shown = got.count > 0
        np.testing.assert_array_equal(half.xy[shown], usual_quarter(maps)[shown] + F32(0.5))


def usual_dark(maps: Any, kernel: int) -> Any:
    """As HRNet-DARK does it: the whole map is blurred, and rescaled to its old maximum."""
    n, k, height, width = maps.shape
    flat = maps.reshape(n, k, -1).argmax(axis=2)
    xy = np.stack([flat % width, flat // width], axis=-1).astype(np.float64)
    border = (kernel - 1) // 2
    for index in np.ndindex(n, k):
        padded = np.zeros((height + 2 * border, width + 2 * border))
        padded[border:-border, border:-border] = maps[index]
        blurred = cv2.GaussianBlur(padded, (kernel, kernel), 0)[border:-border, border:-border]
        blurred *= maps[index].max() / blurred.max()
        logs = np.log(np.maximum(blurred, 1e-10))
        px, py = (int(value) for value in xy[index])
        if 1 < px < width - 2 and 1 < py < height - 2:
            c = logs[py, px]
            dx = 0.5 * (logs[py, px + 1] - logs[py, px - 1])
            dy = 0.5 * (logs[py + 1, px] - logs[py - 1, px])
            dxx = 0.25 * (logs[py, px + 2] - 2 * c + logs[py, px - 2])
            dyy = 0.25 * (logs[py + 2, px] - 2 * c + logs[py - 2, px])
            dxy = 0.25 * (
                logs[py + 1, px + 1]
                - logs[py - 1, px + 1]
                - logs[py + 1, px - 1]
                + logs[py - 1, px - 1]
            )
            if dxx * dyy - dxy**2 != 0:
                xy[index] -= np.linalg.inv([[dxx, dxy], [dxy, dyy]]) @ [dx, dy]
    return xy


def usual_udp_dark(maps: Any, kernel: int) -> Any:
    """As mmpose's post_dark_udp does it, on flattened and padded arrays."""
    n, k, _, width = maps.shape
    flat = maps.reshape(n, k, -1).argmax(axis=2)
    xy = np.stack([flat % width, flat // width], axis=-1).astype(np.float64)
    for index in np.ndindex(n, k):
        blurred = cv2.GaussianBlur(maps[index].astype(np.float64), (kernel, kernel), 0)
        logs = np.pad(np.log(np.clip(blurred, 0.001, 50)), 1, mode="edge").flatten()
        step = width + 2
        at = int(xy[index][0]) + 1 + (int(xy[index][1]) + 1) * step
        i, ix1, iy1, ix1y1 = logs[at], logs[at + 1], logs[at + step], logs[at + step + 1]
        ix1_y1_, ix1_, iy1_ = logs[at - step - 1], logs[at - 1], logs[at - step]
        derivative = np.array([0.5 * (ix1 - ix1_), 0.5 * (iy1 - iy1_)])
        dxx, dyy = ix1 - 2 * i + ix1_, iy1 - 2 * i + iy1_
        dxy = 0.5 * (ix1y1 - ix1 - iy1 + i + i - ix1_ - iy1_ + ix1_y1_)
        hessian = np.array([[dxx, dxy], [dxy, dyy]]) + np.finfo(F32).eps * np.eye(2)
        xy[index] -= np.linalg.inv(hessian) @ derivative
    return xy


@pytest.mark.parametrize(("kernel", "sigma"), [(11, 2.0), (17, 3.0)])
def test_dark_is_the_whole_map_blur(device: Device, kernel: int, sigma: float) -> None:
    """On maps as networks give them; 1e-3 cell is the promise."""
    rng = np.random.default_rng(7)
    centres = rng.uniform([4, 4], [43, 59], (6, 17, 2))
    maps = gaussian_at(centres, sigma=sigma)
    maps += rng.uniform(0, 0.02, maps.shape).astype(F32)
    got = device.get(ops.best_peaks(device.put(maps), refine="dark", kernel=kernel))
    assert np.abs(got.xy - usual_dark(maps, kernel)).max() <= 1e-3
    got = device.get(ops.best_peaks(device.put(maps), refine="udp_dark", kernel=kernel))
    assert np.abs(got.xy - usual_udp_dark(maps, kernel)).max() <= 1e-3


def test_udp_dark_at_the_border(device: Device) -> None:
    """UDP's blur reflects and its logs repeat, so that border peaks get a step too."""
    rng = np.random.default_rng(8)
    edge = rng.choice([0.2, 62.7], 40)
    maps = gaussian_at(np.stack([rng.uniform(8, 40, 40), edge], axis=-1))[None]
    got = device.get(ops.best_peaks(device.put(maps), refine="udp_dark"))
    usual = usual_udp_dark(maps, 11)
    believed = (np.abs(usual - np.round(got.xy)) <= 2).all(axis=-1)
    assert believed.mean() > 0.9
    assert np.abs(got.xy - usual)[believed].max() <= 1e-3


def usual_second_peak(one: Any) -> tuple[Any, float]:
    """CPN's test script: output * 4 + 2 of a map at stride 4, score / 255 + 0.5."""
    border = 10
    height, width = one.shape
    padded = np.zeros((height + 2 * border, width + 2 * border))
    padded[border:-border, border:-border] = one / one.max()
    padded = cv2.GaussianBlur(padded, (21, 21), 0)
    y, x = np.unravel_index(padded.argmax(), padded.shape)
    padded[y, x] = 0
    v, u = np.unravel_index(padded.argmax(), padded.shape)
    dy, dx, y, x = v - y, u - x, y - border, x - border
    length = np.hypot(dx, dy)
    if length > 1e-3:
        x, y = x + 0.25 * dx / length, y + 0.25 * dy / length
    x, y = max(0, min(x, width - 1)), max(0, min(y, height - 1))
    return np.array([x * 4 + 2, y * 4 + 2]), one[round(y), round(x)] / 255 + 0.5


def test_second_peak_is_cpn(device: Device) -> None:
    rng = np.random.default_rng(9)
    maps = 255 * gaussian_at(rng.uniform(-1, [48, 64], (2, 17, 2)))
    maps = (maps + rng.uniform(0, 5, maps.shape)).astype(F32)
    got = device.get(ops.best_peaks(device.put(maps), refine="second_peak"))
    for index in np.ndindex(2, 17):
        xy, score = usual_second_peak(maps[index].astype(np.float64))
        np.testing.assert_allclose(got.xy[index] * 4, xy, atol=1e-4)
        np.testing.assert_allclose(got.score[index] / 255 + 0.5, score, rtol=1e-6)


def test_centroid5_is_trt_pose(device: Device) -> None:
    """Its loop, and its division by the map's size."""
    rng = np.random.default_rng(10)
    maps = inputs.crowd(rng, 1, 18, 56, 56)
    got = device.get(ops.find_peaks(device.put(maps), refine="centroid5"))
    for channel in range(18):
        for slot in range(got.count[0, channel]):
            place = got.xy[0, channel, slot]
            peak = reference.local_maxima(maps[0, channel].astype(float), 0.1)[slot]
            total = weighted_y = weighted_x = 0.0
            for i in range(peak[0] - 2, peak[0] + 3):
                for j in range(peak[1] - 2, peak[1] + 3):
                    ii = -i if i < 0 else 2 * 55 - i if i > 55 else i
                    jj = -j if j < 0 else 2 * 55 - j if j > 55 else j
                    weight = float(maps[0, channel, ii, jj])
                    weighted_y += i * weight
                    weighted_x += j * weight
                    total += weight
            normalised = [(weighted_x / total + 0.5) / 56, (weighted_y / total + 0.5) / 56]
            np.testing.assert_allclose(place / 56, normalised, atol=1e-6)


def test_offsets_are_deeperlab_cut(device: Device) -> None:
    """X = 8 ix + 4 + 7.2801 dx, at stride 8."""
    rng = np.random.default_rng(11)
    maps = inputs.noisy(rng, 2, 14, 46, 40)
    offsets = rng.normal(0, 0.5, (2, 14, 2, 46, 40)).astype(F32)
    got = device.get(ops.best_peaks(device.put(maps), refine="offset", offsets=device.put(offsets)))
    for index in np.ndindex(2, 14):
        y, x = np.unravel_index(maps[index].argmax(), (46, 40))
        dx, dy = offsets[index][:, y, x]
        np.testing.assert_allclose(
            8 * got.xy[index], [8 * x + 4 + dx * 7.2801, 8 * y + 4 + dy * 7.2801], atol=1e-4
        )


@pytest.mark.parametrize("refine", ["dark", "udp_dark", "log_parabola"])
def test_a_gaussian_is_found_to_a_thousandth(device: Device, refine: Any) -> None:
    """What a rule is for: the centre of an ideal peak, from samples alone."""
    rng = np.random.default_rng(12)
    centres = rng.uniform([12, 12], [35, 51], (4, 17, 2))
    maps = gaussian_at(centres)
    got = device.get(ops.best_peaks(device.put(maps), refine=refine))
    # DARK's blur is cut off after 11 taps, at 2.5 of its sigmas, so that the blurred peak is no
    # Gaussian any more: 4e-4 cell (see the oracle, which has it in float64).
    assert np.abs(got.xy - centres).max() <= (1e-4 if refine == "log_parabola" else 1e-3)


# ---- properties ----------------------------------------------------------------------------------


@pytest.mark.parametrize("refine", REFINES)
def test_shifting_the_map_shifts_the_peak(device: Device, refine: Any) -> None:
    """By whole cells, far from every border; the roundings of the last addition remain."""
    rng = np.random.default_rng(13)
    blob = inputs.noisy(rng, 1, 1, 12, 12)[0, 0] + gaussian_at([6.3, 5.6], 12, 12)
    maps = np.zeros((2, 3, 60, 70), F32)
    moves = [(20, 20), (21, 20), (20, 21), (25, 31), (22, 27), (27, 23)]
    for index, (dy, dx) in enumerate(moves):
        maps.reshape(6, 60, 70)[index, dy : dy + 12, dx : dx + 12] = blob
    offsets = None
    if refine == "offset":
        offsets = np.full((2, 3, 2, 60, 70), 0.3, F32)
    got = device.get(ops.best_peaks(device.put(maps), refine=refine, offsets=device.put(offsets)))
    moved = got.xy.reshape(6, 2) - np.array([(dx, dy) for dy, dx in moves])
    # Two units in the last place of coordinates below 64.
    assert np.abs(moved - moved[0]).max() <= 2 * 2.0**-18
    assert len(set(got.score.reshape(-1).tolist())) == 1


@pytest.mark.thread_orders
@pytest.mark.parametrize("refine", REFINES)
def test_permuting_keypoints_permutes_results(device: Device, refine: Any) -> None:
    rng = np.random.default_rng(14)
    maps = inputs.noisy(rng, 2, 7, 20, 16)
    offsets = offsets_for(rng, maps, refine)
    order = rng.permutation(7)
    shuffled = None if offsets is None else offsets[:, order]
    calls = [ops.best_peaks] if refine == "second_peak" else [ops.best_peaks, ops.find_peaks]
    for call in calls:
        one = device.get(call(device.put(maps), refine=refine, offsets=device.put(offsets)))
        other = device.get(
            call(device.put(maps[:, order]), refine=refine, offsets=device.put(shuffled))
        )
        np.testing.assert_array_equal(one.xy[:, order], other.xy)
        np.testing.assert_array_equal(one.score[:, order], other.score)
        np.testing.assert_array_equal(one.count[:, order], other.count)


@pytest.mark.parametrize("refine", ["none", "dark", "udp_dark", "centroid7", "log_parabola"])
def test_mirroring_the_map_mirrors_the_peak(device: Device, refine: Any) -> None:
    rng = np.random.default_rng(15)
    maps = inputs.noisy(rng, 2, 9, 40, 30)
    one = device.get(ops.best_peaks(device.put(maps), refine=refine))
    other = device.get(ops.best_peaks(device.put(maps[..., ::-1].copy()), refine=refine))
    # UDP's mixed derivative is one-sided: it is not the same seen in a mirror.
    allowed = 0.2 if refine == "udp_dark" else 2e-4
    assert np.abs(29 - other.xy[..., 0] - one.xy[..., 0]).max() <= allowed
    assert np.abs(other.xy[..., 1] - one.xy[..., 1]).max() <= allowed


def test_best_is_the_first_of_find(device: Device) -> None:
    rng = np.random.default_rng(16)
    for make in (inputs.noisy, inputs.quantised, inputs.plateaus, inputs.holes):
        maps = make(rng, 2, 5, 21, 17)
        best = device.get(ops.best_peaks(device.put(maps), refine="none", threshold=0.1))
        found = device.get(ops.find_peaks(device.put(maps), refine="none", threshold=0.1))
        np.testing.assert_array_equal(best.count, np.minimum(found.count, 1))
        shown = best.count > 0
        np.testing.assert_array_equal(best.xy, found.xy[:, :, 0])
        np.testing.assert_array_equal(best.score[shown], found.score[:, :, 0][shown])


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("refine", REFINES)
def test_threads_share_the_work(threads: int, refine: Any) -> None:
    rng = np.random.default_rng(17)
    maps = inputs.noisy(rng, 3, 7, 24, 18)
    offsets = offsets_for(rng, maps, refine)
    calls = [ops.best_peaks] if refine == "second_peak" else [ops.best_peaks, ops.find_peaks]
    for call in calls:
        one = call(maps, refine=refine, offsets=offsets)
        several = call(maps, refine=refine, offsets=offsets, threads=threads)
        assert one.xy.tobytes() == several.xy.tobytes()
        assert one.score.tobytes() == several.score.tobytes()
        assert one.count.tobytes() == several.count.tobytes()


def test_logits(device: Device) -> None:
    """The sigmoid changes no order, but thresholds, scores and refinements are in probabilities."""
    rng = np.random.default_rng(18)
    logits = rng.normal(0, 3, (2, 5, 20, 16)).astype(F32)
    probabilities = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(F32)
    for refine in ("none", "quarter", "centroid7", "dark"):
        one = device.get(ops.best_peaks(device.put(logits), refine=refine, logits=True))
        other = device.get(ops.best_peaks(device.put(probabilities), refine=refine))
        np.testing.assert_allclose(one.xy, other.xy, atol=1e-4)
        np.testing.assert_allclose(one.score, other.score, rtol=1e-6)
    negative = device.put(np.full((1, 1, 4, 4), -1.0, F32))
    assert device.get(ops.best_peaks(negative, logits=True)).count[0, 0] == 1
    assert device.get(ops.best_peaks(negative, logits=True, threshold=0.3)).count[0, 0] == 0
    assert device.get(ops.best_peaks(negative)).count[0, 0] == 0
