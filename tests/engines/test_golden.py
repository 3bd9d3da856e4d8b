"""Eleven published networks: every engine gives what the networks' original frameworks gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shared_data

from pyposefast.engines import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from pyposefast.engines import EngineName

# The differences that models/README.txt states are of one machine. Another one adds in another
# order, which may cost as much again.
OTHER_MACHINE = 2.0
# Where none is stated for an output, and for the engine that they were not measured with: a
# hundred layers, each of which errs by some 1e-6 of its range (sums of a thousand float32 terms).
OF_RANGE = 1e-4


@dataclass(frozen=True)
class Case:
    """How a network's input is made of a picture, as the networks' README says."""

    layout: str = "nchw"
    bgr: bool = False
    mean: Any = 0.0
    std: Any = 1.0
    dtype: str = "float32"
    stated: Mapping[str, float] | None = None  # largest differences from the original, by output


IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
CASES = {
    "blazepose_detector": Case(
        "nhwc", mean=127.5, std=127.5, stated={"boxes": 9e-4, "scores": 9e-4}
    ),
    "blazepose_landmark_lite": Case(
        "nhwc", std=255.0, stated={"landmarks": 6.7e-4, "world_landmarks": 2.9e-6}
    ),
    "efficientpose_ii": Case(
        "nhwc",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        stated={"heatmaps_pass3": 1.7e-6, "heatmaps_full": 1.7e-6},
    ),
    "efficientpose_rt": Case(
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        stated={"heatmaps_pass2": 1.3e-6, "pafs": 1.3e-6, "heatmaps_full": 1.3e-6},
    ),
    "fastestdet": Case(bgr=True, std=255.0),
    "movenet_lightning": Case("nhwc", dtype="uint8"),
    "pefm_cpm": Case(bgr=True, stated={"heatmaps": 1.2e-6}),
    "pefm_hourglass": Case(bgr=True, stated={"heatmaps": 1.7e-6}),
    "posenet_mobilenet075": Case("nhwc", dtype="uint8"),
    "rtmdet_nano_person": Case(bgr=True, mean=IMAGENET_MEAN[::-1], std=IMAGENET_STD[::-1]),
    "tfpose_mobilenet_v2_small": Case(bgr=True, stated={"heatmaps_pafs": 2.9e-4}),
}


def feed_of(picture: npt.NDArray[np.uint8], case: Case) -> npt.NDArray[Any]:
    """The network's input [1, ...], computed as the README's formulas say."""
    pixels: npt.NDArray[Any] = picture[..., ::-1] if case.bgr else picture
    if case.dtype != "uint8":
        pixels = (pixels - np.array(case.mean)) / np.array(case.std)
    if case.layout == "nchw":
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels[None].astype(case.dtype))


def golden_of(arrays: Any) -> Iterator[tuple[str, int, npt.NDArray[np.float32]]]:
    """Name of an output, how many pixels from one kept value to the next, and the values."""
    for key in arrays.files:
        name = key.removeprefix("out_").removesuffix("_float_onnx")
        if key == "input_rgb_u8" or key.endswith("_int8_original"):
            continue
        name, _, step = name.partition("_every")
        yield name, int(step.rstrip("ndth") or 1), arrays[key]


@pytest.mark.parametrize("engine", ["onnx_runtime", "openvino"])
@pytest.mark.parametrize("name", CASES)
def test_a_network_gives_what_its_original_gave(name: str, engine: EngineName) -> None:
    runtime = "onnxruntime" if engine == "onnx_runtime" else engine
    pytest.importorskip(runtime, reason=f"{runtime} is an extra")
    folder, case = shared_data.path(f"models/{name}"), CASES[name]
    golden = np.load(folder / "golden.npz")
    with open_engine(next(folder.glob("*.onnx")), engine=engine, device="cpu") as network:
        feed = feed_of(golden["input_rgb_u8"], case)
        results = network.run({network.inputs[0].name: feed})
    compared = 0
    for output, step, expected in golden_of(golden):
        result = results[output]
        if step > 1:
            is_first = case.layout == "nchw"
            result = result[..., ::step, ::step] if is_first else result[:, ::step, ::step]
        if name == "rtmdet_nano_person":  # an empty last row is not among the golden ones
            count = expected.shape[1]
            assert not result[:, count:].any()
            result = result[:, :count]
        assert result.shape == expected.shape
        allowed = OF_RANGE * float(np.ptp(expected))
        if engine == "onnx_runtime" and case.stated and output in case.stated:
            allowed = OTHER_MACHINE * case.stated[output]
        assert np.abs(result - expected).max() <= allowed, output
        compared += 1
    assert compared > 0
