"""Results on disk: whole or absent, and logs that go on where they were cut."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyposefast import files as media_files
from pyposefast.errors import InputError, InputTypeError, StorageError
from pyposefast.media import (
    JsonLines,
    read_image,
    read_json_lines,
    write_image,
    write_json,
)

pytest.importorskip("cv2", reason="pictures need OpenCV: the extra `cpu`")

RECORDS: list[dict[str, Any]] = [{"index": index, "name": f"ü\n{index}"} for index in range(6)]
FULL = OSError(errno.ENOSPC, "No space left on device")


# ---- pictures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".JPEG", ".webp"])
def test_pictures_are_written_by_their_suffix_and_read_back(suffix: str, tmp_path: Path) -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    image[:10] = (250, 120, 10)
    path = tmp_path / "new" / f"out{suffix}"
    write_image(path, image)
    again = read_image(path)
    assert np.abs(again.astype(int) - image).mean() < (1e-9 if suffix in (".png", ".bmp") else 4)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o644
    write_image(path, image[:, ::-1])  # any strides; and what was there is replaced


def test_the_name_need_not_say_the_kind(tmp_path: Path) -> None:
    image = np.full((4, 4, 3), 7, np.uint8)
    write_image(tmp_path / "picture", image, suffix=".png")
    assert (tmp_path / "picture").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="suffix: expected one of"):
        write_image(tmp_path / "picture", image, suffix=".gif")


def test_pictures_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(InputError, match=r"path: expected a name that ends in \.jpg"):
        write_image(tmp_path / "a.gif", image)
    with pytest.raises(InputTypeError, match="image: expected a NumPy array uint8"):
        write_image(tmp_path / "a.png", image.astype(float))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="quality: "):
        write_image(tmp_path / "a.jpg", image, quality=0)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"file exists|not a directory"):
        write_image(tmp_path / "file" / "a.png", image)
    (tmp_path / "a.png").mkdir()
    with pytest.raises(StorageError, match=r"a\.png: cannot be written: is a directory"):
        write_image(tmp_path / "a.png", image)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.png", "file"]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_other(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.json"
    write_json(path, {"old": True})

    def fail(*_: object) -> None:
        raise FULL

    target, name = {
        "write": (media_files.Path, "write_bytes"),
        "fsync": (os, "fsync"),
        "replace": (media_files.Path, "replace"),
    }[call]
    monkeypatch.setattr(target, name, fail)
    with pytest.raises(
        StorageError, match=r"out\.json: cannot be written: no space left"
    ) as caught:
        write_json(path, {"old": False})
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert json.loads(path.read_text()) == {"old": True}
    assert [each.name for each in tmp_path.iterdir()] == ["out.json"]


# ---- JSON ---------------------------------------------------------------------------------------


def test_json_takes_what_numpy_gives_and_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    value = {"a": np.float32(0.5), "b": np.arange(3), "c": tmp_path / "\udcff", "d": None}
    write_json(path, value)
    assert path.read_bytes().isascii()
    read = json.loads(path.read_text())
    assert read == {"a": 0.5, "b": [0, 1, 2], "c": str(tmp_path / "\udcff"), "d": None}
    for bad in (float("nan"), np.float32("inf"), np.array([np.nan])):
        with pytest.raises(InputError, match="value: expected what JSON can hold"):
            write_json(path, {"x": bad})
    with pytest.raises(InputTypeError, match="value: expected what JSON can hold, got set"):
        write_json(path, {1, 2})
    assert json.loads(path.read_text()) == read


def test_a_log_is_readable_after_every_record(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log.jsonl"
    with JsonLines(path) as log:
        for count, record in enumerate(RECORDS, 1):
            log.write(record)
            assert log.count == count
            assert read_json_lines(path) == RECORDS[:count]
    with pytest.raises(InputError, match="closed"):
        log.write({})
    assert len(path.read_text().splitlines()) == len(RECORDS)


def test_a_log_cut_at_any_byte_goes_on_after_the_last_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with JsonLines(path) as log:
        for record in RECORDS:
            log.write(record)
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        assert read_json_lines(path) == RECORDS[: whole[:length].count(b"\n")]
        with JsonLines(path, resume=True) as log:
            assert log.count == whole[:length].count(b"\n")
            assert log.last == (RECORDS[log.count - 1] if log.count else None)
            for record in RECORDS[log.count :]:
                log.write(record)
        assert path.read_bytes() == whole


@pytest.mark.parametrize("tail", [b"\0" * 100, b'{"a": 1', b'{"a": nonsense}\n', b"\xff\xfe\n"])
def test_what_a_crash_left_at_the_end_is_cut(tail: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a":0}\n' + tail)
    with JsonLines(path, resume=True) as log:
        assert log.count == 1
    assert path.read_bytes() == b'{"a":0}\n'


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b'{"a":0}\n{"a"\n{"a":2}\n', "damaged at byte 8"),
        (b"\xff\xd8\xff holiday.jpg", "no log of records"),
        (b"[1, 2]\n", "no log of records"),
    ],
)
def test_other_files_are_never_cut(content: bytes, match: str, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=match):
        JsonLines(path, resume=True)
    assert path.read_bytes() == content


def test_starting_anew_empties_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for _ in range(2):
        with JsonLines(path) as log:
            log.write({"a": 0})
    assert read_json_lines(path) == [{"a": 0}]


def test_a_second_writer_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with JsonLines(path) as log:
        log.write({"a": 0})
        for resume in (False, True):
            with pytest.raises(StorageError, match="another run is writing to it"):
                JsonLines(path, resume=resume)
        log.write({"a": 1})
    assert len(read_json_lines(path)) == 2
    JsonLines(path, resume=True).close()


def test_pipes_and_folders_are_no_logs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/full")):
        with pytest.raises(StorageError):
            JsonLines(path)


LIMITED = """
import resource, sys
import numpy as np
from pyposefast.errors import StorageError
from pyposefast.media import JsonLines, VideoWriter, write_image, write_json
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
noise = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), dtype=np.uint8)
try:
    {action}
except StorageError as error:
    print(error.errno, error.message)
else:
    print("no error")
"""

VIDEO = """with VideoWriter(sys.argv[1], fps=9, size=(48, 64), encoder="ENCODER") as video:
        [video.write(image) for image in noise]"""
ACTIONS = {
    "out.jsonl": "log = JsonLines(sys.argv[1])\n    while True: log.write({'text': 'x' * 1000})",
    "out.json": "write_json(sys.argv[1], ['x' * 1000] * 100)",
    "out.png": "write_image(sys.argv[1], np.vstack(noise))",
    "pyav.mp4": VIDEO.replace("ENCODER", "pyav"),
    "opencv.mp4": VIDEO.replace("ENCODER", "opencv"),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_a_disk_that_takes_no_more_is_an_error_and_leaves_only_what_is_whole(
    name: str, tmp_path: Path
) -> None:
    if name == "pyav.mp4":
        pytest.importorskip("av", reason="H.264 needs PyAV: the extra `video`")
    path = tmp_path / name
    # As on a full disk, but EFBIG, and without filling one.
    script = LIMITED.replace("{action}", ACTIONS[name])
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert f"{name}: cannot be written: " in done.stdout
    if name != "opencv.mp4":  # which does not say why
        assert done.stdout.startswith(f"{errno.EFBIG} ")
    if name == "out.jsonl":
        assert path.read_bytes().endswith(b"\n")
        assert len(read_json_lines(path)) == 20_000 // len('{"text":""}' + 1000 * "x" + "\n")
    else:
        assert list(tmp_path.iterdir()) == []
