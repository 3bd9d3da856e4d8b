"""The skeletons that come with the package, and what a skeleton refuses to be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyposefast import skeletons
from pyposefast.errors import InputError

# The sigmas that COCO's own evaluation uses, times 10, nose to ankles.
COCO_SIGMAS = (
    0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72,
    0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89,
)  # fmt: skip


def test_coco_has_the_published_order_and_sigmas() -> None:
    coco = skeletons.load("coco17")
    assert coco.joints[0] == "nose"
    assert coco.joints[5:11] == (
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    )  # fmt: skip
    assert coco.joints[16] == "right_ankle"
    assert coco.sigmas == pytest.approx([sigma / 10 for sigma in COCO_SIGMAS])


def test_coco_has_the_published_limbs() -> None:
    # person_keypoints_val2017.json counts from 1.
    published = [
        (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9),
        (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
    ]  # fmt: skip
    expected = {frozenset((first - 1, second - 1)) for first, second in published}
    assert {frozenset(limb) for limb in skeletons.load("coco17").limbs} == expected


@pytest.mark.parametrize("name", skeletons.names())
def test_every_file_loads_and_says_its_own_name(name: str) -> None:
    assert skeletons.load(name).name == name


@pytest.mark.parametrize("name", skeletons.names())
def test_pairs_follow_the_names(name: str) -> None:
    skeleton = skeletons.load(name)
    for left, right in skeleton.pairs:
        assert skeleton.joints[left].replace("left", "right") == skeleton.joints[right]
    sides = {joint: skeleton.side(index) for index, joint in enumerate(skeleton.joints)}
    assert all(joint.startswith(side) for joint, side in sides.items() if side != "centre")


def test_mirroring_twice_changes_nothing() -> None:
    mirrored = skeletons.load("coco17").mirrored
    assert mirrored[:3] == [0, 2, 1]
    assert [mirrored[joint] for joint in mirrored] == list(range(17))


@pytest.mark.parametrize("name", ["coco18", "", "../skeletons/coco17", "/etc/passwd"])
def test_an_unknown_name_lists_what_there_is(name: str) -> None:
    with pytest.raises(InputError, match="name: expected one of coco17") as caught:
        skeletons.load(name)
    assert repr(name) in str(caught.value)


def test_a_joint_is_found_by_name() -> None:
    coco = skeletons.load("coco17")
    assert coco.index("left_wrist") == 9
    with pytest.raises(InputError, match="joint: expected one of nose, "):
        coco.index("tail")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("joints", ()),
        ("joints", ("nose",) * 17),
        ("limbs", ((0, 17),)),
        ("limbs", ((-1, 2),)),
        ("limbs", ((3, 3),)),
        ("limbs", ((1, 2), (2, 1))),
        ("pairs", ((1, 2), (2, 3))),
        ("sigmas", (0.1,)),
        ("sigmas", (0.0,) * 17),
        ("sigmas", (float("nan"),) * 17),
    ],
)
def test_a_bad_skeleton_is_refused_by_field(field: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        replace(skeletons.load("coco17"), **{field: value})  # type: ignore[arg-type]
    assert caught.value.argument == field
