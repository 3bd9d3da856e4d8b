"""One person per region, whose joints are maxima: of heatmaps, or of a vector for each axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyposefast import arguments, ops
from pyposefast.arrays import shape_of
from pyposefast.decoders.points import Points

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from pyposefast.arrays import Array
    from pyposefast.ops.peaks import Layout, Refine


class Heatmap:
    """Reads joints off heatmaps. Never changes after it was made: threads may share one."""

    __slots__ = ("_kernel", "_layout", "_logits", "_refine", "_shift", "_threshold")

    def __init__(
        self,
        *,
        refine: Refine = "dark",
        kernel: int = 11,
        logits: bool = False,
        threshold: float = 0.0,
        layout: Layout = "nchw",
        flip_shift: bool = False,
    ) -> None:
        """Keep the settings; ``ops.best_peaks`` says what they mean.

        Args:
            refine: the sub-pixel rule.
            kernel: of "dark" and "udp_dark".
            logits: the maps are before their sigmoid.
            threshold: joints at or below it were not found.
            layout: order of the axes.
            flip_shift: in a flip test, move the mirrored maps one pixel first, as HRNet does.
        """
        self._refine, self._kernel, self._logits = refine, kernel, logits
        self._threshold, self._layout = threshold, layout
        self._shift = arguments.flag(flip_shift, "flip_shift")

    def __call__(
        self,
        maps: Array,
        *,
        flipped: Array | None = None,
        pairs: Sequence[tuple[int, int]] = (),
        threads: int = 1,
    ) -> Points:
        """Decode the maps of P regions.

        Args:
            maps: [P, K, H, W] float32 or float16, any strides; [P, H, W, K] with "nhwc".
            flipped: the maps of the mirrored regions, as they came: a flip test.
            pairs: of joints, left and right, that the mirror exchanges.
            threads: how many CPU threads share the maps.

        Returns:
            Places in map pixels.
        """
        if flipped is not None:
            maps = ops.average_flip(
                maps,
                flipped,
                pairs=pairs,
                shift=self._shift,
                layout=self._layout,
                threads=threads,
            )
        peaks = ops.best_peaks(
            maps,
            refine=self._refine,
            threshold=self._threshold,
            layout=self._layout,
            logits=self._logits,
            kernel=self._kernel,
            threads=threads,
        )
        shape = shape_of(maps, "maps")
        grid = shape[1:3] if self._layout == "nhwc" else shape[2:4]
        return Points(peaks.xy, peaks.score, peaks.count, (grid[0], grid[1]))


class SimCC:
    """Reads joints off pairs of vectors, as RTMPose gives them. Threads may share one."""

    __slots__ = ("_kernel", "_refine", "_score", "_split", "_threshold")

    def __init__(
        self,
        *,
        split: float = 2.0,
        refine: Literal["none", "log_parabola", "dark"] = "dark",
        kernel: int = 31,
        score: Literal["min", "mean"] = "mean",
        threshold: float = 0.0,
    ) -> None:
        """Keep the settings; ``ops.decode_simcc`` says what they mean.

        Args:
            split: bins per pixel of the network's input.
            refine: the rule for places between bins.
            kernel: of "dark".
            score: of the two maxima.
            threshold: joints at or below it were not found.
        """
        self._split, self._refine, self._kernel = split, refine, kernel
        self._score, self._threshold = score, threshold

    def __call__(self, x: Array, y: Array, *, threads: int = 1) -> Points:
        """Decode the vectors of P regions.

        Args:
            x: [P, K, bins] float32 or float16.
            y: [P, K, bins].
            threads: how many CPU threads share the joints.

        Returns:
            Places in pixels of the network's input, which has as many as the bins make.
        """
        peaks = ops.decode_simcc(
            x,
            y,
            split=self._split,
            refine=self._refine,
            kernel=self._kernel,
            score=self._score,
            threshold=self._threshold,
            threads=threads,
        )
        width = round(shape_of(x, "x")[2] / self._split)
        height = round(shape_of(y, "y")[2] / self._split)
        return Points(peaks.xy, peaks.score, peaks.count, (height, width))
