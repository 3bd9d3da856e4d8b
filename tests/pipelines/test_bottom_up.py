"""Bottom-up pipelines, around a network whose maps are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fake_engine import FakeEngine

from pyposefast import synthetic
from pyposefast.errors import InputError, ModelError
from pyposefast.manifest import Input, Reading
from pyposefast.network import Network
from pyposefast.pipelines import BottomUp
from pyposefast.pipelines.reading import people_reader
from pyposefast.poses import Poses
from pyposefast.skeletons import load

if TYPE_CHECKING:
    from conftest import Device

SKELETON, COCO = load("openpose_coco18"), load("coco17")
SIZE = (184, 256)  # of the input; maps have an eighth


def drawn(seed: int = 4) -> tuple[Any, Any]:
    """Return the joints [P, 18, 2] of people in a scene, in input pixels, and the maps of it."""
    scene = synthetic.render_scene(people=2, seed=seed, size=SIZE)
    order = SKELETON.indices_in(COCO)
    joints = scene.joints[:, [0 if index is None else index for index in order]]
    shoulders = [SKELETON.index("left_shoulder"), SKELETON.index("right_shoulder")]
    joints[:, SKELETON.index("neck")] = joints[:, shoulders].mean(axis=1)
    points, grid = (joints - 3.5) / 8, (SIZE[0] // 8, SIZE[1] // 8)
    maps = synthetic.heatmaps(points, size=grid, sigma=1.0).max(axis=0, keepdims=True)
    fields = synthetic.limb_fields(points, skeleton=SKELETON, size=grid)
    background = 1 - maps.max(axis=1, keepdims=True)
    return joints, np.concatenate([maps, background, fields], axis=1).astype(np.float32)


JOINTS, MAPS = drawn()


def pipeline(*, fit: Any = "stretch", layout: str = "nchw", **settings: Any) -> BottomUp:
    maps = MAPS if layout == "nchw" else np.moveaxis(MAPS, 1, -1)
    engine = FakeEngine(
        lambda batch: {"output": np.repeat(maps, len(batch), axis=0)}, shape=(None, 3, *SIZE)
    )
    given = {"heatmap_channels": [0, 18], "field_channels": [19, 57], "layout": layout, **settings}
    reading = Reading("part_affinity", {"heatmaps": "output"}, given)
    options = Input(size=SIZE, fit=fit)
    return BottomUp(Network(engine, options), people_reader(reading, options, SKELETON), SKELETON)


def nearest(poses: Poses, joints: Any) -> float:
    """Return the median distance of the joints found from those of somebody who is there."""
    assert len(poses) == len(joints)
    gaps = np.linalg.norm(poses.xy[:, None] - joints[None], axis=-1)  # [P, P, K]
    return float(np.nanmedian(gaps, axis=2).min(axis=1).max())


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_people_come_back_to_the_picture(layout: str) -> None:
    poses = pipeline(layout=layout)(np.zeros((*SIZE, 3), np.uint8))
    assert isinstance(poses, Poses)
    assert nearest(poses, JOINTS) < 1.0  # an eighth of a cell


def test_pictures_stay_on_their_device_until_there_are_people(device: Device) -> None:
    options = Input(size=SIZE, fit="stretch")
    given = {"heatmap_channels": [0, 18], "field_channels": [19, 57]}
    reading = Reading("part_affinity", {"heatmaps": "output"}, given)
    engine = FakeEngine(
        lambda _: {"output": MAPS}, shape=(None, 3, *SIZE), put=device.put, get=device.get
    )
    find = BottomUp(Network(engine, options), people_reader(reading, options, SKELETON), SKELETON)
    poses = find(device.put(np.zeros((*SIZE, 3), np.uint8)))
    alone = pipeline()(np.zeros((*SIZE, 3), np.uint8))
    assert isinstance(poses, Poses)
    assert isinstance(alone, Poses)
    np.testing.assert_array_equal(poses.xy, alone.xy)


def test_a_stretched_picture_is_stretched_back() -> None:
    poses = pipeline()(np.zeros((SIZE[0] * 2, SIZE[1] * 3, 3), np.uint8))
    assert isinstance(poses, Poses)
    assert nearest(poses, (JOINTS + 0.5) * [3, 2] - 0.5) < 3.0


def test_a_letterbox_is_undone() -> None:
    # 92 x 256 lies in the middle of 184 x 256, with 46 rows above it.
    poses = pipeline(fit="letterbox")(np.zeros((92, 256, 3), np.uint8))
    assert isinstance(poses, Poses)
    assert nearest(poses, JOINTS - [0, 46]) < 1.0


def test_several_pictures_of_other_sizes_are_one_batch() -> None:
    find = pipeline()
    pictures = [np.zeros((SIZE[0] * k, SIZE[1] * k, 3), np.uint8) for k in (1, 2, 3)]
    found = find(pictures)
    assert isinstance(found, list)
    assert find.network.engine.batches == [3]  # type: ignore[attr-defined]
    for image, poses in zip(pictures, found, strict=True):
        alone = find(image)
        assert isinstance(alone, Poses)
        np.testing.assert_array_equal(alone.xy, poses.xy)
    assert find([]) == []


def test_people_with_boxes_and_joints_of_their_own() -> None:
    joints = np.zeros((1, 1, 17, 3), np.float32)
    joints[..., :2], joints[..., 2] = 32.0, 0.9
    outputs = {"dets": np.float32([[[8, 8, 64, 64, 0.8]]]), "joints": joints}
    engine = FakeEngine(lambda _: outputs, shape=(None, 3, *SIZE), outputs=("dets", "joints"))
    options = Input(size=SIZE, fit="letterbox_top_left")
    reading = Reading("people", {"boxes": "dets", "joints": "joints"}, {})
    find = BottomUp(Network(engine, options), people_reader(reading, options, COCO), COCO)
    poses = find(np.zeros((SIZE[0] * 2, SIZE[1] * 2, 3), np.uint8))
    assert isinstance(poses, Poses)
    np.testing.assert_allclose(poses.box, [[16, 16, 128, 128]])
    np.testing.assert_allclose(poses.xy[0, 0], [63.5, 63.5])
    assert poses.person_score.tolist() == pytest.approx([0.8])


@pytest.mark.parametrize("channels", [[18, 0], [0], "all", [0, -1], [0.5, 2]])
def test_channels_are_checked_by_name(channels: Any) -> None:
    with pytest.raises((InputError, TypeError), match=r"decoder\.heatmap_channels"):
        pipeline(heatmap_channels=channels)


def test_channels_that_the_network_lacks_are_refused() -> None:
    with pytest.raises(InputError, match="fields"):
        pipeline(field_channels=[19, 40])(np.zeros((*SIZE, 3), np.uint8))


def test_settings_of_the_decoder_are_checked_when_it_is_made() -> None:
    with pytest.raises(InputError, match="mode"):
        pipeline(mode="magic")


def test_an_output_that_is_not_there_is_named() -> None:
    engine = FakeEngine(lambda _: {"other": MAPS}, shape=(None, 3, *SIZE))
    options = Input(size=SIZE, fit="stretch")
    reading = Reading("part_affinity", {"heatmaps": "output"}, {})
    find = BottomUp(Network(engine, options), people_reader(reading, options, SKELETON), SKELETON)
    with pytest.raises(ModelError, match=r"no output output\nhint: it has other"):
        find(np.zeros((*SIZE, 3), np.uint8))
