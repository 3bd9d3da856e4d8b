"""Sources of pictures: files, folders and arrays, in an order that people expect."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import KINDS, encode, scene

from pyposefast.errors import InputError, InputTypeError, MediaError
from pyposefast.media import Source, open_source

pytest.importorskip("cv2", reason="pictures need OpenCV: the extra `cpu`")

SCENE = scene()


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(encode(".png", SCENE))
    return folder


def test_a_picture_is_a_source_of_one_frame(tmp_path: Path) -> None:
    for suffix in KINDS:
        path = tmp_path / f"picture{suffix}"
        path.write_bytes(encode(suffix, SCENE))
        source = open_source(path)
        assert source.len_hint == 1
        (frame,) = source
        assert (frame.index, frame.name, frame.time_s) == (0, path.name, None)
        assert frame.image is not None
        assert frame.image.shape == SCENE.shape


def test_a_folder_comes_in_natural_order_and_without_what_is_no_picture(tmp_path: Path) -> None:
    names = [
        "10.png",
        "2.png",
        "1.PNG",
        "b2.jpg",
        "B1.jpg",
        "b10.jpg",
        "a01.png",
        "a1.png",
    ]
    fill(tmp_path, *names, "notes.txt", ".hidden.png", "noext")
    (tmp_path / "folder.png").mkdir()
    with open_source(tmp_path) as source:
        assert source.len_hint == len(names)
        frames = list(source)
    assert [frame.name for frame in frames] == [
        "1.PNG", "2.png", "10.png", "a01.png", "a1.png", "B1.jpg", "b2.jpg", "b10.jpg",
    ]  # fmt: skip
    assert [frame.index for frame in frames] == list(range(len(names)))


def test_digits_that_are_no_ascii_do_not_stop_the_sorting(tmp_path: Path) -> None:
    fill(tmp_path, "²3.png", "٣.png", "x.png", "3.png")
    assert len(list(open_source(tmp_path))) == 4


def test_one_bad_picture_among_a_hundred_costs_only_itself(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{index}.png" for index in range(100)))
    (tmp_path / "37.png").write_bytes(encode(".png", SCENE)[:-20])
    (tmp_path / "61.png").unlink()
    os.mkfifo(tmp_path / "61.png")
    frames = list(open_source(tmp_path))
    assert [frame.index for frame in frames] == list(range(100))
    assert [frame.index for frame in frames if frame.error is not None] == [37, 61]
    assert "37.png: PNG that ends before" in str(frames[37].error)
    assert "a named pipe" in str(frames[61].error)
    assert frames[37].image is frames[61].image is None


def test_a_picture_that_vanishes_while_the_folder_is_read_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path, "1.png", "2.png", "3.png")
    source = open_source(tmp_path)
    next(source)
    (tmp_path / "2.png").unlink()
    frames = list(source)
    assert [frame.error is None for frame in frames] == [False, True]


def test_a_damaged_picture_by_itself_is_a_frame_with_an_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    path.write_bytes(encode(".png", SCENE)[:100])
    (frame,) = open_source(path)
    assert isinstance(frame.error, MediaError)


@pytest.mark.parametrize("content", [b"", b"some text", b"II*\0" + bytes(600)])
def test_other_files_are_refused_when_opened(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"file\.mp4: expected a picture or a video, got"):
        open_source(path)


def test_folders_without_pictures_and_absent_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="got a folder without any\nhint: folders within"):
        open_source(tmp_path)
    with pytest.raises(MediaError, match="absent: cannot be read: no such file"):
        open_source(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="got a named pipe"):
        open_source(tmp_path / "pipe")


def test_arrays_and_paths_can_be_mixed(tmp_path: Path) -> None:
    fill(tmp_path, "a.png")
    items: list[Any] = [SCENE, tmp_path / "a.png", str(tmp_path / "absent.png"), SCENE[:4, :4]]
    source = open_source(items)
    assert source.len_hint == 4
    frames = list(source)
    assert frames[0].image is SCENE  # never copied
    np.testing.assert_array_equal(frames[1].image, SCENE)  # type: ignore[arg-type]
    assert isinstance(frames[2].error, MediaError)
    assert frames[3].image is not None
    assert [frame.index for frame in frames] == [0, 1, 2, 3]


def test_an_array_is_one_picture_and_a_batch_is_several() -> None:
    (frame,) = open_source(SCENE)
    assert frame.image is SCENE
    batch = np.stack([SCENE, SCENE // 2])
    assert len(list(open_source(batch))) == 2


def test_a_generator_is_read_one_picture_at_a_time() -> None:
    made = []

    def pictures() -> Any:
        for index in range(5):
            made.append(index)
            yield SCENE

    source = open_source(pictures())
    next(source)
    assert made == [0]
    assert source.len_hint is None
    source.close()
    assert list(source) == []


def test_arrays_of_another_kind_are_named() -> None:
    for item, error in (
        (SCENE.astype(np.float32), InputTypeError),
        (SCENE[..., 0], InputError),
        (np.zeros((0, 4, 3), np.uint8), InputError),
        (None, InputTypeError),
    ):
        with pytest.raises(error, match=r"source\[1\]: expected a NumPy array uint8 \[H, W, 3\]"):
            list(open_source([SCENE, item]))  # type: ignore[list-item]


def test_files_never_get_stale() -> None:
    with pytest.raises(InputError, match=r"latest: .*\nhint: a file waits"):
        open_source("video.mp4", latest=True)


def test_a_source_is_not_opened_twice() -> None:
    source = open_source([SCENE])
    assert isinstance(source, Source)
    with pytest.raises(InputTypeError, match="a Source that is open already"):
        open_source(source)


def test_a_file_called_like_a_number_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "0")
    monkeypatch.chdir(tmp_path)
    assert next(open_source("./0")).image is not None
    assert next(open_source(Path("0"))).image is not None
