"""`crop_images` against OpenCV's warp alone, and against the chain that pose code usually runs."""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
from inputs import boxes, frame
from measure import Report, race, write_bandwidth

from pyposefast import ops

HEIGHT, WIDTH = 256, 192
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def warp_alone(image: Any, affines: Any) -> list[Any]:
    """Only the geometry: uint8 crops, neither normalised nor in a batch."""
    return [cv2.warpAffine(image, a, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR) for a in affines]


def usual_chain(image: Any, affines: Any) -> Any:
    """Warp, to float, normalise, transpose, stack."""
    mean, std = np.float32(MEAN), np.float32(STD)
    crops = [
        ((warped.astype(np.float32) - mean) / std).transpose(2, 0, 1)
        for warped in warp_alone(image, affines)
    ]
    return np.stack(crops)


def main() -> None:
    """Race on upright and on turned crops."""
    cv2.setNumThreads(1)
    report = Report("crop: 256x192 crops from 1080p, uint8 RGB to normalised float32 NCHW", __doc__)
    image = frame()
    for turned in (False, True):
        for count in (8, 32, 128):
            angle = np.random.default_rng(count).uniform(-0.7, 0.7, count) if turned else None
            affines = ops.box_affines(
                boxes(count), size=(HEIGHT, WIDTH), padding=1.25, angle_rad=angle
            ).affine
            out = np.empty((count, 3, HEIGHT, WIDTH), np.float32)
            crop = partial(
                ops.crop_images, image, affines, size=(HEIGHT, WIDTH), mean=MEAN, std=STD
            )
            peer = usual_chain(image, affines)
            difference = np.abs(crop().pixels - peer) * np.float32(STD)[:, None, None]
            timings = race(
                {
                    "pyposefast, into a buffer": partial(crop, out=out),
                    "pyposefast, new array": crop,
                    "cv2.warpAffine alone": partial(warp_alone, image, affines),
                    "warp, float, normalise, transpose, stack": partial(
                        usual_chain, image, affines
                    ),
                },
                repeats=report.repeats,
            )
            seconds = timings["pyposefast, into a buffer"].median_ms / 1e3
            report.add(
                f"{count} {'turned' if turned else 'upright'} crops",
                timings,
                ours="pyposefast, into a buffer",
                ms_per_crop=seconds * 1e3 / count,
                within_2_grey_levels_of_cv2=float((difference <= 2).mean()),
                written_GB_per_s=out.nbytes / seconds / 1e9,
                machine_write_GB_per_s=write_bandwidth(out.nbytes) / 1e9,
            )
    report.close()


if __name__ == "__main__":
    main()
