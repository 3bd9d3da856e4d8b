"""Boxes and Poses: the people of one image, as arrays on the host. What pipelines return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from pyposefast.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyposefast.skeletons import Skeleton

Float32Array = npt.NDArray[np.float32]

_MEAN_OF_JOINTS: Float32Array = np.empty(0, np.float32)  # stands for it until there are joints


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Where P people are in one image, surest first."""

    box: Float32Array  # [P, 4], x1 y1 x2 y2, edge coordinates
    score: Float32Array  # [P]
    # [P, 2, 2] of detectors that tell how a person lies: the middle of a turned square, and a
    # point that is above it.
    axis: Float32Array | None = None

    def __post_init__(self) -> None:
        """Check each array once."""
        _check("box", self.box, ("P", 4))
        _check("score", self.score, (self.box.shape[0],))
        if self.axis is not None:
            _check("axis", self.axis, (self.box.shape[0], 2, 2))

    def __len__(self) -> int:
        """Return the number of people."""
        return int(self.box.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """P people with K joints each, in the pixels of one image. P = 0 is an ordinary result.

    A joint that was not found has NaN coordinates and score 0: unknown is never a place.
    """

    xy: Float32Array  # [P, K, 2], image pixels, the centre of the first pixel is (0, 0)
    score: Float32Array  # [P, K], as the network gives it, usually 0..1
    box: Float32Array  # [P, 4], x1 y1 x2 y2, edge coordinates
    skeleton: Skeleton  # the names and the order of the K joints
    # [P], how sure it is that somebody is there; by default the mean of the joints' scores.
    person_score: Float32Array = field(default_factory=lambda: _MEAN_OF_JOINTS)
    world_m: Float32Array | None = None  # [P, K, 3], metres; of networks that give them

    def __post_init__(self) -> None:
        """Check each array once, here, so that nobody downstream has to."""
        joints = len(self.skeleton.joints)
        _check("xy", self.xy, ("P", joints, 2))
        people = self.xy.shape[0]
        _check("score", self.score, (people, joints))
        _check("box", self.box, (people, 4))
        if self.person_score is _MEAN_OF_JOINTS:
            object.__setattr__(self, "person_score", self.score.mean(axis=1))
        _check("person_score", self.person_score, (people,))
        if self.world_m is not None:
            _check("world_m", self.world_m, (people, joints, 3))

    @classmethod
    def empty(cls, skeleton: Skeleton) -> Poses:
        """Return nobody."""
        joints = len(skeleton.joints)
        return cls(
            xy=np.zeros((0, joints, 2), np.float32),
            score=np.zeros((0, joints), np.float32),
            box=np.zeros((0, 4), np.float32),
            skeleton=skeleton,
        )

    def __len__(self) -> int:
        """Return the number of people."""
        return int(self.xy.shape[0])

    def __getitem__(self, which: SupportsIndex | slice | npt.NDArray[Any]) -> Poses:
        """Return some of the people: an index, a slice, a mask [P] or indices, always as Poses."""
        if isinstance(which, SupportsIndex) and not isinstance(which, np.ndarray):
            index = range(len(self))[which]  # negative from the end; IndexError past it
            which = slice(index, index + 1)
        return Poses(
            self.xy[which],
            self.score[which],
            self.box[which],
            self.skeleton,
            self.person_score[which],
            None if self.world_m is None else self.world_m[which],
        )

    def __iter__(self) -> Iterator[Poses]:
        """Go through the people one at a time, each as Poses of one."""
        return (self[index] for index in range(len(self)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON; a joint that was not found is ``None``."""
        people = []
        for person in range(len(self)):
            record: dict[str, Any] = {
                "box": self.box[person].tolist(),
                "score": float(self.person_score[person]),
                "joints": {
                    name: [*map(float, self.xy[person, k]), float(self.score[person, k])]
                    if np.isfinite(self.xy[person, k]).all()
                    else None
                    for k, name in enumerate(self.skeleton.joints)
                },
            }
            if self.world_m is not None:
                record["world_m"] = {
                    name: xyz.tolist() if np.isfinite(xyz).all() else None
                    for name, xyz in zip(self.skeleton.joints, self.world_m[person], strict=True)
                }
            people.append(record)
        return {"skeleton": self.skeleton.name, "people": people}

    def to_coco(self, image_id: int, *, category_id: int = 1) -> list[dict[str, Any]]:
        """Return results as COCO's tools read them, one record a person.

        ``keypoints`` are x, y and score of the K joints, in their order; those that were not found
        are three zeros. ``bbox`` is x, y, width and height.
        """
        is_found = np.all(np.isfinite(self.xy), axis=-1, keepdims=True)  # [P, K, 1]
        joints = np.concatenate([self.xy, self.score[..., None]], axis=-1)
        joints = np.where(is_found, joints, np.float32(0))
        corners, sizes = self.box[:, :2], self.box[:, 2:] - self.box[:, :2]
        return [
            {
                "image_id": image_id,
                "category_id": category_id,
                "keypoints": joints[person].ravel().tolist(),
                "bbox": [*corners[person].tolist(), *sizes[person].tolist()],
                "score": float(self.person_score[person]),
            }
            for person in range(len(self))
        ]

    def to_supervision(self) -> Any:
        """Return ``supervision.KeyPoints``; joints that were not found are at (0, 0) there."""
        try:
            import supervision  # noqa: PLC0415  never needed otherwise
        except ImportError as error:
            message = "supervision does not import here\nhint: pip install supervision"
            raise ImportError(message) from error
        is_found = np.all(np.isfinite(self.xy), axis=-1, keepdims=True)  # [P, K, 1]
        return supervision.KeyPoints(
            xy=np.where(is_found, self.xy, np.float32(0)),
            confidence=np.where(is_found[..., 0], self.score, np.float32(0)),
            class_id=np.zeros(len(self), np.int64),
        )

    def draw(
        self, image: npt.NDArray[np.uint8], *, threshold: float = 0.2
    ) -> npt.NDArray[np.uint8]:
        """Return a copy of the picture [H, W, 3] RGB with the skeletons over it."""
        from pyposefast.drawing import draw_poses  # noqa: PLC0415  OpenCV only for who draws

        return draw_poses(image, self, threshold=threshold)


def _check(argument: str, array: object, shape: tuple[int | str, ...]) -> None:
    """Raise unless ``array`` is a float32 NumPy array of that shape (a letter stands for any)."""
    expected = f"a NumPy array float32 [{', '.join(map(str, shape))}]"
    if not isinstance(array, np.ndarray):
        raise InputTypeError(argument, expected, type(array).__name__)
    got = f"{array.dtype} {list(array.shape)}"
    if array.dtype != np.float32:
        raise InputTypeError(argument, expected, got)
    fits = array.ndim == len(shape) and all(
        isinstance(want, str) or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise InputError(argument, expected, got)
