"""The main job from end to end on a picture made here: boxes, crops, maps, joints, overlay.

Until a network is bundled, heatmaps drawn from the exact joints stand in for one, and every output
says so. Everything else is the real thing, so its times and errors are too.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from pyposefast import _C, __version__, ops
from pyposefast.drawing import draw_poses, opencv
from pyposefast.errors import InputError
from pyposefast.poses import Poses
from pyposefast.synthetic import Scene, heatmaps, mirror_points, render_scene

if TYPE_CHECKING:
    from collections.abc import Callable

CROP_SIZE = (256, 192)  # what the network would see
MAP_SIZE = (64, 48)  # what it would answer
PADDING = 1.25  # part of the region around the box, as networks are trained
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # ImageNet, as networks are trained
STAND_IN = "none: heatmaps drawn from the exact joints, with noise, stand in for a network"
_VISIBLE_SCORE, _HIDDEN_SCORE, _NOISE = 0.92, 0.38, 0.01
_MOST_REPEATS = 10_000

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Stage:
    """One step and how long it took."""

    name: str
    how: str  # the function, and what matters about its arguments
    median_ms: float
    is_counted: bool = True  # False: no part of pose estimation, left out of the total


@dataclass(frozen=True, slots=True)
class Demo:
    """What one run of the demo did."""

    output: Path  # the overlay, a PNG
    poses: Poses
    stages: tuple[Stage, ...]
    mean_error_px: float | None  # over the joints found, against the exact ones; None: no joints
    largest_error_px: float | None
    image_size: tuple[int, int]  # (height, width)
    repeat: int
    seed: int
    instruction_set: str


def run(*, people: int = 5, seed: int = 0, repeat: int = 20, output: Path) -> Demo:
    """Estimate the poses of a synthetic scene and save the picture with the skeletons over it.

    Args:
        people: how many stand in the scene.
        seed: the same seed gives the same scene.
        repeat: how often each step is timed; the median is reported.
        output: where the PNG goes.
    """
    if not 1 <= repeat <= _MOST_REPEATS:
        raise InputError("repeat", f"1 to {_MOST_REPEATS}", repr(repeat))
    opencv()  # missing extras are better told of before the work than after it
    scene = render_scene(people=people, seed=seed)
    clock = _Clock(repeat)
    poses = _estimate(scene, clock, seed)
    overlay = clock.time(
        "overlay", "draw_poses", lambda: draw_poses(scene.image, poses), is_counted=False
    )
    _write_png(output, overlay)
    error = np.hypot(*np.moveaxis(poses.xy - scene.joints, -1, 0))
    error = error[np.isfinite(error)]
    return Demo(
        output=output.absolute(),
        poses=poses,
        stages=tuple(clock.stages),
        mean_error_px=float(error.mean()) if error.size else None,
        largest_error_px=float(error.max()) if error.size else None,
        image_size=(scene.image.shape[0], scene.image.shape[1]),
        repeat=repeat,
        seed=seed,
        instruction_set=_C.instruction_set(),
    )


def _estimate(scene: Scene, clock: _Clock, seed: int) -> Poses:
    """Go from boxes to Poses; the steps of any top-down system."""
    regions = clock.time(
        "regions",
        f"box_affines, padding {PADDING}",
        lambda: ops.box_affines(scene.box, size=CROP_SIZE, padding=PADDING),
    )
    clock.time(
        "crops",
        f"crop_images {CROP_SIZE[0]}x{CROP_SIZE[1]}, normalised",
        lambda: ops.crop_images(scene.image, regions.affine, size=CROP_SIZE, mean=MEAN, std=STD),
    )
    # The same regions in map pixels: one affine does the step from crop to map as well.
    on_map = ops.box_affines(scene.box, size=MAP_SIZE, padding=PADDING)
    maps, flipped = clock.time(
        "(network)",
        "stand-in: synthetic heatmaps",
        lambda: _answer(scene, on_map.affine, seed),
        is_counted=False,
    )
    averaged = clock.time(
        "flip average",
        "average_flip",
        lambda: ops.average_flip(maps, flipped, pairs=scene.skeleton.pairs),
    )
    peaks = clock.time("peaks", "best_peaks, dark", lambda: ops.best_peaks(averaged, refine="dark"))
    xy = clock.time(
        "to the image",
        "transform_points",
        lambda: ops.transform_points(peaks.xy, on_map.inverse),
    )
    found = np.asarray(peaks.count) > 0
    return Poses(
        xy=np.where(found[..., None], xy, np.float32(np.nan)),
        score=np.where(found, peaks.score, np.float32(0)),
        box=scene.box,
        skeleton=scene.skeleton,
    )


def _answer(
    scene: Scene, affine: npt.NDArray[np.float64], seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Stand in for a network: maps [P, 17, 64, 48] of the crops and of their mirror images."""
    joints = ops.transform_points(scene.joints, affine)
    mirrored = mirror_points(joints, width=MAP_SIZE[1], skeleton=scene.skeleton)
    amplitude = np.where(scene.visible, _VISIBLE_SCORE, _HIDDEN_SCORE)
    maps = heatmaps(joints, size=MAP_SIZE, amplitude=amplitude, noise=_NOISE, seed=seed)
    flipped = heatmaps(
        mirrored,
        size=MAP_SIZE,
        amplitude=amplitude[:, scene.skeleton.mirrored],
        noise=_NOISE,
        seed=seed + 1,
    )
    return maps, flipped


class _Clock:
    """Times every step `repeat` times and keeps the list."""

    def __init__(self, repeat: int) -> None:
        self.repeat = repeat
        self.stages: list[Stage] = []

    def time(
        self, name: str, how: str, work: Callable[[], Result], *, is_counted: bool = True
    ) -> Result:
        result = work()  # the first call warms caches up and is not timed
        times_ms = []
        for _ in range(self.repeat):
            start = time.perf_counter()
            result = work()
            times_ms.append(1e3 * (time.perf_counter() - start))
        self.stages.append(Stage(name, how, median(times_ms), is_counted))
        return result


def _write_png(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """Write an RGB picture; it appears under its name only when it is complete."""
    is_encoded, data = opencv().imencode(".png", image[..., ::-1])
    if not is_encoded:
        message = f"OpenCV could not encode {path.name}"
        raise OSError(message)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.tobytes())
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner can read; a picture is as open as any other.
        Path(partial).chmod(0o644)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink()
        raise


def to_dict(demo: Demo) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {
        "pyposefast": __version__,
        "network": STAND_IN,
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
    people, (height, width) = len(demo.poses), demo.image_size
    names = [stage.name for stage in demo.stages] + ["total"]
    hows = [stage.how for stage in demo.stages] + ["without network and overlay"]
    first, second = max(map(len, names)), max(map(len, hows))

    def row(name: str, how: str, milliseconds: float) -> str:
        each = f"{milliseconds / people:12.3f}" if people else f"{'-':>12}"
        return f"  {name:<{first}}  {how:<{second}}  {milliseconds:10.3f}  {each}"

    found = int(np.isfinite(demo.poses.xy[..., 0]).sum())
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
            f"scene            {people} people, {width} x {height}, seed {demo.seed}",
            f"network          {STAND_IN}",
            f"instruction set  {demo.instruction_set}, 1 thread",
            "",
            f"  {'stage':<{first}}  {'how':<{second}}  {'median ms':>10}  {'ms a person':>12}",
            f"  {'-' * (first + second + 28)}",
            *(row(stage.name, stage.how, stage.median_ms) for stage in demo.stages),
            f"  {'-' * (first + second + 28)}",
            row(names[-1], hows[-1], _total(demo)),
            "",
            error,
            f"overlay          {demo.output}",
        ]
    )
