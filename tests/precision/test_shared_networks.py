"""Published networks of eleven kinds, each on its golden picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import precision_networks as nets
import pytest
import shared_data
from precision_networks import onnx

from pyposefast.precision import plan, to_fp16, with_rounding

if TYPE_CHECKING:
    import numpy.typing as npt

IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
DETECTOR = ((103.53, 116.28, 123.675), (57.375, 57.12, 58.395))
PLAIN = ((0, 0, 0), (1, 1, 1))
UNIT = ((0, 0, 0), (255, 255, 255))
# Colours, layout, (mean, std) of the input; None: the picture as it is, uint8.
NETWORKS: dict[str, tuple[str, str, Any]] = {
    "blazepose_detector": ("rgb", "nhwc", ((127.5,) * 3, (127.5,) * 3)),
    "blazepose_landmark_lite": ("rgb", "nhwc", UNIT),
    "efficientpose_ii": ("rgb", "nhwc", IMAGENET),
    "efficientpose_rt": ("rgb", "nchw", IMAGENET),
    "fastestdet": ("bgr", "nchw", UNIT),
    "movenet_lightning": ("rgb", "nhwc", None),
    "pefm_cpm": ("bgr", "nchw", PLAIN),
    "pefm_hourglass": ("bgr", "nchw", PLAIN),
    "posenet_mobilenet075": ("rgb", "nhwc", None),
    "rtmdet_nano_person": ("bgr", "nchw", DETECTOR),
    "tfpose_mobilenet_v2_small": ("bgr", "nchw", PLAIN),
}


def network_input(picture: npt.NDArray[np.uint8], name: str) -> npt.NDArray[Any]:
    colours, layout, scaling = NETWORKS[name]
    pixels: npt.NDArray[Any] = picture if colours == "rgb" else picture[..., ::-1]
    if scaling is not None:
        mean, std = (np.asarray(each, np.float64) for each in scaling)
        pixels = ((pixels - mean) / std).astype(np.float32)
    if layout == "nchw":
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels[None])


def rounding_depth(half: bytes) -> int:
    """Return how many float16 results lie on the longest path: each rounds by 2^-11."""
    types = nets.types_of(half)
    depth: dict[str, int] = {}
    for node in onnx.load_from_string(half).graph.node:
        before = max((depth.get(name, 0) for name in node.input), default=0)
        for name in node.output:
            depth[name] = before + (types.get(name) == nets.HALF)
    return max(depth.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_published_network_gives_in_half_what_it_gives_in_single(name: str) -> None:
    folder = shared_data.path(f"models/{name}")
    (path,) = folder.glob("*.onnx")
    with np.load(folder / "golden.npz") as golden:
        picture = golden["input_rgb_u8"]
    graph = onnx.load(path).graph
    feeds = {graph.input[0].name: network_input(picture, name)}
    half = to_fp16(path)
    assert half == to_fp16(path)
    made = plan(path)
    assert made.fp16 > made.fp32
    expected = nets.run(path.read_bytes(), feeds)
    # At unit gain, D roundings by 2^-11 add up to D * 2^-11 where all agree in sign, and to the
    # square root of that many where they do not, which is what a mean over many elements sees.
    depth = rounding_depth(half)
    worst, typical = depth * 2.0**-11, math.sqrt(depth) * 2.0**-11
    for changed in (half, with_rounding(half)):
        got = nets.run(changed, feeds)
        for output, before, after in zip(graph.output, expected, got, strict=True):
            assert before.shape == after.shape, output.name
            assert before.dtype == after.dtype
            spread = float(before.max() - before.min()) or 1.0
            error = np.abs(before.astype(np.float64) - after) / spread
            assert error.max() <= worst, output.name
            assert error.mean() <= typical, output.name


@pytest.mark.parametrize("name", ["efficientpose_ii", "blazepose_landmark_lite"])
def test_weights_stored_in_half_are_not_touched(name: str) -> None:
    (path,) = shared_data.path(f"models/{name}").glob("*.onnx")
    numbers = {
        each.raw_data for each in onnx.load(path).graph.initializer if each.data_type == nets.HALF
    }
    converted = onnx.load_from_string(to_fp16(path)).graph
    found = {each.raw_data for each in converted.initializer if each.data_type == nets.HALF}
    assert numbers <= found
