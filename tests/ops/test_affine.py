"""Affines: every convention against its oracle, against its publication, and there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from reference import affine as reference

from pyposefast import ops

if TYPE_CHECKING:
    from conftest import Device
    from reference.affine import Affines, Alignment, Fit

ALIGNMENTS: list[Alignment] = ["half_pixel", "corner", "udp"]
FITS: list[Fit] = ["expand", "stretch"]
SIZES = [(256, 192), (64, 64), (48, 160), (2, 3)]

# Twenty float64 operations on numbers up to 2^13 px, and a sine good to two units in the last place
# times the same: 24 * 2^-53 * 2^13 = 2e-11.
MATRIX_ERROR = 1e-10


def random_boxes(rng: np.random.Generator, count: int) -> Any:
    """[P, 4] xyxy, also partly and wholly outside of any image."""
    corner = rng.uniform(-200, 1800, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(3, 900, (count, 2))], axis=1)


def assert_same_maps(got: ops.Affines, expected: Affines) -> None:
    """Both matrices, as what they do to points around the region: a matrix alone has no unit."""
    assert got.affine.dtype == got.inverse.dtype == np.float64
    assert got.affine.shape == expected.affine.shape == got.inverse.shape
    scale = np.abs(expected.affine[:, :, :2]).max(axis=(1, 2), initial=1e-9)
    crop_points = np.tile([[[0.0, 0.0], [191.0, 0.0], [0.0, 255.0]]], (len(scale), 1, 1))
    image_points = reference.transform_points(crop_points, expected.inverse)
    there = reference.transform_points(image_points, got.affine)
    back = reference.transform_points(crop_points, got.inverse)
    assert (np.abs(there - crop_points).max(axis=(1, 2)) <= MATRIX_ERROR * (1 + scale)).all()
    assert (np.abs(back - image_points).max(axis=(1, 2)) <= MATRIX_ERROR * (1 + 1 / scale)).all()


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("turned", [False, True])
def test_boxes(device: Device, alignment: Alignment, fit: Fit, turned: bool) -> None:  # noqa: FBT001
    rng = np.random.default_rng(1)
    boxes = random_boxes(rng, 40)
    angle_rad = rng.uniform(-4, 4, 40) if turned else None
    mirror = rng.random(40) < 0.5 if turned else None
    for size in SIZES:
        options: dict[str, Any] = {
            "size": size,
            "padding": float(rng.choice([1.0, 1.25, 0.7])),
            "fit": fit,
            "alignment": alignment,
        }
        got = ops.box_affines(
            device.put(boxes),
            angle_rad=device.put(angle_rad),
            mirror=device.put(None if mirror is None else mirror.astype(np.uint8)),
            **options,
        )
        expected = reference.box_affines(boxes, angle_rad=angle_rad, mirror=mirror, **options)
        assert_same_maps(device.get(got), expected)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("sides", [1, 2])
def test_scales(device: Device, alignment: Alignment, fit: Fit, sides: int) -> None:
    rng = np.random.default_rng(2)
    centres = rng.uniform(-100, 2000, (30, 2))
    scales = rng.uniform(0.05, 6, (30, 2)) if sides == 2 else rng.uniform(0.05, 6, 30)
    angle_rad = rng.uniform(-4, 4, 30)
    for size in SIZES:
        options: dict[str, Any] = {"size": size, "fit": fit, "alignment": alignment}
        got = ops.scale_affines(
            device.put(centres),
            device.put(scales),
            angle_rad=device.put(angle_rad),
            padding=1.25,
            **options,
        )
        expected = reference.scale_affines(
            centres, scales, angle_rad=angle_rad, padding=1.25, **options
        )
        assert_same_maps(device.get(got), expected)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_joint_windows(device: Device, alignment: Alignment) -> None:
    points = np.random.default_rng(3).uniform(0, 1000, (5, 14, 2))
    for size in [(220, 220), (64, 48)]:
        options: dict[str, Any] = {"size": size, "reference": (2, 9), "sigma": 1.5}
        got = ops.joint_affines(device.put(points), alignment=alignment, **options)
        assert_same_maps(
            device.get(got), reference.joint_affines(points, alignment=alignment, **options)
        )


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_axes(device: Device, alignment: Alignment) -> None:
    rng = np.random.default_rng(4)
    starts = rng.uniform(0, 1000, (30, 2))
    ends = starts + rng.normal(0, 100, (30, 2))
    for reach in (1.25, 0.5):
        options: dict[str, Any] = {"size": (256, 256), "reach": reach, "alignment": alignment}
        got = ops.axis_affines(device.put(starts), device.put(ends), **options)
        assert_same_maps(device.get(got), reference.axis_affines(starts, ends, **options))


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("anchor", ["centre", "top_left"])
def test_letterboxes(device: Device, alignment: Alignment, anchor: Any) -> None:
    sizes = np.array([[480, 640], [640, 480], [1, 1], [1080, 1920], [7, 2000], [368, 368]], float)
    for size in SIZES:
        options: dict[str, Any] = {"size": size, "anchor": anchor, "alignment": alignment}
        got = ops.letterbox_affines(device.put(sizes), **options)
        assert_same_maps(device.get(got), reference.letterbox_affines(sizes, **options))


# ---- there and back ------------------------------------------------------------------------------


def every_convention(device: Device, alignment: Alignment) -> dict[str, ops.Affines]:
    """One batch of affines per function; regions within 1024 px, sides up to 4 crop sides."""
    rng = np.random.default_rng(5)
    size: tuple[int, int] = (256, 192)
    corner = rng.uniform(0, 500, (40, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(20, 500, (40, 2))], axis=1)
    joints = rng.uniform(100, 900, (4, 14, 2))
    joints[:, 3] = joints[:, 8] + rng.uniform(30, 90, (4, 2))
    put = device.put
    turned: dict[str, Any] = {
        "angle_rad": put(rng.uniform(-3, 3, 40)),
        "mirror": put((rng.random(40) < 0.5).astype(np.uint8)),
    }
    same: dict[str, Any] = {"size": size, "alignment": alignment}
    return {
        "box": ops.box_affines(put(boxes), padding=1.25, **same),
        "stretched box": ops.box_affines(put(boxes), fit="stretch", **same),
        "turned box": ops.box_affines(put(boxes), **turned, **same),
        "scale": ops.scale_affines(put(boxes[:, :2]), put(rng.uniform(0.2, 3, 40)), **same),
        "joint": ops.joint_affines(put(joints), reference=(3, 8), sigma=2.0, **same),
        "axis": ops.axis_affines(put(boxes[:, :2]), put(boxes[:, 2:] - 0.5 * corner), **same),
        "letterbox": ops.letterbox_affines(put(np.array([[480.0, 640.0], [1000.0, 30.0]])), **same),
    }


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_round_trip(device: Device, alignment: Alignment) -> None:
    """Image -> crop -> image through float32 points: within 1e-4 px.

    Two roundings count: of the crop's coordinate (up to 256, so 2^-17) times at most 4 image px per
    crop px, and of the image's (up to 1024, so 2^-15): 6.1e-5 px.
    """
    rng = np.random.default_rng(6)
    for name, affines in every_convention(device, alignment).items():
        matrices = device.get(affines)
        inside = rng.uniform(0, [191, 255], (len(matrices.affine), 20, 2))
        points = reference.transform_points(inside, matrices.inverse)
        points = np.clip(points, -1024, 1024).astype(np.float32)
        crop_points = ops.transform_points(device.put(points), affines.affine)
        again = device.get(ops.transform_points(crop_points, affines.inverse))
        assert again.dtype == np.float32
        assert np.abs(again - points).max() <= 1e-4, name
        both = np.concatenate(
            [matrices.affine, np.tile([[[0.0, 0.0, 1.0]]], (len(points), 1, 1))], 1
        )
        identity = reference.invert(both[:, :2]) - matrices.inverse
        assert np.abs(identity).max() <= 1e-9, name


def test_points_are_rounded_once(device: Device) -> None:
    rng = np.random.default_rng(7)
    points = rng.uniform(-2000, 2000, (9, 33, 2)).astype(np.float32)
    affines = rng.normal(0, 3, (9, 2, 3))
    got = device.get(ops.transform_points(device.put(points), device.put(affines)))
    expected = reference.transform_points(points, affines)
    # The sum in float64 is off by 3 * 2^-53 of its terms: one float32 rounding is all that shows,
    # unless the terms cancel.
    terms = reference.transform_points(np.abs(points), np.abs(affines))
    assert (np.abs(got - expected) <= 2.0**-24 * np.abs(expected) + 2.0**-50 * terms).all()


def test_points_in_place(device: Device) -> None:
    rng = np.random.default_rng(8)
    points = rng.uniform(0, 500, (3, 5, 2)).astype(np.float32)
    affines = device.put(rng.normal(0, 1, (3, 2, 3)))
    expected = device.get(ops.transform_points(device.put(points.copy()), affines))
    buffer = device.put(points.copy())
    result = ops.transform_points(buffer, affines, out=buffer)
    np.testing.assert_array_equal(device.get(result), expected)
    np.testing.assert_array_equal(device.get(buffer), expected)


# ---- the publications ----------------------------------------------------------------------------


def hrnet_points(
    centre: Any, scale: float, angle_deg: float, size: tuple[int, int]
) -> tuple[Any, Any]:
    """The three points of each side from which HRNet and SimpleBaseline take their affine.

    The centre, the point half a width above it, and a third that makes a right angle with both.
    """
    out_h, out_w = size
    half_width = scale * 200.0 / 2
    turn = np.deg2rad(angle_deg)
    up = np.array([np.sin(turn), -np.cos(turn)]) * half_width
    source = [centre, centre + up]
    target = [np.array([out_w / 2, out_h / 2]), np.array([out_w / 2, out_h / 2 - out_w / 2])]
    for points in (source, target):
        along = points[0] - points[1]
        points.append(points[1] + np.array([-along[1], along[0]]))
    return np.float32(source), np.float32(target)


@pytest.mark.parametrize("angle_deg", [0.0, 30.0, -75.0, 180.0])
def test_corner_is_hrnet(device: Device, angle_deg: float) -> None:
    """`corner` is cv2.getAffineTransform on HRNet's points.

    cv2 takes its points as float32: coordinates below 1024 are off by 2^-15 px at most, all three
    together move a point of the region, at most three half widths from any of them, by less than
    (1 + 3 + 3) * 2^-15 = 2.2e-4 px.
    """
    rng = np.random.default_rng(9)
    size = (256, 192)
    for _ in range(20):
        centre, scale = rng.uniform(200, 600, 2), float(rng.uniform(0.3, 1.5))
        published = cv2.getAffineTransform(*hrnet_points(centre, scale, angle_deg, size))
        got = device.get(
            ops.scale_affines(
                device.put(centre[None]),
                device.put(np.array([scale])),
                size=size,
                alignment="corner",
                angle_rad=device.put(np.array([np.deg2rad(angle_deg)])),
            )
        )
        corners = np.array([[[0.0, 0.0], [191.0, 0.0], [0.0, 255.0], [191.0, 255.0]]])
        mine = reference.transform_points(corners, got.inverse)
        theirs = reference.transform_points(corners, reference.invert(published[None]))
        assert np.abs(mine - theirs).max() <= 7 * 2.0**-15


def test_corner_box_is_hrnet_box(device: Device) -> None:
    """HRNet's own way from a box to centre and scale, padding 1.25, then to the affine."""
    rng = np.random.default_rng(10)
    size = (256, 192)
    for x, y, w, h in rng.uniform(10, 400, (20, 4)):
        centre = np.array([x + w / 2, y + h / 2])
        width = max(w, h * 192 / 256)
        published = cv2.getAffineTransform(*hrnet_points(centre, width / 200 * 1.25, 0.0, size))
        boxes = np.array([[x, y, x + w, y + h]])
        got = device.get(
            ops.box_affines(device.put(boxes), size=size, padding=1.25, alignment="corner")
        )
        corners = np.array([[[0.0, 0.0], [191.0, 0.0], [0.0, 255.0]]])
        mine = reference.transform_points(corners, got.inverse)
        theirs = reference.transform_points(corners, reference.invert(published[None]))
        assert np.abs(mine - theirs).max() <= 7 * 2.0**-15


@pytest.mark.parametrize("angle_deg", [0.0, 25.0, -110.0])
def test_udp_is_its_paper(device: Device, angle_deg: float) -> None:
    """Huang et al. 2020, equation of the unbiased warp.

    Sides are counted in unit lengths, the distances between pixel centres; the paper turns the
    other way.
    """
    rng = np.random.default_rng(11)
    out_h, out_w = 256, 192
    theta = -np.deg2rad(angle_deg)
    cos, sin = np.cos(theta), np.sin(theta)
    for _ in range(20):
        centre = rng.uniform(100, 900, 2)
        width = float(rng.uniform(50, 600))
        height = width * out_h / out_w
        scale_x, scale_y = (out_w - 1) / width, (out_h - 1) / height
        cx2, cy2 = 2 * centre  # the paper's "input size": twice the centre
        published = np.array(
            [
                [
                    cos * scale_x,
                    -sin * scale_x,
                    scale_x * (-0.5 * cx2 * cos + 0.5 * cy2 * sin + 0.5 * width),
                ],
                [
                    sin * scale_y,
                    cos * scale_y,
                    scale_y * (-0.5 * cx2 * sin - 0.5 * cy2 * cos + 0.5 * height),
                ],
            ]
        )
        got = device.get(
            ops.scale_affines(
                device.put(centre[None]),
                device.put(np.array([[width / 200, height / 200]])),
                size=(out_h, out_w),
                alignment="udp",
                angle_rad=device.put(np.array([np.deg2rad(angle_deg)])),
            )
        )
        np.testing.assert_allclose(got.affine[0], published, rtol=0, atol=1e-9)


def test_half_pixel_is_resizing(device: Device) -> None:
    """A box of the whole image is what cv2.resize and every resizing library do."""
    affines = device.get(
        ops.box_affines(
            device.put(np.array([[0.0, 0.0, 640.0, 480.0]])), size=(120, 320), fit="stretch"
        )
    )
    expected = [[0.5, 0.0, 0.5 * 0.5 - 0.5], [0.0, 0.25, 0.5 * 0.25 - 0.5]]
    np.testing.assert_allclose(affines.affine[0], expected, atol=1e-12)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_what_the_conventions_agree_on(device: Device, alignment: Alignment) -> None:
    """Where the region's corners and centre go, said without any formula of ours."""
    boxes = np.array([[100.0, 40.0, 292.0, 296.0]])  # as large as the crop: nothing is scaled
    got = device.get(ops.box_affines(device.put(boxes), size=(256, 192), alignment=alignment))
    first = reference.transform_points([[[100.0, 40.0]]], got.affine)[0, 0]
    if alignment == "udp":
        # A region of w x h units between centres becomes w - 1 x h - 1 of them, ends on ends.
        np.testing.assert_allclose(first, [0.0, 0.0], atol=1e-9)
        last = reference.transform_points([[[292.0, 296.0]]], got.affine)[0, 0]
        np.testing.assert_allclose(last, [191.0, 255.0], atol=1e-9)
    else:
        # Pixel (100, 40) of the image is pixel (0, 0) of the crop, exactly.
        np.testing.assert_allclose(first, [0.0, 0.0], atol=1e-9)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_joint_is_in_the_middle_of_its_window(device: Device, alignment: Alignment) -> None:
    """DeepPose: sub-images centred on the joint, side sigma times the distance of two joints."""
    points = np.array([[[50.0, 60.0], [80.0, 100.0], [33.0, 12.0]]])
    got = device.get(
        ops.joint_affines(
            device.put(points), size=(61, 61), reference=(0, 1), sigma=2.0, alignment=alignment
        )
    )
    middle = 30.5 if alignment == "corner" else 30.0
    for joint in range(3):
        where = reference.transform_points(points[:, joint : joint + 1], got.affine[joint, None])
        np.testing.assert_allclose(where[0, 0], [middle, middle], atol=1e-9)
    # |(30, 40)| = 50, so 100 px become the crop.
    crop_units = 60 if alignment == "udp" else 61
    np.testing.assert_allclose(got.affine[:, 0, 0], crop_units / 100)


def test_axis_points_up(device: Device) -> None:
    """BlazePose: mid hip in the middle, the other end straight above it at 1 / 1.25 of the way."""
    rng = np.random.default_rng(12)
    starts = rng.uniform(100, 900, (20, 2))
    ends = starts + rng.normal(0, 80, (20, 2))
    got = device.get(ops.axis_affines(device.put(starts), device.put(ends), size=(256, 256)))
    both = reference.transform_points(np.stack([starts, ends], axis=1), got.affine)
    np.testing.assert_allclose(both[:, 0], 127.5, atol=1e-9)
    np.testing.assert_allclose(both[:, 1], [[127.5, 127.5 - 128 / 1.25]] * 20, atol=1e-9)


def test_positive_angle_turns_clockwise(device: Device) -> None:
    """A region turned clockwise by a quarter has its top at the right."""
    boxes = device.put(np.array([[0.0, 0.0, 100.0, 100.0]]))
    got = device.get(
        ops.box_affines(boxes, size=(100, 100), angle_rad=device.put(np.array([np.pi / 2])))
    )
    top_middle = reference.transform_points([[[49.5, 0.0]]], got.inverse)[0, 0]
    np.testing.assert_allclose(top_middle, [99.0, 49.5], atol=1e-9)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_mirror_is_the_mirror_image(device: Device, alignment: Alignment) -> None:
    boxes = np.array([[10.0, 20.0, 200.0, 300.0]] * 2)
    got = device.get(
        ops.box_affines(
            device.put(boxes),
            size=(256, 192),
            alignment=alignment,
            angle_rad=device.put(np.array([0.4, 0.4])),
            mirror=device.put(np.array([0, 1], np.uint8)),
        )
    )
    straight, mirrored = reference.transform_points(
        np.tile([[[40.0, 50.0], [111.0, 222.0]]], (2, 1, 1)), got.affine
    )
    np.testing.assert_allclose(mirrored[:, 0], 191 - straight[:, 0], atol=1e-9)
    np.testing.assert_allclose(mirrored[:, 1], straight[:, 1], atol=1e-9)


# ---- kinds of arguments --------------------------------------------------------------------------


def test_no_region(device: Device) -> None:
    """An empty list means no crops, never the whole image."""
    size = (256, 192)
    none = device.put(np.zeros((0, 4)))
    for affines in (
        ops.box_affines(none, size=size),
        ops.scale_affines(device.put(np.zeros((0, 2))), device.put(np.zeros(0)), size=size),
        ops.joint_affines(device.put(np.zeros((0, 17, 2))), size=size, reference=(5, 12), sigma=1),
        ops.axis_affines(device.put(np.zeros((0, 2))), device.put(np.zeros((0, 2))), size=size),
        ops.letterbox_affines(device.put(np.zeros((0, 2))), size=size),
    ):
        result = device.get(affines)
        assert result.affine.shape == result.inverse.shape == (0, 2, 3)
    points = ops.transform_points(
        device.put(np.zeros((0, 17, 2), np.float32)), device.put(np.zeros((0, 2, 3)))
    )
    assert device.get(points).shape == (0, 17, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint8])
def test_numbers_of_any_kind_on_the_cpu(dtype: Any) -> None:
    boxes = np.array([[1, 2, 31, 52], [5, 5, 9, 250]], dtype)
    got = ops.box_affines(boxes, size=(64, 48))
    assert_same_maps(got, reference.box_affines(boxes, size=(64, 48)))


def test_strided_tables_on_the_cpu() -> None:
    table = np.random.default_rng(13).uniform(1, 50, (6, 9))
    table[:, 5] += 60
    table[:, 7] += 60
    boxes = table[::-2, 1:8:2]
    got = ops.box_affines(boxes, size=(64, 48))
    assert_same_maps(got, reference.box_affines(boxes.copy(), size=(64, 48)))


def test_results_are_new_objects() -> None:
    boxes = np.array([[1.0, 2.0, 31.0, 52.0]])
    first = ops.box_affines(boxes, size=(64, 48))
    second = ops.box_affines(boxes, size=(64, 48))
    assert not np.shares_memory(first.affine, second.affine)
    assert first.affine.flags.owndata
