"""The rows of the zoo hang together, and its skeletons have the published joints.

Whether the addresses still answer is nothing that a test without a network can show.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import shared_data

from pyposefast import skeletons, weights, zoo

if TYPE_CHECKING:
    from pyposefast.zoo import Row

ROWS = zoo.rows()
SIDES = ("left", "right")
RGB_MEAN, RGB_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def each_row() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))


def test_the_networks_that_people_use_are_there() -> None:
    wanted = {
        *(f"rtmpose_{size}" for size in "tsml"),
        *(f"rtmpose_{size}_{kind}" for size in "tsml" for kind in ("halpe26", "wholebody")),
        *(f"rtmo_{size}" for size in "sml"),
        *(f"vitpose_{size}" for size in "sblh"),
        *("hrnet_w32", "hrnet_w48", "openpose_body25", "openpose_coco", "lightweight_openpose"),
        *("trt_pose_resnet18", "trt_pose_densenet121", "movenet_lightning", "movenet_thunder"),
        *("blazepose_detector", "blazepose_lite", "blazepose_full", "blazepose_heavy"),
        *("rtmdet_nano", "rtmdet_m", "yolox_tiny", "yolox_m", "fastestdet"),
        *(f"efficientpose_{size}" for size in ("rt", "i", "ii", "iii", "iv")),
        *("tfpose_mobilenet_v2_small", "mobile_pose_cpm", "mobile_pose_hourglass"),
    }
    assert wanted <= set(ROWS)


@each_row()
def test_names_are_identifiers(row: Row) -> None:
    assert re.fullmatch(r"[a-z0-9_]{1,64}", row.name)


@each_row()
def test_a_detector_that_is_named_is_one(row: Row) -> None:
    if row.manifest.pipeline == "top_down":
        assert row.manifest.detector is not None
        assert ROWS[row.manifest.detector].manifest.pipeline == "detector"
    else:
        assert row.manifest.detector is None


@each_row()
def test_weights_say_whose_they_are_and_where_they_are_listed(row: Row) -> None:
    source = weights.source_of(row.name, row.weights)
    assert source.licence
    assert source.origin is not None
    assert urlsplit(source.origin).scheme == "https"
    if source.published == "onnx":
        assert source.file_name.endswith(".onnx")
        assert weights.path_of(source).parent.name == row.name


@each_row()
def test_whoever_changes_a_file_is_found_out(row: Row) -> None:
    source = weights.source_of(row.name, row.weights)
    url = urlsplit(source.url or "")
    if url.hostname == "raw.githubusercontent.com":  # a commit, never a branch
        assert re.fullmatch(r"[0-9a-f]{40}", url.path.split("/")[3])
    # The names of these checkpoints end in the beginning of their digest. The archives made of them
    # have the same names, but digests of their own.
    suffix = re.search(r"-([0-9a-f]{8})_\d{8}\.pth$|-([0-9a-f]{8})\.pth$", url.path)
    assert source.sha256_prefix == (suffix and (suffix[1] or suffix[2]))
    assert (source.member is not None) == url.path.endswith(".zip")


def test_no_two_rows_have_one_address() -> None:
    addresses = [row.weights["url"] for row in ROWS.values() if "url" in row.weights]
    assert len(set(addresses)) == len(addresses)


@each_row()
def test_published_figures_name_their_source(row: Row) -> None:
    figures = {key: value for key, value in row.measured.items() if key != "source"}
    assert all(0 < value <= 100 for value in figures.values())
    assert bool(figures) == ("source" in row.measured)
    assert "paper" not in row.measured
    assert row.paper


@each_row()
def test_means_are_in_the_order_of_the_colours(row: Row) -> None:
    settings = row.manifest.input
    if settings.std in (RGB_STD, RGB_STD[::-1]):
        order = 1 if settings.colour == "rgb" else -1
        assert (settings.mean, settings.std) == (RGB_MEAN[::order], RGB_STD[::order])


@each_row()
def test_part_affinity_channels_follow_the_skeleton(row: Row) -> None:
    reading = row.manifest.decoder
    if reading.kind != "part_affinity":
        return
    skeleton = row.manifest.skeleton
    assert skeleton is not None
    joints, fields = len(skeleton.joints), 2 * len(skeleton.fields)
    has_background = skeleton.name != "trt_pose18"
    assert reading.settings.get("heatmap_channels", [0, joints]) == [0, joints]
    first = joints + has_background
    assert reading.settings.get("field_channels", [first, first + fields]) == [
        first,
        first + fields,
    ]


# ---- the networks that are at hand ------------------------------------------------------------

AT_HAND = {
    "tfpose_mobilenet_v2_small": "tfpose_mobilenet_v2_small/tfpose_mobilenet_v2_small_368x432.onnx",
    "efficientpose_ii": "efficientpose_ii/efficientpose_ii_368.onnx",
    "efficientpose_rt": "efficientpose_rt/efficientpose_rt_224.onnx",
    "mobile_pose_cpm": "pefm_cpm/pefm_cpm_192.onnx",
    "mobile_pose_hourglass": "pefm_hourglass/pefm_hourglass_192.onnx",
    "blazepose_lite": "blazepose_landmark_lite/blazepose_landmark_lite_256.onnx",
    "movenet_lightning": "movenet_lightning/movenet_lightning_192.onnx",
    "rtmdet_nano": "rtmdet_nano_person/rtmdet_nano_person.onnx",
    "fastestdet": "fastestdet/fastestdet_352.onnx",
    "blazepose_detector": "blazepose_detector/blazepose_detector_224.onnx",
}
RENAMED = {"758": "output"}  # an output of FastestDet, in the file that is at hand
TYPES = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}


@pytest.mark.parametrize("name", AT_HAND)
def test_rows_are_of_the_networks_that_are_at_hand(name: str) -> None:
    runtime: Any = pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")
    path = shared_data.path("models/" + AT_HAND[name])
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    manifest = ROWS[name].manifest
    (port,) = session.get_inputs()
    height, width = manifest.input.size
    expected = [1, 3, height, width] if manifest.input.layout == "nchw" else [1, height, width, 3]
    assert [a if isinstance(a, int) else b for a, b in zip(port.shape, expected, strict=True)] == (
        expected
    )
    assert port.type == TYPES[manifest.input.dtype]
    outputs = {output.name: output.shape for output in session.get_outputs()}
    read = {RENAMED.get(each, each) for each in manifest.decoder.outputs.values()}
    assert read <= set(outputs)
    if manifest.decoder.kind == "heatmap":
        (shape,) = (outputs[each] for each in read)
        is_nhwc = manifest.decoder.settings.get("layout") == "nhwc"
        assert manifest.skeleton is not None
        assert shape[3 if is_nhwc else 1] == len(manifest.skeleton.joints)


def test_the_detector_at_hand_is_the_published_one() -> None:
    file = shared_data.path("models/" + AT_HAND["rtmdet_nano"])
    table = ROWS["rtmdet_nano"].weights
    assert hashlib.sha256(file.read_bytes()).hexdigest() == table["sha256"]
    assert file.stat().st_size == table["size_bytes"]


# ---- skeletons --------------------------------------------------------------------------------


def limb(side: str, *joints: str) -> list[str]:
    return [f"{side}_{joint}" for joint in joints]


ARM, LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
PUBLISHED_ORDERS = {
    "mpii16": [
        *limb("right", *LEG[::-1]), *limb("left", *LEG),
        "pelvis", "thorax", "upper_neck", "head_top",
        *limb("right", *ARM[::-1]), *limb("left", *ARM),
    ],
    "efficientpose16": [
        "head_top", "upper_neck", *limb("right", *ARM), "thorax", *limb("left", *ARM),
        "pelvis", *limb("right", *LEG), *limb("left", *LEG),
    ],
    "aic14": [
        *limb("right", *ARM), *limb("left", *ARM), *limb("right", *LEG), *limb("left", *LEG),
        "head_top", "neck",
    ],
    "mobile_pose14": [
        "head_top", "neck", *limb("right", *ARM), *limb("left", *ARM),
        *limb("right", *LEG), *limb("left", *LEG),
    ],
    "halpe26": [
        *skeletons.load("coco17").joints, "head_top", "neck", "mid_hip",
        *(f"{side}_{part}" for part in ("big_toe", "small_toe", "heel") for side in SIDES),
    ],
    "blazepose33": [
        "nose",
        *(f"{side}_{part}" for side in SIDES for part in ("eye_inner", "eye", "eye_outer")),
        *(
            f"{side}_{part}"
            for part in (
                "ear", "mouth", *ARM, "pinky", "index", "thumb", *LEG, "heel", "foot_index",
            )
            for side in SIDES
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED_ORDERS)
def test_joints_are_in_the_published_order(name: str) -> None:
    assert list(skeletons.load(name).joints) == PUBLISHED_ORDERS[name]


def test_efficientpose_has_the_joints_of_mpii_in_another_order() -> None:
    mpii, efficient = skeletons.load("mpii16"), skeletons.load("efficientpose16")
    order = [place for place in mpii.indices_in(efficient) if place is not None]
    assert sorted(order) == list(range(16))
    assert mpii.sigmas == tuple(efficient.sigmas[place] for place in order)


# keypoint_eval.py of AI Challenger 2017, whose deltas are twice the sigmas.
AIC_SIGMAS = (
    0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642,
    0.03686941, 0.01981803, 0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173,
)  # fmt: skip


def test_ai_challenger_has_its_own_sigmas() -> None:
    aic, mobile = skeletons.load("aic14"), skeletons.load("mobile_pose14")
    assert aic.sigmas == AIC_SIGMAS
    order = [place for place in mobile.indices_in(aic) if place is not None]
    assert mobile.sigmas == tuple(AIC_SIGMAS[place] for place in order)


def test_halpe_has_its_own_sigmas() -> None:
    halpe, coco = skeletons.load("halpe26"), skeletons.load("coco17")
    assert halpe.sigmas[:17] == coco.sigmas
    assert halpe.sigmas[17:] == (0.026, 0.026, 0.066, *(0.079,) * 6)


# COCO-WholeBody's evaluation: feet, face and one hand, whose values serve both.
FEET = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
FACE = (
    0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037,
    0.038, 0.043, 0.041, 0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013,
    0.015, 0.009, 0.007, 0.007, 0.007, 0.012, 0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009,
    0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034, 0.008, 0.008, 0.009, 0.008,
    0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008, 0.008,
    0.008, 0.01, 0.008,
)  # fmt: skip
HAND = (
    0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026,
    0.017, 0.021, 0.021, 0.032, 0.02, 0.019, 0.022, 0.031,
)  # fmt: skip
# The joints of the face that a mirror exchanges, as published; the others lie in its middle.
FACE_PAIRS = [
    *((k, 16 - k) for k in range(8)), *((17 + k, 26 - k) for k in range(5)), (31, 35), (32, 34),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
    (48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65),
]  # fmt: skip


def test_the_whole_body_has_the_published_parts_and_sigmas() -> None:
    whole, coco = skeletons.load("coco_wholebody133"), skeletons.load("coco17")
    assert len(whole.joints) == 133
    assert whole.joints[:17] == coco.joints
    assert whole.joints[17:23] == tuple(
        f"{side}_{part}" for side in SIDES for part in ("big_toe", "small_toe", "heel")
    )
    assert whole.joints[91] == "left_hand_root"
    assert whole.joints[112] == "right_hand_root"
    assert whole.sigmas == (*coco.sigmas, *FEET, *FACE, *HAND, *HAND)


def test_a_mirror_exchanges_the_published_joints_of_the_face_and_the_hands() -> None:
    whole = skeletons.load("coco_wholebody133")
    expected = list(range(68))
    for right, left in FACE_PAIRS:
        expected[right], expected[left] = left, right
        assert whole.side(23 + right) == "right"  # the person's own, in the left of the picture
    assert [place - 23 for place in whole.mirrored[23:91]] == expected
    assert whole.mirrored[91:112] == list(range(112, 133))


def test_fingers_hang_on_their_hands() -> None:
    whole = skeletons.load("coco_wholebody133")
    hands = [limb for limb in whole.limbs if limb[1] >= 91]
    assert len(hands) == 40
    assert all(a == 91 + 21 * (b >= 112) or b == a + 1 for a, b in hands)
