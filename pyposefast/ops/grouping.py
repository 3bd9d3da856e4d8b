"""Which joints belong to one person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyposefast import _C, arguments, body
from pyposefast.arrays import Array, Home, home_of, shape_of
from pyposefast.errors import InputError, InputTypeError
from pyposefast.ops.limbs import MODES, Links, field_skeleton, peaks_shape

if TYPE_CHECKING:
    from pyposefast.ops.limbs import Mode
    from pyposefast.ops.peaks import Peaks
    from pyposefast.skeletons import Skeleton


@dataclass(frozen=True, slots=True)
class People:
    """The people of N images, best first; past ``count`` there is nobody: zeros, and peaks of -1.

    Scores are in the units of the heatmaps, usually 0..1.
    """

    xy: Array  # [N, P, K, 2] float32, map pixels; 0 where the joint was not found
    score: Array  # [N, P, K] float32, the heatmap at the joint; 0: it was not found
    peak: Array  # [N, P, K] int32, which peak of the joint it is; -1: it was not found
    person_score: Array  # [N, P] float32, sum of the joints' scores over K
    count: Array  # [N] int32, how many of the P people are real
    total: Array  # [N] int32, people there were; above count, the worst were dropped
    dropped: Array  # [N] int32, peaks that the joints' lists had no room for
    nonfinite: Array  # [N] int32, samples of the heatmaps that were NaN or infinite


def group_people(
    peaks: Peaks,
    links: Links,
    *,
    skeleton: str | Skeleton,
    mode: Mode = "pyposefast",
    people: int = 128,
    least_joints: int = 4,
    least_score: float = 0.0,
    least_lone: float = 0.1,
    least_link: float = 0.1,
    threads: int = 1,
) -> People:
    """Put joints together into people.

    Args:
        peaks: of the skeleton's K joints, M <= 128 of each.
        links: what ``score_limbs`` made of them.
        skeleton: the one that the links are of.
        mode: how people are built; docs/ops.md.
        people: P, 1 to 1024. Further people are dropped, worst first; ``People.total`` tells.
        least_joints: somebody with fewer is nobody.
        least_score: the same for the mean score of somebody's joints.
        least_lone: a joint without any link is joined to somebody only when its score is this much.
        least_link: in the mode trt_pose, a link that was chosen has to score more.
        threads: how many CPU threads share the images.

    Raises:
        InputError: an argument has the wrong shape or value.
        InputTypeError: an argument has the wrong dtype or is no array.
    """
    n, _, capacity, _ = peaks_shape(peaks)
    partners = _partners(links)
    home = home_of(peaks.xy, "peaks.xy")
    skeleton = field_skeleton(skeleton)
    settings = group_settings(skeleton, mode, least_joints, least_score, least_lone, least_link)
    people = arguments.integer(people, "people", 1, _C.MAX_PEOPLE)
    threads = arguments.threads(threads)
    is_cuda = home.device_kind == "cuda"
    words = _C.group_people_scratch(settings, capacity, partners, n, threads, is_cuda)
    result = empty_people(home, n, people, len(skeleton.joints))
    _C.group_people(
        settings,
        peaks.xy,
        peaks.score,
        peaks.count,
        peaks.total,
        peaks.nonfinite,
        links.partner,
        links.score,
        links.count,
        people_arrays(result, home),
        home.empty((words,), "int32"),
        people,
        threads,
        home.stream,
    )
    return result


def _partners(links: Links) -> int:
    """R of the links."""
    if not isinstance(links, Links):
        raise InputTypeError("links", "Links, as score_limbs returns them", type(links).__name__)
    shape = shape_of(links.partner, "links.partner")
    if len(shape) != 4 or not 1 <= shape[3] <= _C.MAX_PARTNERS:  # noqa: PLR2004
        expected = f"[N, L, M, R] with R from 1 to {_C.MAX_PARTNERS}"
        raise InputError("links.partner", expected, str(list(shape)))
    return shape[3]


def group_settings(
    skeleton: Skeleton,
    mode: str,
    least_joints: int,
    least_score: float,
    least_lone: float,
    least_link: float,
) -> object:
    """Check what decides about people; the result is for the extension alone."""
    return _C.group_spec(
        arguments.word(mode, "mode", MODES),
        len(skeleton.joints),
        [(field.first, field.second) for field in skeleton.fields],
        body.places_of(skeleton.joints),
        body.variances(),
        arguments.integer(least_joints, "least_joints", 1, _C.MAX_JOINTS),
        arguments.number(least_score, "least_score"),
        arguments.number(least_lone, "least_lone"),
        arguments.number(least_link, "least_link"),
        # OpenPose's rule for BODY_25: feet make nobody a person.
        [k for k, joint in enumerate(skeleton.joints) if joint.endswith(("_toe", "_heel"))],
    )


def empty_people(home: Home, n: int, people: int, joints: int) -> People:
    """Return arrays to write people into."""
    joint, person, image = (n, people, joints), (n, people), (n,)
    return home.result(
        People,
        ((*joint, 2), "float32"),
        (joint, "float32"),
        (joint, "int32"),
        (person, "float32"),
        (image, "int32"),
        (image, "int32"),
        (image, "int32"),
        (image, "int32"),
    )


def people_arrays(people: People, home: Home) -> object:
    """Import the arrays of a result; what comes out is for the extension alone."""
    return _C.people_arrays(
        people.xy,
        people.score,
        people.peak,
        people.person_score,
        people.count,
        people.total,
        people.dropped,
        people.nonfinite,
        home.stream,
    )
