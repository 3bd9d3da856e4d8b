"""`best_peaks` and `decode_simcc` against the NumPy and OpenCV code that pose projects ship."""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
from inputs import heatmaps, mean_error, simcc
from measure import Report, race, read_bandwidth

from pyposefast import ops

KERNEL = 11


def usual_argmax(maps: Any) -> tuple[Any, Any]:
    """Flattened arg-max per map."""
    n, k, _, width = maps.shape
    flat = maps.reshape(n, k, -1)
    index = flat.argmax(2)
    score = np.take_along_axis(flat, index[..., None], 2)
    xy = np.stack([index % width, index // width], 2).astype(np.float32)
    return np.where(score > 0, xy, 0), score[..., 0]


def usual_quarter(maps: Any) -> tuple[Any, Any]:
    """Arg-max, then a quarter towards the higher neighbour, joint by joint."""
    xy, score = usual_argmax(maps)
    n, k, height, width = maps.shape
    for i in range(n):
        for j in range(k):
            grid = maps[i, j]
            x, y = int(xy[i, j, 0] + 0.5), int(xy[i, j, 1] + 0.5)
            if 1 < x < width - 1 and 1 < y < height - 1:
                difference = [grid[y, x + 1] - grid[y, x - 1], grid[y + 1, x] - grid[y - 1, x]]
                xy[i, j] += np.sign(difference) * 0.25
    return xy, score


def usual_dark(maps: Any) -> tuple[Any, Any]:
    """Blur whole maps, take the logarithm of all of them, and one Taylor step per joint."""
    xy, score = usual_argmax(maps)
    n, k, height, width = maps.shape
    border = (KERNEL - 1) // 2
    blurred = np.empty_like(maps)
    for i in range(n):
        for j in range(k):
            peak = maps[i, j].max()
            padded = np.zeros((height + 2 * border, width + 2 * border), np.float32)
            padded[border:-border, border:-border] = maps[i, j]
            smooth = cv2.GaussianBlur(padded, (KERNEL, KERNEL), 0)[border:-border, border:-border]
            blurred[i, j] = smooth * (peak / smooth.max())
    logs = np.log(np.maximum(blurred, 1e-10))
    for i in range(n):
        for j in range(k):
            grid = logs[i, j]
            x, y = int(xy[i, j, 0]), int(xy[i, j, 1])
            if not (1 < x < width - 2 and 1 < y < height - 2):
                continue
            dx = 0.5 * (grid[y, x + 1] - grid[y, x - 1])
            dy = 0.5 * (grid[y + 1, x] - grid[y - 1, x])
            dxx = 0.25 * (grid[y, x + 2] - 2 * grid[y, x] + grid[y, x - 2])
            dyy = 0.25 * (grid[y + 2, x] - 2 * grid[y, x] + grid[y - 2, x])
            dxy = 0.25 * (
                grid[y + 1, x + 1] - grid[y - 1, x + 1] - grid[y + 1, x - 1] + grid[y - 1, x - 1]
            )
            if dxx * dyy - dxy**2 != 0:
                hessian = np.array([[dxx, dxy], [dxy, dyy]])
                xy[i, j] -= np.linalg.inv(hessian) @ np.array([dx, dy])
    return xy, score


def rtmlib_simcc() -> Any:
    """What rtmlib ships, if it is installed: ``pip install --no-deps rtmlib tqdm``."""
    try:
        from rtmlib.tools.pose_estimation.post_processings import (  # noqa: PLC0415
            get_simcc_maximum,
        )
    except ImportError as error:
        print(f"skipped: the comparison with rtmlib ({error})")
        return None
    return get_simcc_maximum


def bench_maps(report: Report, count: int) -> None:
    """Arg-max alone, with the quarter rule, and DARK."""
    maps, places = heatmaps(count)
    bandwidth = read_bandwidth(maps.nbytes)
    for refine, peer, name in (
        ("none", usual_argmax, "NumPy arg-max"),
        ("quarter", usual_quarter, "NumPy arg-max + quarter"),
        ("dark", usual_dark, "whole-map blur + Taylor"),
        ("log_parabola", usual_dark, "whole-map blur + Taylor"),
    ):
        run = partial(ops.best_peaks, maps, refine=refine, kernel=KERNEL)
        timings = race({"pyposefast": run, name: partial(peer, maps)}, repeats=report.repeats)
        seconds = timings["pyposefast"].median_ms / 1e3
        ours, theirs = np.asarray(run().xy), peer(maps)[0]
        report.add(
            f"{count} x 17 x 64x48, {refine}",
            timings,
            ours="pyposefast",
            largest_difference_cells=float(np.abs(ours - theirs).max()),
            our_error_cells=mean_error(ours, places),
            peer_error_cells=mean_error(theirs, places),
            read_GB_per_s=maps.nbytes / seconds / 1e9,
            machine_read_GB_per_s=bandwidth / 1e9,
        )


def bench_simcc(report: Report, count: int) -> None:
    """SimCC, plain and refined, against rtmlib's integer bins."""
    peer = rtmlib_simcc()
    x, y, places = simcc(count)
    runs = {
        f"pyposefast, {refine}": partial(ops.decode_simcc, x, y, refine=refine)
        for refine in ("dark", "none")
    }
    facts = {
        "our_error_px_dark": mean_error(runs["pyposefast, dark"]().xy, places),
        "our_error_px_none": mean_error(runs["pyposefast, none"]().xy, places),
    }
    if peer is not None:

        def one_by_one() -> list[Any]:
            """As rtmlib's own RTMPose class calls it: a person at a time."""
            return [peer(x[i : i + 1], y[i : i + 1]) for i in range(count)]

        runs["rtmlib get_simcc_maximum, one call"] = partial(peer, x, y)
        runs["rtmlib get_simcc_maximum, as shipped"] = one_by_one
        facts["rtmlib_error_px"] = mean_error(peer(x, y)[0] / 2, places)
    timings = race(runs, repeats=report.repeats)
    seconds = timings["pyposefast, dark"].median_ms / 1e3
    report.add(
        f"{count} x 17 SimCC of 384 + 512 bins",
        timings,
        ours="pyposefast, dark",
        **facts,
        read_GB_per_s=(x.nbytes + y.nbytes) / seconds / 1e9,
        machine_read_GB_per_s=read_bandwidth(x.nbytes + y.nbytes) / 1e9,
    )


def main() -> None:
    """Race on batches of 1 to 128 persons."""
    cv2.setNumThreads(1)
    report = Report("peaks: one thread", __doc__)
    for count in (1, 8, 32, 128):
        bench_maps(report, count)
    for count in (1, 8, 32, 128):
        bench_simcc(report, count)
    report.close()


if __name__ == "__main__":
    main()
