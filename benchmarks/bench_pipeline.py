"""Whole pipelines on pictures, side by side: our share of a frame, videos, and rtmlib.

Needs the folder of shared data (PYPOSEFAST_SHARED, or ../shared), and rtmlib for the race. Every
candidate runs the same ONNX files. Wall clock, since engines have threads of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from measure import machine

from pyposefast import load, media, ops, synthetic
from pyposefast.metrics import read_coco
from pyposefast.pipelines import Stream
from pyposefast.stages import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

DETECTOR = "rtmdet_nano_person/rtmdet_nano_person.onnx"
# A network whose heatmaps become vectors, as RTMPose gives them: what rtmlib can run.
HEATMAPS = "pefm_hourglass/pefm_hourglass_192.onnx"
SIMCC = """
pipeline = "top_down"
skeleton = "mobile_pose14"
[input]
size = [192, 192]
colour = "bgr"
padding = 1.25
[decoder]
kind = "simcc"
x = "simcc_x"
y = "simcc_y"
"""
# Photographs of one large person each; eight of them are a frame with eight people.
PORTRAITS = (785, 349860, 433998, 165518, 442450, 234748, 188388, 129648)
_PAUSE_S = 0.05  # between candidates: threads of the last one still spin for a while


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40, help="frames of each candidate")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    options = parser.parse_args()
    repeats = options.repeats
    beside = Path(__file__).resolve().parents[2] / "shared"
    data = Path(os.environ.get("PYPOSEFAST_SHARED", beside)) / "data"
    if not data.exists():
        print(f"no networks to measure on: expected {data}, or PYPOSEFAST_SHARED")
        return
    print("  ".join(f"{key}: {value}" for key, value in machine().items()))
    figures: dict[str, Any] = {"machine": machine(), "share": shares(data, repeats)}
    with tempfile.TemporaryDirectory() as folder:
        figures["videos"] = videos(data, Path(folder))
        figures["race"] = race(data, Path(folder), repeats)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def shares(data: Path, repeats: int) -> dict[str, float]:
    """Measure what part of a frame with five people is not the network, on one thread."""
    scene = synthetic.render_scene(people=5, seed=4)
    found = {}
    print("\nour share of a frame, five people, 1280 x 720, one thread")
    for name, file, boxes in (
        ("tfpose_mobilenet_v2_small", "tfpose_mobilenet_v2_small_368x432.onnx", None),
        ("efficientpose_rt", "efficientpose_rt_224.onnx", scene.box),
    ):
        path = data / "models" / name / file
        find = load(name, weights=path, detector=None, threads=1)
        given = {} if boxes is None else {"boxes": boxes}
        find(scene.image, **given)
        recorder, frames, networks = Recorder(), [], []
        for _ in range(repeats):
            start = time.perf_counter()
            with recorder.listening():
                find(scene.image, **given)
            frames.append(time.perf_counter() - start)
            networks.append(recorder.take()["network"])
        frame, network = statistics.median(frames), statistics.median(networks)
        share = statistics.median(1 - n / f for n, f in zip(networks, frames, strict=True))
        print(
            f"  {name:<28} frame {1e3 * frame:8.2f} ms, network {1e3 * network:8.2f} ms, "
            f"ours {100 * share:5.2f} %"
        )
        found[name] = share
    return found


def videos(data: Path, folder: Path) -> dict[str, float]:
    """Compare videos, from file to Poses, with the bare network on all cores."""
    name = "tfpose_mobilenet_v2_small"
    weights = data / "models" / name / f"{name}_368x432.onnx"
    find, one_by_one = load(name, weights=weights, mode="throughput"), load(name, weights=weights)
    image = synthetic.render_scene(people=5, seed=4).image
    frames = 60
    found = {}
    for height, width in ((360, 640), (720, 1280)):
        path = folder / f"{height}.mp4"
        picture = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        with media.VideoWriter(path, fps=30, size=(height, width)) as video:
            for _ in range(frames):
                video.write(picture)

        def whole(path: Path = path) -> None:
            with find.stream(path, workers=2) as results:
                assert sum(result.error is None for result in results) == frames

        samples = [
            (
                frames / seconds(whole),
                frames / seconds(partial(run_alone, find, 2, frames)),
                frames / seconds(partial(run_alone, one_by_one, 1, frames)),
            )
            for _ in range(7)
        ]
        fps, bare, bare_one = (statistics.median(column) for column in zip(*samples, strict=True))
        ratio = statistics.median(sample[0] / sample[1] for sample in samples)
        ratio_one = statistics.median(sample[0] / sample[2] for sample in samples)
        print(f"\na video of {width} x {height}, {name}, file to Poses, frames a second")
        print(f"  whole {fps:.1f}; the network alone, two at once {bare:.1f}: {ratio:.3f}")
        print(f"  the network alone, one by one on all cores {bare_one:.1f}: {ratio_one:.3f}")
        found[f"{width}x{height}"] = ratio
    return found


def run_alone(pipeline: Any, at_once: int, frames: int) -> None:
    """Run a pipeline's network on nothing."""
    zeros = np.zeros((at_once, 3, 368, 432), np.float32)
    for _ in range(frames // at_once):
        pipeline.network.run(zeros)


def seconds(work: Callable[[], object]) -> float:
    """Time one call, after a pause for the threads of the last one."""
    time.sleep(_PAUSE_S)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def race(data: Path, folder: Path, repeats: int) -> dict[str, float]:
    """Race rtmlib on a frame with eight people: the same detector, the same network."""
    try:
        from rtmlib.tools.object_detection.rtmdet import RTMDet  # noqa: PLC0415
        from rtmlib.tools.pose_estimation.rtmpose import RTMPose  # noqa: PLC0415
    except ImportError:
        print("\nrtmlib is not installed: no race")
        return {}
    frame = mosaic(data)
    bgr = np.ascontiguousarray(frame[..., ::-1])
    network, detector = simcc_network(data, folder), data / "models" / DETECTOR
    candidates: dict[str, Callable[[], Any]] = {}
    found: dict[str, int] = {}
    for engine, backend in (("onnx_runtime", "onnxruntime"), ("openvino", "openvino")):
        with contextlib.redirect_stdout(io.StringIO()):
            find_boxes = RTMDet(str(detector), (320, 320), backend=backend)
            find_joints = RTMPose(str(network), (192, 192), mean=None, std=None, backend=backend)
        boxes = np.asarray(find_boxes(bgr))[:8]  # exactly eight people for everybody
        candidates[f"rtmlib, {backend}"] = lambda d=find_boxes, p=find_joints: p(bgr, d(bgr)[:8])
        find = load(network.with_suffix(".toml"), engine=engine, detector=None)
        boxes_of = load("rtmdet_nano", weights=detector, engine=engine)

        def ours(find: Any = find, boxes_of: Any = boxes_of) -> Any:
            return find(bgr, boxes=boxes_of(bgr, source="bgr").box[:8], source="bgr")

        candidates[f"pyposefast, {engine}"] = ours
        found[engine] = len(boxes)
    print(f"\na frame of 1280 x 720, people found: {found}; detector and joints, call by call")
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for call in candidates.values():
        call()
    for _ in range(repeats):
        for name, call in candidates.items():
            times[name].append(1e3 * seconds(call))
    usual = statistics.median(times["rtmlib, onnxruntime"])
    for name, sample in times.items():
        p50, p99 = statistics.median(sample), float(np.quantile(sample, 0.99))
        print(f"  {name:<28} p50 {p50:8.1f} ms, p99 {p99:8.1f} ms, {usual / p50:5.2f} x")
    fps = streams(frame, network, detector, usual)
    return {name: 1e3 / statistics.median(sample) for name, sample in times.items()} | fps


def streams(frame: Any, network: Path, detector: Path, usual_ms: float) -> dict[str, float]:
    """Print frames a second of a stream, which works on two frames at once."""
    found = {}
    for engine in ("onnx_runtime", "openvino"):
        finder = load("rtmdet_nano", weights=detector, mode="throughput", engine=engine)
        manifest = network.with_suffix(".toml")
        find = load(manifest, detector=finder, mode="throughput", engine=engine)
        find.warmup()

        def run(find: Any = find) -> None:
            with Stream(find, [frame] * 40, workers=2) as results:
                assert sum(result.error is None for result in results) == 40

        fps = statistics.median(40 / seconds(run) for _ in range(3))
        name = f"a stream, {engine}"
        print(f"  {name:<28} {fps:8.1f} frames a second, {fps * usual_ms / 1e3:5.2f} x")
        found[name] = fps
    return found


def mosaic(data: Path) -> Any:
    """Return a frame [720, 1280, 3] with one person in each of eight cells."""
    truths = read_coco(data / "annotations" / "coco_person_keypoints_20.json")
    cells = []
    for number in PORTRAITS:
        truth = truths[number]
        image = media.read_image(data / "images" / truth.file_name)
        box = truth.box[[int(np.argmax(truth.area))]]
        region = ops.box_affines(box, size=(360, 320), padding=1.2)
        cells.append(
            ops.crop_images(
                image, region.affine, size=(360, 320), layout="nhwc", dtype="uint8", fill=114
            ).pixels[0]
        )
    return np.concatenate([np.concatenate(cells[:4], 1), np.concatenate(cells[4:], 1)], 0)


def simcc_network(data: Path, folder: Path) -> Path:
    """Write a network that gives vectors: the maxima of heatmaps over rows and columns, x 8."""
    import onnx  # noqa: PLC0415
    from onnx import helper, numpy_helper  # noqa: PLC0415

    model = onnx.load(data / "models" / HEATMAPS)
    graph = model.graph
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    del graph.value_info[:]  # of one picture
    maps = graph.output[0].name
    graph.initializer.append(numpy_helper.from_array(np.float32([1, 1, 8]), "eight"))
    del graph.output[:]
    for axis, name in ((2, "simcc_x"), (3, "simcc_y")):
        most = f"{name}_most"
        graph.node.append(helper.make_node("ReduceMax", [maps], [most], axes=[axis], keepdims=0))
        graph.node.append(helper.make_node("Resize", [most, "", "eight"], [name], mode="linear"))
        shape = ["N", 14, 384]
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    path = folder / "simcc.onnx"
    onnx.save(model, path)
    path.with_suffix(".toml").write_text(SIMCC, encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
