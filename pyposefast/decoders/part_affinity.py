"""Bottom-up decoding: heatmaps of joints and part affinity fields of limbs in, people out."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pyposefast import _C, arguments
from pyposefast.arrays import Array, Home, home_of, shape_of
from pyposefast.errors import InputError, InputTypeError
from pyposefast.ops.grouping import People, empty_people, group_settings, people_arrays
from pyposefast.ops.limbs import MODES, field_skeleton, limb_settings
from pyposefast.ops.peaks import best_peaks
from pyposefast.poses import Poses

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from pyposefast.ops.limbs import Mode
    from pyposefast.ops.peaks import Layout, NonFinite
    from pyposefast.skeletons import Skeleton

_KEPT_WORKSPACES = 4  # of one thread, for frames whose shapes alternate
_MOST_SAMPLES = (1 << 31) - 1  # of one map: raster indices are 32 bits wide

# As published, where that is what a mode follows. trt_pose weighs all pairs of a limb.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "pyposefast": {
        "threshold": 0.05,
        "field_threshold": 0.05,
        "capacity": 128,
        "partners": 4,
        "people": 128,
        "least_joints": 4,
        "least_score": 0.0,
    },
    "openpose": {
        "threshold": 0.05,
        "field_threshold": 0.05,
        "capacity": 127,
        "partners": 16,
        "people": 128,
        "least_joints": 3,
        "least_score": 0.4,
    },
    "trt_pose": {
        "threshold": 0.1,
        "field_threshold": 0.1,
        "capacity": 100,
        "partners": 100,
        "people": 100,
        "least_joints": 1,
        "least_score": 0.0,
    },
}


@dataclass(slots=True)
class _Workspace:
    """What calls with maps of one shape have in common; belongs to one thread."""

    home: Home
    shape: tuple[int, ...]  # of the heatmaps
    layout: str
    is_nhwc: bool
    threads: int
    scratch: Array  # int32
    has_numpy: bool  # results are NumPy arrays
    out: People | None = None  # the caller's, of the last call that had any
    out_arrays: object = None  # the same as the extension sees it

    def arrays_of(self, out: Any) -> object:
        """Import the arrays to be written over: once, as long as they stay the same."""
        if out is self.out:
            return self.out_arrays
        if not isinstance(out, People):
            expected = "People, as an earlier call returned them"
            raise InputTypeError("out", expected, type(out).__name__)
        arrays = people_arrays(out, self.home)
        if self.home.device_kind == "cpu":  # on a device each import waits for the work before it
            self.out, self.out_arrays = out, arrays
        return arrays


class _Local(threading.local):
    """The workspaces of one thread."""

    def __init__(self) -> None:
        self.latest: _Workspace | None = None  # of the last NumPy heatmaps
        self.kept: dict[object, _Workspace] = {}  # the last used one last


class PartAffinity:
    """Finds people in the output of networks such as OpenPose's.

    A decoder never changes after it was made: threads may share one.
    """

    __slots__ = ("_local", "_making", "_people", "_settings", "_skeleton")

    def __init__(
        self,
        skeleton: str | Skeleton,
        *,
        mode: Mode = "pyposefast",
        threshold: float | None = None,
        field_threshold: float | None = None,
        longest: float = 0.5,
        capacity: int | None = None,
        partners: int | None = None,
        people: int | None = None,
        least_joints: int | None = None,
        least_score: float | None = None,
    ) -> None:
        """Check and keep all settings; what is None depends on the mode.

        Args:
            skeleton: of the network, by itself or by name: its joints are the first K channels of
                the heatmaps, its ``fields`` say which channels of the fields belong to which limb.
            mode: how pairs are judged and people are built; docs/ops.md.
            threshold: a joint's heatmap has to be above it.
            field_threshold: the field along a limb has to be above it.
            longest: no limb is longer than this part of the maps' larger side.
            capacity: 1 to 128 peaks of one joint; more are dropped, lowest first (trt_pose: last).
            partners: 1 to 128 of one joint for one limb; more are dropped, worst first.
            people: P, 1 to 1024; more are dropped, worst first (published modes: last).
            least_joints: somebody with fewer is nobody.
            least_score: the same for the mean score of somebody's joints.

        Raises:
            InputError: an argument has a value that cannot be.
            InputTypeError: an argument is of the wrong kind.
        """
        given = {
            "threshold": threshold,
            "field_threshold": field_threshold,
            "capacity": capacity,
            "partners": partners,
            "people": people,
            "least_joints": least_joints,
            "least_score": least_score,
        }
        given = {name: value for name, value in given.items() if value is not None}
        self._making = (skeleton, {"mode": mode, "longest": longest, **given})
        self._skeleton = field_skeleton(skeleton)
        chosen = _DEFAULTS[arguments.word(mode, "mode", MODES)] | given
        arguments.number(chosen["field_threshold"], "field_threshold", 0.0)
        least = arguments.number(chosen["threshold"], "threshold", 0.0)
        self._people = arguments.integer(chosen["people"], "people", 1, _C.MAX_PEOPLE)
        self._settings = _C.part_affinity_spec(
            limb_settings(self._skeleton, mode, chosen["field_threshold"], longest),
            group_settings(
                self._skeleton,
                mode,
                chosen["least_joints"],
                chosen["least_score"],
                2.0 * least,  # a joint without any link has to stand out twice as much
                chosen["field_threshold"],
            ),
            least,
            arguments.integer(chosen["capacity"], "capacity", 1, _C.MAX_CANDIDATES),
            arguments.integer(chosen["partners"], "partners", 1, _C.MAX_PARTNERS),
        )
        self._local = _Local()

    @property
    def skeleton(self) -> Skeleton:
        """The K joints of everybody who is found."""
        return self._skeleton

    def __reduce__(self) -> tuple[Callable[..., PartAffinity], tuple[Any, ...]]:
        """Make it anew in another process."""
        return (_make, self._making)

    def __call__(
        self,
        heatmaps: Array,
        fields: Array,
        *,
        layout: Layout = "nchw",
        threads: int = 1,
        out: People | None = None,
        nonfinite: NonFinite = "mask",
    ) -> People:
        """Decode the outputs of a network for N images.

        Args:
            heatmaps: [N, K or more, H, W] float32 or float16, any strides; [N, H, W, K or more]
                with ``layout`` "nhwc".
            fields: [N, C, H, W], or [N, H, W, C], with the channels that the skeleton names.
            layout: order of the axes.
            threads: how many CPU threads share the images.
            out: a result of an earlier call with maps of this shape, to be written over.
            nonfinite: NaN and infinities are no joint and no limb. "mask" passes over them, and
                counts those of the heatmaps; "raise" makes them an error, in the fields too (CPU).

        Returns:
            The people of each image, in map pixels; arrays of one kind and device with the
            heatmaps. With ``out``, that.

        Raises:
            InputError: an argument has the wrong shape or value.
            InputTypeError: an argument has the wrong dtype or is no array.
            DeviceMismatchError: the arrays are not all on one device.
        """
        local = self._local
        workspace = local.latest
        # Most frames are like the last one, whose arguments have been checked. By identity: 1.0 and
        # True are equal to 1, and no numbers of threads.
        if workspace is None or not (
            type(heatmaps) is np.ndarray
            and heatmaps.shape == workspace.shape
            and layout is workspace.layout
            and threads is workspace.threads
        ):
            workspace = self._workspace(local, heatmaps, layout, threads)
        if nonfinite != "mask":
            _check_policy(nonfinite, workspace.home)
        if out is None and workspace.has_numpy:
            result = _C.decode_part_affinity_anew(
                self._settings,
                heatmaps,
                fields,
                workspace.is_nhwc,
                People,
                self._people,
                workspace.scratch,
                workspace.threads,
            )
        else:
            if out is None:
                n, joints = workspace.shape[0], len(self._skeleton.joints)
                result = empty_people(workspace.home, n, self._people, joints)
                arrays = people_arrays(result, workspace.home)
            else:
                result, arrays = out, workspace.arrays_of(out)
            _C.decode_part_affinity(
                self._settings,
                heatmaps,
                fields,
                workspace.is_nhwc,
                arrays,
                self._people,
                workspace.scratch,
                workspace.threads,
                workspace.home.stream,
            )
        if nonfinite != "mask":
            for maps, argument in ((heatmaps, "heatmaps"), (fields, "fields")):
                _check_finite(maps, argument, workspace)
        return result

    def poses(self, people: People, affine: npt.ArrayLike, *, image: int = 0) -> Poses:
        """Turn the people of one image into poses.

        Args:
            people: what this decoder returned, on the host.
            affine: [2, 3], takes map pixels to image pixels. For maps of an eighth of the image it
                is [[8, 0, 3.5], [0, 8, 3.5]].
            image: which of the N images.

        Returns:
            Joints that were not found are NaN; a box holds the joints that were.
        """
        matrix = _matrix(affine)
        count, peak, xy, score = _on_host(people)
        image = arguments.integer(image, "image", 0, len(count) - 1)
        real = slice(0, int(count[image]))
        is_found = peak[image, real] >= 0
        xy = xy[image, real] @ matrix[:, :2].T + matrix[:, 2]
        xy[~is_found] = np.nan
        # Joints are places in pixels whose centres are whole numbers, boxes count from their edges.
        corners = [np.nanmin(xy, axis=1) + 0.5, np.nanmax(xy, axis=1) + 0.5]
        return Poses(
            xy=xy.astype(np.float32),
            score=score[image, real].copy(),
            box=np.concatenate(corners, axis=-1).astype(np.float32),
            skeleton=self._skeleton,
        )

    def _workspace(self, local: _Local, heatmaps: Array, layout: str, threads: int) -> _Workspace:
        """Check what a call shares with others like it, and find or make what they have in common.

        A workspace belongs to one thread and, on a device, to one stream, so that no two calls
        ever work in it at once.
        """
        home = home_of(heatmaps, "heatmaps")
        shape = shape_of(heatmaps, "heatmaps")
        arguments.word(layout, "layout", ("nchw", "nhwc"))
        threads = arguments.threads(threads)
        place = (home.framework.name, home.device_kind, home.device_index, home.stream)
        key = (place, shape, layout, threads)
        workspace = local.kept.pop(key, None)
        if workspace is None:
            workspace = self._new_workspace(home, shape, layout, threads)
        while len(local.kept) >= _KEPT_WORKSPACES:
            del local.kept[next(iter(local.kept))]  # the one that was not used for longest
        local.kept[key] = workspace
        if type(heatmaps) is np.ndarray:
            local.latest = workspace
        return workspace

    def _new_workspace(
        self, home: Home, shape: tuple[int, ...], layout: str, threads: int
    ) -> _Workspace:
        joints = len(self._skeleton.joints)
        if len(shape) != 4:  # noqa: PLR2004
            axes = "[N, H, W, K or more]" if layout == "nhwc" else "[N, K or more, H, W]"
            raise InputError("heatmaps", f"{axes} with K = {joints}", str(list(shape)))
        n, *rest = shape
        k, height, width = (rest[2], rest[0], rest[1]) if layout == "nhwc" else rest
        if height < 1 or width < 1 or height * width > _MOST_SAMPLES:
            expected = "maps of 1 to 2^31 - 1 samples"
            raise InputError("heatmaps", expected, f"{height} x {width}")
        arguments.room(4 * n * (self._people * (4 * joints + 1) + 4), "heatmaps")
        is_cuda = home.device_kind == "cuda"
        scratch = _C.part_affinity_scratch(self._settings, n, k, height, width, threads, is_cuda)
        return _Workspace(
            home=home,
            shape=shape,
            layout=layout,
            is_nhwc=layout == "nhwc",
            threads=threads,
            scratch=home.empty((scratch,), "int32"),
            has_numpy=home.framework.name == "numpy",
        )


def _make(skeleton: str | Skeleton, settings: dict[str, Any]) -> PartAffinity:
    return PartAffinity(skeleton, **settings)


def _matrix(affine: Any) -> npt.NDArray[np.float64]:
    try:
        matrix = np.asarray(affine, np.float64)
    except (TypeError, ValueError) as error:
        got = type(affine).__name__
        raise InputTypeError("affine", "a matrix [2, 3]", got) from error
    if matrix.shape != (2, 3) or not np.isfinite(matrix).all():
        raise InputError("affine", "a finite matrix [2, 3]", str(matrix.tolist()))
    return matrix


def _on_host(people: Any) -> tuple[npt.NDArray[Any], ...]:
    """Count, peaks, places and scores."""
    if not isinstance(people, People):
        raise InputTypeError("people", "People", type(people).__name__)
    if home_of(people.xy, "people.xy").device_kind != "cpu":
        raise InputTypeError("people", "People on the host", "on a device", "copy the arrays first")
    return tuple(np.asarray(a) for a in (people.count, people.peak, people.xy, people.score))


def _check_policy(nonfinite: str, home: Home) -> None:
    if nonfinite != "raise" or home.device_kind != "cpu":
        expected = '"mask" or "raise"' if home.device_kind == "cpu" else '"mask" on a device'
        raise InputError("nonfinite", expected, repr(nonfinite))


def _check_finite(maps: Array, argument: str, workspace: _Workspace) -> None:
    layout = cast("Layout", workspace.layout)
    masked = best_peaks(maps, refine="none", layout=layout, threads=workspace.threads).nonfinite
    count = int(np.asarray(masked).sum())
    if count:
        raise InputError(
            argument,
            "finite samples",
            f"{count} that are NaN or infinite",
            'nonfinite="mask" passes over them',
        )
