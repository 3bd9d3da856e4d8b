"""Reading ground truth: what a good file gives, and what a bad one is refused for."""

from __future__ import annotations

import copy
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shared_data

from pyposefast import skeletons
from pyposefast.errors import InputError, InputTypeError
from pyposefast.metrics import coco_file, keypoint_ap, read_coco

if TYPE_CHECKING:
    from pathlib import Path

COCO = skeletons.load("coco17")


def record() -> dict[str, Any]:
    """Two pictures, one person, one crowd, and a dog."""
    person = {
        "image_id": 5,
        "category_id": 1,
        "bbox": [10, 20, 30.5, 40],
        "area": 600.25,
        "iscrowd": 0,
        "num_keypoints": 16,
        "keypoints": [value for joint in range(17) for value in (joint, 2 * joint, joint % 3)],
    }
    person["keypoints"][2] = 2
    person["num_keypoints"] = 12
    crowd = {**person, "iscrowd": 1, "num_keypoints": 0, "keypoints": [0] * 51}
    dog = {**person, "category_id": 18, "keypoints": "none"}
    return {
        "images": [
            {"id": 9, "file_name": "b.jpg", "width": 640, "height": 480},
            {"id": 5, "file_name": "folder/a.jpg", "width": 100, "height": 200},
        ],
        "annotations": [person, crowd, dog],
        "categories": [
            {"id": 18, "name": "dog"},
            {"id": 1, "name": "person", "keypoints": list(COCO.joints)},
        ],
    }


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_people_come_with_their_boxes_joints_and_pictures(tmp_path: Path) -> None:
    truths = read_coco(write(tmp_path / "truth.json", record()))
    assert [truth.image_id for truth in truths] == [5, 9]
    assert truths.skeleton is COCO
    there, empty = truths
    assert (there.file_name, there.size) == ("folder/a.jpg", (200, 100))
    assert there.box.tolist() == [[10, 20, 40.5, 60]] * 2
    assert there.area.tolist() == [600.25] * 2
    assert there.is_crowd.tolist() == [False, True]
    assert there.xy[0, 3].tolist() == [3, 6]
    assert there.visibility[0, :5].tolist() == [2, 1, 2, 0, 1]
    assert not there.visibility[1].any()
    assert (len(there), len(empty)) == (2, 0)
    assert truths[9] is empty
    with pytest.raises(KeyError):
        truths[6]


def test_another_category_can_be_asked_for(tmp_path: Path) -> None:
    content = record()
    content["categories"][1]["name"] = "human"
    path = write(tmp_path / "truth.json", content)
    assert len(read_coco(path, category="human")[5]) == 2
    with pytest.raises(InputError, match="categories: expected one with the name 'person', got do"):
        read_coco(path)


def test_a_file_of_boxes_gives_people_without_labels(tmp_path: Path) -> None:
    content = record()
    del content["categories"][1]["keypoints"]
    for person in content["annotations"]:
        del person["keypoints"]
        del person["num_keypoints"]
    truths = read_coco(write(tmp_path / "truth.json", content))
    assert len(truths[5]) == 2
    assert not truths[5].is_labelled.any()
    assert keypoint_ap(truths, {}).ap == -1


def test_the_skeleton_is_known_by_its_joints_or_given(tmp_path: Path) -> None:
    content = record()
    names = content["categories"][1]["keypoints"]
    names[0], names[1] = names[1], names[0]
    path = write(tmp_path / "truth.json", content)
    with pytest.raises(InputError, match=r"(?s)joints of a known skeleton.*hint: pass the skel"):
        read_coco(path)
    assert read_coco(path, skeleton=COCO).skeleton is COCO
    with pytest.raises(InputError, match=r"skeleton: expected the 17 joints .* mpii16 with 16"):
        read_coco(path, skeleton=skeletons.load("mpii16"))


def test_real_annotations_are_read_as_they_are_described() -> None:
    truths = read_coco(shared_data.path("annotations/coco_person_keypoints_20.json"))
    assert len(truths) == 20
    assert sum(map(len, truths)) == 116
    assert keypoint_ap(truths, {}).people == 55


# ---- bad files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (
            ("annotations", 0, "bbox"),
            [1, 2, 3],
            r"annotations\[0\].bbox: expected 4 numbers, got 3",
        ),
        (("annotations", 0, "bbox"), [1, 2, -3, 4], "a width and a height from 0"),
        (("annotations", 0, "bbox"), [1, 2, "3", 4], r"annotations\[0\].bbox: expected 4 numbers"),
        (("annotations", 0, "bbox"), [1, 2, True, 4], r"annotations\[0\].bbox: expected 4 numbers"),
        (("annotations", 0, "bbox"), [1e300, 2, 3, 4], "people of image 5: box: expected finite"),
        (("annotations", 0, "bbox"), [10**400, 2, 3, 4], r"annotations\[0\].bbox: expected 4"),
        (
            ("annotations", 0, "bbox"),
            None,
            r"annotations\[0\].bbox: expected 4 numbers, got nothing",
        ),
        (("annotations", 0, "area"), -1, "people of image 5: area: expected values from 0"),
        (("annotations", 0, "area"), None, r"annotations\[0\].area: expected a number"),
        (
            ("annotations", 0, "keypoints"),
            [1] * 50,
            r"\[0\].keypoints: expected 51 numbers, got 50",
        ),
        (("annotations", 0, "keypoints"), [3] * 51, "visibility: expected 0, 1 or 2, got 3"),
        (("annotations", 0, "keypoints"), [0.5] * 51, "visibility: expected 0, 1 or 2, got 0.5"),
        (("annotations", 0, "keypoints"), [1e39, 0, 2] * 17, "xy: expected finite values"),
        (("annotations", 0, "num_keypoints"), 0, r"\[0\].num_keypoints: expected 12"),
        (("annotations", 0, "num_keypoints"), "12", r"\[0\].num_keypoints: expected a whole"),
        (("annotations", 1, "num_keypoints"), 3, r"\[1\].num_keypoints: expected 0"),
        (("annotations", 0, "iscrowd"), 2, r"\[0\].iscrowd: expected 0 or 1"),
        (("annotations", 0, "image_id"), 6, r"\[0\].image_id: expected the number of an image"),
        (("annotations", 0, "image_id"), 5.0, r"\[0\].image_id: expected a whole number"),
        (("annotations", 0, "category_id"), None, r"\[0\].category_id: expected a whole number"),
        (("annotations", 0), 3, "annotations: expected a list of objects"),
        (("annotations",), None, "annotations: expected a list of objects, got nothing"),
        (("images",), {}, "images: expected a list of objects, got dict"),
        (("images", 0, "id"), 5, r"images\[1\].id: expected every number once, got 5 twice"),
        (("images", 0, "id"), 1 << 70, r"images\[0\].id: expected a whole number"),
        (("images", 0, "width"), 0, r"size: expected"),
        (("images", 0, "file_name"), "../b.jpg", r"images\[0\].file_name: expected the path"),
        (("images", 0, "file_name"), "/etc/passwd", r"images\[0\].file_name: expected the path"),
        (("images", 0, "file_name"), "C:\\b.jpg", r"images\[0\].file_name: expected the path"),
        (("images", 0, "file_name"), "a\\..\\..\\b", r"images\[0\].file_name: expected the path"),
        (("images", 0, "file_name"), "b\0.jpg", r"images\[0\].file_name: expected the path"),
        (("images", 0, "file_name"), "", r"images\[0\].file_name: expected the path"),
        (("categories",), [], "categories: expected one with the name 'person'"),
        (("categories", 1, "keypoints"), [1, 2], r"categories\[1\].keypoints: expected names"),
        (("categories", 1, "id"), "1", r"categories\[1\].id: expected a whole number"),
    ],
)
def test_a_bad_entry_is_refused_by_its_place(
    where: tuple[Any, ...], value: Any, message: str, tmp_path: Path
) -> None:
    content: Any = copy.deepcopy(record())
    entry = content
    for key in where[:-1]:
        entry = entry[key]
    entry[where[-1]] = value
    path = write(tmp_path / "truth.json", content)
    with pytest.raises(InputError, match=message) as caught:
        read_coco(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2]",
        "3",
        '{"images": NaN}',
        "[" * 100_000,
        '{"images": ' + "9" * 5000 + "}",
        json.dumps(record())[:-40],
    ],
    ids=["empty", "cut", "list", "number", "NaN", "deep", "digits", "truncated"],
)
def test_what_is_no_json_object_is_refused(text: str, tmp_path: Path) -> None:
    path = write(tmp_path / "truth.json", text)
    with pytest.raises(InputError, match=r"truth\.json"):
        read_coco(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    text = json.dumps(record())
    for length in range(0, len(text), 23):
        with pytest.raises(InputError):
            read_coco(write(tmp_path / "truth.json", text[:length]))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    path.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(InputError, match="expected a JSON file"):
        read_coco(path)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"path: expected a file of annotations, .*No such file"):
        read_coco(tmp_path / "absent.json")
    with pytest.raises(InputError, match="no plain file"):
        read_coco(tmp_path)
    with pytest.raises(InputError, match="path: expected a file"):
        read_coco("a\0b")
    with pytest.raises(InputTypeError, match="path: expected the path of a file, got int"):
        read_coco(3)  # type: ignore[arg-type]
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no plain file"):
        read_coco(tmp_path / "pipe")


def test_files_that_are_too_large_are_not_even_opened(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(coco_file.LARGEST_FILE + 1)  # a hole: it takes no room
    with pytest.raises(InputError, match="path: expected a file of at most 1 GiB"):
        read_coco(path)


def test_ten_thousand_changed_bytes_are_read_or_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    text = bytearray(json.dumps(record()).encode())
    path = tmp_path / "truth.json"
    refused = 0
    for _ in range(2000):
        changed = bytearray(text)
        for place in random.integers(0, len(text), 5).tolist():
            changed[place] = int(random.integers(0, 256))
        path.write_bytes(bytes(changed))
        try:
            read_coco(path)
        except InputError:
            refused += 1
    assert refused > 1000
