"""Top-down pipelines, around a network that finds coloured dots: what it says is known exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fake_engine import FakeEngine

from pyposefast.detectors import Detector
from pyposefast.errors import InputError, InputTypeError, ModelError
from pyposefast.manifest import Input, Reading
from pyposefast.network import Network
from pyposefast.pipelines import TopDown
from pyposefast.pipelines.reading import points_reader
from pyposefast.poses import Boxes, Poses
from pyposefast.skeletons import Skeleton

if TYPE_CHECKING:
    from conftest import Device

SKELETON = Skeleton("dots", ("red", "green"), ((0, 1),), ((0, 1),), (0.1, 0.1))
SIZE = (40, 30)
DOTS = np.array([[[20, 25], [30, 40]], [[60, 30], [72, 52]]], np.float32)  # [P, 2, 2]
BOXES = np.array([[10, 10, 40, 50], [50, 20, 80, 60]], np.float32)


def picture(dots: Any = DOTS, size: tuple[int, int] = (90, 120)) -> np.ndarray[Any, Any]:
    """Return a black picture with a soft dot for each joint, red or green."""
    y, x = np.mgrid[: size[0], : size[1]]
    image = np.zeros((*size, 3))
    for person in np.asarray(dots):
        for joint, (at_x, at_y) in enumerate(person):
            dot = np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * 2.5**2))
            image[..., joint] = np.maximum(image[..., joint], 255 * dot)
    return np.rint(image).astype(np.uint8)


def maps_of(batch: Any) -> dict[str, Any]:
    """Be a network whose maps are the colours themselves, at a quarter of the size."""
    n, _, height, width = batch.shape
    small = batch[:, :2].reshape(n, 2, height // 4, 4, width // 4, 4).mean((3, 5))
    return {"output": (small / 255).astype(np.float32)}


def pipeline(
    network: Any = maps_of, *, reading: Reading | None = None, **options: Any
) -> tuple[TopDown, FakeEngine]:
    size = (160, 120)
    settings = Input(size=size, padding=1.25, **options.pop("settings", {}))
    engine = FakeEngine(network, shape=(None, 3, *size), outputs=("output", "score", "world"))
    reading = reading or Reading("heatmap", {"maps": "output"}, {"refine": "dark"})
    read = points_reader(reading, settings, SKELETON)
    return TopDown(Network(engine, settings), read, SKELETON, **options), engine


def detector(boxes: Any = BOXES, score: float = 0.5) -> tuple[Detector, FakeEngine]:
    rows = np.concatenate([boxes, np.full((len(boxes), 1), score)], axis=1).astype(np.float32)
    engine = FakeEngine(
        lambda batch: {"dets": np.repeat(rows[None], len(batch), 0)}, shape=(None, 3, 90, 120)
    )
    network = Network(engine, Input(size=(90, 120), fit="stretch"))
    return Detector(network, form="end2end", outputs={"boxes": "dets"}), engine


def test_joints_come_back_to_the_picture() -> None:
    find, engine = pipeline()
    poses = find(picture(), boxes=BOXES)
    assert isinstance(poses, Poses)
    np.testing.assert_allclose(poses.xy, DOTS, atol=0.25)
    np.testing.assert_array_equal(poses.box, BOXES)
    assert engine.batches == [2]  # both people at once


def test_pictures_of_four_cameras_are_one_batch_and_keep_their_order() -> None:
    find, engine = pipeline()
    moved = [DOTS + np.float32([shift, 0]) for shift in (0, 7, 14, 3)]
    pictures = [picture(dots, (90 + 10 * i, 120)) for i, dots in enumerate(moved)]
    boxes = [BOXES, BOXES[:1] + np.float32([7, 0, 7, 0]), np.zeros((0, 4)), BOXES[1:]]
    found = find(pictures, boxes=boxes)
    assert isinstance(found, list)
    assert [len(poses) for poses in found] == [2, 1, 0, 1]
    assert engine.batches == [4]
    for image, its_boxes, poses in zip(pictures, boxes, found, strict=True):
        alone = find(image, boxes=its_boxes)
        assert isinstance(alone, Poses)
        np.testing.assert_array_equal(alone.xy, poses.xy)
        np.testing.assert_array_equal(alone.score, poses.score)


def test_a_batch_array_and_bgr_give_the_same() -> None:
    find, _ = pipeline()
    image = picture()
    alone = find(image, boxes=BOXES)
    batch = find(np.stack([image, image])[..., ::-1].copy(), boxes=[BOXES, BOXES], source="bgr")
    assert isinstance(alone, Poses)
    assert isinstance(batch, list)
    for poses in batch:
        np.testing.assert_array_equal(poses.xy, alone.xy)


def test_pictures_stay_on_their_device_until_there_are_joints(device: Device) -> None:
    settings = Input(size=(160, 120), padding=1.25)
    read = points_reader(Reading("heatmap", {"maps": "output"}, {}), settings, SKELETON)

    def finder(**places: Any) -> TopDown:
        engine = FakeEngine(maps_of, shape=(None, 3, 160, 120), **places)
        return TopDown(Network(engine, settings), read, SKELETON)

    there = finder(put=device.put, get=device.get)(device.put(picture()), boxes=BOXES)
    here = finder()(picture(), boxes=BOXES)
    assert isinstance(there, Poses)
    assert isinstance(here, Poses)
    assert type(there.xy) is np.ndarray
    np.testing.assert_array_equal(there.xy, here.xy)
    np.testing.assert_array_equal(there.score, here.score)


def test_many_people_go_through_in_bounded_batches() -> None:
    find, engine = pipeline(settings={"batch": 3})
    many = np.repeat(BOXES, 4, axis=0)
    poses = find(picture(), boxes=many)
    assert isinstance(poses, Poses)
    assert engine.batches == [3, 3, 2]
    np.testing.assert_allclose(poses.xy, np.repeat(DOTS, 4, axis=0), atol=0.25)


def test_nobody_is_an_ordinary_result_and_no_run() -> None:
    find, engine = pipeline()
    for nobody in (
        [],
        np.zeros((0, 4)),
        Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32)),
    ):
        poses = find(picture(), boxes=nobody)
        assert isinstance(poses, Poses)
        assert poses.xy.shape == (0, 2, 2)
    assert find([], boxes=[]) == []
    assert engine.batches == []


def test_the_detector_is_asked_when_no_boxes_come() -> None:
    boxes, its_engine = detector()
    find, engine = pipeline(detector=boxes)
    poses = find(picture())
    assert isinstance(poses, Poses)
    np.testing.assert_allclose(poses.xy, DOTS, atol=0.25)
    np.testing.assert_allclose(poses.person_score, 0.5 * poses.score.mean(axis=1))
    find.close()
    assert (engine.closes, its_engine.closes) == (1, 1)


def test_a_detector_is_opened_when_it_is_first_needed_and_once() -> None:
    opened = []

    def open_it() -> Detector:
        opened.append(1)
        return detector()[0]

    find, _ = pipeline(detector=open_it)
    find(picture(), boxes=BOXES)
    assert not opened
    find([picture(), picture()])
    find(picture())
    assert opened == [1]


def test_without_boxes_and_without_a_detector_nothing_is_guessed() -> None:
    find, engine = pipeline()
    with pytest.raises(InputError, match="boxes: expected boxes, since there is no detector"):
        find(picture())
    assert engine.batches == []


def test_one_person_may_fill_the_picture_where_that_was_said() -> None:
    find, _ = pipeline(boxes="image", settings={"fit": "stretch"})
    poses = find(picture(DOTS[:1]))
    assert isinstance(poses, Poses)
    np.testing.assert_allclose(poses.xy, DOTS[:1], atol=0.5)
    np.testing.assert_array_equal(poses.box, [[0, 0, 120, 90]])


def test_a_joint_that_is_not_there_is_nowhere() -> None:
    find, _ = pipeline()
    image = picture()
    image[..., 1] = 0  # no green
    poses = find(image, boxes=BOXES)
    assert isinstance(poses, Poses)
    assert np.isnan(poses.xy[:, 1]).all()
    assert (poses.score[:, 1] == 0).all()


def test_a_flip_test_sees_the_mirror_image_too() -> None:
    find, engine = pipeline(flip_test=True)
    # In a mirror, a joint of the left is one of the right: this network takes colours for sides.
    image = picture()
    poses = find(image, boxes=BOXES)
    assert isinstance(poses, Poses)
    assert engine.batches == [2, 2]
    plain, _ = pipeline()
    alone = plain(image, boxes=BOXES)
    assert isinstance(alone, Poses)
    # The mirrored maps have red and green exchanged: both are half here and half there.
    half = alone.score.max(axis=1, keepdims=True) / 2
    np.testing.assert_allclose(poses.score, np.repeat(half, 2, axis=1), atol=1e-3)


def test_coordinates_scores_of_people_and_places_in_the_world_come_along() -> None:
    def network(batch: Any) -> dict[str, Any]:
        n = len(batch)
        return {
            "output": np.tile(np.float32([0.5, 0.5, 0.25, 0.75]), (n, 1)),
            "score": np.full((n, 1), 0.7, np.float32),
            "world": np.tile(np.arange(6, dtype=np.float32), (n, 1)),
        }

    names = {"points": "output", "person_score": "score", "world": "world"}
    find, _ = pipeline(network, reading=Reading("points", names, {}))
    poses = find(picture(), boxes=BOXES[:1])
    assert isinstance(poses, Poses)
    # The box is 30 x 40 around (25, 30), and fits 3:4; times 1.25 it is 37.5 x 50.
    np.testing.assert_allclose(
        poses.xy[0] + 0.5, [[25, 30], [25 - 37.5 / 4, 30 + 50 / 4]], atol=1e-4
    )
    assert poses.person_score[0] == pytest.approx(0.7)
    assert poses.world_m is not None
    np.testing.assert_array_equal(poses.world_m[0], [[0, 1, 2], [3, 4, 5]])


def test_a_turned_region_follows_the_detectors_axis() -> None:
    def network(batch: Any) -> dict[str, Any]:
        # The middle of the crop, and the middle of its upper edge.
        return {"output": np.tile(np.float32([0.5, 0.5, 0.5, 0.0]), (len(batch), 1))}

    reading = Reading("points", {"points": "output"}, {})
    find, _ = pipeline(network, reading=reading, settings={"fit": "axis"})
    axis = np.array([[[60, 40], [80, 40]]], np.float32)  # somebody who lies: up is to the right
    boxes = Boxes(np.array([[40, 20, 80, 60]], np.float32), np.ones(1, np.float32), axis)
    poses = find(picture(), boxes=boxes)
    assert isinstance(poses, Poses)
    # The square's half side is 1.25 of the axis; the input is 4/3 as high as it is wide.
    np.testing.assert_allclose(poses.xy[0], [[60, 40], [60 + 1.25 * 20 * 4 / 3, 40]], atol=0.1)
    upright = find(picture(), boxes=boxes.box)  # somebody's own boxes have no axis
    assert isinstance(upright, Poses)
    assert upright.xy[0, 1, 1] < upright.xy[0, 0, 1]


@pytest.mark.parametrize(
    ("boxes", "kind"),
    [
        ([1, 2, 3, 4], InputError),
        (["a", "b"], InputTypeError),
        ([[0, 0, 5]], InputError),
        ([[0, 0, np.nan, 5]], InputError),
        ([[5, 5, 1, 9]], InputError),
        ([[500, 500, 510, 510]], InputError),
    ],
)
def test_boxes_that_cannot_be_are_named(boxes: Any, kind: type[Exception]) -> None:
    find, engine = pipeline()
    with pytest.raises(kind, match=r"^boxes"):
        find(picture(), boxes=boxes)
    assert engine.batches == []


def test_lists_of_boxes_have_one_entry_a_picture() -> None:
    find, _ = pipeline()
    with pytest.raises(InputError, match="boxes: expected a list of 2"):
        find([picture(), picture()], boxes=[BOXES])


def test_pictures_are_never_written_to() -> None:
    find, _ = pipeline()
    image = picture()
    image.flags.writeable = False
    find(image, boxes=BOXES)


def test_torch_pictures_are_looked_at_too() -> None:
    torch = pytest.importorskip("torch", reason="Torch is not installed")
    find, _ = pipeline()
    poses, alone = find(torch.from_numpy(picture()), boxes=BOXES), find(picture(), boxes=BOXES)
    assert isinstance(poses, Poses)
    assert isinstance(alone, Poses)
    np.testing.assert_array_equal(poses.xy, alone.xy)


def test_a_network_that_takes_something_else_is_refused() -> None:
    for shape, dtype in (((None, 3, 64, 48), "float32"), ((None, 160, 120, 3), "float32")):
        engine = FakeEngine(maps_of, shape=shape, dtype=dtype)
        with pytest.raises(ModelError, match="the network takes float32"):
            Network(engine, Input(size=(160, 120)))
    with pytest.raises(ModelError, match="the network takes uint8"):
        Network(FakeEngine(maps_of, shape=(1, 3, 160, 120), dtype="uint8"), Input(size=(160, 120)))
    with pytest.raises(ModelError, match="not pixels"):
        Network(FakeEngine(maps_of, shape=(1, 3, 9, 9)), Input(size=(9, 9), name="pixels"))


def test_maps_of_another_skeleton_are_refused() -> None:
    find, _ = pipeline(lambda batch: {"output": np.zeros((len(batch), 17, 4, 4), np.float32)})
    with pytest.raises(InputError, match="skeleton: expected 2"):
        find(picture(), boxes=BOXES)


def test_a_background_map_is_left_out() -> None:
    def network(batch: Any) -> dict[str, Any]:
        maps = maps_of(batch)["output"]
        return {"output": np.concatenate([maps, 1 - maps[:, :1]], axis=1)}

    find, _ = pipeline(network)
    poses = find(picture(), boxes=BOXES)
    assert isinstance(poses, Poses)
    np.testing.assert_allclose(poses.xy, DOTS, atol=0.25)
