"""Pictures in: every kind right side up, and nothing that is cut, too large or no picture."""

from __future__ import annotations

import os
import struct
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import picture_files
import pytest
import shared_data
from picture_files import KINDS, chunk, encode, exif, scene

from pyposefast.errors import InputError, InputTypeError, MediaError
from pyposefast.media import decode_image, read_image
from pyposefast.media.headers import read_header
from pyposefast.media.pictures import turned

if TYPE_CHECKING:
    from pathlib import Path

cv2 = pytest.importorskip("cv2", reason="pictures need OpenCV: the extra `cpu`")

SCENE = scene()
# On average, lossy codings of a smooth picture at quality 95 err by a few grey levels (the halved
# resolution of colour, most of all); a wrong order of the channels errs by tens.
LOSSY = 6


def difference(image: Any, expected: Any) -> float:
    assert image.shape == expected.shape
    return float(np.abs(image.astype(int) - expected.astype(int)).mean())


@pytest.mark.parametrize("suffix", KINDS)
def test_every_kind_is_read_as_rgb_whatever_its_name(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(encode(suffix, SCENE))
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.owndata or image.base is not None
    assert difference(image, SCENE) <= (0 if suffix in (".png", ".bmp") else LOSSY)
    np.testing.assert_array_equal(read_image(str(path)), image)


@pytest.mark.parametrize("suffix", KINDS)
def test_an_older_opencv_gives_the_same_picture(
    suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode(suffix, SCENE)
    image = decode_image(data)
    monkeypatch.delattr(cv2, "IMREAD_COLOR_RGB", raising=False)
    np.testing.assert_array_equal(decode_image(data), image)


def test_a_progressive_jpeg_and_one_with_restarts_are_read() -> None:
    for flags in ((cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)):
        assert difference(decode_image(encode(".jpg", SCENE, *flags)), SCENE) <= LOSSY


def with_orientation(suffix: str, orientation: int, order: str) -> bytes:
    block, data = exif(orientation, order), encode(suffix, SCENE)
    if suffix == ".jpg":
        return picture_files.jpeg_with_exif(data, block)
    if suffix == ".png":
        return picture_files.png_with(data, chunk(b"eXIf", block))
    return picture_files.webp_with_exif(data, block, SCENE.shape[:2])


# What a viewer has to do with what is stored, in words of NumPy alone: EXIF 2.32, tag 0x0112.
UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: np.fliplr(np.rot90(stored, -1)),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.flipud(np.rot90(stored, -1)),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_rotation_of_exif_is_applied(orientation: int, suffix: str, order: str) -> None:
    image = decode_image(with_orientation(suffix, orientation, order))
    stored = decode_image(encode(suffix, SCENE))
    np.testing.assert_array_equal(image, UPRIGHT[orientation](stored))


def test_turning_twice_by_a_mirror_changes_nothing() -> None:
    for orientation in (1, 2, 3, 4, 5, 7):  # the ones that undo themselves
        np.testing.assert_array_equal(turned(turned(SCENE, orientation), orientation), SCENE)
    np.testing.assert_array_equal(turned(turned(SCENE, 6), 8), SCENE)


@pytest.mark.parametrize(
    "block",
    [b"", b"II*\0", exif(0), exif(9), exif(6)[:14], b"II*\0\xff\xff\xff\xff", b"nonsense" * 4],
)
def test_a_rotation_that_makes_no_sense_is_none(block: bytes) -> None:
    data = picture_files.jpeg_with_exif(encode(".jpg", SCENE), block)
    assert difference(decode_image(data), SCENE) <= LOSSY


def test_16_bits_grey_alpha_and_palettes_become_8_bit_rgb() -> None:
    grey = SCENE[..., 0]
    np.testing.assert_array_equal(decode_image(encode(".png", grey[..., None])), grey_rgb(grey))
    deep = (grey.astype(np.uint16) << 8) + 77
    data = cv2.imencode(".png", deep)[1].tobytes()
    np.testing.assert_array_equal(decode_image(data), grey_rgb(grey))
    transparent = np.dstack([SCENE[..., ::-1], np.zeros_like(grey)])
    data = cv2.imencode(".png", transparent)[1].tobytes()
    np.testing.assert_array_equal(decode_image(data), SCENE)  # dropped, not blended


def grey_rgb(grey: Any) -> Any:
    return np.repeat(grey[..., None], 3, axis=2)


def test_a_palette_is_looked_up() -> None:
    header = struct.pack(">IIBBBBB", 2, 1, 8, 3, 0, 0, 0)
    palette = chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
    import zlib

    rows = chunk(b"IDAT", zlib.compress(bytes([0, 1, 0])))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + rows + chunk(b"IEND", b"")
    assert decode_image(data).tolist() == [[[200, 100, 50], [10, 20, 30]]]


def test_cmyk_jpegs_are_read() -> None:
    pil = pytest.importorskip("PIL.Image", reason="only Pillow writes CMYK")
    import io

    file = io.BytesIO()
    pil.new("CMYK", (16, 16), (0, 255, 255, 0)).save(file, "JPEG", quality=95)
    assert difference(decode_image(file.getvalue()), np.full((16, 16, 3), (255, 0, 0))) <= LOSSY


@pytest.mark.parametrize("suffix", [*KINDS, "progressive"])
def test_every_truncation_is_refused_and_says_where(
    suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1) if suffix == "progressive" else ()
    data = encode(".jpg" if flags else suffix, SCENE, *flags)
    monkeypatch.setattr(cv2, "imdecode", forbidden)  # refused by our own parsers, on any OpenCV
    for percent in range(1, 100):
        with pytest.raises(MediaError):
            decode_image(data[: len(data) * percent // 100])
    for missing in range(1, 40):
        with pytest.raises(MediaError, match="ends before its picture does, at byte"):
            decode_image(data[:-missing])


def forbidden(*_: object) -> None:
    pytest.fail("the decoder was called")


def test_a_thumbnail_does_not_pass_for_the_end_of_a_cut_picture() -> None:
    thumbnail = encode(".jpg", scene(16, 16))
    data = picture_files.jpeg_with_exif(encode(".jpg", SCENE), exif(1) + thumbnail)
    assert difference(decode_image(data), SCENE) <= LOSSY
    with pytest.raises(MediaError, match="ends before"):
        decode_image(data[: len(data) // 2 + len(thumbnail)])


def test_bytes_behind_the_picture_are_no_damage() -> None:
    for suffix in (".jpg", ".png", ".webp"):
        np.testing.assert_array_equal(
            decode_image(encode(suffix, SCENE) + b"appendix"), decode_image(encode(suffix, SCENE))
        )


BOMBS = {
    "png": picture_files.png_bomb(),
    "jpeg": b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\x01\x01\x11\0\xff\xda\0\2\xff\xd9",
    "webp": b"RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0\x2f\xff\xff\xff\x0f\0\0\0\0\0",
    "bmp": b"BM" + struct.pack("<IIIIiiHHI", 0, 0, 54, 40, 20_000, 10_000, 1, 24, 0) + bytes(24),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_refused_from_their_header(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", forbidden)
    tracemalloc.start()
    try:
        with pytest.raises(MediaError, match=r"at most 64000000 pixels|ends before"):
            decode_image(BOMBS[kind])
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_the_limit_of_pixels_is_exact() -> None:
    data = encode(".png", SCENE)
    assert decode_image(data, max_pixels=48 * 64).shape == SCENE.shape
    with pytest.raises(MediaError, match="got a PNG of 64 x 48\nhint: raise `max_pixels`"):
        decode_image(data, max_pixels=48 * 64 - 1)


def test_what_a_png_carries_besides_its_picture_is_never_inflated() -> None:
    import zlib

    bomb = b"note\0\0" + zlib.compress(bytes(50_000_000), 9)
    plain = encode(".png", SCENE)
    data = picture_files.png_with(plain, chunk(b"zTXt", bomb) + chunk(b"iCCP", bomb))
    assert read_header(data).data == plain
    np.testing.assert_array_equal(decode_image(data), SCENE)


def test_an_animated_png_shows_its_still_picture() -> None:
    animated = picture_files.png_with(
        encode(".png", SCENE), chunk(b"acTL", struct.pack(">II", 2, 0))
    )
    np.testing.assert_array_equal(decode_image(animated), SCENE)


def test_flipped_bits_in_a_png_are_noticed() -> None:
    data = bytearray(encode(".png", SCENE))
    data[len(data) // 2] ^= 1
    with pytest.raises(MediaError, match="wrong checksum at byte"):
        decode_image(bytes(data))


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"", "empty file"),
        (b"<!DOCTYPE html><html>404", "got a web page"),
        (b"II*\0" + bytes(20), "got a TIFF"),
        (b"GIF89a" + bytes(20), "got a GIF"),
        (b"%PDF-1.7", "got a PDF"),
        (b"\0\0\0\x20ftypisom", "got a video"),
        (b"\0\0\0\x20ftypavif", "got an AVIF"),
        (b"whatever", "got something else"),
        (b"\xff\xd8\xff", "JPEG that ends"),
        (b"\xff\xd8\xff\xd9", "never began"),
        (b"\xff\xd8\xff\xc3\0\x08\x08\0\1\0\1\1\xff\xd9", r"not read \(SOF3\)"),
        (b"\xff\xd8\xff\xe0\0\1", "segment of 1 bytes"),
    ],
)
def test_other_files_are_refused_by_name(data: bytes, got: str) -> None:
    with pytest.raises(MediaError, match=got):
        decode_image(data)


def test_an_animated_webp_is_refused() -> None:
    data = picture_files.webp_with_exif(encode(".webp", SCENE), exif(1), SCENE.shape[:2])
    animated = data[:20] + bytes([data[20] | 2]) + data[21:]
    with pytest.raises(MediaError, match="animated WebP"):
        decode_image(animated)


def test_a_jpeg_with_endless_scans_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", forbidden)
    frame = b"\xff\xc2\0\x0b\x08\x10\0\x10\0\x01\x01\x11\0"
    with pytest.raises(MediaError, match="scan 101"):
        decode_image(b"\xff\xd8" + frame + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 5000 + b"\xff\xd9")


def test_ten_thousand_mutated_pictures_are_pictures_or_errors() -> None:
    random = np.random.default_rng(5)
    small = scene(12, 16)
    sources = [encode(suffix, small) for suffix in KINDS]
    sources += [encode(".jpg", small, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)]
    sources += [picture_files.jpeg_with_exif(sources[0], exif(6))]
    sources += [picture_files.webp_with_exif(sources[2], exif(6), (12, 16))]
    refused, messages = 0, set()
    for turn in range(10_000):
        data = bytearray(sources[turn % len(sources)])
        for _ in range(random.integers(1, 6)):
            data[random.integers(len(data))] = random.integers(256)
        if turn % 5 == 0:
            del data[random.integers(len(data)) :]
        try:
            image = decode_image(bytes(data), max_pixels=100_000)
        except MediaError as error:
            refused += 1
            messages.add(error.message)
        else:
            assert image.dtype == np.uint8
            assert 0 < image.shape[0] * image.shape[1] <= 100_000
    assert 2_000 < refused < 10_000  # the mutations bite, and some leave a picture
    assert all(message.isprintable() for message in messages)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    pipe, loop, link = tmp_path / "pipe.jpg", tmp_path / "loop.jpg", tmp_path / "link.jpg"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    link.symlink_to("/dev/zero")
    for path, kind in ((pipe, "a named pipe"), (tmp_path, "a folder"), (link, "a device")):
        with pytest.raises(MediaError, match=f"expected a regular file, got {kind}"):
            read_image(path)
    with pytest.raises(MediaError, match="cannot be read: too many levels of symbolic links"):
        read_image(loop)
    with pytest.raises(MediaError, match="cannot be read: no such file"):
        read_image(tmp_path / "absent.jpg")


def test_links_to_pictures_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(encode(".png", SCENE))
    (tmp_path / "link.png").symlink_to("real.png")
    np.testing.assert_array_equal(read_image(tmp_path / "link.png"), SCENE)


@pytest.mark.parametrize(
    "name",
    ["mit Leerzeichen.png", "ünï.png", "写真.png", "🏃.png",
     "a\n[ERROR] root\x1b[2J.png", "'\".png",
     "\udcff\udcfe.png", "%05d.png", "-rf.png", "http:x.png"],
)  # fmt: skip
def test_odd_names_are_read_and_escaped_in_messages(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(encode(".png", SCENE))
    np.testing.assert_array_equal(read_image(path), SCENE)
    path.write_bytes(b"no picture")
    with pytest.raises(MediaError) as caught:
        read_image(path)
    text = caught.value.message
    assert text.isprintable()
    text.encode()  # lone surrogates could not be printed


def test_a_name_that_is_far_too_long_is_named_briefly() -> None:
    with pytest.raises(MediaError, match="file name too long") as caught:
        read_image("x" * 5000 + ".png")
    assert len(str(caught.value)) < 400


def test_a_file_may_not_be_larger_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "sparse.png"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(MediaError, match="expected at most 268435456 bytes"):
        read_image(path)
    path.write_bytes(encode(".png", SCENE))
    size = path.stat().st_size
    assert read_image(path, max_bytes=size).shape == SCENE.shape
    with pytest.raises(MediaError, match=f"sparse.png: expected at most {size - 1} bytes"):
        read_image(path, max_bytes=size - 1)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(encode(".jpg", SCENE)[:-5])
    with pytest.raises(MediaError, match=r"cut\.jpg: JPEG that ends.*\nhint: the file is cut off"):
        read_image(path)


@pytest.mark.parametrize(
    ("path", "error"),
    [(3, InputTypeError), (None, InputTypeError), (b"x.png", InputTypeError), ("", InputError),
     ("a\0b", InputError)],
)  # fmt: skip
def test_what_is_no_path_is_refused(path: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="path: expected the path of a file"):
        read_image(path)


def test_photographs_come_out_as_their_decoder_has_them() -> None:
    paths = sorted(shared_data.path("images").glob("*.jpg"))
    assert len(paths) == 20
    for path in paths:
        expected = cv2.imread(str(path))[..., ::-1]
        np.testing.assert_array_equal(read_image(path), expected)
        data = path.read_bytes()
        for percent in (1, 50, 99):
            with pytest.raises(MediaError):
                decode_image(data[: len(data) * percent // 100])


def test_arguments_are_checked() -> None:
    with pytest.raises(InputTypeError, match="data: expected bytes, got str"):
        decode_image("x")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="max_pixels: "):
        decode_image(b"", max_pixels=0)


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(".png", SCENE)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r'hint: pip install "pyposefast\[cpu\]"'):
        decode_image(data)
