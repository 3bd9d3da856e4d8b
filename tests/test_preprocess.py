"""From pictures and regions to a network's input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pyposefast import ops, preprocess
from pyposefast.errors import InputError, InputTypeError
from pyposefast.manifest import Input

SETTINGS = Input(size=(32, 24), padding=1.25)
PICTURE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def cut(images: Any, regions: preprocess.Regions, **options: Any) -> Any:
    affine = regions.affines(regions.settings.size).affine
    return preprocess.cut(images, affine, regions.image_index, settings=regions.settings, **options)


def test_one_picture_a_batch_and_a_list_are_told_apart() -> None:
    one = preprocess.pictures(PICTURE)
    assert (len(one), one.sizes, one.is_single) == (1, ((60, 80),), True)
    batch = preprocess.pictures(np.stack([PICTURE] * 3))
    assert (len(batch), batch.sizes[2], batch.is_single) == (3, (60, 80), False)
    several = preprocess.pictures([PICTURE, PICTURE[:30]])
    assert (several.sizes, several.is_single) == (((60, 80), (30, 80)), False)
    assert len(preprocess.pictures([])) == 0


def test_nv12_comes_as_pairs() -> None:
    luma, chroma = np.zeros((60, 80), np.uint8), np.zeros((30, 40, 2), np.uint8)
    assert preprocess.pictures((luma, chroma), source="nv12").is_single
    assert preprocess.pictures([(luma, chroma)] * 2, source="nv12").sizes == ((60, 80),) * 2
    stacked = (np.stack([luma] * 4), np.stack([chroma] * 4))
    assert len(preprocess.pictures(stacked, source="nv12")) == 4


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((60, 80), np.uint8),
        np.zeros((60, 80, 4), np.uint8),
        np.zeros((0, 80, 3), np.uint8),
        np.zeros((1, 1, 60, 80, 3), np.uint8),
        [np.zeros((2, 60, 80, 3), np.uint8)],
    ],
    ids=["grey", "alpha", "no rows", "rank 5", "a batch in a list"],
)
def test_what_is_no_picture_is_refused_by_name(images: Any) -> None:
    with pytest.raises(InputError, match="images: expected"):
        preprocess.pictures(images)


def test_words_are_checked() -> None:
    with pytest.raises(InputError, match="source: expected one of rgb, bgr, nv12"):
        preprocess.pictures(PICTURE, source="grey")
    with pytest.raises(InputTypeError, match="images"):
        preprocess.pictures("picture.jpg")
    with pytest.raises(InputTypeError, match=r"images: expected pairs \(Y, UV\)"):
        preprocess.pictures(PICTURE, source="nv12")


def test_boxes_become_upright_crops_with_their_picture() -> None:
    pictures = preprocess.pictures([PICTURE, PICTURE[::-1].copy()])
    boxes = [np.array([[10, 10, 40, 50]]), np.array([[0, 0, 20, 20], [30, 5, 60, 55]])]
    regions = preprocess.around(boxes, SETTINGS, pictures.sizes)
    assert regions.image_index.tolist() == [0, 1, 1]
    affine = ops.box_affines(np.concatenate(boxes), size=(32, 24), padding=1.25).affine
    expected = ops.crop_images(
        [PICTURE, PICTURE[::-1].copy()],
        affine,
        size=(32, 24),
        image_index=np.array([0, 1, 1]),
        mean=0.0,
        std=1.0,
    ).pixels
    np.testing.assert_array_equal(cut(pictures, regions), expected)
    np.testing.assert_array_equal(cut(pictures, regions[1:]), expected[1:])


def test_a_mirrored_region_shows_the_mirror_image() -> None:
    pictures = preprocess.pictures(PICTURE)
    regions = preprocess.around([np.array([[10, 10, 40, 50]])], SETTINGS, pictures.sizes)
    mirrored = preprocess.cut(
        pictures,
        regions.affines((32, 24), mirror=True).affine,
        regions.image_index,
        settings=SETTINGS,
    )
    # The positions are the same to a rounding of 2^-32 px, times a contrast of 255.
    np.testing.assert_allclose(mirrored[..., ::-1], cut(pictures, regions), atol=1e-4)
    with pytest.raises(InputError, match="mirror"):
        preprocess.whole(pictures, SETTINGS).affines((32, 24), mirror=True)


@pytest.mark.parametrize(
    ("fit", "corner"),
    [("stretch", (80, 60)), ("letterbox_top_left", (80, 107)), ("letterbox", (80, 83.5))],
)
def test_a_whole_picture_fills_the_input_or_lies_in_it(
    fit: Any, corner: tuple[float, float]
) -> None:
    # 60 x 80 in 32 x 24: 10/3 px a px where the aspect is kept. A letterbox is 106 2/3 px high,
    # 46 2/3 more than the picture, half of that below it.
    settings = replace(SETTINGS, fit=fit, padding=1.0)
    regions = preprocess.whole(preprocess.pictures(PICTURE), settings)
    inverse = regions.affines((32, 24)).inverse[0]
    found = inverse[:, :2] @ [23.5, 31.5] + inverse[:, 2] + 0.5  # the far corner of the input
    np.testing.assert_allclose(found, corner, atol=0.5)


def test_no_box_is_no_crop() -> None:
    pictures = preprocess.pictures(PICTURE)
    assert len(preprocess.around([[]], SETTINGS, pictures.sizes)) == 0
    assert len(preprocess.around([], SETTINGS, [])) == 0


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([np.nan, 0, 5, 5], "finite"),
        ([0, 0, np.inf, 5], "finite"),
        ([0, 0, 1e30, 5], "finite"),
        ([5, 5, 5, 5], "x2 > x1"),
        ([20, 5, 10, 15], "hint: boxes are corners"),
        ([90, 5, 95, 15], "touches its picture, 80 x 60"),
        ([-20, 5, -10, 15], "touches its picture"),
    ],
)
def test_a_box_that_cannot_be_is_named_by_its_place(box: list[float], message: str) -> None:
    with pytest.raises(InputError, match=r"(?s)boxes\[1\].*" + message) as caught:
        preprocess.around([[[0, 0, 9, 9], box]], SETTINGS, [(60, 80)])
    assert caught.value.argument == "boxes[1]"
    with pytest.raises(InputError, match=r"boxes\[1\]\[0\]"):
        preprocess.around([[], [box]], SETTINGS, [(60, 80)] * 2)


def test_boxes_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"boxes: expected \[P, 4\]"):
        preprocess.around([[1.0, 2.0, 3.0, 4.0]], SETTINGS, [(60, 80)])
    with pytest.raises(InputTypeError, match="boxes: expected numbers"):
        preprocess.around([["here"]], SETTINGS, [(60, 80)])


def test_bytes_go_in_as_they_are() -> None:
    settings = replace(SETTINGS, dtype="uint8", layout="nhwc", size=(60, 80), fit="stretch")
    pictures = preprocess.pictures(PICTURE)
    np.testing.assert_array_equal(cut(pictures, preprocess.whole(pictures, settings))[0], PICTURE)


def test_torch_pictures_stay_tensors() -> None:
    torch = pytest.importorskip("torch", reason="Torch is not installed")
    pictures = preprocess.pictures(torch.from_numpy(PICTURE))
    regions = preprocess.whole(pictures, replace(SETTINGS, fit="stretch"))
    result = cut(pictures, regions)
    assert isinstance(result, torch.Tensor)
    same = preprocess.pictures(PICTURE)
    np.testing.assert_array_equal(result.numpy(), cut(same, regions))
