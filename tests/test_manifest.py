"""Manifests: what a TOML file may say, and what is said of it when it may not."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest

from pyposefast import decoders, manifest, skeletons
from pyposefast.detectors import Detector
from pyposefast.errors import InputError, InputTypeError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

TOP_DOWN = """
pipeline = "top_down"
skeleton = "coco17"

[input]
size = [256, 192]
mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]
padding = 1.25

[decoder]
kind = "heatmap"
maps = "output"
refine = "udp_dark"
"""
CASCADE = """
pipeline = "cascade"
skeleton = "coco17"
[input]
size = [220, 220]
[decoder]
kind = "points"
points = "output"
units = "centred"
[refinement]
files = ["second.onnx", "third.onnx"]
size = [220, 220]
sigma = 2.0
reference = ["left_shoulder", "right_hip"]
"""


def table(**changes: Any) -> dict[str, Any]:
    """Return a manifest that is right but for the changes: ``input__size`` is a key of [input]."""
    result: dict[str, Any] = {
        "pipeline": "top_down",
        "skeleton": "coco17",
        "input": {"size": [64, 48]},
        "decoder": {"kind": "heatmap", "maps": "output"},
    }
    for name, value in changes.items():
        *folders, key = name.split("__")
        place = result
        for folder in folders:
            place = place.setdefault(folder, {})
        if value is None:
            del place[key]
        else:
            place[key] = value
    return result


def test_what_is_said_is_kept_and_the_rest_is_usual(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TOP_DOWN, encoding="utf-8")
    found = manifest.read(path)
    assert found.name == "mine"
    assert found.skeleton == skeletons.load("coco17")
    assert found.input.size == (256, 192)
    assert (found.input.layout, found.input.colour, found.input.fit) == ("nchw", "rgb", "expand")
    assert found.input.std == (58.395, 57.12, 57.375)
    assert found.decoder.outputs == {"maps": "output"}
    assert found.decoder.settings == {"refine": "udp_dark"}


def test_a_cascade_names_its_later_stages(tmp_path: Path) -> None:
    path = tmp_path / "deeppose.toml"
    path.write_text(CASCADE, encoding="utf-8")
    found = manifest.read(path).refinement
    assert found is not None
    assert found.files == ("second.onnx", "third.onnx")
    assert found.reference == ("left_shoulder", "right_hip")


def test_a_skeleton_may_be_written_out() -> None:
    skeleton = {
        "name": "stick",
        "joints": [{"name": "head", "sigma": 0.1}, {"name": "feet", "sigma": 0.1}],
        "limbs": [["head", "feet"]],
        "pairs": [],
    }
    found = manifest.parse(table(skeleton=skeleton), name="x").skeleton
    assert found is not None
    assert found.limbs == ((0, 1),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "rgb"}, "colour: expected one of pipeline"),
        ({"input__colors": "rgb"}, "input.colors: expected"),
        ({"decoder__kernl": 11}, "hint: did you mean decoder.kernel"),
        ({"decoder__maps": None}, "decoder.maps: expected the name of an output, got nothing"),
        ({"input__size": None}, "input.size: expected [height, width], got nothing"),
        ({"input__size": [0, 48]}, "size: expected (height, width)"),
        ({"input__std": [1.0, 0.0, 1.0]}, "input.std"),
        ({"input__mean": [1.0, 2.0]}, "input.mean: expected one number or 3, got 2"),
        ({"input__fit": "letterbox"}, "input.fit: expected one of expand, stretch, axis"),
        ({"input__dtype": "uint8", "input__mean": 3.0}, "input.mean: expected none"),
        ({"input__border": 300}, "input.border"),
        ({"pipeline": "sideways"}, "pipeline: expected one of top_down"),
        ({"pipeline": None}, "pipeline: expected one of"),
        (
            {"pipeline": "detector", "decoder": {"kind": "boxes", "boxes": "b", "form": "yolox"}},
            "skeleton: expected none for a detector",
        ),
        ({"pipeline": "bottom_up"}, "decoder.kind: expected one of part_affinity, people"),
        ({"pipeline": "cascade", "decoder": {"kind": "points", "points": "x"}}, "refinement"),
        (
            {"refinement": {"files": ["a"]}},
            'refinement: expected none unless pipeline is "cascade"',
        ),
        ({"skeleton": "coco99"}, "name: expected one of"),
        ({"skeleton": None}, "skeleton: expected one of"),
        ({"skeleton": {"name": "x"}}, "skeleton: expected a key joints"),
        ({"file": "../other.onnx"}, "file: expected the name of a file beside the manifest"),
        ({"file": "/etc/passwd"}, "file: expected the name of a file beside the manifest"),
        ({"boxes": "mine"}, "boxes: expected one of detector, image"),
    ],
)
def test_what_cannot_be_meant_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        manifest.parse(table(**changes), name="x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": "small"}, "input: expected a table [input], got str"),
        ({"input__size": "big"}, "size: expected (height, width)"),
        ({"input__mean": "grey"}, "input.mean: expected a number"),
        ({"decoder__maps": 3}, "decoder.maps: expected a text"),
        ({"detector": 3}, "detector: expected a text"),
        ({"skeleton": 17}, "skeleton: expected a name or a table"),
        ({"skeleton": {"name": "x", "joints": 3, "limbs": [], "pairs": []}}, "skeleton: expected"),
    ],
)
def test_a_wrong_type_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputTypeError, match=re.escape(message)):
        manifest.parse(table(**changes), name="x")


@pytest.mark.parametrize("text", ["pipeline = ", "\x00", "[input]\n[input]\n"])
def test_what_is_no_toml_is_a_model_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="not a TOML file"):
        manifest.read(path)


def test_a_file_that_is_missing_binary_or_endless_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        manifest.read(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="not a TOML file"):
        manifest.read(tmp_path / "binary.toml")
    (tmp_path / "large.toml").write_bytes(b"# " + b"x" * (1 << 20))
    with pytest.raises(ModelError, match="at most 1 MiB"):
        manifest.read(tmp_path / "large.toml")


def test_every_setting_is_one_of_its_decoder() -> None:
    decoders_of = {
        "heatmap": decoders.Heatmap,
        "simcc": decoders.SimCC,
        "points": decoders.Regression,
        "part_affinity": decoders.PartAffinity,
        "people": decoders.Instances,
        "boxes": Detector,
    }
    assert set(decoders_of) == set(manifest._DECODERS)
    of_the_call = {"part_affinity": {"layout", "heatmap_channels", "field_channels"}}
    for kind, decoder in decoders_of.items():
        _, settings = manifest._DECODERS[kind]
        known = set(inspect.signature(decoder).parameters)
        assert set(settings) - of_the_call.get(kind, set()) <= known, kind
