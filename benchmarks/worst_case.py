"""How long maps that no network gives keep `PartAffinity` busy, and which step they do it in.

Each is compared with a frame of 30 people on maps of the same size. The bar is 50 ms, and ten times
that frame.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from measure import Report, race
from quality import generator, scenes_for

from pyposefast import ops
from pyposefast.decoders import PartAffinity

if TYPE_CHECKING:
    from collections.abc import Callable

F32 = np.float32
JOINTS, CHANNELS = 18, 38
SKELETON = "openpose_coco18"
DECODER = "PartAffinity"


def random(channels: int, size: int, low: float, high: float) -> Any:
    """Noise everywhere."""
    rng = np.random.default_rng(size + channels)
    return rng.uniform(low, high, (1, channels, size, size)).astype(F32)


def full(channels: int, size: int, value: float) -> Any:
    """One value everywhere."""
    return np.full((1, channels, size, size), value, F32)


def grid(size: int, step: int) -> Any:
    """Separate peaks of different heights."""
    heat = full(JOINTS, size, 0)
    heat[..., ::step, ::step] = random(JOINTS, size, 0.5, 1)[..., ::step, ::step]
    return heat


def cases(size: int) -> dict[str, tuple[Any, Any]]:
    """Heatmaps and fields."""
    joints = {
        "all ones": full(JOINTS, size, 1),
        "a peak in every 7 x 7": grid(size, 7),
        "a peak in every 2 x 2": grid(size, 2),
        "random": random(JOINTS, size, 0, 1),
        "NaN": full(JOINTS, size, np.nan),
        "random up to 3e38": random(JOINTS, size, 0, 3e38),
    }
    fields = {
        "ones": full(CHANNELS, size, 1),
        "random": random(CHANNELS, size, -1, 1),
        "NaN": full(CHANNELS, size, np.nan),
        "denormal": random(CHANNELS, size, -1e-40, 1e-40),
    }
    return {
        f"{size} x {size}, joints {one}, fields {other}": (joints[one], fields[other])
        for one in joints
        for other in fields
    }


def steps(heat: Any, fields: Any) -> dict[str, Callable[[], object]]:
    """The decoder, and each of its steps by itself."""
    joints = heat[:, :JOINTS]
    options: dict[str, Any] = {"threshold": 0.05, "capacity": 128, "shoulders": True}
    peaks = ops.find_peaks(joints, **options)
    links = ops.score_limbs(fields, peaks, skeleton=SKELETON)
    return {
        DECODER: partial(PartAffinity(SKELETON), heat, fields),
        "find_peaks": partial(ops.find_peaks, joints, **options),
        "score_limbs": partial(ops.score_limbs, fields, peaks, skeleton=SKELETON),
        "group_people": partial(ops.group_people, peaks, links, skeleton=SKELETON),
    }


def main() -> None:
    """Time all cases on small and on large maps."""
    report = Report("part affinity: maps that no network gives, one thread", __doc__ or "")
    workload = generator()
    for size in (46, 128, 256):
        usual = None
        if workload is not None:
            scene = scenes_for(workload, 30, (size, size), seeds=1)[0]
            timings = race(steps(scene.heat[None], scene.paf[None]), repeats=report.repeats)
            usual = timings[DECODER].median_ms
            report.add(f"{size} x {size}, 30 people", timings, DECODER)
        for case, maps in cases(size).items():
            timings = race(steps(*maps), repeats=report.repeats)
            facts = {} if usual is None else {"of 30 people": timings[DECODER].median_ms / usual}
            report.add(case, timings, DECODER, **facts)
    report.close()


if __name__ == "__main__":
    main()
