"""Poses: the people of one image, as arrays on the host. What every pipeline returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from pyposefast.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyposefast.skeletons import Skeleton

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """P people with K joints each, in the pixels of one image. P = 0 is an ordinary result.

    A joint that was not found has NaN coordinates and score 0: unknown is never a place.
    """

    xy: Float32Array  # [P, K, 2], image pixels, the centre of the first pixel is (0, 0)
    score: Float32Array  # [P, K], as the network gives it, usually 0..1
    box: Float32Array  # [P, 4], x1 y1 x2 y2, edge coordinates
    skeleton: Skeleton  # the names and the order of the K joints

    def __post_init__(self) -> None:
        """Check each array once, here, so that nobody downstream has to."""
        joints = len(self.skeleton.joints)
        _check("xy", self.xy, ("P", joints, 2))
        people = self.xy.shape[0]
        _check("score", self.score, (people, joints))
        _check("box", self.box, (people, 4))

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
        return Poses(self.xy[which], self.score[which], self.box[which], self.skeleton)

    def __iter__(self) -> Iterator[Poses]:
        """Go through the people one at a time, each as Poses of one."""
        return (self[index] for index in range(len(self)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON; a joint that was not found is ``None``."""
        people = [
            {
                "box": box.tolist(),
                "joints": {
                    name: [float(x), float(y), float(score)]
                    if np.isfinite(x) and np.isfinite(y)
                    else None
                    for name, (x, y), score in zip(self.skeleton.joints, xy, scores, strict=True)
                },
            }
            for xy, scores, box in zip(self.xy, self.score, self.box, strict=True)
        ]
        return {"skeleton": self.skeleton.name, "people": people}


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
