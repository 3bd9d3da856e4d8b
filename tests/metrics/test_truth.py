"""Ground truth as arrays: what is checked when it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyposefast import skeletons
from pyposefast.errors import InputError, InputTypeError
from pyposefast.metrics import Truth, Truths

COCO = skeletons.load("coco17")


def truth(**changes: Any) -> Truth:
    settings: dict[str, Any] = {
        "image_id": 1,
        "file_name": "1.jpg",
        "size": (480, 640),
        "box": [(1, 2, 3, 4), (5, 6, 7, 8)],
        "area": [4, 4],
        "xy": np.zeros((2, 17, 2)),
        "visibility": np.full((2, 17), 2),
        "is_crowd": np.array([False, True]),
        "skeleton": COCO,
    }
    return Truth(**{**settings, **changes})


def test_whatever_numbers_come_are_float64_afterwards() -> None:
    there = truth(box=np.zeros((2, 4), np.int16), area=np.ones(2, np.float32))
    assert there.box.dtype == there.area.dtype == there.xy.dtype == np.float64
    assert there.visibility.dtype == np.uint8
    assert len(there) == 2


def test_what_is_given_is_copied() -> None:
    box = np.zeros((2, 4))
    there = truth(box=box)
    box[:] = 7
    assert not there.box.any()


def test_places_without_a_label_may_be_anything() -> None:
    xy = np.full((2, 17, 2), np.nan)
    assert not truth(xy=xy, visibility=np.zeros((2, 17))).is_labelled.any()
    with pytest.raises(InputError, match="xy: expected finite values"):
        truth(xy=xy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": "1"}, "image_id: expected a whole number"),
        ({"size": (0, 640)}, "size: expected"),
        ({"box": np.zeros((2, 5))}, "box: expected"),
        ({"box": [(1, 2, 0, 4), (5, 6, 7, 8)]}, "box: expected x1 y1 x2 y2 with"),
        ({"box": np.full((2, 4), np.inf)}, "box: expected finite"),
        ({"area": [1, -1]}, "area: expected values from 0"),
        ({"area": [1]}, "area: expected"),
        ({"xy": np.zeros((2, 16, 2))}, "xy: expected"),
        ({"visibility": np.full((2, 17), 3)}, "visibility: expected 0, 1 or 2"),
        ({"visibility": np.full((2, 17), np.nan)}, "visibility: expected 0, 1 or 2"),
        ({"is_crowd": [0, 1]}, "is_crowd: expected bool"),
        ({"skeleton": "coco17"}, "skeleton: expected a Skeleton"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, InputTypeError), match=f"^{message}"):
        truth(**changes)


def test_images_are_in_the_order_of_their_numbers() -> None:
    truths = Truths((truth(image_id=7), truth(image_id=-2), truth(image_id=3)), COCO)
    assert [image.image_id for image in truths] == [-2, 3, 7]
    assert truths[3].image_id == 3
    for absent in (-3, 4, 8):
        with pytest.raises(KeyError):
            truths[absent]


def test_images_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InputError, match="images: expected every image once, got 1 twice"):
        Truths((truth(), truth()), COCO)
    with pytest.raises(InputError, match="images: expected images with the skeleton mpii16"):
        Truths((truth(),), skeletons.load("mpii16"))
    with pytest.raises(InputTypeError, match="images: expected a tuple of Truth"):
        Truths((COCO,), COCO)  # type: ignore[arg-type]
