"""The decoder's two published modes against the oracles of these decoders: people, and each step.

Decoder and oracle differ in the precision of their sums. Where two numbers are within a rounding
of each other, that decides: two up-sampled pixels that are equal in single precision are no peak, a
sample of the field half-way between two pixels may be either, and two links of one score may
change places. Such scenes are rare, and counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from reference import inputs
from reference.part_affinity import openpose, scenes, trt_pose
from reference.part_affinity.upsample import upsampled

from pyposefast import ops, skeletons
from pyposefast.decoders import PartAffinity
from pyposefast.errors import InputError

if TYPE_CHECKING:
    from types import ModuleType

    from conftest import Device

    from pyposefast.ops import Links, Peaks, People

MODES = pytest.mark.parametrize("mode", ["openpose", "trt_pose"])
PUBLISHED: dict[str, dict[str, Any]] = {
    "openpose": {"threshold": 0.05, "capacity": 127},
    "trt_pose": {"threshold": 0.1, "capacity": 100},
}
EPSILON = 2.0**-24


def oracle_people(mode: str, heat: Any, paf: Any, skeleton: Any) -> Any:
    """[P, K, 3] of the published decoder."""
    limbs = np.array([(f.first, f.second) for f in skeleton.fields])
    channels = np.array([(f.x, f.y) for f in skeleton.fields])
    if mode == "trt_pose":
        return trt_pose.decode(heat[: len(skeleton.joints)], paf, limbs, channels)
    return openpose.decode(heat, paf, limbs, channels).joints


def joints_of(people: People, image: int = 0) -> Any:
    """The same of ours."""
    real = slice(0, int(people.count[image]))
    return np.dstack([people.xy[image, real], people.score[image, real, :, None]])


def are_same(found: Any, wanted: Any) -> bool:
    """The same people in the same order, with the same joints.

    Sums of 49 products in single precision are good to 1e-5 of the largest; another peak would be
    a tenth of a pixel away.
    """
    return found.shape == wanted.shape and bool(np.allclose(found, wanted, rtol=0, atol=1e-3))


# ---- people --------------------------------------------------------------------------------------


@MODES
def test_people_are_those_of_the_published_decoder(mode: str) -> None:
    scenes_seen, others = 1000, []
    skeleton = scenes.skeleton()
    decoder = PartAffinity(skeleton, mode=mode)  # type: ignore[arg-type]
    people = 0
    for seed in range(scenes_seen):
        rng = np.random.default_rng(seed)
        heat, paf = scenes.random_scene(rng, *(int(side) for side in rng.integers(14, 26, 2)))
        found = joints_of(decoder(heat[None], paf[None]))
        people += len(found)
        if not are_same(found, oracle_people(mode, heat, paf, skeleton)):
            others.append(seed)
    assert people > scenes_seen
    assert len(others) <= scenes_seen // 1000, f"scenes {others}"


@MODES
@pytest.mark.parametrize("style", ["openpose", "trt"])
def test_people_of_crowds(mode: str, style: str, workload: ModuleType) -> None:
    # What is drawn in one style is decoded in both modes.
    name = {"openpose": "openpose_coco18", "trt": "trt_pose18"}[style]
    decoder = PartAffinity(name, mode=mode)  # type: ignore[arg-type]
    for seed, (count, height, width) in enumerate(
        [(0, 46, 46), (1, 46, 46), (4, 46, 46), (10, 46, 46), (2, 20, 31), (6, 30, 23)]
    ):
        scene = workload.bottom_up(count, height, width, style=style, seed=seed)
        heat, paf = scene["heat"], scene["paf"]
        found = joints_of(decoder(heat[None], paf[None]))
        assert are_same(found, oracle_people(mode, heat, paf, decoder.skeleton)), (count, seed)


@MODES
def test_published_defaults(mode: str) -> None:
    rng = np.random.default_rng(5)
    heat, paf = scenes.random_scene(rng, 22, 25)
    given = {
        "openpose": {
            "threshold": 0.05,
            "field_threshold": 0.05,
            "capacity": 127,
            "least_joints": 3,
            "least_score": 0.4,
        },
        "trt_pose": {
            "threshold": 0.1,
            "field_threshold": 0.1,
            "capacity": 100,
            "people": 100,
            "least_joints": 1,
        },
    }[mode]
    default = PartAffinity(scenes.skeleton(), mode=mode)  # type: ignore[arg-type]
    same = PartAffinity(scenes.skeleton(), mode=mode, **given)  # type: ignore[arg-type]
    a, b = default(heat[None], paf[None]), same(heat[None], paf[None])
    assert int(a.count[0]) > 0
    np.testing.assert_array_equal(joints_of(a), joints_of(b))


def test_trt_pose_needs_room_for_all_pairs() -> None:
    decoder = PartAffinity(scenes.skeleton(), mode="trt_pose", partners=99)
    heat, paf = scenes.random_scene(np.random.default_rng(0), 14, 14)
    with pytest.raises(InputError, match="partners: expected at least the capacity, 100"):
        decoder(heat[None], paf[None])


# ---- peaks ---------------------------------------------------------------------------------------


def smooth_maps(rng: np.random.Generator, height: int, width: int) -> Any:
    """Blobs of both signs and noise: every kind of neighbourhood that up-sampling can meet."""
    y, x = np.mgrid[:height, :width]
    maps = scenes.smooth_noise(rng, (6, height, width), 0.05)
    for _ in range(4):
        square = (x - rng.uniform(-1, width)) ** 2 + (y - rng.uniform(-1, height)) ** 2
        blob = np.exp(-square / (2 * rng.uniform(0.5, 1.6) ** 2))
        maps += (rng.uniform(-0.5, 1.0, (6, 1, 1)) * blob).astype(np.float32)
    return maps


# Along an axis of one sample all pixels are equal but for roundings, and these decide.
SIZES = [(2, 3), (3, 2), (9, 14), (23, 18), (46, 46)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_openpose_peaks_are_those_of_the_whole_upsampled_map(height: int, width: int) -> None:
    rng = np.random.default_rng(height * 100 + width)
    maps = smooth_maps(rng, height, width)
    found = ops.published_peaks(maps[None], rule="openpose", **PUBLISHED["openpose"])
    for k, values in enumerate(maps):
        wanted = openpose.part_peaks(values)
        count = int(found.count[0, k])
        assert count == len(wanted.score)
        big = upsampled(values)
        # A pixel is a sum of 16 samples whose weights have magnitudes of at most 1.9 together, and
        # at most eight roundings behind each; a centroid moves by at most three pixels times what
        # 49 such errors are of its total.
        error = 8 * EPSILON * 1.9 * float(np.abs(values).max())
        np.testing.assert_allclose(found.score[0, k, :count], wanted.score, rtol=0, atol=error)
        for m, (y, x) in enumerate(openpose.strict_maxima(big, openpose.PEAK_THRESHOLD)[:count]):
            window = big[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4]
            total = float(np.maximum(window, 0).sum())
            pixels = 2 * 3 * 49 * (error + EPSILON * total) / total
            place = (wanted.xy[m] + 0.5) / 8 - 0.5
            bound = pixels / 8 + 4 * EPSILON * max(height, width)
            np.testing.assert_allclose(found.xy[0, k, m], place, rtol=0, atol=bound)
    assert int(found.count.sum()) > 0


def test_openpose_keeps_the_best_peaks_and_lists_them_in_raster_order() -> None:
    values = smooth_maps(np.random.default_rng(3), 30, 40)[0]
    found = ops.published_peaks(values[None, None], rule="openpose", threshold=0.0, capacity=9)
    wanted = openpose.part_peaks(values, threshold=0.0, max_peaks=9)
    every = openpose.part_peaks(values, threshold=0.0, max_peaks=10_000)
    assert int(found.count[0, 0]) == 9
    assert int(found.total[0, 0]) == len(every.score) > 20
    assert found.xy[0, 0] == pytest.approx((wanted.xy + 0.5) / 8 - 0.5, abs=1e-4)
    assert not np.array_equal(found.score[0, 0], np.sort(found.score[0, 0])[::-1])


@pytest.mark.parametrize(("height", "width"), [size for size in SIZES if min(size) >= 3])
def test_trt_pose_peaks_are_those_of_its_windows(height: int, width: int) -> None:
    rng = np.random.default_rng(height * 100 + width)
    # Of few levels, so that there are plateaus; of such that 25 of them never cancel.
    maps = np.round(smooth_maps(rng, height, width) * 16).astype(np.float32) / 16 + 1 / 64
    found = ops.published_peaks(maps[None], rule="trt_pose", **PUBLISHED["trt_pose"])
    for k, values in enumerate(maps):
        wanted = trt_pose.part_peaks(values)
        count = int(found.count[0, k])
        np.testing.assert_array_equal(found.score[0, k, :count], wanted.score)
        total = np.array([_window(values, y, x).sum() for y, x in wanted.yx])
        # Weights may cancel: what 25 roundings are of their sum, times two pixels.
        bound = 2 * 25 * 25 * EPSILON / np.abs(total) + 4 * EPSILON * max(height, width)
        assert (np.abs(found.xy[0, k, :count] - wanted.xy) <= bound[:, None]).all()
    assert int(found.count.sum()) > 0


def _window(values: Any, y: int, x: int) -> Any:
    rows, columns = np.arange(y - 2, y + 3), np.arange(x - 2, x + 3)
    return values[
        np.ix_(
            trt_pose.mirrored(rows, values.shape[0]), trt_pose.mirrored(columns, values.shape[1])
        )
    ]


def test_trt_pose_keeps_the_first_peaks_of_too_many() -> None:
    values = np.full((1, 1, 12, 12), 0.5, np.float32)
    found = ops.published_peaks(values, rule="trt_pose", threshold=0.1, capacity=30)
    assert int(found.total[0, 0]) == 144
    np.testing.assert_allclose(
        found.xy[0, 0], [(i % 12, i // 12) for i in range(30)], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_no_peak(value: float, device: Device) -> None:
    maps = inputs.gaussian_at(np.array([[[6.3, 5.2]]]), 24, 30, 1.0).astype(np.float32)
    clean = {
        rule: ops.published_peaks(device.put(maps), rule=rule, **PUBLISHED[rule])  # type: ignore[arg-type]
        for rule in PUBLISHED
    }
    maps[0, 0, 18, 22] = value
    for rule, wanted in clean.items():
        found = device.get(
            ops.published_peaks(device.put(maps), rule=rule, **PUBLISHED[rule])  # type: ignore[arg-type]
        )
        assert int(found.nonfinite[0, 0]) == 1
        assert int(found.count[0, 0]) == 1
        np.testing.assert_array_equal(found.xy, device.get(wanted).xy)


# ---- links ---------------------------------------------------------------------------------------


def random_peaks(
    rng: np.random.Generator, joints: int, most: int, height: int, width: int
) -> Peaks:
    count = rng.integers(0, most + 1, (1, joints)).astype(np.int32)
    place = rng.uniform(-0.5, [width - 0.5, height - 0.5], (1, joints, most, 2))
    return ops.Peaks(
        place.astype(np.float32),
        rng.uniform(0.05, 1.0, (1, joints, most)).astype(np.float32),
        count,
        count.copy(),
        np.zeros_like(count),
    )


def link_matrix(links: Links, limb: int, rows: int, columns: int) -> Any:
    """Scores [A, B] of one limb; NaN where there is no link."""
    scores = np.full((rows, columns), np.nan)
    for i in range(rows):
        for r in range(int(links.count[0, limb, i])):
            scores[i, links.partner[0, limb, i, r]] = links.score[0, limb, i, r]
    return scores


def openpose_places(start: Any, end: Any) -> Any:
    """Where a link is sampled, in up-sampled pixels."""
    count = openpose.sample_count(end - start)
    return start + np.arange(count)[:, None] * ((end - start) / count)


def trt_pose_places(start: Any, end: Any) -> Any:
    """Where a link is sampled; pixels begin at whole numbers."""
    return start + 0.5 + np.linspace(0, 1, 7)[:, None] * (end - start)


def is_near_whole(places: Any, margin: float) -> bool:
    return bool((np.abs(places - np.round(places)) < margin).any())


def test_openpose_links_are_those_of_the_upsampled_field() -> None:
    skeleton = scenes.skeleton()
    seen, linked = 0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        height, width = 18, 23
        # Smooth and strong, so that many links pass, and half a cell apart, so that some are near.
        fields = scenes.smooth_noise(rng, (1, 10, height, width), 0.3)
        fields += rng.normal(0, 0.5, (1, 10, 1, 1)).astype(np.float32)
        peaks = random_peaks(rng, 5, 6, height, width)
        peaks.xy[0, 1, 0] = peaks.xy[0, 0, 0] + rng.uniform(-0.1, 0.1, 2)
        links = ops.score_limbs(
            fields, peaks, skeleton=skeleton, mode="openpose", threshold=0.05, partners=6
        )
        for limb, field in enumerate(skeleton.fields):
            field_x, field_y = upsampled(fields[0, field.x]), upsampled(fields[0, field.y])
            rows, columns = peaks.count[0, field.first], peaks.count[0, field.second]
            found = link_matrix(links, limb, rows, columns)
            for i, j in np.ndindex(found.shape):
                ends = [
                    (np.float64(peaks.xy[0, joint, m]) + 0.5) * 8 - 0.5
                    for joint, m in ((field.first, i), (field.second, j))
                ]
                # Places are good to a few roundings of 184; half-way between two pixels either
                # is right.
                if is_near_whole(openpose_places(*ends) + 0.5, 1e-3):
                    continue
                wanted = openpose.link_score(*ends, field_x, field_y)
                seen += 1
                linked += wanted > 0
                if wanted < 0:
                    assert np.isnan(found[i, j]), (seed, limb, i, j)
                else:
                    assert found[i, j] == pytest.approx(wanted, abs=1e-5), (seed, limb, i, j)
    assert seen > 800
    assert 200 < linked < seen - 200


def test_trt_pose_links_are_means_of_whole_pixels() -> None:
    skeleton = scenes.skeleton()
    seen = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        height, width = 18, 23
        fields = rng.normal(0, 0.5, (1, 10, height, width)).astype(np.float32)
        peaks = random_peaks(rng, 5, 6, height, width)
        links = ops.score_limbs(
            fields, peaks, skeleton=skeleton, mode="trt_pose", threshold=0.1, partners=6
        )
        for limb, field in enumerate(skeleton.fields):
            rows, columns = peaks.count[0, field.first], peaks.count[0, field.second]
            found = link_matrix(links, limb, rows, columns)
            for i, j in np.ndindex(found.shape):
                ends = [
                    np.float64(peaks.xy[0, joint, m])
                    for joint, m in ((field.first, i), (field.second, j))
                ]
                if is_near_whole(trt_pose_places(*ends), 1e-4):
                    continue
                wanted = trt_pose.line_integral(*ends, fields[0, field.x], fields[0, field.y])
                seen += 1
                # Seven products of values below 3, five roundings each.
                assert found[i, j] == pytest.approx(wanted, abs=5 * 7 * 3 * EPSILON)
    assert seen > 700


# ---- groups --------------------------------------------------------------------------------------


def random_links(
    rng: np.random.Generator, peaks: Peaks, skeleton: Any, part: float, partners: int
) -> tuple[Links, list[Any]]:
    """Links of random scores for `part` of all pairs, and matrices [A, B] of them; NaN: no link."""
    most = peaks.score.shape[2]
    shape = (1, len(skeleton.fields), most)
    links = ops.Links(
        np.zeros((*shape, partners), np.int32),
        np.zeros((*shape, partners), np.float32),
        np.zeros(shape, np.int32),
        np.zeros(shape, np.int32),
    )
    matrices = []
    for limb, field in enumerate(skeleton.fields):
        rows, columns = (int(peaks.count[0, joint]) for joint in (field.first, field.second))
        scores = rng.uniform(0.05, 1.0, (rows, columns)).astype(np.float32).astype(np.float64)
        scores[rng.random(scores.shape) >= part] = np.nan
        for i, row in enumerate(scores):
            order = [j for j in np.argsort(-row) if np.isfinite(row[j])]
            links.count[0, limb, i] = links.total[0, limb, i] = len(order)
            links.partner[0, limb, i, : len(order)] = order
            links.score[0, limb, i, : len(order)] = row[order]
        matrices.append(scores)
    return links, matrices


def members(people: People) -> list[dict[int, int]]:
    return [
        {k: int(m) for k, m in enumerate(people.peak[0, p]) if m >= 0}
        for p in range(int(people.count[0]))
    ]


@pytest.mark.parametrize(("name", "feet"), [("openpose_body25", range(19, 25)), ("figure", ())])
def test_openpose_assembles_people_from_random_links(name: str, feet: Any) -> None:
    skeleton = scenes.skeleton() if name == "figure" else skeletons.load(name)
    limbs = np.array([(f.first, f.second) for f in skeleton.fields])
    joints = len(skeleton.joints)
    people, told_apart = 0, 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        peaks = random_peaks(rng, joints, 6, 30, 30)
        links, matrices = random_links(rng, peaks, skeleton, rng.uniform(0.05, 0.6), 6)
        ranked = [
            openpose.Link(
                scores[i, j]
                + 0.1 * float(peaks.score[0, limbs[limb][0], i])
                + 0.1 * float(peaks.score[0, limbs[limb][1], j]),
                scores[i, j],
                limb,
                i,
                j,
            )
            for limb, scores in enumerate(matrices)
            for i, j in np.argwhere(np.isfinite(scores)).tolist()
        ]
        lists = [
            openpose.Peaks(peaks.xy[0, k, :count], np.float64(peaks.score[0, k, :count]))
            for k, count in enumerate(peaks.count[0])
        ]
        begun = openpose.assembled(ranked, lists, limbs)
        bounds = {"min_parts": 3, "min_mean_score": float(rng.uniform(0.8, 1.4))}
        wanted = openpose.worth_keeping(begun, feet=feet, **bounds)  # type: ignore[arg-type]
        told_apart += len(wanted) != len(openpose.worth_keeping(begun, **bounds))  # type: ignore[arg-type]
        found = ops.group_people(
            peaks,
            links,
            skeleton=skeleton,
            mode="openpose",
            least_joints=3,
            least_score=bounds["min_mean_score"],
        )
        assert members(found) == [dict(sorted(p.peaks.items())) for p in wanted], seed
        scores = np.array([p.total for p in wanted]) / (joints + len(limbs))
        np.testing.assert_allclose(found.person_score[0, : len(wanted)], scores, rtol=1e-5)
        people += len(wanted)
    assert people > 100
    assert bool(told_apart) == bool(feet)


def test_trt_pose_connects_the_best_assignments() -> None:
    skeleton = skeletons.load("trt_pose18")
    limbs = np.array([(f.first, f.second) for f in skeleton.fields])
    people = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        peaks = random_peaks(rng, len(skeleton.joints), 8, 30, 30)
        links, matrices = random_links(rng, peaks, skeleton, 1.0, 8)
        threshold = float(rng.uniform(0.1, 0.95))
        pairs = [trt_pose.assigned(scores, threshold) for scores in matrices]
        most = int(rng.integers(3, 60))
        wanted = trt_pose.connected(peaks.count[0].tolist(), pairs, limbs, max_objects=most)
        found = ops.group_people(
            peaks,
            links,
            skeleton=skeleton,
            mode="trt_pose",
            people=most,
            least_joints=1,
            least_link=threshold,
        )
        assert members(found) == [dict(sorted(object_.items())) for object_ in wanted], seed
        assert int(found.total[0]) >= len(wanted)
        people += len(wanted)
    assert people > 1000


@MODES
def test_the_decoder_is_its_three_steps(mode: str, device: Device) -> None:
    rng = np.random.default_rng(11)
    scene = [scenes.random_scene(rng, 20, 26) for _ in range(3)]
    heat, paf = (device.put(np.stack(maps)) for maps in zip(*scene, strict=True))
    skeleton = scenes.skeleton()
    peaks = ops.published_peaks(heat, rule=mode, **PUBLISHED[mode])  # type: ignore[arg-type]
    links = ops.score_limbs(
        paf,
        peaks,
        skeleton=skeleton,
        mode=mode,  # type: ignore[arg-type]
        threshold=PUBLISHED[mode]["threshold"],
        partners={"openpose": 16, "trt_pose": 100}[mode],
    )
    people = ops.group_people(
        peaks,
        links,
        skeleton=skeleton,
        mode=mode,  # type: ignore[arg-type]
        people=40,
        least_joints=2,
        least_link=PUBLISHED[mode]["threshold"],
    )
    decoder = PartAffinity(
        skeleton,
        mode=mode,  # type: ignore[arg-type]
        people=40,
        least_joints=2,
        least_score=0.0,
    )
    assert_equal(device.get(people), device.get(decoder(heat, paf)))


# ---- devices -------------------------------------------------------------------------------------


def assert_equal(found: Any, wanted: Any) -> None:
    for field in type(wanted).__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found, field), getattr(wanted, field), field)


@pytest.mark.thread_orders
@pytest.mark.parametrize("rule", ["openpose", "trt_pose"])
def test_devices_find_the_same_peaks(rule: Any, device: Device) -> None:
    if device.is_cpu:
        pytest.skip("it is what the others are compared with")
    for seed, (name, make) in enumerate(inputs.ALL_MAPS.items()):
        rng = np.random.default_rng(seed)
        height, width = inputs.SMALL_SIZES[seed % len(inputs.SMALL_SIZES)]
        maps = make(rng, 2, 3, height, width)
        if seed % 3 == 0:
            maps = inputs.as_float16(maps)
        maps = inputs.in_memory(maps, inputs.LAYOUTS[seed % len(inputs.LAYOUTS)])
        for capacity in (1, 5, 200):
            wanted = ops.published_peaks(maps, rule=rule, threshold=0.05, capacity=capacity)
            found = ops.published_peaks(
                device.put(maps), rule=rule, threshold=0.05, capacity=capacity
            )
            try:
                assert_equal(device.get(found), wanted)
            except AssertionError as error:
                raise AssertionError(f"{name}, seed {seed}, capacity {capacity}") from error


@pytest.mark.thread_orders
@MODES
def test_devices_find_the_same_people(mode: str, device: Device) -> None:
    if device.is_cpu:
        pytest.skip("it is what the others are compared with")
    decoder = PartAffinity(
        scenes.skeleton(),
        mode=mode,  # type: ignore[arg-type]
        capacity=12,
        partners=12,
        people=6,
        least_joints=2,
        least_score=0.0,
    )
    people = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        scene = [scenes.random_scene(rng, 15, 19) for _ in range(2)]
        heat, paf = (np.stack(maps) for maps in zip(*scene, strict=True))
        if seed % 4 == 0:
            heat[0, 1, 3, 4], paf[1, 2, 5, 6] = np.nan, np.inf
        if seed % 3 == 0:
            heat, paf = (inputs.as_float16(maps) for maps in (heat, paf))
        wanted = decoder(heat, paf)
        assert_equal(device.get(decoder(device.put(heat), device.put(paf))), wanted)
        people += int(wanted.count.sum())
    assert people > 20
