"""Procedural people: exact where they claim to be, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from pyposefast import skeletons
from pyposefast.errors import InputError
from pyposefast.synthetic import heatmaps, limb_fields, mirror_points, render_scene
from pyposefast.synthetic.cones import Cone, draw
from pyposefast.synthetic.figure import STANCES, pose_figure

SMALL = (180, 320)


def test_the_same_seed_gives_the_same_scene() -> None:
    first, second = render_scene(seed=3, size=SMALL), render_scene(seed=3, size=SMALL)
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.joints, second.joints)
    assert not np.array_equal(first.image, render_scene(seed=4, size=SMALL).image)


def test_shapes_and_types() -> None:
    scene = render_scene(people=4, size=SMALL)
    assert (scene.image.shape, scene.image.dtype) == ((*SMALL, 3), np.uint8)
    assert (scene.joints.shape, scene.joints.dtype) == ((4, 17, 2), np.float32)
    assert (scene.visible.shape, scene.visible.dtype) == ((4, 17), np.bool_)
    assert (scene.box.shape, scene.box.dtype) == ((4, 4), np.float32)


def test_nobody_leaves_an_empty_meadow() -> None:
    scene = render_scene(people=0, size=SMALL)
    assert scene.joints.shape == (0, 17, 2)
    assert scene.box.shape == (0, 4)
    assert scene.image.std() > 10


@pytest.mark.parametrize("seed", range(8))
def test_boxes_hold_their_joints_tightly(seed: int) -> None:
    scene = render_scene(people=6, size=SMALL, seed=seed)
    x, y = np.moveaxis(scene.joints, -1, 0)
    x1, y1, x2, y2 = scene.box.T[..., None]
    # A joint lies inside the body, and no part of a body is farther than a hand from a joint.
    assert (x >= x1 - 0.5).all()
    assert (x <= x2 - 0.5).all()
    assert (y >= y1 - 0.5).all()
    assert (y <= y2 - 0.5).all()
    reach = 0.2 * (y2 - y1)[:, 0]
    assert ((x1[:, 0] > x.min(1) - reach) & (x2[:, 0] < x.max(1) + reach)).all()


def test_visible_joints_show_a_person_and_not_the_meadow() -> None:
    crowd = render_scene(people=12, seed=1)
    empty = render_scene(people=0, seed=1)
    x, y = np.rint(crowd.joints[crowd.visible]).astype(int).T
    difference = np.abs(crowd.image[y, x].astype(int) - empty.image[y, x]).max(-1)
    assert (difference > 20).mean() > 0.95  # the rest: clothes as green as grass


def test_a_crowd_hides_some_joints_and_the_nearest_person_none_to_others() -> None:
    scene = render_scene(people=24, seed=0)
    hidden = ~scene.visible
    assert 0.02 < hidden.mean() < 0.7
    assert (np.diff(scene.box[:, 3]) > -60).all()  # farthest first: feet go down the picture
    assert scene.visible[-1].mean() > 0.7


def test_turning_away_exchanges_left_and_right() -> None:
    random = np.random.default_rng(0)
    left, right = skeletons.load("coco17").pairs[2]  # shoulders
    points, _ = pose_figure(random, STANCES[0])
    assert points[left, 0] > points[right, 0]  # facing us, their left is on our right


@pytest.mark.parametrize("stance", STANCES)
def test_feet_stand_on_the_ground(stance: object) -> None:
    points, body = pose_figure(np.random.default_rng(0), stance)  # type: ignore[arg-type]
    ends = [(cone.start[1], cone.start_radius) for cone in body]
    ends += [(cone.end[1], cone.end_radius) for cone in body]
    lowest = max(y + radius for y, radius in ends)
    assert lowest == pytest.approx(-stance.jump)  # type: ignore[attr-defined]
    height = lowest - points[:, 1].min()
    assert 0.9 < height < 2.4


@pytest.mark.parametrize("seed", range(6))
def test_a_cone_is_the_union_of_its_spheres(seed: int) -> None:
    random = np.random.default_rng(seed)
    start, end = random.uniform(12, 40, (2, 3))
    radii = random.uniform(3, 9, 2)
    layer = draw([Cone(start, end, *radii, (255, 255, 255))])
    height, width = layer.depth.shape
    x, y = np.meshgrid(layer.left + np.arange(width), layer.top + np.arange(height))
    nearest = np.full(x.shape, np.inf)
    for t in np.linspace(0, 1, 4001):
        centre, radius = start + t * (end - start), radii[0] + t * (radii[1] - radii[0])
        square = radius**2 - (x - centre[0]) ** 2 - (y - centre[1]) ** 2
        front = centre[2] - np.sqrt(np.maximum(square, 0))
        nearest = np.minimum(nearest, np.where(square > 0, front, np.inf))
    both = np.isfinite(nearest) & np.isfinite(layer.depth)
    # The union of 4001 spheres falls short of the cone by up to step^2 / (8 r) below its ridge, but
    # at the rim, where surfaces run along the ray, by the root of that: compare off the rim.
    inside = both & (layer.alpha == 1)
    assert both.sum() >= 0.98 * np.isfinite(layer.depth).sum()
    assert np.abs(layer.depth[inside] - nearest[inside]).max() < 0.02


def test_a_flat_sphere_is_an_ellipse() -> None:
    axis = np.array([1.0, 0.0, 0.0])
    centre = np.array([30.0, 20.0, 0.0])
    ball = Cone(centre, centre, 12.0, 12.0, (9, 9, 9), flat_axis=axis, flatness=0.5)
    x1, y1, x2, y2 = draw([ball]).box
    third = 0.334  # of a pixel: how finely pixels are sampled
    assert x2 - x1 == pytest.approx(12, abs=third)
    assert y2 - y1 == pytest.approx(24, abs=third)
    # Edges are half a pixel from centres.
    assert (x1 + x2) / 2 == pytest.approx(30.5, abs=third)
    assert (y1 + y2) / 2 == pytest.approx(20.5, abs=third)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("people", -1), ("people", 1001), ("size", (8, 100)), ("size", (100, 9000)), ("seed", -1)],
)
def test_a_scene_that_cannot_be_is_refused(argument: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        render_scene(**{argument: value})  # type: ignore[arg-type]
    assert caught.value.argument == argument


# ---- heatmaps ------------------------------------------------------------------------------------


def make_points(people: int = 3) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.uniform((4, 4), (43, 59), (people, 17, 2)).astype(np.float32)


def test_a_heatmap_is_a_gaussian_around_its_joint() -> None:
    points = make_points()
    maps = heatmaps(points, size=(64, 48), sigma=2.0, amplitude=0.8)
    assert (maps.shape, maps.dtype) == ((3, 17, 64, 48), np.float32)
    y, x = np.mgrid[:64, :48]
    square = (x - points[1, 5, 0]) ** 2 + (y - points[1, 5, 1]) ** 2
    # Two exponentials and two products in float64, stored as float32: half an ulp of 0.8 each.
    np.testing.assert_allclose(maps[1, 5], 0.8 * np.exp(-square / 8), atol=1e-6)


def test_nobody_and_unknown_joints() -> None:
    assert heatmaps(np.zeros((0, 17, 2)), size=(64, 48)).shape == (0, 17, 64, 48)
    points = make_points()
    points[0, 3] = np.nan
    assert (heatmaps(points, size=(64, 48))[0, 3] == 0).all()


def test_amplitudes_may_differ_and_noise_is_seeded() -> None:
    points = make_points()
    amplitude = np.linspace(0.1, 1, 51).reshape(3, 17)
    peaks = heatmaps(np.rint(points), size=(64, 48), amplitude=amplitude).max((2, 3))
    np.testing.assert_allclose(peaks, amplitude, rtol=1e-6)
    first, second, other = (
        heatmaps(points, size=(64, 48), noise=0.05, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    assert (first - heatmaps(points, size=(64, 48))).std() == pytest.approx(0.05, rel=0.02)


def test_a_field_points_along_its_limb() -> None:
    skeleton = skeletons.load("openpose_coco18")
    points = np.full((2, 18, 2), np.nan)
    points[0, [skeleton.index("neck"), skeleton.index("nose")]] = [(4.0, 9.0), (10.0, 1.0)]
    fields = limb_fields(points, skeleton=skeleton, size=(12, 16))
    assert (fields.shape, fields.dtype) == ((1, 38, 12, 16), np.float32)
    limb = next(f for f in skeleton.fields if skeleton.joints[f.second] == "nose")
    drawn = fields[0, [limb.x, limb.y]]
    np.testing.assert_allclose(drawn[:, [9, 5, 1], [4, 7, 10]].T, [(0.6, -0.8)] * 3, rtol=1e-7)
    assert not drawn[:, 1, 4].any()
    assert not drawn[:, 5, [4, 10]].any()
    assert np.count_nonzero(fields) == np.count_nonzero(drawn)
    # A second person's limb the other way round: where the two cross, nothing is left.
    points[1] = points[0]
    points[1, [skeleton.index("neck"), skeleton.index("nose")]] = [(10.0, 1.0), (4.0, 9.0)]
    assert np.abs(limb_fields(points, skeleton=skeleton, size=(12, 16))).max() < 1e-7


def test_fields_that_cannot_be_are_refused() -> None:
    skeleton = skeletons.load("openpose_coco18")
    with pytest.raises(InputError, match="points"):
        limb_fields(np.zeros((1, 17, 2)), skeleton=skeleton, size=(8, 8))
    with pytest.raises(InputError, match="skeleton"):
        limb_fields(np.zeros((1, 17, 2)), skeleton=skeletons.load("coco17"), size=(8, 8))
    nobody = limb_fields(np.zeros((0, 18, 2)), skeleton=skeleton, size=(8, 8))
    assert not nobody.any()


def test_the_mirrored_answer_is_the_mirror_image_with_the_names_exchanged() -> None:
    skeleton = skeletons.load("coco17")
    points = make_points()
    maps = heatmaps(points, size=(64, 48))
    flipped = heatmaps(mirror_points(points, width=48, skeleton=skeleton), size=(64, 48))
    # 47 - x rounds once in float32: an ulp of 47 moves the steepest sample by 4e-6 / 2 * 0.6.
    np.testing.assert_allclose(flipped[:, skeleton.mirrored, :, ::-1], maps, atol=2e-6)


def test_points_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"points: expected \[P, K, 2\], got \[17, 2\]"):
        heatmaps(np.zeros((17, 2)), size=(64, 48))
