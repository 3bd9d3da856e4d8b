"""Skeletons: which joints a person has, in which order, and how they hang together.

The joint order of a dataset is data that people compare and correct, so each skeleton is one JSON
file in ``data/skeletons`` that speaks of joints by name. In memory everything is an index.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pyposefast.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from collections.abc import Mapping

Side = Literal["left", "right", "centre"]

_FOLDER = Path(__file__).parent / "data" / "skeletons"


class Field(NamedTuple):
    """The part affinity field of one limb: unit vectors along it, in two channels of a network."""

    first: int  # the joint that the field points away from
    second: int  # the joint that it points to
    x: int  # channel of the horizontal component, counted within the network's fields
    y: int  # channel of the vertical component


@dataclass(frozen=True, slots=True)
class Skeleton:
    """K joints and the lines between them. Checked when made, so its users never look again."""

    name: str
    joints: tuple[str, ...]  # K names, in the order of the network's channels
    limbs: tuple[tuple[int, int], ...]  # pairs of joints with a line between them, for drawing
    pairs: tuple[tuple[int, int], ...]  # (left, right): the joints that a mirror exchanges
    sigmas: tuple[
        float, ...
    ]  # K, how far annotators disagree, as a part of the person's size (OKS)
    fields: tuple[Field, ...] = ()  # L, in the published order; empty: its networks give none

    def __post_init__(self) -> None:
        """Refuse a skeleton that would index past its joints or mean two things at once."""
        count = len(self.joints)
        if count == 0 or len(set(self.joints)) != count:
            raise InputError("joints", "one or more different names", repr(list(self.joints)))
        _check_index_pairs("limbs", self.limbs, count)
        _check_index_pairs("pairs", self.pairs, count)
        paired = [joint for pair in self.pairs for joint in pair]
        if len(set(paired)) != len(paired):
            raise InputError("pairs", "every joint in one pair at most", repr(self.pairs))
        if len(self.sigmas) != count:
            raise InputError("sigmas", f"{count} values, one a joint", f"{len(self.sigmas)} values")
        for sigma in self.sigmas:
            if not (math.isfinite(sigma) and sigma > 0):
                raise InputError("sigmas", "finite values above 0", repr(sigma))
        _check_index_pairs("fields", tuple((f.first, f.second) for f in self.fields), count)
        _check_channels(self.fields)

    def index(self, joint: str) -> int:
        """Return the position of a joint by its name."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise InputError("joint", f"one of {', '.join(self.joints)}", repr(joint)) from None

    def indices_in(self, other: Skeleton) -> list[int | None]:
        """Return, for each of the K joints, the position of the same name in the other skeleton.

        ``None`` where the other has no such joint: the neck of a network, for example, in a data
        set without necks.
        """
        places = {joint: index for index, joint in enumerate(other.joints)}
        return [places.get(joint) for joint in self.joints]

    @property
    def mirrored(self) -> list[int]:
        """The K joints in the order they have in a mirror image: left and right exchanged."""
        order = list(range(len(self.joints)))
        for left, right in self.pairs:
            order[left], order[right] = right, left
        return order

    def side(self, joint: int) -> Side:
        """Return which side of the body, seen by the person, the joint is on."""
        for left, right in self.pairs:
            if joint == left:
                return "left"
            if joint == right:
                return "right"
        return "centre"


def names() -> tuple[str, ...]:
    """Return the names that :func:`load` takes."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


@cache
def load(name: str) -> Skeleton:
    """Return one of the skeletons that come with the package, for example ``load("coco17")``."""
    if name not in names():  # a name, never a path: nothing outside the folder can be reached
        raise InputError("name", f"one of {', '.join(names())}", repr(name))
    return from_record(json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def from_record(record: Mapping[str, Any]) -> Skeleton:
    """Make a skeleton of what a JSON or TOML file says of it.

    Args:
        record: ``name``; ``joints``, each with ``name`` and ``sigma``; ``limbs`` and ``pairs`` of
            joints by name; and ``fields``, rows of two joints and two channels, where it has any.

    Raises:
        InputError: a key is missing or unknown, or a joint is not among the joints.
        InputTypeError: a value is of the wrong kind.
    """
    needed, allowed = {"name", "joints", "limbs", "pairs"}, {"fields", "about"}
    if missing := sorted(needed - set(record)):
        raise InputError("skeleton", f"a key {missing[0]}", f"keys {', '.join(sorted(record))}")
    if unknown := sorted(set(record) - needed - allowed):
        expected = "keys " + ", ".join(sorted(needed | allowed))
        raise InputError("skeleton", expected, f"a key {unknown[0]}")
    try:
        joints = tuple(str(joint["name"]) for joint in record["joints"])
        return Skeleton(
            name=str(record["name"]),
            joints=joints,
            limbs=_by_index(joints, record["limbs"]),
            pairs=_by_index(joints, record["pairs"]),
            sigmas=tuple(float(joint["sigma"]) for joint in record["joints"]),
            fields=tuple(
                Field(_place(joints, first), _place(joints, second), int(x), int(y))
                for first, second, x, y in record.get("fields", [])
            ),
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        expected = "joints with name and sigma, and lists of two joints"
        raise InputTypeError("skeleton", expected, repr(error)) from error


def with_fields(skeleton: str | Skeleton, *, most_joints: int, most_limbs: int) -> Skeleton:
    """Return a skeleton that part affinity fields can be decoded with.

    Args:
        skeleton: the skeleton, or the name of one that comes with the package.
        most_joints: that a decoder can keep apart.
        most_limbs: the same.

    Raises:
        InputError: there is no such skeleton, its networks give no fields, or it is too large.
        InputTypeError: it is neither.
    """
    if isinstance(skeleton, str):
        if skeleton not in names():
            raise InputError("skeleton", f"one of {', '.join(names())}", repr(skeleton))
        skeleton = load(skeleton)
    if not isinstance(skeleton, Skeleton):
        raise InputTypeError("skeleton", "a Skeleton, or the name of one", type(skeleton).__name__)
    if not skeleton.fields:
        known = ", ".join(name for name in names() if load(name).fields)
        expected = "one with part affinity fields"
        raise InputError("skeleton", expected, f"{skeleton.name}, which has none", f"try {known}")
    if len(skeleton.joints) > most_joints or len(skeleton.fields) > most_limbs:
        raise InputError(
            "skeleton",
            f"at most {most_joints} joints and {most_limbs} fields",
            f"{len(skeleton.joints)} and {len(skeleton.fields)}",
        )
    return skeleton


def _by_index(joints: tuple[str, ...], named: list[list[str]]) -> tuple[tuple[int, int], ...]:
    return tuple((_place(joints, first), _place(joints, second)) for first, second in named)


def _place(joints: tuple[str, ...], name: str) -> int:
    if name not in joints:
        raise InputError("skeleton", f"one of its joints, {', '.join(joints)}", repr(name))
    return joints.index(name)


def _check_index_pairs(argument: str, pairs: tuple[tuple[int, int], ...], count: int) -> None:
    seen: set[frozenset[int]] = set()
    for first, second in pairs:
        if not (0 <= first < count and 0 <= second < count):
            expected = f"joint indices from 0 to {count - 1}"
            raise InputError(argument, expected, repr((first, second)))
        if first == second:
            raise InputError(argument, "two different joints", repr((first, second)))
        if frozenset((first, second)) in seen:
            raise InputError(argument, "every pair once", f"{(first, second)!r} twice")
        seen.add(frozenset((first, second)))


def _check_channels(fields: tuple[Field, ...]) -> None:
    seen: set[int] = set()
    for field in fields:
        for channel in (field.x, field.y):
            if channel < 0:
                raise InputError("fields", "channels from 0", repr(field))
            if channel in seen:
                raise InputError("fields", "every channel once", f"channel {channel} twice")
            seen.add(channel)
