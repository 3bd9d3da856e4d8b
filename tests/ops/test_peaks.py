"""`best_peaks` and `find_peaks`: the oracle, the usual implementations, properties, edges."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from reference import inputs
from reference import peaks as reference
from reference.compare import peak_differences
from reference.inputs import LOCAL_REFINES, REFINES

from pyposefast import ops

if TYPE_CHECKING:
    from conftest import Device

F32 = np.float32


def one_map(values: Any, dtype: Any = F32) -> Any:
    """[H, W] -> [1, 1, H, W]."""
    return np.asarray(values, dtype)[None, None]


def offsets_for(rng: np.random.Generator, maps: Any, refine: str) -> Any:
    if refine != "offset":
        return None
    n, k, h, w = maps.shape
    return rng.normal(0, 0.5, (n, k, 2, h, w)).astype(maps.dtype)


def gaussian_at(centres: Any, h: int = 64, w: int = 48, sigma: float = 2.0) -> Any:
    """Centres [..., 2] -> maps [..., h, w] float32."""
    centres = np.asarray(centres, np.float64)
    y, x = np.mgrid[:h, :w]
    square = (x - centres[..., 0, None, None]) ** 2 + (y - centres[..., 1, None, None]) ** 2
    return np.exp(-square / (2 * sigma**2)).astype(F32)


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
    assert sure > {"second_peak": 0.6, "udp_dark": 0.8}.get(refine, 0.95)


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


# ---- capacity, ties, plateaus --------------------------------------------------------------------


@pytest.mark.thread_orders
def test_overflow_keeps_the_best_at_the_bottom(device: Device) -> None:
    """A11: 200 weak peaks above, 3 strong ones below."""
    maps = np.zeros((1, 1, 64, 64), F32)
    weak = [(y, x) for y in range(0, 40, 2) for x in range(0, 20, 2)]
    for number, (y, x) in enumerate(weak):
        maps[0, 0, y, x] = 0.2 + 1e-4 * number
    maps[0, 0, 60, 10], maps[0, 0, 62, 30], maps[0, 0, 63, 63] = 0.9, 0.8, 0.7
    got = device.get(ops.find_peaks(device.put(maps), capacity=3, refine="none"))
    assert got.total[0, 0] == len(weak) + 3 == 203
    assert got.count[0, 0] == 3
    assert got.xy[0, 0].tolist() == [[10, 60], [30, 62], [63, 63]]
    got = device.get(ops.find_peaks(device.put(maps), capacity=10, refine="none"))
    last_weak = [[float(x), float(y)] for y, x in weak[::-1][:7]]
    assert got.xy[0, 0, 3:].tolist() == last_weak


@pytest.mark.thread_orders
def test_grid_of_equal_peaks(device: Device) -> None:
    """A9: 1,369 peaks of one height: those that come first in the map, in its order."""
    maps = np.zeros((1, 1, 256, 256), F32)
    maps[0, 0, ::7, ::7] = 1.0
    got = device.get(ops.find_peaks(device.put(maps), capacity=100, refine="none"))
    assert got.total[0, 0] == 37 * 37 == 1369
    assert got.count[0, 0] == 100
    expected = [[x, y] for y in range(0, 256, 7) for x in range(0, 256, 7)][:100]
    assert got.xy[0, 0].tolist() == expected


@pytest.mark.thread_orders
def test_ten_thousand_peaks(device: Device) -> None:
    """A10: every other cell of every other row, all of different heights."""
    rng = np.random.default_rng(19)
    heights = rng.permutation(10_000).reshape(100, 100).astype(F32) + 1
    maps = np.zeros((1, 1, 200, 200), F32)
    maps[0, 0, ::2, ::2] = heights
    for capacity in (1, 32, 1000):
        got = device.get(ops.find_peaks(device.put(maps), capacity=capacity, refine="none"))
        assert got.total[0, 0] == 10_000
        assert got.score[0, 0].tolist() == list(range(10_000, 10_000 - capacity, -1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (5, 8), (128, 128)])
@pytest.mark.parametrize("refine", LOCAL_REFINES)
def test_constant_map_is_one_peak(device: Device, shape: Any, refine: Any) -> None:
    """A8: a plateau as large as the map counts once, at its first pixel."""
    maps = np.ones((1, 2, *shape), F32)
    offsets = device.put(np.zeros((1, 2, 2, *shape), F32) if refine == "offset" else None)
    got = device.get(ops.find_peaks(device.put(maps), refine=refine, offsets=offsets))
    assert got.count.tolist() == got.total.tolist() == [[1, 1]]
    assert (got.score[..., 0] == 1).all()
    assert (np.abs(got.xy[..., 0, :]) <= 3).all()
    best = device.get(ops.best_peaks(device.put(maps), refine=refine, offsets=offsets))
    assert best.count.tolist() == [[1, 1]]
    np.testing.assert_array_equal(best.xy, got.xy[:, :, 0])
    if refine == "none":
        assert (best.xy == 0).all()


@pytest.mark.thread_orders
@pytest.mark.parametrize("name", list(inputs.SHAPES))
def test_plateaus_of_odd_shapes(device: Device, name: str) -> None:
    """One peak, at the first pixel in raster order, however the shape bends and turns."""
    for quarter in range(4):
        mask = np.rot90(inputs.shape_mask(name), quarter)
        height, width = mask.shape
        for border in (0, 1, 2):
            maps = np.zeros((1, 1, height + 2 * border, width + 2 * border), F32)
            maps[0, 0][np.pad(mask, border)] = 0.5
            first = np.argwhere(maps[0, 0] == 0.5)[0][::-1].tolist()
            got = device.get(ops.find_peaks(device.put(maps), refine="none"))
            assert got.total[0, 0] == 1
            assert got.xy[0, 0, 0].tolist() == first
            # A higher sample next to its last pixel, and it is a slope.
            last = np.argwhere(maps[0, 0] == 0.5)[-1]
            for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0), (1, 1)):
                y, x = last[0] + dy, last[1] + dx
                inside = 0 <= y < maps.shape[2] and 0 <= x < maps.shape[3]
                if inside and maps[0, 0, y, x] == 0:
                    beaten = maps.copy()
                    beaten[0, 0, y, x] = 0.75
                    got = device.get(ops.find_peaks(device.put(beaten), refine="none"))
                    assert got.total[0, 0] == 1
                    assert got.xy[0, 0, 0].tolist() == [x, y]


def test_a_long_spiral(device: Device) -> None:
    """A plateau whose ends are 500 steps apart, and know of each other only through all of them."""
    size = 33
    spiral = np.zeros((size, size), bool)
    y, x, dy, dx = 0, 0, 0, 1
    spiral[0, 0] = True
    while True:
        ahead, beyond = (y + dy, x + dx), (y + 2 * dy, x + 2 * dx)
        blocked = not (0 <= ahead[0] < size and 0 <= ahead[1] < size)
        beyond_inside = 0 <= beyond[0] < size and 0 <= beyond[1] < size
        if blocked or (beyond_inside and spiral[beyond]):
            dy, dx = dx, -dy
            ahead, beyond = (y + dy, x + dx), (y + 2 * dy, x + 2 * dx)
            if spiral[beyond]:
                break
        y, x = ahead
        spiral[y, x] = True
    assert spiral.sum() > 500
    maps = one_map(np.where(spiral, 0.5, 0.0))
    got = device.get(ops.find_peaks(device.put(maps), refine="none"))
    assert (got.total[0, 0], got.xy[0, 0, 0].tolist()) == (1, [0.0, 0.0])
    # The same, entered from the other end: the first pixel is beaten 500 steps away.
    inner = maps.copy()
    free = next((y + v, x + u) for v in (-1, 0, 1) for u in (-1, 0, 1) if not spiral[y + v, x + u])
    inner[0, 0][free] = 0.75
    got = device.get(ops.find_peaks(device.put(inner), refine="none"))
    assert got.total[0, 0] == 1
    assert got.xy[0, 0, 0].tolist() == [free[1], free[0]]


def test_ties_go_to_the_first(device: Device) -> None:
    maps = np.zeros((1, 1, 9, 9), F32)
    places = [(7, 1), (1, 7), (1, 2), (4, 4)]
    for y, x in places:
        maps[0, 0, y, x] = 0.5
    got = device.get(ops.find_peaks(device.put(maps), refine="none"))
    assert got.xy[0, 0, :4].tolist() == [[2, 1], [7, 1], [4, 4], [1, 7]]
    assert device.get(ops.best_peaks(device.put(maps), refine="none")).xy[0, 0].tolist() == [2, 1]
    # -0.0 and 0.0 are equal, so that the first of them is the best.
    zeros = one_map([[-1.0, -0.0], [0.0, -0.0]])
    got = device.get(ops.best_peaks(device.put(zeros), refine="none", threshold=-0.5))
    assert got.xy[0, 0].tolist() == [1, 0]


def test_two_equal_neighbours(device: Device) -> None:
    """A15: a block of 2x2 equal samples is one peak, its place in the middle of the first row."""
    maps = np.zeros((1, 1, 8, 8), F32)
    maps[0, 0, 3:5, 4:6] = 1.0
    maps[0, 0, 2:6, 3] = maps[0, 0, 2:6, 6] = maps[0, 0, 2, 3:7] = maps[0, 0, 5, 3:7] = 0.5
    got = device.get(ops.find_peaks(device.put(maps)))
    assert got.total[0, 0] == 1
    np.testing.assert_allclose(got.xy[0, 0, 0], [4.5, 3.5], atol=1e-6)


@pytest.mark.parametrize("refine", REFINES)
def test_border_and_corners(device: Device, refine: Any) -> None:
    """A14: a peak on each border cell; its place stays on the map."""
    height, width = 9, 11
    border = [
        (y, x)
        for y in range(height)
        for x in range(width)
        if y in (0, height - 1) or x in (0, width - 1)
    ]
    maps = gaussian_at([[(x, y) for y, x in border]], height, width, sigma=1.5)
    offsets = device.put(
        np.zeros((1, len(border), 2, height, width), F32) if refine == "offset" else None
    )
    got = device.get(ops.best_peaks(device.put(maps), refine=refine, offsets=offsets))
    assert got.count.all()
    # Rules with a half pixel show the cell's middle, and binary quarters may point outwards; where
    # UDP's blur reflects, the place is the map's edge.
    outside = 0.501 if refine == "udp_dark" else 0.25
    assert (got.xy >= -outside).all()
    assert (got.xy <= np.array([width - 1, height - 1]) + 0.5 + outside).all()
    cells = np.array([(x, y) for y, x in border])
    assert np.abs(got.xy[0] - cells).max() <= 2


# ---- nothing there -------------------------------------------------------------------------------


@pytest.mark.parametrize("refine", REFINES)
def test_nothing_above_the_threshold(device: Device, refine: Any) -> None:
    """A7, A16: zeros everywhere but for the score of the best."""
    offsets = device.put(np.ones((1, 3, 2, 6, 5), F32) if refine == "offset" else None)
    for level, score in ((0.0, 0.0), (-1.0, -1.0), (-3e38, F32(-3e38))):
        maps = device.put(np.full((1, 3, 6, 5), level, F32))
        best = device.get(ops.best_peaks(maps, refine=refine, offsets=offsets))
        assert not best.count.any()
        assert not best.xy.any()
        assert (best.score == score).all()
        if refine != "second_peak":
            found = device.get(ops.find_peaks(maps, refine=refine, offsets=offsets))
            assert not found.count.any()
            assert not found.total.any()
            assert not found.xy.any()
            assert not found.score.any()


def test_threshold_is_exclusive(device: Device) -> None:
    maps = device.put(one_map([[0.25, 0.0], [0.0, 0.0]]))
    below = float(np.nextafter(F32(0.25), F32(0)))
    for call in (ops.best_peaks, ops.find_peaks):
        assert device.get(call(maps, refine="none", threshold=0.25)).count[0, 0] == 0
        assert device.get(call(maps, refine="none", threshold=below)).count[0, 0] == 1


def test_entries_past_count_are_zero(device: Device) -> None:
    maps = inputs.crowd(np.random.default_rng(20), 2, 5, 30, 30)
    got = device.get(ops.find_peaks(device.put(maps), capacity=50))
    for index in np.ndindex(2, 5):
        count = got.count[index]
        assert 0 < count < 50
        assert not got.xy[index][count:].any()
        assert not got.score[index][count:].any()
        assert (np.diff(got.score[index][:count]) <= 0).all()


def test_no_maps(device: Device) -> None:
    maps = device.put(np.zeros((0, 17, 8, 6), F32))
    best = device.get(ops.best_peaks(maps))
    assert best.xy.shape == (0, 17, 2)
    found = device.get(ops.find_peaks(maps, capacity=5))
    assert found.xy.shape == (0, 17, 5, 2)
    assert found.total.shape == (0, 17)


# ---- NaN and infinities --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("refine", REFINES)
def test_all_invalid(device: Device, value: float, refine: Any) -> None:
    """A4, A5: nobody is there, and the count of what was passed over says why."""
    maps = device.put(np.full((2, 3, 7, 6), value, F32))
    offsets = device.put(np.ones((2, 3, 2, 7, 6), F32) if refine == "offset" else None)
    best = device.get(ops.best_peaks(maps, refine=refine, offsets=offsets))
    assert not best.count.any()
    assert not best.xy.any()
    assert not best.score.any()
    assert (best.nonfinite == 42).all()
    if refine != "second_peak":
        found = device.get(ops.find_peaks(maps, refine=refine, offsets=offsets))
        assert not found.total.any()
        assert (found.nonfinite == 42).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("refine", REFINES)
def test_one_invalid_sample_far_away(device: Device, value: float, refine: Any) -> None:
    """All other answers are the clean map's, to the bit."""
    maps = gaussian_at([[[30.3, 40.6]]]) + F32(0.01)
    offsets = device.put(np.ones((1, 1, 2, 64, 48), F32) if refine == "offset" else None)
    clean = device.get(ops.best_peaks(device.put(maps), refine=refine, offsets=offsets))
    maps[0, 0, 3, 4] = value
    got = device.get(ops.best_peaks(device.put(maps), refine=refine, offsets=offsets))
    assert got.xy.tobytes() == clean.xy.tobytes()
    assert got.score.tobytes() == clean.score.tobytes()
    assert (got.nonfinite[0, 0], clean.nonfinite[0, 0]) == (1, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("refine", REFINES)
def test_invalid_neighbours(device: Device, value: float, refine: Any) -> None:
    """Every place around the peak in turn: the result is finite and near the peak."""
    peak = np.array([10.0, 9.0])
    clean = gaussian_at([10.2, 9.1], 20, 22)
    around = [(dy, dx) for dy in range(-3, 4) for dx in range(-3, 4) if dy or dx]
    maps = np.stack([clean] * len(around))[None]
    for number, (dy, dx) in enumerate(around):
        maps[0, number, 9 + dy, 10 + dx] = value
    offsets = np.zeros((1, len(around), 2, 20, 22), F32) if refine == "offset" else None
    got = device.get(ops.best_peaks(device.put(maps), refine=refine, offsets=device.put(offsets)))
    assert got.count.all()
    assert (got.nonfinite == 1).all()
    assert np.isfinite(got.score).all()
    assert np.abs(got.xy - peak).max() <= 1.5
    expected = reference.best_peaks(maps, refine=refine, offsets=offsets)
    assert not peak_differences(got, expected)


def test_invalid_offsets_count_as_zero(device: Device) -> None:
    maps = gaussian_at([[[10, 9]]], 20, 22)
    for value in (np.nan, np.inf, -np.inf):
        offsets = np.zeros((1, 1, 2, 20, 22), F32)
        offsets[0, 0, :, 9, 10] = [value, 0.5]
        got = device.get(
            ops.best_peaks(
                device.put(maps), refine="offset", offsets=device.put(offsets), offset_scale=1.0
            )
        )
        assert got.xy[0, 0].tolist() == [10.5, 10.0]


def test_invalid_samples_may_be_an_error() -> None:
    maps = np.zeros((1, 2, 4, 4), F32)
    maps[0, 1, 2, 2] = 1.0
    ops.best_peaks(maps, nonfinite="raise")
    maps[0, 0, 0, 0] = np.nan
    for call in (ops.best_peaks, ops.find_peaks):
        with pytest.raises(ValueError, match="maps: expected finite samples, got 1"):
            call(maps, nonfinite="raise")


@pytest.mark.parametrize("refine", ["dark", "udp_dark"])
def test_no_curvature_no_step(device: Device, refine: Any) -> None:
    """A24: on ridges and flats the Hessian is singular; the quarter rule, or nothing, is left."""
    ridge = np.zeros((1, 1, 16, 16), F32)
    ridge[0, 0, 8, :] = 1.0
    flat = np.ones((1, 1, 16, 16), F32)
    lone = np.zeros((1, 1, 16, 16), F32)
    lone[0, 0, 8, 8] = 1e-30  # the blurred map is below both limits: flat after clipping
    for maps in (ridge, flat, lone):
        got = device.get(ops.best_peaks(device.put(maps), refine=refine))
        assert np.isfinite(got.xy).all()
        y, x = np.unravel_index(maps.argmax(), (16, 16))
        assert np.abs(got.xy[0, 0] - [x, y]).max() <= 0.25


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e-3, 1e3, 1e30])
@pytest.mark.parametrize("refine", ["none", "quarter", "centroid7", "centroid5", "log_parabola"])
def test_scale_does_not_matter(device: Device, scale: float, refine: Any) -> None:
    """A6: the same places for a map times anything, from denormals to the largest numbers."""
    maps = gaussian_at([[[10.3, 8.8], [20.0, 3.0]]], 16, 26) + F32(0.1)
    expected = device.get(ops.best_peaks(device.put(maps), refine=refine))
    got = device.get(ops.best_peaks(device.put((maps * scale).astype(F32)), refine=refine))
    assert (got.count == 1).all()
    # 1e-40 has 16 bits left: weights are off by 2^-17, logarithms by as much, and the curvature of
    # this peak is 0.2. Elsewhere all is as exact as at scale 1.
    assert np.abs(got.xy - expected.xy).max() <= (1e-3 if scale == 1e-40 else 1e-5)
