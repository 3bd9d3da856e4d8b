"""A pipeline from end to end on one picture: boxes, crops, network, joints, overlay, times.

Without a network at hand, a stand-in takes its place: it answers with heatmaps drawn from the exact
joints of a picture made here, and every output says so. Everything else is the real thing, so its
times and errors are too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyposefast import _C, __version__, ops
from pyposefast.arrays import Array
from pyposefast.drawing import draw_poses
from pyposefast.engines import Port
from pyposefast.engines.opened import Opened
from pyposefast.errors import InputError, StorageError
from pyposefast.extras import opencv
from pyposefast.files import shown
from pyposefast.manifest import Input, Reading
from pyposefast.media import write_image
from pyposefast.media.pictures import SUFFIXES
from pyposefast.network import Network
from pyposefast.pipelines import TopDown
from pyposefast.pipelines.reading import points_reader
from pyposefast.stages import Recorder
from pyposefast.synthetic import Scene, heatmaps, mirror_points, render_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pyposefast.poses import Poses

CROP_SIZE = (256, 192)  # what the network would see
MAP_SIZE = (64, 48)  # what it would answer
PADDING = 1.25  # part of the region around the box, as networks are trained
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # ImageNet, as networks are trained
CROPS = Port("crops", (None, 3, *CROP_SIZE), "float32")
MAPS = Port("heatmaps", (None, 17, *MAP_SIZE), "float32")
STAND_IN = "none: heatmaps drawn from the exact joints, with noise, stand in for a network"
_VISIBLE_SCORE, _HIDDEN_SCORE, _NOISE = 0.92, 0.38, 0.01
_MOST_REPEATS = 10_000
# What a pipeline says of itself while it runs, in its order: what we call it, and what that is.
# Names in brackets are no work of ours.
_STAGES = {
    "detect": ("detect", "whole picture to boxes, around the detector"),
    "detect/network": ("(detector)", "the detector's network"),
    "preprocess": ("preprocess", "regions to the network's input, normalised"),
    "network": ("(network)", ""),
    "decode": ("decode", "outputs to joints"),
    "download": ("download", "joints to the picture"),
    "rest": ("rest", "boxes to regions, results to Poses"),
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One step and how long it took."""

    name: str
    how: str  # what is done
    median_ms: float
    is_counted: bool = True  # False: no part of pose estimation, left out of the total


@dataclass(frozen=True, slots=True)
class Demo:
    """What one run of the demo did."""

    output: Path  # the overlay
    poses: Poses
    stages: tuple[Stage, ...]
    mean_error_px: float | None  # over the joints found, against the exact ones; None: not known
    largest_error_px: float | None
    image_size: tuple[int, int]  # (height, width)
    picture: str  # what is in it
    network: str  # what looked at it
    repeat: int
    seed: int
    instruction_set: str


def run(
    *,
    people: int = 5,
    seed: int = 0,
    repeat: int = 20,
    output: Path,
    pipeline: Any = None,
    network: str = "",
    image: npt.NDArray[np.uint8] | None = None,
    name: str = "",
) -> Demo:
    """Estimate the poses in a picture and save it with the skeletons over it.

    Args:
        people: how many stand in the scene.
        seed: the same seed gives the same scene.
        repeat: how often the pipeline is timed; medians are reported.
        output: where the picture goes; its suffix says how it is written.
        pipeline: what finds the people; None: a top-down pipeline over a stand-in.
        network: its name, for the report.
        image: [H, W, 3] uint8 RGB to look at instead of a scene; needs a pipeline.
        name: of the picture, for the report.
    """
    if not 1 <= repeat <= _MOST_REPEATS:
        raise InputError("repeat", f"1 to {_MOST_REPEATS}", repr(repeat))
    if image is not None and pipeline is None:
        hint = "the stand-in knows the joints of its own scenes alone"
        raise InputError("pipeline", "one that looks at the picture", "none", hint)
    _check_output(output)
    opencv()  # missing extras are better told of before the work than after it
    scene = None
    if image is None:
        scene = render_scene(people=people, seed=seed)
        image = scene.image
        height, width = image.shape[:2]
        name = f"{people} people, {width} x {height}, seed {seed}"
    poses, stages = _timed(_estimator(pipeline, image, scene, seed), repeat, network)
    start = time.perf_counter()
    overlay = draw_poses(image, poses)
    took_ms = 1e3 * (time.perf_counter() - start)
    stages.append(Stage("overlay", "draw_poses", took_ms, is_counted=False))
    write_image(output, overlay)
    error = np.empty(0)
    if scene is not None and pipeline is None:
        error = np.hypot(*np.moveaxis(poses.xy - scene.joints, -1, 0))
        error = error[np.isfinite(error)]
    return Demo(
        output=output.absolute(),
        poses=poses,
        stages=tuple(stages),
        mean_error_px=float(error.mean()) if error.size else None,
        largest_error_px=float(error.max()) if error.size else None,
        image_size=(overlay.shape[0], overlay.shape[1]),
        picture=name,
        network=network if pipeline is not None else STAND_IN,
        repeat=repeat,
        seed=seed,
        instruction_set=_C.instruction_set(),
    )


def _check_output(output: Path) -> None:
    """Refuse, before any work, a name that no picture can have."""
    if output.is_dir():
        raise StorageError(f"{shown(output)}: cannot be written: is a directory")
    if output.suffix.lower() not in SUFFIXES:
        expected = f"a name that ends in {', '.join(SUFFIXES)}"
        raise InputError("output", expected, shown(output.name))


def _estimator(pipeline: Any, image: Any, scene: Scene | None, seed: int) -> Callable[[], Poses]:
    """Return what finds the people, each time that it is called."""
    if pipeline is None and scene is not None:
        pipeline = _stand_in(scene, seed)
    if scene is None or not hasattr(pipeline, "boxes_of"):
        return lambda: pipeline(image)
    return lambda: pipeline(image, boxes=scene.box)


def _timed(estimate: Callable[[], Poses], repeat: int, network: str) -> tuple[Poses, list[Stage]]:
    """Run the pipeline, and say how long each of its stages took in the middle of all runs."""
    poses = estimate()  # the first call warms caches up and is not timed
    recorder = Recorder()
    runs = []
    for _ in range(repeat):
        start = time.perf_counter()
        with recorder.listening():
            poses = estimate()
        total = time.perf_counter() - start
        seconds = recorder.take()
        known = sum(spent for path, spent in seconds.items() if "/" not in path)
        if "detect" in seconds:
            seconds["detect"] -= seconds.get("detect/network", 0.0)
        runs.append({**seconds, "rest": total - known})
    stages = []
    for path, (name, how) in _STAGES.items():
        spent_ms = [1e3 * seconds.get(path, 0.0) for seconds in runs]
        if path.startswith("detect") and not any(spent_ms):
            continue
        about = how or network or "stand-in: synthetic heatmaps"
        stages.append(Stage(name, about, median(spent_ms), is_counted=not name.startswith("(")))
    return poses, stages


def _stand_in(scene: Scene, seed: int) -> TopDown:
    """Return a pipeline as for a network, with the flip test, over one that knows the scene."""
    settings = Input(size=CROP_SIZE, mean=MEAN, std=STD, fit="expand", padding=PADDING)
    reading = Reading("heatmap", {"maps": MAPS.name}, {"refine": "dark"})
    network = Network(StandIn(scene, seed), settings)
    read = points_reader(reading, settings, scene.skeleton)
    return TopDown(network, read, scene.skeleton, flip_test=True)


class StandIn(Opened[tuple[Array, Array]]):
    """An engine that has no network: it is asked about people in turn and knows the answers.

    A flip test asks about each lot of people twice, the second time about their mirror images.
    """

    def __init__(self, scene: Scene, seed: int) -> None:
        """Note where the joints will be on the maps.

        Args:
            scene: whom it will be asked about, in this order.
            seed: of the noise on its answers.
        """
        on_map = ops.box_affines(scene.box, size=MAP_SIZE, padding=PADDING)
        joints = ops.transform_points(scene.joints, on_map.affine)  # [P, 17, 2] map pixels
        amplitude = np.where(scene.visible, _VISIBLE_SCORE, _HIDDEN_SCORE)  # [P, 17]
        super().__init__(
            (joints, amplitude),
            name="stand-in",
            network="a scene",
            device="cpu",
            inputs=(CROPS,),
            outputs=(MAPS,),
        )
        self._skeleton, self._seed = scene.skeleton, seed
        self._next, self._is_mirror = 0, False

    def run(
        self,
        feeds: Mapping[str, Array],
        *,
        out: Mapping[str, Array] | None = None,  # noqa: ARG002  it allocates its answers
        stream: int | None = None,  # noqa: ARG002
    ) -> dict[str, Array]:
        """Answer for the next people: maps [P, 17, 64, 48]."""
        all_joints, all_amplitudes = self._held.get()
        which = slice(self._next, self._next + len(feeds[CROPS.name]))
        joints, amplitude = all_joints[which], all_amplitudes[which]
        if self._is_mirror:
            joints = mirror_points(joints, width=MAP_SIZE[1], skeleton=self._skeleton)
            amplitude = amplitude[:, self._skeleton.mirrored]
            self._next = which.stop % len(all_joints)
        seed = self._seed + self._is_mirror
        self._is_mirror = not self._is_mirror
        maps = heatmaps(joints, size=MAP_SIZE, amplitude=amplitude, noise=_NOISE, seed=seed)
        return {MAPS.name: maps}

    def warmup(self, batches: Sequence[int] = (1,)) -> None:
        """There is nothing to warm up, and a run would be taken for a question about people."""


def to_dict(demo: Demo) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {
        "pyposefast": __version__,
        "network": demo.network,
        "picture": demo.picture,
        "output": str(demo.output),
        "image_size": list(demo.image_size),
        "seed": demo.seed,
        "repeat": demo.repeat,
        "instruction_set": demo.instruction_set,
        "stages": [
            {"name": stage.name, "how": stage.how, "median_ms": stage.median_ms,
             "is_counted": stage.is_counted}
            for stage in demo.stages
        ],
        "total_ms": _total(demo),
        "error_px": {"mean": demo.mean_error_px, "largest": demo.largest_error_px},
        **demo.poses.to_dict(),
    }  # fmt: skip


def _total(demo: Demo) -> float:
    return sum(stage.median_ms for stage in demo.stages if stage.is_counted)


def text(demo: Demo) -> str:
    """Return what the command prints."""
    people = len(demo.poses)
    names = [stage.name for stage in demo.stages] + ["total"]
    hows = [stage.how for stage in demo.stages] + ["without networks and overlay"]
    first, second = max(map(len, names)), max(map(len, hows))

    def row(name: str, how: str, milliseconds: float) -> str:
        each = f"{milliseconds / people:12.3f}" if people else f"{'-':>12}"
        return f"  {name:<{first}}  {how:<{second}}  {milliseconds:10.3f}  {each}"

    found = int(np.isfinite(demo.poses.xy[..., 0]).sum())
    error = "decoding         exact joints are not known, nothing to compare"
    if not people:
        error = "decoding         nobody in the picture, nothing to compare"
    if demo.mean_error_px is not None:
        error = (
            f"decoding         mean error {demo.mean_error_px:.2f} px, largest "
            f"{demo.largest_error_px:.2f} px, over {found} of {demo.poses.score.size} joints"
        )
    return "\n".join(
        [
            f"pyposefast {__version__} demo",
            "",
            f"picture          {demo.picture}",
            f"network          {demo.network}",
            f"instruction set  {demo.instruction_set}",
            "",
            f"  {'stage':<{first}}  {'how':<{second}}  {'median ms':>10}  {'ms a person':>12}",
            f"  {'-' * (first + second + 28)}",
            *(row(stage.name, stage.how, stage.median_ms) for stage in demo.stages),
            f"  {'-' * (first + second + 28)}",
            row(names[-1], hows[-1], _total(demo)),
            "",
            error,
            f"overlay          {shown(demo.output)}",
        ]
    )
