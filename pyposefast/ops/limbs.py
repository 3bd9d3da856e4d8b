"""Which joints belong to one limb, as far as part affinity fields say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from pyposefast import _C, arguments, skeletons
from pyposefast.arrays import Array, home_of, shape_of
from pyposefast.errors import InputError, InputTypeError
from pyposefast.ops.peaks import Peaks

if TYPE_CHECKING:
    from pyposefast.ops.peaks import Layout
    from pyposefast.skeletons import Skeleton

Mode = Literal["pyposefast", "openpose", "trt_pose"]
MODES = get_args(Mode)


@dataclass(frozen=True, slots=True)
class Links:
    """For each limb and each peak of its first joint, the best partners among those of its second.

    Rows of peaks that do not exist, and entries past ``count``, are 0.
    """

    partner: Array  # [N, L, M, R] int32, which peak of the second joint, best first
    score: Array  # [N, L, M, R] float32, larger is better
    count: Array  # [N, L, M] int32, how many of the R entries are real
    total: Array  # [N, L, M] int32, links there were; above count, the worst were dropped


def score_limbs(
    fields: Array,
    peaks: Peaks,
    *,
    skeleton: str | Skeleton,
    mode: Mode = "pyposefast",
    threshold: float = 0.05,
    longest: float = 0.5,
    partners: int = 8,
    layout: Layout = "nchw",
    threads: int = 1,
) -> Links:
    """Find, for every limb, the pairs of joints that its field speaks for.

    Args:
        fields: [N, C, H, W] float32 or float16, any strides; [N, H, W, C] with ``layout`` "nhwc".
        peaks: of the skeleton's K joints on maps of the same size, M <= 128 of each.
        skeleton: its ``fields`` say which joints a limb has, and which channels its field.
        mode: how a pair is judged; docs/ops.md.
        threshold: the field along the pair has to be above it, in the units of the fields.
        longest: pairs longer than this part of the maps' larger side are no limb.
        partners: R, 1 to 128. Further links of one peak are dropped, worst first.
        layout: order of the axes.
        threads: how many CPU threads share the limbs.

    Raises:
        InputError: an argument has the wrong shape or value.
        InputTypeError: an argument has the wrong dtype or is no array.
    """
    n, _, capacity, _ = peaks_shape(peaks)
    home = home_of(fields, "fields")
    skeleton = field_skeleton(skeleton)
    settings = limb_settings(skeleton, mode, threshold, longest)
    arguments.word(layout, "layout", ("nchw", "nhwc"))
    partners = arguments.integer(partners, "partners", 1, _C.MAX_PARTNERS)
    threads = arguments.threads(threads)
    limbs = len(skeleton.fields)
    lists = (n, limbs, capacity)
    pairs = (*lists, partners)
    result = home.result(
        Links, (pairs, "int32"), (pairs, "float32"), (lists, "int32"), (lists, "int32")
    )
    is_cuda = home.device_kind == "cuda"
    words = _C.score_limbs_scratch(capacity, n * limbs, threads, is_cuda)
    _C.score_limbs(
        settings,
        fields,
        layout == "nhwc",
        peaks.xy,
        peaks.count,
        result.partner,
        result.score,
        result.count,
        result.total,
        home.empty((words,), "int32"),
        threads,
        home.stream,
    )
    return result


def field_skeleton(skeleton: str | Skeleton) -> Skeleton:
    """Check that a skeleton has fields, and no more than can be decoded."""
    return skeletons.with_fields(skeleton, most_joints=_C.MAX_JOINTS, most_limbs=_C.MAX_LIMBS)


def limb_settings(skeleton: Skeleton, mode: str, threshold: float, longest: float) -> object:
    """Check what decides about links; the result is for the extension alone."""
    return _C.limb_spec(
        arguments.word(mode, "mode", MODES),
        len(skeleton.joints),
        skeleton.fields,
        arguments.number(threshold, "threshold", 0.0),
        arguments.number(longest, "longest", arguments.FLOAT32_TINY),
    )


def peaks_shape(peaks: Peaks) -> tuple[int, ...]:
    """N, K, M and 2 of peaks whose lists are short enough for pairs."""
    if not isinstance(peaks, Peaks):
        raise InputTypeError("peaks", "Peaks, as find_peaks returns them", type(peaks).__name__)
    shape = shape_of(peaks.xy, "peaks.xy")
    if len(shape) != 4:  # noqa: PLR2004
        raise InputError("peaks.xy", "[N, K, M, 2]", str(list(shape)))
    if not 1 <= shape[2] <= _C.MAX_CANDIDATES:
        hint = f"call find_peaks with capacity={_C.MAX_CANDIDATES} or less"
        expected = f"1 to {_C.MAX_CANDIDATES} peaks of each joint"
        raise InputError("peaks.xy", expected, str(shape[2]), hint)
    return shape
