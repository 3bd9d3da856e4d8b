"""Where the joints are in a network's output, to a fraction of a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from pyposefast import _C, arguments
from pyposefast.arrays import Array, Home, dtype_of, home_of, shape_of
from pyposefast.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Refine = Literal[
    "none",
    "quarter",
    "quarter_half",
    "quarter_binary_half",
    "second_peak",
    "dark",
    "udp_dark",
    "centroid7",
    "centroid5",
    "offset",
    "log_parabola",
]
Layout = Literal["nchw", "nhwc"]
NonFinite = Literal["mask", "raise"]

_RULES = get_args(Refine)
_MOST_SAMPLES = (1 << 31) - 1  # of one map: raster indices are 32 bits wide

DEEPERCUT_OFFSET_SCALE = 7.2801 / 8  # offsets are in units of 7.2801 px, cells are 8 px apart


@dataclass(frozen=True, slots=True)
class BestPeaks:
    """The best place of each map."""

    xy: Array  # [N, K, 2] float32, map pixels; 0 where count is 0
    score: Array  # [N, K] float32, the map's value there
    count: Array  # [N, K] int32, 1 where something is above the threshold, else 0
    nonfinite: Array  # [N, K] int32, samples passed over because they were NaN or infinite


@dataclass(frozen=True, slots=True)
class Peaks:
    """Fixed-capacity lists of peaks, best first; entries past ``count`` are zero.

    Shoulders, where they were asked for, come behind the peaks.
    """

    xy: Array  # [N, K, M, 2] float32, map pixels
    score: Array  # [N, K, M] float32, the map's value at the peak
    count: Array  # [N, K] int32, how many of the M entries are real
    total: Array  # [N, K] int32, peaks there were; above count, the weakest were dropped
    nonfinite: Array  # [N, K] int32, samples passed over because they were NaN or infinite


def best_peaks(
    maps: Array,
    *,
    refine: Refine = "quarter",
    threshold: float = 0.0,
    layout: Layout = "nchw",
    logits: bool = False,
    kernel: int = 11,
    offsets: Array | None = None,
    offset_scale: float = DEEPERCUT_OFFSET_SCALE,
    nonfinite: NonFinite = "mask",
    threads: int = 1,
) -> BestPeaks:
    """Find the largest sample of each map, and its sub-pixel place.

    Equal samples: the first in raster order. NaN and infinite samples are never a peak.

    Args:
        maps: [N, K, H, W] float32 or float16, any strides; [N, H, W, K] with ``layout`` "nhwc".
        refine: the sub-pixel rule; docs/ops.md says which decoder uses which.
        threshold: a peak must be above it, in the units of the maps.
        layout: order of the axes.
        logits: the samples are logits: values, threshold and scores are their sigmoids.
        kernel: taps of the Gaussian of "dark" and "udp_dark"; odd. 11 for targets of sigma 2, 17
            for sigma 3.
        offsets: [N, K, 2, H, W], x before y, for ``refine`` "offset" alone.
        offset_scale: factor from offsets to cells.
        nonfinite: "mask" counts and ignores NaN and infinities, "raise" makes them an error (CPU).
        threads: how many CPU threads share the maps.

    Raises:
        InputError: an argument has the wrong shape or value.
        InputTypeError: an argument has the wrong dtype or is no array.
    """
    home = home_of(maps, "maps")
    spec, is_nhwc, threads = _settings(
        _C, refine, threshold, logits, kernel, offset_scale, False, layout, threads
    )
    n, k, height, width = _map_shape(maps, is_nhwc)
    arguments.room(20 * n * k, "maps")
    result = _empty_best_peaks(home, n, k)
    scratch = None
    if refine == "second_peak":  # the one rule that wants memory of its own
        on_cuda = home.device_kind == "cuda"
        words = _C.best_peaks_scratch(spec, n, k, height, width, threads, on_cuda)
        arguments.room(4 * words, "maps")
        scratch = home.empty((words,), "float32")
    _C.best_peaks(
        spec,
        maps,
        offsets,
        is_nhwc,
        result.xy,
        result.score,
        result.count,
        result.nonfinite,
        scratch,
        threads,
        home.stream,
    )
    if nonfinite != "mask":
        _check_finite(result.nonfinite, "maps", nonfinite, home)
    return result


def find_peaks(
    maps: Array,
    *,
    capacity: int = 32,
    threshold: float = 0.1,
    refine: Refine = "log_parabola",
    layout: Layout = "nchw",
    logits: bool = False,
    kernel: int = 11,
    offsets: Array | None = None,
    offset_scale: float = DEEPERCUT_OFFSET_SCALE,
    shoulders: bool = False,
    nonfinite: NonFinite = "mask",
    threads: int = 1,
) -> Peaks:
    """Find the local maxima of each map: the ``capacity`` best, best first.

    A plateau of equal samples counts once, at its first sample in raster order, and only when
    nothing next to any of its samples is higher. Equal peaks come in raster order.

    Where two people meet, the weaker joint may have no peak of its own, but be only a shoulder on
    the side of the stronger one's. With ``shoulders`` such joints follow behind the peaks, in the
    order of those that they lean on.

    Args:
        maps: as in ``best_peaks``.
        capacity: M, 1 to 1024. Further peaks are dropped, lowest first; ``Peaks.total`` tells.
        threshold: peaks must be above it, in the units of the maps.
        refine: as in ``best_peaks``; all rules but "second_peak".
        layout: as in ``best_peaks``.
        logits: as in ``best_peaks``.
        kernel: as in ``best_peaks``.
        offsets: as in ``best_peaks``.
        offset_scale: as in ``best_peaks``.
        shoulders: also find joints that have no peak of their own.
        nonfinite: as in ``best_peaks``.
        threads: as in ``best_peaks``.

    Raises:
        InputError: an argument has the wrong shape or value.
        InputTypeError: an argument has the wrong dtype or is no array.
    """
    home = home_of(maps, "maps")
    spec, is_nhwc, threads = _settings(
        _C, refine, threshold, logits, kernel, offset_scale, shoulders, layout, threads
    )
    n, k, height, width = _map_shape(maps, is_nhwc)
    capacity = arguments.integer(capacity, "capacity", 1, _C.MAX_CAPACITY)
    on_cuda = home.device_kind == "cuda"
    words = _C.find_peaks_scratch(n, k, height, width, capacity, threads, on_cuda)
    arguments.room(12 * n * k * (capacity + 1) + 4 * words, "capacity")
    result = _empty_peaks(home, n, k, capacity)
    _C.find_peaks(
        spec,
        maps,
        offsets,
        is_nhwc,
        result.xy,
        result.score,
        result.count,
        result.total,
        result.nonfinite,
        home.empty((words,), "int32"),
        threads,
        home.stream,
    )
    if nonfinite != "mask":
        _check_finite(result.nonfinite, "maps", nonfinite, home)
    return result


def published_peaks(
    maps: Array,
    *,
    rule: Literal["openpose", "trt_pose"],
    threshold: float,
    capacity: int,
    layout: Layout = "nchw",
    nonfinite: NonFinite = "mask",
    threads: int = 1,
) -> Peaks:
    """Find peaks by the rule of a published decoder, in raster order.

    Args:
        maps: [N, K, H, W] float32 or float16, any strides; [N, H, W, K] with ``layout`` "nhwc".
        rule: "openpose" looks for strict maxima of the maps up-sampled eight times, above the
            threshold, and refines them by a 7 x 7 centroid there; of too many the best are kept.
            "trt_pose" takes every sample, at or above the threshold, that nothing in its 5 x 5
            window exceeds, and refines it by that window's centroid; of too many the first are
            kept.
        threshold: 0.05 and 0.1 as published.
        capacity: 127 and 100 as published.
        layout: order of the axes.
        nonfinite: as in ``best_peaks``. Both rules differ from the published ones here: a sample
            that is not finite is no peak, and hides none of trt_pose's.
        threads: how many CPU threads share the maps.

    Returns:
        xy in pixels of the maps, without the half pixel that trt_pose adds.

    Raises:
        InputError: an argument has the wrong shape or value.
        InputTypeError: an argument has the wrong dtype or is no array.
    """
    home = home_of(maps, "maps")
    is_nhwc = _is_nhwc(layout)
    n, k, height, width = _map_shape(maps, is_nhwc)
    arguments.word(rule, "rule", ("openpose", "trt_pose"))
    threshold = arguments.number(threshold, "threshold")
    capacity = arguments.integer(capacity, "capacity", 1, _C.MAX_CAPACITY)
    threads = arguments.threads(threads)
    is_cuda = home.device_kind == "cuda"
    words = _C.published_peaks_scratch(
        rule, n, k, height, width, capacity=capacity, threads=threads, is_cuda=is_cuda
    )
    arguments.room(12 * n * k * (capacity + 1) + 4 * words, "capacity")
    result = _empty_peaks(home, n, k, capacity)
    _C.published_peaks(
        maps,
        result.xy,
        result.score,
        result.count,
        result.total,
        result.nonfinite,
        home.empty((words,), "int32"),
        rule=rule,
        threshold=threshold,
        is_nhwc=is_nhwc,
        threads=threads,
        stream=home.stream,
    )
    if nonfinite != "mask":
        _check_finite(result.nonfinite, "maps", nonfinite, home)
    return result


def decode_simcc(
    x: Array,
    y: Array,
    *,
    split: float = 2.0,
    refine: Literal["none", "log_parabola", "dark"] = "dark",
    kernel: int = 31,
    score: Literal["min", "mean"] = "mean",
    threshold: float = 0.0,
    nonfinite: NonFinite = "mask",
    threads: int = 1,
) -> BestPeaks:
    """Read joints off pairs of vectors, one per axis, as RTMPose gives them.

    Args:
        x: [N, K, Wx] float32 or float16, any strides.
        y: [N, K, Hy], of the same dtype.
        split: bins per input pixel.
        refine: "none" is the plain arg-max, good to half a bin at best; "log_parabola" uses three
            bins; "dark" a Gaussian of ``kernel`` bins, which is what noisy vectors want.
        kernel: taps of that Gaussian; odd. 31 suits the published targets (sigma 4.9 and 5.66).
        score: of the two maxima.
        threshold: a joint counts when its score is above.
        nonfinite: as in ``best_peaks``.
        threads: how many CPU threads share the joints.

    Returns:
        xy in pixels of the network's input. A vector whose bins are all equal says nothing: its
        joint has count 0.
    """
    home = home_of(x, "x")
    spec, threads = _simcc_settings(_C, refine, score, split, threshold, kernel, threads)
    shape = shape_of(x, "x")
    if len(shape) != 3:  # noqa: PLR2004
        raise InputError("x", "[N, K, bins]", str(list(shape)))
    n, k = shape[:2]
    arguments.room(20 * n * k, "x")
    result = _empty_best_peaks(home, n, k)
    _C.decode_simcc(
        spec,
        x,
        y,
        result.xy,
        result.score,
        result.count,
        result.nonfinite,
        threads,
        home.stream,
    )
    if nonfinite != "mask":
        _check_finite(result.nonfinite, "x", nonfinite, home)
    return result


def average_flip(
    maps: Array,
    flipped: Array,
    *,
    pairs: Sequence[tuple[int, int]],
    shift: bool = False,
    layout: Layout = "nchw",
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Average maps with those of the mirrored picture: the field's flip test, in one pass.

    Args:
        maps: [N, K, H, W] float32 or float16, or [N, H, W, K] with ``layout`` "nhwc".
        flipped: the network's output for the mirrored crops, as it came.
        pairs: channels that swap sides, e.g. left and right wrist.
        shift: move the mirrored map one pixel right first: HRNet does, UDP and ViTPose do not.
        layout: order of the axes.
        out: a buffer for the result; may be ``maps``.
        threads: how many CPU threads share the maps.

    Returns:
        The mean, of the shape and dtype of ``maps``.
    """
    is_nhwc = _is_nhwc(layout)
    _, k, _, _ = _map_shape(maps, is_nhwc)
    home = home_of(maps, "maps") if out is None else home_of(out, "out")
    partner = arguments.pairs(pairs, k)
    result = out
    if result is None:
        shape, dtype = shape_of(maps, "maps"), dtype_of(maps, "maps")
        arguments.room(math.prod(shape) * np.dtype(dtype).itemsize, "maps")
        result = home.empty(shape, dtype)
    _C.average_flip(
        maps,
        flipped,
        partner,
        result,
        shift=arguments.flag(shift, "shift"),
        is_nhwc=is_nhwc,
        threads=arguments.threads(threads),
        stream=home.stream,
    )
    return result


def _is_nhwc(layout: str) -> bool:
    return arguments.word(layout, "layout", ("nchw", "nhwc")) == "nhwc"


def _map_shape(maps: Array, is_nhwc: bool) -> tuple[int, int, int, int]:  # noqa: FBT001
    """N, K, H and W of maps in either layout."""
    shape = shape_of(maps, "maps")
    if len(shape) != 4:  # noqa: PLR2004
        axes = "[N, H, W, K]" if is_nhwc else "[N, K, H, W]"
        raise InputError("maps", axes, str(list(shape)))
    if is_nhwc:
        n, height, width, k = shape
    else:
        n, k, height, width = shape
    if height * width > _MOST_SAMPLES:
        raise InputError("maps", "fewer than 2^31 samples in a map", f"{height} x {width}")
    return n, k, height, width


def _empty_best_peaks(home: Home, n: int, k: int) -> BestPeaks:
    maps = (n, k)
    return home.result(
        BestPeaks, ((n, k, 2), "float32"), (maps, "float32"), (maps, "int32"), (maps, "int32")
    )


def _empty_peaks(home: Home, n: int, k: int, capacity: int) -> Peaks:
    lists, maps = (n, k, capacity), (n, k)
    return home.result(
        Peaks,
        ((*lists, 2), "float32"),
        (lists, "float32"),
        (maps, "int32"),
        (maps, "int32"),
        (maps, "int32"),
    )


@arguments.once
def _settings(
    module: Any,
    refine: str,
    threshold: float,
    logits: bool,  # noqa: FBT001
    kernel: int,
    offset_scale: float,
    shoulders: bool,  # noqa: FBT001
    layout: str,
    threads: int,
) -> tuple[_C.PeakSpec, bool, int]:
    """Check what best_peaks and find_peaks share: the spec, is_nhwc and threads."""
    spec = module.peak_spec(
        arguments.word(refine, "refine", _RULES),
        arguments.number(threshold, "threshold"),
        arguments.flag(logits, "logits"),
        arguments.integer(kernel, "kernel", 3, _C.MAX_KERNEL),
        arguments.number(offset_scale, "offset_scale"),
        arguments.flag(shoulders, "shoulders"),
    )
    return spec, _is_nhwc(layout), arguments.threads(threads)


@arguments.once
def _simcc_settings(
    module: Any,
    refine: str,
    score: str,
    split: float,
    threshold: float,
    kernel: int,
    threads: int,
) -> tuple[_C.SimccSpec, int]:
    """Check the settings of decode_simcc: the spec and threads."""
    spec = module.simcc_spec(
        arguments.word(refine, "refine", ("none", "log_parabola", "dark")),
        arguments.word(score, "score", ("min", "mean")),
        arguments.number(split, "split", arguments.FLOAT32_TINY),
        arguments.number(threshold, "threshold"),
        arguments.integer(kernel, "kernel", 3, _C.MAX_KERNEL),
    )
    return spec, arguments.threads(threads)


def _check_finite(masked: Array, argument: str, nonfinite: str, home: Home) -> None:
    if nonfinite != "raise" or home.device_kind != "cpu":
        expected = '"mask" or "raise"' if home.device_kind == "cpu" else '"mask" on a device'
        raise InputError("nonfinite", expected, repr(nonfinite))
    count = int(np.asarray(masked).sum())
    if count:
        raise InputError(
            argument,
            "finite samples",
            f"{count} that are NaN or infinite",
            'nonfinite="mask" passes over them',
        )
