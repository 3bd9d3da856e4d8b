"""What is really in the images: people with boxes and labelled joints, to measure against."""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pyposefast import arguments
from pyposefast.errors import InputError, InputTypeError
from pyposefast.metrics import tables
from pyposefast.skeletons import Skeleton

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyposefast.metrics.tables import Bools, Floats

HIDDEN, VISIBLE = 1, 2  # values of `visibility`; 0 is a joint without a label
_LARGEST_ID = (1 << 63) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The P people of one image. A crowd that nobody has told apart is one of them."""

    image_id: int
    file_name: str
    size: tuple[int, int]  # height, width of the image in pixels
    box: Floats  # [P, 4] float64, x1 y1 x2 y2, edge coordinates
    area: Floats  # [P] float64, square pixels that the person covers
    xy: Floats  # [P, K, 2] float64, image pixels; means nothing where visibility is 0
    visibility: npt.NDArray[np.uint8]  # [P, K], 0 no label, 1 labelled but hidden, 2 visible
    is_crowd: Bools  # [P]
    skeleton: Skeleton  # the names and the order of the K joints

    def __post_init__(self) -> None:
        """Check each array once, here, so that no measure has to."""
        arguments.integer(self.image_id, "image_id", -_LARGEST_ID, _LARGEST_ID)
        arguments.crop_size(self.size)
        if not isinstance(self.skeleton, Skeleton):
            raise InputTypeError("skeleton", "a Skeleton", type(self.skeleton).__name__)
        joints = len(self.skeleton.joints)
        put = object.__setattr__
        put(self, "box", tables.boxes(self.box, "box"))
        people = len(self.box)
        put(self, "area", tables.not_negative(self.area, "area", (people,)))
        put(self, "xy", tables.floats(self.xy, "xy", (people, joints, 2)))
        seen = tables.floats(self.visibility, "visibility", (people, joints))
        if not np.isin(seen, (0, HIDDEN, VISIBLE)).all():
            wrong = seen[~np.isin(seen, (0, HIDDEN, VISIBLE))]
            raise InputError("visibility", "0, 1 or 2", f"{wrong[0]:g}")
        put(self, "visibility", seen.astype(np.uint8))
        put(self, "is_crowd", tables.bools(self.is_crowd, "is_crowd", (people,)))
        tables.finite(self.xy[self.is_labelled], "xy", ("labelled joints", 2))

    def __len__(self) -> int:
        """Return the number of people, crowds among them."""
        return len(self.box)

    @property
    def is_labelled(self) -> Bools:
        """The joints [P, K] whose place is known."""
        return self.visibility > 0


@dataclass(frozen=True, slots=True, eq=False)
class Truths:
    """The truth of every image of a data set, by ascending ``image_id``."""

    images: tuple[Truth, ...]
    skeleton: Skeleton

    def __post_init__(self) -> None:
        """Bring the images into order; each may be there once, and all have one skeleton."""
        for image in self.images:
            if not isinstance(image, Truth):
                raise InputTypeError("images", "a tuple of Truth", type(image).__name__)
            if image.skeleton != self.skeleton:
                expected = f"images with the skeleton {self.skeleton.name}"
                raise InputError(
                    "images", expected, f"{image.skeleton.name} in image {image.image_id}"
                )
        ordered = tuple(sorted(self.images, key=_image_id))
        for first, second in itertools.pairwise(ordered):
            if first.image_id == second.image_id:
                raise InputError("images", "every image once", f"{first.image_id} twice")
        object.__setattr__(self, "images", ordered)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __iter__(self) -> Iterator[Truth]:
        """Go through the images."""
        return iter(self.images)

    def __getitem__(self, image_id: int) -> Truth:
        """Return the truth of one image; KeyError if there is none."""
        place = bisect.bisect_left(self.images, image_id, key=_image_id)
        if place == len(self.images) or self.images[place].image_id != image_id:
            raise KeyError(image_id)
        return self.images[place]

    def check_images_of(self, found: Mapping[int, object]) -> None:
        """Refuse answers to what was not asked: they would silently count for nothing."""
        if not hasattr(found, "keys"):
            expected = "a mapping from numbers of images to what was found in them"
            raise InputTypeError("found", expected, type(found).__name__)
        unknown = set(found) - {image.image_id for image in self.images}
        if unknown:
            some = min(map(str, unknown))
            expected = f"numbers of the {len(self.images)} images of the truth"
            raise InputError("found", expected, f"image {some}, and {len(unknown) - 1} more")


def _image_id(image: Truth) -> int:
    return image.image_id
