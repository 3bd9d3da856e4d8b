"""The skeletons that come with the package, and what a skeleton refuses to be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pyposefast import skeletons
from pyposefast.errors import InputError
from pyposefast.skeletons import Field

if TYPE_CHECKING:
    from types import ModuleType

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


# OpenPose's own tables: the joints of each limb, and the first channel of its field; y follows x.
OPENPOSE_FIELDS = {
    "openpose_coco18": (
        [
            (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11),
            (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17),
        ],
        [12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26],
    ),
    "openpose_body25": (
        [
            (1, 8), (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11),
            (8, 12), (12, 13), (13, 14), (1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (2, 17),
            (5, 18), (14, 19), (19, 20), (14, 21), (11, 22), (22, 23), (11, 24),
        ],
        [
            0, 14, 22, 16, 18, 24, 26, 6, 2, 4, 8, 10, 12, 30, 32, 36, 34, 38, 20, 28,
            40, 42, 44, 46, 48, 50,
        ],
    ),
    "openpose_mpi15": (
        [
            (0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 14), (14, 8), (8, 9),
            (9, 10), (14, 11), (11, 12), (12, 13),
        ],
        list(range(0, 28, 2)),
    ),
}  # fmt: skip
FIELD_SKELETONS = ("lightweight_openpose18", *OPENPOSE_FIELDS, "trt_pose18")


@pytest.mark.parametrize("name", OPENPOSE_FIELDS)
def test_openpose_has_the_published_fields(name: str) -> None:
    limbs, channels = OPENPOSE_FIELDS[name]
    expected = [
        (first, second, x, x + 1) for (first, second), x in zip(limbs, channels, strict=True)
    ]
    assert list(skeletons.load(name).fields) == expected


@pytest.mark.parametrize("name", ["openpose_coco18", "openpose_body25"])
def test_openpose_scores_ears_against_shoulders_but_draws_no_line(name: str) -> None:
    skeleton = skeletons.load(name)
    hidden = [
        (skeleton.joints[first], skeleton.joints[second])
        for first, second, _, _ in skeleton.fields
        if (first, second) not in skeleton.limbs
    ]
    assert hidden == [("right_shoulder", "right_ear"), ("left_shoulder", "left_ear")]
    assert len(skeleton.limbs) == len(skeleton.fields) - 2


def test_lightweight_openpose_differs_from_openpose_by_name_only() -> None:
    lightweight = skeletons.load("lightweight_openpose18")
    assert replace(lightweight, name="openpose_coco18") == skeletons.load("openpose_coco18")


def test_trt_pose_is_coco_and_a_neck() -> None:
    trt = skeletons.load("trt_pose18")
    assert trt.joints == (*skeletons.load("coco17").joints, "neck")
    assert [(field.x, field.y) for field in trt.fields] == [(2 * k + 1, 2 * k) for k in range(21)]
    assert trt.limbs == tuple((field.first, field.second) for field in trt.fields)


def test_fields_are_those_of_the_workload(workload: ModuleType) -> None:
    openpose, trt = skeletons.load("openpose_coco18"), skeletons.load("trt_pose18")
    short = {"sho": "shoulder", "elb": "elbow", "wri": "wrist", "ank": "ankle"}
    sides = {"r": "right_", "l": "left_"}
    names = tuple(
        name if name in ("nose", "neck") else sides[name[0]] + short.get(name[1:], name[1:])
        for name in workload.COCO18
    )
    assert openpose.joints == names
    assert [field[:2] for field in openpose.fields] == [tuple(limb) for limb in workload.LIMBS18]
    assert [field[2:] for field in openpose.fields] == [tuple(pair) for pair in workload.PAFCH18]
    assert openpose.sigmas == pytest.approx(workload.SIGMA18)
    assert trt.joints == tuple(names[joint] for joint in workload.TRT18)
    assert [field[:2] for field in trt.fields] == [tuple(limb) for limb in workload.TRT_LIMBS]


def test_skeletons_with_fields_are_those_of_networks_that_give_them() -> None:
    assert {name for name in skeletons.names() if skeletons.load(name).fields} == {*FIELD_SKELETONS}


@pytest.mark.parametrize("name", FIELD_SKELETONS)
def test_fields_use_every_channel_and_reach_every_joint(name: str) -> None:
    skeleton = skeletons.load(name)
    channels = [channel for field in skeleton.fields for channel in (field.x, field.y)]
    assert sorted(channels) == list(range(2 * len(skeleton.fields)))
    reached = {0}
    for _ in skeleton.joints:
        for first, second, _, _ in skeleton.fields:
            if first in reached or second in reached:
                reached |= {first, second}
    assert reached == set(range(len(skeleton.joints)))


@pytest.mark.parametrize("name", skeletons.names())
def test_limbs_and_fields_are_the_same_in_a_mirror(name: str) -> None:
    skeleton = skeletons.load(name)
    mirrored = skeleton.mirrored
    fields = tuple((field.first, field.second) for field in skeleton.fields)
    for pairs in (skeleton.limbs, fields):
        there = {frozenset(pair) for pair in pairs}
        assert {frozenset((mirrored[a], mirrored[b])) for a, b in pairs} == there


# Data sets with sigmas of their own, which test_zoo_rows.py compares.
OWN_SIGMAS = {"aic14", "coco_wholebody133", "halpe26", "mobile_pose14"}


@pytest.mark.parametrize("name", sorted({*skeletons.names()} - OWN_SIGMAS))
def test_sigmas_are_published_ones(name: str) -> None:
    skeleton, coco = skeletons.load(name), skeletons.load("coco17")
    # Of CrowdPose (the top of the head, the neck) and COCO-WholeBody (the feet), whose left and
    # right differ; a joint halfway between two others has theirs.
    others = {
        "head_top": 0.079, "neck": 0.079, "upper_neck": 0.079, "chest": 0.107, "mid_hip": 0.107,
        "left_big_toe": 0.068, "left_small_toe": 0.066, "left_heel": 0.066,
        "right_big_toe": 0.092, "right_small_toe": 0.094, "right_heel": 0.094,
    }  # fmt: skip
    # Those of MPII and BlazePose come with none. Joints that COCO has not have those of what is
    # nearest: the shoulders, the hips, the eye, the nose, the wrist, the big toe.
    near = {"thorax": 0.079, "pelvis": 0.107}
    for side in ("left_", "right_"):
        near |= {side + name: 0.025 for name in ("eye_inner", "eye_outer")}
        near |= {side + name: 0.062 for name in ("pinky", "index", "thumb")}
        near |= {side + "mouth": 0.026, side + "foot_index": others[side + "big_toe"]}
    published = {**dict(zip(coco.joints, coco.sigmas, strict=True)), **others, **near}
    assert skeleton.sigmas == tuple(published[joint] for joint in skeleton.joints)


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


def test_joints_are_found_in_another_skeleton_by_name() -> None:
    coco, openpose = skeletons.load("coco17"), skeletons.load("openpose_coco18")
    # The published table that takes OpenPose's people to COCO's order.
    assert coco.indices_in(openpose) == [
        0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10,
    ]  # fmt: skip
    back = openpose.indices_in(coco)
    assert back[openpose.index("neck")] is None
    assert sorted(joint for joint in back if joint is not None) == list(range(17))


@pytest.mark.parametrize("name", skeletons.names())
def test_every_joint_is_itself_in_its_own_skeleton(name: str) -> None:
    skeleton = skeletons.load(name)
    assert skeleton.indices_in(skeleton) == list(range(len(skeleton.joints)))


def test_the_two_necks_are_different_joints() -> None:
    # MPII's is at the base of the skull, OpenPose's between the shoulders.
    coco, mpi = skeletons.load("openpose_coco18"), skeletons.load("openpose_mpi15")
    assert mpi.indices_in(coco)[mpi.index("upper_neck")] is None
    assert coco.indices_in(mpi)[coco.index("neck")] is None


@pytest.mark.parametrize("name", ["coco18", "", "../skeletons/coco17", "/etc/passwd"])
def test_an_unknown_name_lists_what_there_is(name: str) -> None:
    with pytest.raises(
        InputError, match="name: expected one of aic14, blazepose33, coco17, "
    ) as caught:
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
        ("fields", (Field(0, 17, 0, 1),)),
        ("fields", (Field(-1, 2, 0, 1),)),
        ("fields", (Field(3, 3, 0, 1),)),
        ("fields", (Field(1, 2, 0, 1), Field(2, 1, 2, 3))),
        ("fields", (Field(1, 2, 0, 0),)),
        ("fields", (Field(1, 2, 0, 1), Field(2, 3, 1, 2))),
        ("fields", (Field(1, 2, -1, 0),)),
        ("fields", (Field(1, 2, 0, -2),)),
    ],
)
def test_a_bad_skeleton_is_refused_by_field(field: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        replace(skeletons.load("coco17"), **{field: value})  # type: ignore[arg-type]
    assert caught.value.argument == field
