"""`crop_images` against its float64 oracle, for every option, and against OpenCV."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from reference import crop as reference
from reference.compare import crop_excess
from reference.inputs import random_affines, rough_image, smooth_image

from pyposefast import ops

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Device

IMAGENET: dict[str, Any] = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}

# How an image can come: name of the source, element type.
SOURCES = [
    ("rgb", "uint8"),
    ("rgb", "float32"),
    ("bgr", "uint8"),
    ("bgr", "float32"),
    ("grey", "uint8"),
    ("grey", "float32"),
    ("nv12", "uint8"),
]


def random_source(
    rng: np.random.Generator, source: str, dtype: str, height: int, width: int
) -> Any:
    if source == "nv12":
        return (
            rough_image(rng, (height, width)),
            rough_image(rng, (height // 2, width // 2, 2)),
        )
    return rough_image(
        rng, (height, width, 3) if source in ("rgb", "bgr") else (height, width), dtype
    )


def value_range(dtype: str, options: dict[str, Any]) -> float:
    """Largest minus smallest value of a sample, after normalisation; the fill is within."""
    return (255.0 if dtype == "uint8" else 2.0) / float(np.min(options.get("std", 1.0)))


def assert_crops(device: Device, images: Any, affines: Any, came_as: str, **options: Any) -> None:
    """One call on a device, held against the oracle; `images` is a list."""
    got = device.get(ops.crop_images(device.put(images), device.put(affines), **options))
    expected = reference.crop_images(
        images,
        affines,
        **{name: value for name, value in options.items() if name not in ("dtype", "threads")},
    )
    assert got.pixels.shape == expected.shape
    assert got.pixels.dtype == options.get("dtype", "float32")
    assert crop_excess(got.pixels, expected, value_range(came_as, options)) <= 0
    assert got.inverse.dtype == np.float64
    np.testing.assert_allclose(got.inverse, reference.invert(affines), rtol=1e-9, atol=1e-9)


# ---- every option --------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "dtype"), SOURCES)
@pytest.mark.parametrize("border", ["constant", "replicate"])
def test_every_option(device: Device, source: str, dtype: str, border: str) -> None:
    """All combinations, each with turned, sheared, mirrored, enlarged and reduced crops."""
    rng = np.random.default_rng(1)
    height, width, size = 38, 52, (21, 34)
    outputs = ["rgb", "bgr", "grey"] if source == "grey" else ["rgb", "bgr"]
    matrices = ["bt601", "bt709", "bt601_full", "bt709_full"] if source == "nv12" else ["bt601"]
    unit = 1.0 if dtype == "uint8" else 1.0 / 255
    for output, layout, out_dtype, yuv, normalised in itertools.product(
        outputs, ["nchw", "nhwc"], ["float32", "float16", "uint8"], matrices, [False, True]
    ):
        channels = 1 if output == "grey" else 3
        options: dict[str, Any] = {"fill": 114.0 * unit}
        if normalised:
            options["mean"] = (np.array(IMAGENET["mean"][:channels]) * unit).tolist()
            # To integers only what spreads over them.
            std = np.array(IMAGENET["std"][:channels]) * unit / (64 if out_dtype == "uint8" else 1)
            options["std"] = std.tolist()
            options["fill"] = (np.array([10.0, 128.0, 250.0][:channels]) * unit).tolist()
        affines = random_affines(rng, 4, (height, width), size)
        assert_crops(
            device,
            [random_source(rng, source, dtype, height, width)],
            affines,
            dtype,
            size=size,
            source=source,
            output=output,
            layout=layout,
            dtype=out_dtype,
            border=border,
            yuv=yuv,
            **options,
        )


@pytest.mark.thread_orders
@pytest.mark.parametrize(("source", "dtype"), SOURCES)
@pytest.mark.parametrize("size", [(1, 1), (1, 65), (33, 1), (16, 16), (9, 259), (40, 31)])
def test_sizes(device: Device, source: str, dtype: str, size: tuple[int, int]) -> None:
    """Crops narrower than a vector, as wide as several, and with a rest."""
    rng = np.random.default_rng(2)
    for border in ("constant", "replicate"):
        assert_crops(
            device,
            [random_source(rng, source, dtype, 46, 300)],
            random_affines(rng, 3, (46, 300), size),
            dtype,
            size=size,
            source=source,
            border=border,
        )


@pytest.mark.parametrize(("source", "dtype"), [case for case in SOURCES if case[0] != "nv12"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (3, 700)])
def test_odd_images(device: Device, source: str, dtype: str, shape: tuple[int, int]) -> None:
    """Images of one pixel, one row and one column."""
    rng = np.random.default_rng(3)
    for border in ("constant", "replicate"):
        assert_crops(
            device,
            [random_source(rng, source, dtype, *shape)],
            random_affines(rng, 6, shape, (17, 23)),
            dtype,
            size=(17, 23),
            source=source,
            border=border,
            fill=0.5,
        )


@pytest.mark.parametrize("border", ["constant", "replicate"])
def test_across_the_border(device: Device, border: str) -> None:
    """Boxes over each side and corner, beside the image and around all of it."""
    rng = np.random.default_rng(4)
    image = rough_image(rng, (40, 60, 3))
    spans = [(-30, 20), (-30, -5), (10, 45), (-0.5, 0.5), (30, 90), (70, 99), (-10, 130)]
    boxes = np.array([(x1, y1, x2, y2) for (x1, x2), (y1, y2) in itertools.product(spans, spans)])
    affines = ops.box_affines(boxes, size=(24, 24), fit="stretch").affine
    assert_crops(device, [image], affines, "uint8", size=(24, 24), border=border, fill=77.0)


def test_wholly_outside_is_the_fill(device: Device) -> None:
    image = rough_image(np.random.default_rng(5), (30, 30, 3))
    for far in (40.0, 1e3, 1e6, 1e8):
        for sign in (-1, 1):
            boxes = np.array([[0.0, 0.0, 20.0, 20.0]]) + sign * far
            affines = ops.box_affines(boxes, size=(9, 7)).affine
            got = device.get(
                ops.crop_images(
                    device.put(image), device.put(affines), size=(9, 7), fill=[1.0, 2.0, 3.0]
                )
            )
            expected = np.broadcast_to(np.array([1, 2, 3], np.float32)[:, None, None], (3, 9, 7))
            np.testing.assert_array_equal(got.pixels[0], expected)


# ---- what needs no oracle ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_identity_and_right_angles_are_exact(device: Device, dtype: Any) -> None:
    image = rough_image(np.random.default_rng(6), (31, 31, 3))
    put = device.put

    def crop(affine: Any, size: tuple[int, int] = (31, 31)) -> Any:
        crops = ops.crop_images(
            put(image), put(np.array([affine], float)), size=size, layout="nhwc", dtype=dtype
        )
        return device.get(crops).pixels[0]

    np.testing.assert_array_equal(crop([[1, 0, 0], [0, 1, 0]]), image)
    np.testing.assert_array_equal(crop([[-1, 0, 30], [0, 1, 0]]), image[:, ::-1])
    np.testing.assert_array_equal(crop([[1, 0, 0], [0, -1, 30]]), image[::-1])
    np.testing.assert_array_equal(crop([[0, 1, 0], [1, 0, 0]]), image.transpose(1, 0, 2))
    np.testing.assert_array_equal(crop([[0, -1, 30], [1, 0, 0]]), np.rot90(image, -1))
    np.testing.assert_array_equal(crop([[1, 0, -4], [0, 1, -9]], (12, 20)), image[9:21, 4:24])


def test_half_way_is_the_mean(device: Device) -> None:
    """Between four pixels, with rounding half to even and saturation to uint8."""
    image = np.array([[0, 1], [2, 3]], np.uint8)[..., None].repeat(3, axis=2)
    affines = np.array([[[1, 0, -0.5], [0, 1, -0.5]], [[1, 0, -0.5], [0, 1, 0]]])
    for dtype, expected in (("float32", [1.5, 0.5]), ("uint8", [2, 0])):
        got = ops.crop_images(device.put(image), device.put(affines), size=(1, 1), dtype=dtype)
        assert device.get(got).pixels[:, 0, 0, 0].tolist() == expected
    got = ops.crop_images(
        device.put(image), device.put(affines), size=(1, 1), dtype="uint8", mean=-300.0, std=0.5
    )
    assert device.get(got).pixels[:, 0, 0, 0].tolist() == [255, 255]
    got = ops.crop_images(
        device.put(image), device.put(affines), size=(1, 1), dtype="uint8", mean=300.0
    )
    assert device.get(got).pixels[:, 0, 0, 0].tolist() == [0, 0]


def test_shifting_the_image_shifts_the_crop(device: Device) -> None:
    """By whole pixels: the same pixels are read with the same weights, up to float64 positions."""
    rng = np.random.default_rng(7)
    image = rough_image(rng, (60, 80, 3))
    moved = np.zeros((90, 120, 3), np.uint8)
    moved[13:73, 22:102] = image
    affines = random_affines(rng, 8, (60, 80), (32, 24))
    shifted = affines.copy()
    shifted[:, :, 2] -= affines[:, :, :2] @ [22, 13]
    options: dict[str, Any] = {"size": (32, 24)}
    one = device.get(ops.crop_images(device.put(image), device.put(affines), **options))
    other = device.get(ops.crop_images(device.put(moved), device.put(shifted), **options))
    assert np.abs(one.pixels - other.pixels).max() <= 2 * 255 * 1e-5


def test_mirrored_crop(device: Device) -> None:
    rng = np.random.default_rng(8)
    image = rough_image(rng, (60, 80, 3))
    boxes = device.put(np.array([[10.0, 5.0, 55.5, 49.0]] * 2))
    for alignment in ("half_pixel", "corner", "udp"):
        affines = ops.box_affines(
            boxes, size=(32, 24), alignment=alignment, mirror=device.put(np.array([0, 1], np.uint8))
        )
        got = device.get(ops.crop_images(device.put(image), affines.affine, size=(32, 24))).pixels
        assert np.abs(got[0] - got[1][..., ::-1]).max() <= 255 * 1e-5


def test_channel_order_is_an_order(device: Device) -> None:
    rng = np.random.default_rng(9)
    image = rough_image(rng, (20, 30, 3))
    affines = random_affines(rng, 3, (20, 30), (16, 16))

    def crop(source: Any, output: Any, layout: Any = "nhwc") -> Any:
        crops = ops.crop_images(
            device.put(image),
            device.put(affines),
            size=(16, 16),
            source=source,
            output=output,
            layout=layout,
        )
        return device.get(crops).pixels

    np.testing.assert_array_equal(crop("rgb", "rgb"), crop("bgr", "bgr"))
    np.testing.assert_array_equal(crop("rgb", "rgb"), crop("rgb", "bgr")[..., ::-1])
    np.testing.assert_array_equal(
        crop("rgb", "rgb"), crop("rgb", "rgb", "nchw").transpose(0, 2, 3, 1)
    )


# ---- one image, many, parts of images ------------------------------------------------------------


@pytest.mark.parametrize(("source", "dtype"), SOURCES)
def test_lists_and_batches(device: Device, source: str, dtype: str) -> None:
    rng = np.random.default_rng(10)
    shapes = [(20, 30), (20, 30), (20, 30)]
    images = [random_source(rng, source, dtype, *shape) for shape in shapes]
    affines = random_affines(rng, 7, shapes[0], (15, 19))
    image_index = np.array([2, 0, 1, 1, 2, 0, 0], np.int32)
    options: dict[str, Any] = {"size": (15, 19), "source": source}
    expected = reference.crop_images(images, affines, image_index=image_index, **options)
    if source == "nv12":
        batch: Any = tuple(np.stack([pair[plane] for pair in images]) for plane in (0, 1))
    else:
        batch = np.stack(images)
    for together in (images, batch):
        got = ops.crop_images(
            device.put(together),
            device.put(affines),
            image_index=device.put(image_index),
            **options,
        )
        pixels = device.get(got).pixels
        assert crop_excess(pixels, expected, value_range(dtype, {})) <= 0


def test_images_of_different_sizes(device: Device) -> None:
    rng = np.random.default_rng(11)
    images = [rough_image(rng, (*shape, 3)) for shape in [(20, 30), (1, 1), (64, 9), (2, 200)]]
    affines = random_affines(rng, 12, (20, 30), (15, 19))
    image_index = rng.integers(0, 4, 12).astype(np.int32)
    got = ops.crop_images(
        device.put(images),
        device.put(affines),
        size=(15, 19),
        image_index=device.put(image_index),
        border="replicate",
    )
    expected = reference.crop_images(
        images, affines, size=(15, 19), image_index=image_index, border="replicate"
    )
    assert crop_excess(device.get(got).pixels, expected, 255.0) <= 0


def test_without_an_index_all_are_of_the_first(device: Device) -> None:
    rng = np.random.default_rng(12)
    images = [rough_image(rng, (20, 30, 3)) for _ in range(3)]
    affines = random_affines(rng, 4, (20, 30), (8, 8))
    got = ops.crop_images(device.put(images), device.put(affines), size=(8, 8))
    expected = ops.crop_images(device.put(images[0]), device.put(affines), size=(8, 8))
    np.testing.assert_array_equal(device.get(got).pixels, device.get(expected).pixels)


@pytest.mark.parametrize(("source", "dtype"), SOURCES)
def test_part_of_an_image(device: Device, source: str, dtype: str) -> None:
    """A window of a larger image is an image: its rows are apart, and nothing beyond is read."""
    rng = np.random.default_rng(13)
    whole = random_source(rng, source, dtype, 60, 80)
    if source == "nv12":
        part: Any = (whole[0][10:50, 20:70], whole[1][5:25, 10:35])
        copy: Any = tuple(plane.copy() for plane in part)
    else:
        part = whole[10:50, 20:70]
        copy = part.copy()
    affines = random_affines(rng, 6, (40, 50), (24, 33))
    for border in ("constant", "replicate"):
        options: dict[str, Any] = {"size": (24, 33), "source": source, "border": border}
        got = ops.crop_images(device.put(part), device.put(affines), **options)
        expected = ops.crop_images(device.put(copy), device.put(affines), **options)
        np.testing.assert_array_equal(device.get(got).pixels, device.get(expected).pixels)


def test_every_other_row_and_upside_down(device: Device) -> None:
    rng = np.random.default_rng(14)
    whole = rough_image(rng, (60, 80, 3))
    affines = random_affines(rng, 6, (30, 80), (24, 33))
    for part in (whole[::2], whole[::-2]):
        got = ops.crop_images(device.put(part), device.put(affines), size=(24, 33))
        expected = ops.crop_images(device.put(part.copy()), device.put(affines), size=(24, 33))
        np.testing.assert_array_equal(device.get(got).pixels, device.get(expected).pixels)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_into_the_callers_buffer(device: Device, layout: Any, dtype: Any) -> None:
    rng = np.random.default_rng(15)
    image = rough_image(rng, (40, 50, 3))
    affines = device.put(random_affines(rng, 5, (40, 50), (16, 12)))
    options: dict[str, Any] = {"size": (16, 12), "layout": layout, "dtype": dtype}
    expected = device.get(ops.crop_images(device.put(image), affines, **options)).pixels
    out = device.put(np.full(expected.shape, 9, dtype))
    result = ops.crop_images(device.put(image), affines, out=out, **options)
    assert result.pixels is out
    np.testing.assert_array_equal(device.get(out), expected)


def test_no_crops(device: Device) -> None:
    """An empty list means no crops, never the whole image."""
    image = device.put(rough_image(np.random.default_rng(16), (20, 30, 3)))
    got = device.get(ops.crop_images(image, device.put(np.zeros((0, 2, 3))), size=(8, 6)))
    assert got.pixels.shape == (0, 3, 8, 6)
    assert got.inverse.shape == (0, 2, 3)
    got = device.get(
        ops.crop_images(image, device.put(np.zeros((0, 2, 3))), size=(8, 6), layout="nhwc")
    )
    assert got.pixels.shape == (0, 8, 6, 3)


def test_ten_thousand_crops() -> None:
    rng = np.random.default_rng(17)
    image = rough_image(rng, (40, 50, 3))
    affines = random_affines(rng, 10_000, (40, 50), (4, 4))
    got = ops.crop_images(image, affines, size=(4, 4))
    some = rng.integers(0, 10_000, 50)
    expected = reference.crop_images([image], affines[some], size=(4, 4))
    assert crop_excess(got.pixels[some], expected, 255.0) <= 0


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_share_the_work(threads: int) -> None:
    rng = np.random.default_rng(18)
    image = rough_image(rng, (100, 120, 3))
    affines = random_affines(rng, 13, (100, 120), (64, 48))
    one = ops.crop_images(image, affines, size=(64, 48))
    several = ops.crop_images(image, affines, size=(64, 48), threads=threads)
    assert one.pixels.tobytes() == several.pixels.tobytes()
    assert one.inverse.tobytes() == several.inverse.tobytes()


# ---- a large image: positions keep their precision -----------------------------------------------


@pytest.mark.parametrize("source", ["rgb", "nv12"])
def test_far_from_the_origin(device: Device, source: str) -> None:
    """A float32 position at x = 3800 is known to 1e-4 px, a float64 one to 1e-12."""
    rng = np.random.default_rng(19)
    image = random_source(rng, source, "uint8", 60, 3840)
    boxes = np.array([[3700.3, 5.1, 3790.9, 50.2], [3811.0, 0.0, 3839.5, 60.0]])
    affines = ops.box_affines(boxes, size=(48, 64), angle_rad=np.array([0.1, -0.3])).affine
    assert_crops(device, [image], affines, "uint8", size=(48, 64), source=source)


# ---- OpenCV --------------------------------------------------------------------------------------


def within_two_levels(got: Any, expected: Any) -> float:
    """The part of the pixels on which two images agree to two grey levels."""
    return float((np.abs(got.astype(np.float64) - expected.astype(np.float64)) <= 2).mean())


def test_like_warp_affine(device: Device) -> None:
    """cv2 may round positions to 1/32 px and weights to 2^-15; a smooth image hides all of that."""
    image = smooth_image(270, 480)
    affines = random_affines(np.random.default_rng(20), 12, (270, 480), (128, 96))
    for border, flag in (("constant", cv2.BORDER_CONSTANT), ("replicate", cv2.BORDER_REPLICATE)):
        got = device.get(
            ops.crop_images(
                device.put(image),
                device.put(affines),
                size=(128, 96),
                layout="nhwc",
                dtype="uint8",
                border=border,
                fill=[10.0, 100.0, 200.0],
            )
        ).pixels
        for crop, affine in zip(got, affines, strict=True):
            expected = cv2.warpAffine(
                image,
                affine,
                (96, 128),
                flags=cv2.INTER_LINEAR,
                borderMode=flag,
                borderValue=(10, 100, 200),
            )
            assert within_two_levels(crop, expected) >= 0.999


def test_like_warp_affine_on_photographs(photographs: list[Path]) -> None:
    """All of a photograph's edges; the crops are turned and of the sizes of people."""
    rng = np.random.default_rng(21)
    agreeing = []
    for path in photographs[:5]:
        image = cv2.imread(str(path))
        height, width = image.shape[:2]
        corner = rng.uniform(0, 0.5, (4, 2)) * [width, height]
        boxes = np.concatenate([corner, corner + rng.uniform(0.2, 0.5, (4, 2)) * width], axis=1)
        affines = ops.box_affines(
            boxes, size=(256, 192), padding=1.25, angle_rad=rng.uniform(-0.5, 0.5, 4)
        ).affine
        got = ops.crop_images(
            image,
            affines,
            size=(256, 192),
            source="bgr",
            output="bgr",
            layout="nhwc",
            dtype="uint8",
        ).pixels
        for crop, affine in zip(got, affines, strict=True):
            expected = cv2.warpAffine(image, affine, (192, 256), flags=cv2.INTER_LINEAR)
            agreeing.append(within_two_levels(crop, expected))
    assert np.mean(agreeing) >= 0.999


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (100, 160)])
def test_letterbox_is_resize_and_border(device: Device, shape: tuple[int, int]) -> None:
    """cv2.resize, copyMakeBorder; edge pixels apart, where cv2 repeats and a letterbox blends."""
    size = (320, 320)
    height, width = shape
    image = smooth_image(height, width)
    shrink = min(size[0] / height, size[1] / width)
    inner_h, inner_w = round(height * shrink), round(width * shrink)
    assert (inner_h, inner_w) == (height * shrink, width * shrink), "whole pixels, or cv2 rounds"
    top, left = (size[0] - inner_h) // 2, (size[1] - inner_w) // 2
    resized = cv2.resize(image, (inner_w, inner_h), interpolation=cv2.INTER_LINEAR)
    for anchor, (y, x) in (("centre", (top, left)), ("top_left", (0, 0))):
        expected = cv2.copyMakeBorder(
            resized,
            y,
            size[0] - inner_h - y,
            x,
            size[1] - inner_w - x,
            cv2.BORDER_CONSTANT,
            value=(114, 114, 114),
        )
        affines = ops.letterbox_affines(
            device.put(np.array([shape], float)), size=size, anchor=anchor
        )
        got = device.get(
            ops.crop_images(
                device.put(image),
                affines.affine,
                size=size,
                layout="nhwc",
                dtype="uint8",
                fill=114.0,
            )
        ).pixels[0]
        seam = 2  # px, where interpolation reaches over the image's edge
        inside = np.zeros(size, bool)
        inside[y + seam : y + inner_h - seam, x + seam : x + inner_w - seam] = True
        outside = np.ones(size, bool)
        outside[max(y - seam, 0) : y + inner_h + seam, max(x - seam, 0) : x + inner_w + seam] = (
            False
        )
        difference = np.abs(got.astype(int) - expected.astype(int))
        assert difference[inside].max() <= 2
        assert difference[outside].max(initial=0) == 0


def test_the_usual_chain_of_hrnet(device: Device) -> None:
    """warpAffine, to float, normalise, transpose, stack: what one call replaces."""
    image = smooth_image(270, 480)
    boxes = np.array([[50.0, 40.0, 150.0, 240.0], [200.0, 20.0, 420.0, 260.0]])
    affines = ops.box_affines(device.put(boxes), size=(256, 192), padding=1.25, alignment="corner")
    matrices = device.get(affines).affine
    got = device.get(
        ops.crop_images(device.put(image), affines.affine, size=(256, 192), **IMAGENET)
    ).pixels
    expected = np.stack(
        [
            (
                (cv2.warpAffine(image, matrix, (192, 256)).astype(np.float64) - IMAGENET["mean"])
                / IMAGENET["std"]
            ).transpose(2, 0, 1)
            for matrix in matrices
        ]
    )
    close = np.abs(got - expected) <= 2 / np.array(IMAGENET["std"])[:, None, None]
    assert close.mean() >= 0.999


def test_nv12_is_what_cv2_makes_of_it(device: Device) -> None:
    """cv2 knows BT.601 in limited range; it rounds to whole levels, here nothing is rounded."""
    image = smooth_image(64, 96)
    yuv = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
    luma, u, v = yuv[:64], yuv[64:80].reshape(32, 48), yuv[80:].reshape(32, 48)
    chroma = np.ascontiguousarray(np.stack([u, v], axis=-1))
    identity = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    got = device.get(
        ops.crop_images(
            device.put((luma, chroma)),
            device.put(identity),
            size=(64, 96),
            source="nv12",
            layout="nhwc",
        )
    ).pixels[0]
    planes = np.concatenate([luma, chroma.reshape(32, 96)])
    expected = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_NV12).astype(np.float64)
    # Rounding to whole levels is 0.5. cv2's coefficients have three decimals: 1.164 for 255 / 219,
    # 2.018 for 2.01723, which is 3.9e-4 * 219 and 7.7e-4 * 112 levels.
    assert np.abs(got - expected).max() <= 0.5 + 0.18


@pytest.mark.parametrize(
    ("yuv", "white", "black"),
    [("bt601", 235, 16), ("bt709", 235, 16), ("bt601_full", 255, 0), ("bt709_full", 255, 0)],
)
def test_nv12_ranges(device: Device, yuv: Any, white: int, black: int) -> None:
    """Black and white have their codes, and neutral chroma is grey, in all four."""
    luma = np.array([[white, black], [white, black]], np.uint8)
    chroma = np.full((1, 1, 2), 128, np.uint8)
    identity = device.put(np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]))
    got = ops.crop_images(
        device.put((luma, chroma)), identity, size=(2, 2), source="nv12", layout="nhwc", yuv=yuv
    )
    expected = np.broadcast_to(np.array([255.0, 0.0])[None, :, None], (2, 2, 3))
    np.testing.assert_allclose(device.get(got).pixels[0], expected, atol=255 * 1e-5)


@pytest.mark.parametrize("yuv", ["bt601", "bt709", "bt601_full", "bt709_full"])
def test_nv12_gives_a_colour_back(device: Device, yuv: Any) -> None:
    """RGB -> Y, Cb, Cr by definition of the standards, as whole codes -> RGB: a level or two."""
    kr, kb = (0.2126, 0.0722) if "709" in yuv else (0.299, 0.114)
    for rgb in ([255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 130, 30], [12, 90, 250]):
        r, g, b = (value / 255 for value in rgb)
        y = kr * r + (1 - kr - kb) * g + kb * b
        cb, cr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
        full = yuv.endswith("full")
        codes = [255 * y if full else 16 + 219 * y]
        codes += [128 + (255 if full else 224) * colour for colour in (cb, cr)]
        luma, blue, red = np.clip(np.rint(codes), 0, 255).astype(np.uint8)
        planes = (np.full((2, 2), luma), np.array([[[blue, red]]], np.uint8))
        got = ops.crop_images(
            device.put(planes),
            device.put(np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])),
            size=(2, 2),
            source="nv12",
            layout="nhwc",
            yuv=yuv,
        )
        # Half a code each of luma (255 / 219) and chroma (2 * 255 / 224 at most), and full-range
        # chroma 128 + 127.5 does not fit into a byte.
        assert np.abs(device.get(got).pixels[0] - rgb).max() <= 0.5 * (1.17 + 2.13) + 0.5
