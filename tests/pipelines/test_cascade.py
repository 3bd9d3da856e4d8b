"""The DeepPose loop, around networks whose errors are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_engine import FakeEngine

from pyposefast.errors import ModelError
from pyposefast.manifest import Input, Reading
from pyposefast.network import Network
from pyposefast.pipelines import Cascade, Closer, TopDown
from pyposefast.pipelines.reading import points_reader
from pyposefast.poses import Poses
from pyposefast.skeletons import Skeleton

NAMES = ("left_shoulder", "right_hip", "wrist")
SKELETON = Skeleton("three", NAMES, ((0, 2),), (), (0.1,) * 3)
READING = Reading("points", {"points": "output"}, {"units": "centred"})
BOX = np.array([[20, 10, 120, 110], [150, 30, 250, 130]], np.float32)
JOINTS = np.array([[[50, 40], [80, 90], [100, 45]], [[190, 60], [215, 110], [230, 50]]], np.float64)


def picture() -> np.ndarray[Any, Any]:
    """Return a picture with a white dot for each joint."""
    y, x = np.mgrid[:160, :280]
    image = np.zeros((160, 280))
    for at_x, at_y in JOINTS.reshape(-1, 2):
        image = np.maximum(image, np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * 2.0**2)))
    return np.repeat(np.rint(255 * image).astype(np.uint8)[..., None], 3, axis=-1)


def network(answer: Any, size: int = 96) -> tuple[Network, Any, FakeEngine]:
    settings = Input(size=(size, size))
    engine = FakeEngine(lambda batch: {"output": answer(batch)}, shape=(None, 3, size, size))
    return Network(engine, settings), points_reader(READING, settings, SKELETON), engine


def first(error: float = 0.04) -> tuple[TopDown, FakeEngine]:
    """Return a first stage whose answers are off by a part of the box, the same for everybody."""

    def answer(batch: Any) -> Any:
        relative = (JOINTS + 0.5 - BOX[:, None, :2]) / 100 - 0.5  # of the middle, boxes are 100 px
        return (relative + error).astype(np.float32)[: len(batch)]

    net, read, engine = network(answer)
    return TopDown(net, read, SKELETON), engine


def brightest(batch: Any) -> Any:
    """Be a network that says, for every joint, where the light in the middle of its window is."""
    size = batch.shape[2]
    axis = (np.arange(size) + 0.5) / size - 0.5
    weight = batch[:, 0].astype(np.float64) ** 2
    weight *= np.exp(-(axis**2)[:, None] / 0.02 - (axis**2)[None] / 0.02)
    total = weight.sum((1, 2)) + 1e-9  # a warm-up sees nothing but black
    x, y = (weight.sum(1) @ axis) / total, (weight.sum(2) @ axis) / total
    return np.repeat(np.stack([x, y], -1)[:, None], 3, axis=1).astype(np.float32)


def test_each_stage_comes_closer() -> None:
    start, engine = first()
    rough = start(picture(), boxes=BOX)
    assert isinstance(rough, Poses)
    np.testing.assert_allclose(rough.xy, JOINTS + 4.0, atol=1e-3)  # 0.04 of 100 px
    net, read, windows = network(brightest)
    cascade = Cascade(start, [Closer(net, read, 0.8, (0, 1))] * 2)
    poses = cascade(picture(), boxes=BOX)
    assert isinstance(poses, Poses)
    np.testing.assert_allclose(poses.xy, JOINTS, atol=0.15)
    # One batch for each stage: two people, then all three joints of both.
    assert engine.batches[-1:] == [2]
    assert windows.batches == [6, 6]


def test_the_way_back_from_a_window_is_exact() -> None:
    start, _ = first(error=0.0)
    offset = np.float32([0.25, -0.125])
    net, read, _ = network(lambda batch: np.tile(offset, (len(batch), 3, 1)))
    poses = Cascade(start, [Closer(net, read, 2.0, (0, 1))])(picture(), boxes=BOX)
    assert isinstance(poses, Poses)
    side = 2.0 * np.hypot(*(JOINTS[:, 0] - JOINTS[:, 1]).T)  # sigma times the diameter of the pose
    # float32 places of up to 256 px: 2^-16 px each way.
    np.testing.assert_allclose(poses.xy, JOINTS + side[:, None, None] * offset, atol=1e-4)


def test_a_joint_or_a_size_that_is_unknown_leaves_the_rest_alone() -> None:
    def answer(batch: Any) -> Any:
        relative = ((JOINTS + 0.5 - BOX[:, None, :2]) / 100 - 0.5).astype(np.float32)
        relative[0, 2] = np.nan  # no wrist
        relative[1, 1] = np.nan  # no hip: no size
        return relative[: len(batch)]

    net, read, _ = network(answer)
    closer, its_read, windows = network(lambda batch: np.full((len(batch), 3, 2), 0.1, np.float32))
    cascade = Cascade(TopDown(net, read, SKELETON), [Closer(closer, its_read, 1.0, (0, 1))])
    poses = cascade(picture(), boxes=BOX)
    assert isinstance(poses, Poses)
    assert windows.batches == [3]
    assert np.isnan(poses.xy[0, 2]).all()
    assert np.isnan(poses.xy[1, 1]).all()
    diameter = np.hypot(*(JOINTS[0, 0] - JOINTS[0, 1]))
    np.testing.assert_allclose(poses.xy[0, 0], JOINTS[0, 0] + 0.1 * diameter, atol=1e-3)
    np.testing.assert_allclose(poses.xy[1, 0], JOINTS[1, 0], atol=1e-3)


def test_people_of_several_pictures_share_a_batch() -> None:
    start, _ = first()
    net, read, windows = network(brightest)
    cascade = Cascade(start, [Closer(net, read, 0.8, (0, 1))])
    found = cascade([picture(), picture()], boxes=[BOX[:1], BOX[1:]])
    assert isinstance(found, list)
    assert windows.batches == [6]
    both = cascade(picture(), boxes=BOX)
    assert isinstance(both, Poses)
    np.testing.assert_array_equal(np.concatenate([poses.xy for poses in found]), both.xy)


def test_nobody_is_an_ordinary_result() -> None:
    start, _ = first()
    net, read, windows = network(brightest)
    poses = Cascade(start, [Closer(net, read, 1.0, (0, 1))])(picture(), boxes=[])
    assert isinstance(poses, Poses)
    assert len(poses) == 0
    assert windows.batches == []


def test_later_stages_have_to_give_coordinates() -> None:
    start, _ = first()
    settings = Input(size=(96, 96))
    engine = FakeEngine(
        lambda batch: {"output": np.ones((len(batch), 3, 24, 24), np.float32)},
        shape=(None, 3, 96, 96),
    )
    read = points_reader(Reading("heatmap", {"maps": "output"}, {}), settings, SKELETON)
    cascade = Cascade(start, [Closer(Network(engine, settings), read, 1.0, (0, 1))])
    with pytest.raises(ModelError, match="have to give coordinates"):
        cascade(picture(), boxes=BOX)


def test_all_networks_are_warmed_up_and_closed() -> None:
    start, engine = first()
    net, read, windows = network(brightest)
    cascade = Cascade(start, [Closer(net, read, 1.0, (0, 1))])
    cascade.warmup()
    cascade.close()
    assert (engine.closes, windows.closes) == (1, 1)
