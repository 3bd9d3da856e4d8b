"""``load``: from a name, a manifest or a network to something that finds people."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pyposefast
from pyposefast import zoo
from pyposefast.detectors import Detector
from pyposefast.errors import InputError, InputTypeError, ModelError
from pyposefast.pipelines import BottomUp, Cascade, TopDown
from pyposefast.poses import Poses

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed: the extra `cpu`")
networks = pytest.importorskip("tiny_networks")

STICK = """
[skeleton]
name = "four"
joints = [
    {name = "a", sigma = 0.1},
    {name = "b", sigma = 0.1},
    {name = "c", sigma = 0.1},
    {name = "d", sigma = 0.1},
]
limbs = [["a", "b"]]
pairs = []
"""
TOP_DOWN = f"""
pipeline = "top_down"
[input]
size = [16, 12]
mean = 127.5
std = 127.5
[decoder]
kind = "heatmap"
maps = "maps"
threshold = -1000.0
{STICK}
"""
PICTURE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
BOXES = np.array([[10, 10, 40, 50], [30, 5, 60, 55], [0, 0, 80, 60]], np.float32)


def save(folder: Path, name: str = "mine", *, text: str = TOP_DOWN, model: Any = None) -> Path:
    """Write a network and its manifest; return the network's path."""
    path = folder / f"{name}.onnx"
    path.write_bytes((model or networks.convolution()).SerializeToString())
    path.with_suffix(".toml").write_text(text, encoding="utf-8")
    return path


def test_a_network_with_a_manifest_beside_it_is_a_pipeline(tmp_path: Path) -> None:
    path = save(tmp_path)
    for given in (path, str(path), path.with_suffix(".toml")):
        find = pyposefast.load(given)
        assert isinstance(find, TopDown)
        poses = find(PICTURE, boxes=BOXES)
        assert isinstance(poses, Poses)
        assert poses.skeleton.joints == ("a", "b", "c", "d")
        assert np.isfinite(poses.xy).all()
        find.close()


def test_the_manifest_may_name_the_file_and_the_caller_another(tmp_path: Path) -> None:
    path = save(tmp_path)
    moved = tmp_path / "weights.onnx"
    shutil.move(path, moved)
    manifest = path.with_suffix(".toml")
    with pytest.raises(ModelError, match="no such file"):
        zoo.load(manifest)
    assert isinstance(zoo.load(manifest, weights=moved), TopDown)
    manifest.write_text('file = "weights.onnx"\n' + TOP_DOWN, encoding="utf-8")
    assert isinstance(zoo.load(manifest), TopDown)


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_a_batch_of_eight_is_eight_single_ones(tmp_path: Path, mode: Any) -> None:
    find = zoo.load(save(tmp_path), mode=mode, threads=1)
    pictures = [np.roll(PICTURE, shift, axis=1) for shift in range(8)]
    together = find(pictures, boxes=[BOXES] * 8)
    for picture, poses in zip(pictures, together, strict=True):
        alone = find(picture, boxes=BOXES)
        np.testing.assert_array_equal(alone.xy, poses.xy)
        np.testing.assert_array_equal(alone.score, poses.score)


def test_a_network_without_a_manifest_says_where_to_read_on(tmp_path: Path) -> None:
    path = save(tmp_path)
    path.with_suffix(".toml").unlink()
    with pytest.raises(ModelError, match=r"write mine.toml beside it: docs/own_model.md"):
        zoo.load(path)


def test_an_output_that_the_network_lacks_is_named_when_it_is_loaded(tmp_path: Path) -> None:
    path = save(tmp_path, text=TOP_DOWN.replace('maps = "maps"', 'maps = "heat"'))
    with pytest.raises((ModelError, InputError), match="heat"):
        zoo.load(path)


def test_an_unknown_name_lists_close_ones() -> None:
    with pytest.raises(InputError, match="rtmpose_m"):
        zoo.load("rtmpose_medium")
    with pytest.raises(InputTypeError, match="name_or_path"):
        zoo.load(17)  # type: ignore[arg-type]


def test_a_row_that_is_published_in_another_format_wants_a_file() -> None:
    with pytest.raises(ModelError, match=r"load\(\.\.\., weights=\.\.\.\)"):
        zoo.load("movenet_lightning")


def test_a_cascade_has_a_network_for_every_stage(tmp_path: Path) -> None:
    text = f"""
    pipeline = "cascade"
    [input]
    size = [16, 12]
    [decoder]
    kind = "points"
    points = "points"
    units = "centred"
    [refinement]
    files = ["second.onnx", "second.onnx"]
    size = [16, 12]
    sigma = 1.0
    reference = ["a", "b"]
    {STICK}
    """
    path = save(tmp_path, text=text, model=coordinates())
    with pytest.raises(ModelError, match=r"second\.onnx: no such file"):
        zoo.load(path)
    shutil.copy(path, tmp_path / "second.onnx")
    find = zoo.load(path)
    assert isinstance(find, Cascade)
    poses = find(PICTURE, boxes=BOXES)
    assert isinstance(poses, Poses)
    assert poses.xy.shape == (3, 4, 2)


def coordinates() -> Any:
    """Return a network [1, 3, 16, 12] -> points [1, 8], a little off the middle."""
    helper = networks.helper
    random = np.random.default_rng(3)
    return networks.model(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["sum"]),
            helper.make_node("Tanh", ["sum"], ["points"]),
        ],
        [networks.value("image", [1, 3, 16, 12])],
        [networks.value("points", [1, 8])],
        [networks.weight("w", random.normal(0, 1e-5, (576, 8)).astype(np.float32))],
    )


DETECTOR = """
pipeline = "detector"
[input]
size = [16, 12]
[decoder]
kind = "boxes"
form = "end2end"
boxes = "boxes"
"""


def finder() -> Any:
    """Return a detector that sees the same two boxes everywhere."""
    rows = np.float32([[[1, 1, 7, 9, 0.9], [4, 2, 11, 15, 0.8]]])
    return networks.model(
        [
            networks.helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3]),
            networks.helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
            networks.helper.make_node("Reshape", ["nothing", "shape"], ["flat"]),
            networks.helper.make_node("Add", ["flat", "rows"], ["boxes"]),
        ],
        [networks.value("image", [1, 3, 16, 12])],
        [networks.value("boxes", [1, 2, 5])],
        [
            networks.weight("zero", np.float32([0])),
            networks.weight("shape", np.int64([1, 1, 1])),
            networks.weight("rows", rows),
        ],
    )


def test_a_detector_is_loaded_by_itself_or_for_a_pipeline(tmp_path: Path) -> None:
    path = save(tmp_path, "finder", text=DETECTOR, model=finder())
    detector = zoo.load(path)
    assert isinstance(detector, Detector)
    boxes = detector(PICTURE)
    assert not isinstance(boxes, list)
    assert len(boxes) == 2
    mine = save(tmp_path)
    for given in (detector, path, str(path)):
        poses = zoo.load(mine, detector=given)(PICTURE)
        assert isinstance(poses, Poses)
        np.testing.assert_array_equal(poses.box, boxes.box)
    with pytest.raises(InputError, match="detector: expected a detector"):
        zoo.load(mine, detector=mine)
    with pytest.raises(InputError, match="there is no detector"):
        zoo.load(mine, detector=None)(PICTURE)


def test_settings_of_a_decoder_are_checked_when_it_is_loaded(tmp_path: Path) -> None:
    bad = DETECTOR.replace('form = "end2end"', 'form = "newest"')
    with pytest.raises(InputError, match="form: expected one of end2end"):
        zoo.load(save(tmp_path, text=bad, model=finder()))


def test_every_row_of_the_zoo_is_right_about_itself() -> None:
    for name, row in zoo.rows().items():
        assert row.name == name
        assert row.manifest.pipeline in ("top_down", "bottom_up", "detector")
        assert row.manifest.detector is None or row.manifest.detector in zoo.rows()
        assert row.weights["licence"], name
        assert row.weights.get("url", row.weights["origin"]).startswith("https://"), name
        if row.manifest.pipeline == "top_down":
            assert row.manifest.detector is not None, name


def test_bottom_up_rows_make_bottom_up_pipelines(tmp_path: Path) -> None:
    text = """
    pipeline = "bottom_up"
    skeleton = "openpose_coco18"
    [input]
    size = [16, 12]
    [decoder]
    kind = "part_affinity"
    heatmaps = "maps"
    heatmap_channels = [0, 18]
    field_channels = [19, 57]
    """
    model = networks.convolution(channels=57)
    find = zoo.load(save(tmp_path, text=text, model=model))
    assert isinstance(find, BottomUp)
    assert isinstance(find(PICTURE), Poses)
