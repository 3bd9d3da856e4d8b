"""Ground truth from a file in COCO's format. The file is data from outside: nothing is believed."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from pyposefast import skeletons
from pyposefast.errors import InputError, InputTypeError, PyposefastError
from pyposefast.metrics.truth import Truth, Truths

if TYPE_CHECKING:
    from pyposefast.skeletons import Skeleton

LARGEST_FILE = 1 << 30  # bytes; COCO's own training set is a quarter of that


def read_coco(
    path: str | os.PathLike[str],
    *,
    category: str = "person",
    skeleton: Skeleton | None = None,
) -> Truths:
    """Read people from a file in COCO's format, of key points or of boxes alone.

    Args:
        path: a JSON file of up to 1 GiB with ``images``, ``annotations`` and ``categories``.
        category: whose annotations are read; those of other categories are left out.
        skeleton: the joints in the file's order. By default the skeleton of this package that has
            the joints which the file names in the same order, and ``coco17`` if it names none.

    Returns:
        Every image, those without anybody too. ``x y w h`` has become ``x1 y1 x2 y2``.

    Raises:
        InputError: the file cannot be read, or something in it contradicts the format; the message
            names the place.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError("path", "the path of a file", type(path).__name__)
    record = _load(Path(path))
    try:
        return _truths(record, category, skeleton)
    except PyposefastError as error:
        # Which file it was, in front of where in it.
        raise InputError(
            f"{path}: {getattr(error, 'argument', 'file')}",
            str(getattr(error, "expected", "COCO's format")),
            str(getattr(error, "got", error.message)),
            error.hint,
        ) from error


def _load(path: Path) -> dict[str, Any]:
    """Parse the file, or say why it cannot be."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would never end
            raise InputError("path", "a file of annotations", f"{path}, which is no plain file")
        if status.st_size > LARGEST_FILE:
            got = f"{path} of {status.st_size / 2**30:.1f} GiB"
            raise InputError("path", f"a file of at most {LARGEST_FILE >> 30} GiB", got)
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, PyposefastError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError("path", "a file of annotations", f"{path}: {reason}") from error
    try:
        # ValueError is what bad JSON, bad UTF-8 and numbers of a million digits have in common.
        record = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError("path", "a JSON file", f"{path}: {error}") from error
    if not isinstance(record, dict):
        raise InputError("path", "a JSON object", f"{path} with a {_kind(record)}")
    return record


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is no number of JSON"
    raise ValueError(message)


def _truths(record: dict[str, Any], category: str, skeleton: Skeleton | None) -> Truths:
    number, named_joints = _category(record, category)
    joints = _skeleton(named_joints, skeleton)
    images = {}
    for place, image in enumerate(_records(record, "images")):
        where = f"images[{place}]"
        image_id = _integer(image, "id", where)
        if image_id in images:
            raise InputError(f"{where}.id", "every number once", f"{image_id} twice")
        size = _integer(image, "height", where), _integer(image, "width", where)
        images[image_id] = (_file_name(image, where), size)
    people: dict[int, list[tuple[str, dict[str, Any]]]] = {image_id: [] for image_id in images}
    for place, person in enumerate(_records(record, "annotations")):
        where = f"annotations[{place}]"
        if _integer(person, "category_id", where) != number:
            continue
        image_id = _integer(person, "image_id", where)
        if image_id not in people:
            raise InputError(f"{where}.image_id", "the number of an image", str(image_id))
        people[image_id].append((where, person))
    return Truths(
        tuple(
            _truth(image_id, *images[image_id], those, joints, has_joints=bool(named_joints))
            for image_id, those in people.items()
        ),
        joints,
    )


def _truth(
    image_id: int,
    file_name: str,
    size: tuple[int, int],
    people: list[tuple[str, dict[str, Any]]],
    skeleton: Skeleton,
    *,
    has_joints: bool,
) -> Truth:
    count, joints = len(people), len(skeleton.joints)
    box, area = np.zeros((count, 4)), np.zeros(count)
    marks: Any = np.zeros((count, joints, 3))
    is_crowd = np.zeros(count, np.bool_)
    for row, (where, person) in enumerate(people):
        x, y, width, height = _numbers(person, "bbox", where, 4)
        if width < 0 or height < 0:
            raise InputError(f"{where}.bbox", "a width and a height from 0", f"{width}, {height}")
        box[row] = x, y, x + width, y + height
        area[row] = _numbers(person, "area", where, None)[0]
        crowd = person.get("iscrowd", 0)
        if crowd not in (0, 1):
            raise InputError(f"{where}.iscrowd", "0 or 1", repr(crowd)[:40])
        is_crowd[row] = crowd
        if has_joints:
            marks[row] = _numbers(person, "keypoints", where, 3 * joints).reshape(joints, 3)
            _check_count(person, int((marks[row, :, 2] > 0).sum()), where)
    try:
        return Truth(
            image_id, file_name, size, box, area, marks[..., :2], marks[..., 2], is_crowd, skeleton
        )
    except PyposefastError as error:
        argument = f"people of image {image_id}: {getattr(error, 'argument', '')}"
        expected, got = getattr(error, "expected", ""), getattr(error, "got", "")
        raise InputError(argument, str(expected), str(got)) from error


def _check_count(person: dict[str, Any], labelled: int, where: str) -> None:
    """COCO leaves people without joints out by their count, which must not say anything else."""
    if "num_keypoints" not in person:
        return
    count = _integer(person, "num_keypoints", where)
    if (count == 0) != (labelled == 0):
        expected = f"{labelled}, the joints with a label"
        hint = "correct the file: without the count, the labels alone are believed"
        raise InputError(f"{where}.num_keypoints", expected, str(count), hint)


def _category(record: dict[str, Any], name: str) -> tuple[int, list[str]]:
    """Return the number of a category, and its joints' names, of which there may be none."""
    known = []
    for place, category in enumerate(_records(record, "categories")):
        where = f"categories[{place}]"
        known.append(str(category.get("name"))[:40])
        if category.get("name") != name:
            continue
        joints = category.get("keypoints", [])
        if not isinstance(joints, list) or not all(isinstance(joint, str) for joint in joints):
            raise InputError(f"{where}.keypoints", "names of joints", _kind(joints))
        return _integer(category, "id", where), joints
    hint = "name the people's category with `category=`"
    raise InputError("categories", f"one with the name {name!r}", ", ".join(known[:20]), hint)


def _skeleton(named: list[str], given: Skeleton | None) -> Skeleton:
    if given is not None:
        if named and len(named) != len(given.joints):
            expected = f"the {len(named)} joints of the file"
            got = f"{given.name} with {len(given.joints)}"
            raise InputError("skeleton", expected, got)
        return given
    if not named:
        return skeletons.load("coco17")
    for name in ("coco17", *skeletons.names()):
        if skeletons.load(name).joints == tuple(named):
            return skeletons.load(name)
    hint = "pass the skeleton that has these joints with `skeleton=`"
    some = ", ".join(named[:20])[:200]
    raise InputError("categories", "the joints of a known skeleton", some, hint)


def _records(record: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = record.get(key)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InputError(key, "a list of objects", _kind(value))
    return value


def _integer(record: dict[str, Any], key: str, where: str) -> int:
    value = record.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 63:
        raise InputError(f"{where}.{key}", "a whole number", repr(value)[:40])
    return value


def _numbers(record: dict[str, Any], key: str, where: str, count: int | None) -> Any:
    """Return so many numbers as float64; a single one that is no list if the count is None."""
    value = record.get(key)
    values = [value] if count is None else value
    expected = "a number" if count is None else f"{count} numbers"
    if not isinstance(values, list) or len(values) != (1 if count is None else count):
        got = f"{len(values)}" if isinstance(values, list) else _kind(value)
        raise InputError(f"{where}.{key}", expected, got)
    # Texts and bools would be taken for numbers by NumPy.
    if not all(type(each) in (int, float) for each in values):
        raise InputError(f"{where}.{key}", expected, repr(value)[:40])
    try:
        return np.array(values, np.float64)
    except OverflowError as error:
        raise InputError(f"{where}.{key}", expected, repr(value)[:40]) from error


def _file_name(image: dict[str, Any], where: str) -> str:
    """Return the name, which must stay in the folder of the images whatever the system."""
    name = image.get("file_name")
    expected = "the path of a file within the folder of images"
    if not isinstance(name, str) or not name.isprintable() or not name:
        raise InputError(f"{where}.file_name", expected, repr(name)[:80])
    path = PureWindowsPath(name)  # knows both kinds of slashes, drives and shares
    if path.drive or path.root or ".." in path.parts:
        raise InputError(f"{where}.file_name", expected, repr(name)[:80])
    return name


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
