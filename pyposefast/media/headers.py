"""What a picture's file says about itself, before decoding: kind, size, rotation, whole or not.

These few parsers run before any decoder does. A picture that is too large, cut off or of a kind
that nobody asked for is refused here, whatever the decoder of this machine would have made of it:
some return half a picture with a grey rest. No number in a file is trusted: each is compared with
the bytes there are, and every loop with a limit.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn

from pyposefast.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["JPEG", "PNG", "WebP", "BMP"]

_MOST_SEGMENTS = 1 << 14  # of a JPEG: real ones have some dozens
_MOST_SCANS = 100  # of a progressive JPEG: real ones have about ten, and each costs a whole pass
_MOST_CHUNKS = 1 << 17  # of a PNG: 64 MPixel in chunks of 8 KiB are fewer
_MOST_EXIF_ENTRIES = 512
_ORIENTATION_TAG, _SHORT = 0x0112, 3
_UPRIGHT, _MOST_TURNED = 1, 8

# FF and a code starts a segment; FF 00 and the restarts FF D0 ... FF D7 belong to the samples.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_START, _JPEG_END, _JPEG_SCAN, _JPEG_EXIF, _JPEG_BARE = 0xD8, 0xD9, 0xDA, 0xE1, 0x01
# Frames: baseline, extended, progressive, and the arithmetic-coded ones. The others are lossless or
# hierarchical, which no common decoder reads.
_JPEG_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC9, 0xCA))
_JPEG_OTHER_FRAMES = frozenset((0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF))

_PNG_START = b"\x89PNG\r\n\x1a\n"
# What the decoder gets to see. Text, colour profiles, animation and whatever else a file may hold
# compressed is left out, so that it is never inflated.
_PNG_PICTURE = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))

_WEBP_ANIMATED = 0x02
# Sizes of the second header, from Windows 2 to Windows 98. OS/2's own are not read.
_BMP_CORE, _BMP_HEADERS = 12, frozenset((40, 52, 56, 108, 124))
_BMP_PLAIN = frozenset((0, 3, 6))  # not run-length coded

_TRUNCATED_HINT = "the file is cut off; fetch or copy it again"
READ_HINT = "JPEG, PNG, WebP and BMP are read; convert others first"
# Start of the file, bytes from the start: told apart so that the message can name them.
_FOREIGN = (
    (0, b"II*\0", "a TIFF"),
    (0, b"MM\0*", "a TIFF"),
    (0, b"GIF8", "a GIF"),
    (0, b"%PDF", "a PDF"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (4, b"ftypavif", "an AVIF"),
    (4, b"ftypheic", "a HEIC"),
    (4, b"ftypmif1", "a HEIC"),
    (4, b"ftyp", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
)


@dataclass(frozen=True, slots=True)
class Header:
    """What is known before decoding."""

    kind: Kind
    height: int  # as stored, before the rotation
    width: int
    orientation: int  # as EXIF counts: 1 is upright ... 8
    data: bytes  # what the decoder is to see


def read_header(data: bytes) -> Header:
    """Find out what a picture is and that it is whole.

    Raises:
        MediaError: unknown kind, cut off, or no picture of that kind. The message has no path.
    """
    if not data:
        message = "empty file"
        raise MediaError(message, _TRUNCATED_HINT)
    kind = kind_of(data)
    if kind is None:
        message = f"expected a JPEG, PNG, WebP or BMP, got {foreign_kind(data)}"
        raise MediaError(message, READ_HINT)
    return {"JPEG": _jpeg, "PNG": _png, "WebP": _webp, "BMP": _bmp}[kind](data)


def kind_of(start: bytes) -> Kind | None:
    """Return the kind of a picture from the first bytes of its file; None: none that is read."""
    if start[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if start[: len(_PNG_START)] == _PNG_START:
        return "PNG"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    return "BMP" if start[:2] == b"BM" else None


def foreign_kind(data: bytes) -> str:
    """Return in words what a file is that is not read, from its first bytes."""
    if not data:
        return "an empty file"
    for offset, start, name in _FOREIGN:
        if data[offset : offset + len(start)] == start:
            return name
    if data[:512].lstrip()[:1] == b"<":
        return "a web page or other markup"
    return "something else"


def _truncated(kind: Kind, at_byte: int) -> NoReturn:
    message = f"{kind} that ends before its picture does, at byte {at_byte}"
    raise MediaError(message, _TRUNCATED_HINT)


def _damaged(kind: Kind, what: str, at_byte: int) -> NoReturn:
    message = f"damaged {kind}: {what} at byte {at_byte}"
    raise MediaError(message)


def _size(kind: Kind, height: int, width: int, at_byte: int) -> tuple[int, int]:
    if height <= 0 or width <= 0:
        _damaged(kind, f"a picture of {width} x {height} pixels", at_byte)
    return height, width


# ---- JPEG ---------------------------------------------------------------------------------------


def _jpeg(data: bytes) -> Header:
    size: tuple[int, int] | None = None
    orientation, scans = _UPRIGHT, 0
    for code, start, end in _jpeg_segments(data):
        if code in _JPEG_FRAMES:
            if size is not None or end - start < 6:  # noqa: PLR2004  precision, height, width, count
                _damaged("JPEG", "a second or short frame header", start)
            height, width = struct.unpack_from(">HH", data, start + 1)
            size = _size("JPEG", height, width, start)
        elif code in _JPEG_OTHER_FRAMES:
            _damaged("JPEG", f"a coding that is not read (SOF{code - 0xC0})", start)
        elif code == _JPEG_SCAN:
            scans += 1
            if size is None or scans > _MOST_SCANS:
                _damaged("JPEG", f"scan {scans}, before its frame or one too many", start)
        elif (
            code == _JPEG_EXIF
            and orientation == _UPRIGHT
            and data[start : start + 6] == b"Exif\0\0"
        ):
            orientation = _exif_orientation(data[start + 6 : end])
    if size is None or scans == 0:
        _damaged("JPEG", "the end of a picture that never began", len(data))
    return Header("JPEG", *size, orientation, data)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (code, start, end) of each segment's content, up to the end mark, which must be there.

    Searching for the next mark skips the samples of a scan and, as decoders do, stray bytes.
    """
    position = 2
    for _ in range(_MOST_SEGMENTS):
        mark = _JPEG_MARKER.search(data, position)
        if mark is None:
            _truncated("JPEG", len(data))
        code, position = data[mark.end() - 1], mark.end()
        if code == _JPEG_END:
            return
        if code == _JPEG_BARE:
            continue
        if code == _JPEG_START:
            _damaged("JPEG", "a second start", position)
        if position + 2 > len(data):
            _truncated("JPEG", len(data))
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2:  # noqa: PLR2004  it counts itself
            _damaged("JPEG", f"a segment of {length} bytes", position)
        if position + length > len(data):
            _truncated("JPEG", len(data))
        yield code, position + 2, position + length
        position += length
    _damaged("JPEG", f"more than {_MOST_SEGMENTS} segments", position)


# ---- PNG ----------------------------------------------------------------------------------------


def _png(data: bytes) -> Header:
    size: tuple[int, int] | None = None
    orientation = _UPRIGHT
    kept, position, has_samples = [_PNG_START], len(_PNG_START), False
    for _ in range(_MOST_CHUNKS):
        if position + 12 > len(data):
            _truncated("PNG", len(data))
        length = int.from_bytes(data[position : position + 4], "big")
        kind, end = data[position + 4 : position + 8], position + 12 + length
        if end > len(data):
            _truncated("PNG", len(data))
        content = memoryview(data)[position + 8 : end - 4]
        if zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(data[end - 4 : end], "big"):
            _damaged("PNG", "a wrong checksum", position)
        if (kind == b"IHDR") != (size is None):
            _damaged("PNG", "a header that is missing or not alone", position)
        if kind == b"IHDR":
            if length != 13:  # noqa: PLR2004
                _damaged("PNG", f"a header of {length} bytes", position)
            width, height = struct.unpack_from(">II", content)
            size = _size("PNG", height, width, position)
        elif kind == b"eXIf":
            orientation = _exif_orientation(bytes(content))
        elif kind[:1].isupper() and kind not in _PNG_PICTURE:
            _damaged("PNG", "a part that is needed and unknown", position)
        if kind in _PNG_PICTURE:
            kept.append(data[position:end])
        has_samples |= kind == b"IDAT"
        if kind == b"IEND":
            if size is None or not has_samples:
                _damaged("PNG", "the end of a picture that never began", position)
            return Header("PNG", *size, orientation, b"".join(kept))
        position = end
    _damaged("PNG", f"more than {_MOST_CHUNKS} chunks", position)


# ---- WebP ---------------------------------------------------------------------------------------


def _webp(data: bytes) -> Header:
    whole = 8 + int.from_bytes(data[4:8], "little")
    if whole > len(data):
        _truncated("WebP", len(data))
    canvas: tuple[int, int] | None = None
    picture: tuple[int, int] | None = None
    orientation, position = _UPRIGHT, 12
    for _ in range(_MOST_SEGMENTS):
        if position + 8 > whole:
            break
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        kind, start, end = data[position : position + 4], position + 8, position + 8 + length
        if end > whole:
            _truncated("WebP", whole)
        content = data[start : start + min(length, 16)]
        if kind == b"VP8X" and length >= 10:  # noqa: PLR2004
            if content[0] & _WEBP_ANIMATED:
                message = "animated WebP, expected a still picture"
                raise MediaError(message, "convert it to a video or to pictures first")
            sides = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (7, 4))
            canvas = (next(sides), next(sides))
        elif kind in (b"VP8 ", b"VP8L") and picture is None:
            picture = _webp_size(kind, content, start)
        elif kind == b"EXIF":
            orientation = _exif_orientation(data[start:end])
        position = end + (length & 1)
    if picture is None:
        _damaged("WebP", "no picture", whole)
    if canvas is not None and canvas != picture:
        _damaged("WebP", "a picture that is not as large as its canvas", whole)
    return Header("WebP", *picture, orientation, data)


def _webp_size(kind: bytes, content: bytes, at_byte: int) -> tuple[int, int]:
    """Return (height, width) from the first bytes of the picture, lossy or lossless."""
    if kind == b"VP8 ":
        if len(content) < 10 or content[0] & 1 or content[3:6] != b"\x9d\x01\x2a":  # noqa: PLR2004
            _damaged("WebP", "no key frame", at_byte)
        width, height = struct.unpack_from("<HH", content, 6)
        return _size("WebP", height & 0x3FFF, width & 0x3FFF, at_byte)
    if len(content) < 5 or content[0] != 0x2F:  # noqa: PLR2004
        _damaged("WebP", "no lossless picture", at_byte)
    bits = int.from_bytes(content[1:5], "little")
    return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1


# ---- BMP ----------------------------------------------------------------------------------------


def _bmp(data: bytes) -> Header:
    if len(data) < 26:  # noqa: PLR2004  both headers of the oldest kind
        _truncated("BMP", len(data))
    first, length = struct.unpack_from("<II", data, 10)
    if length == _BMP_CORE:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    elif length in _BMP_HEADERS:
        if len(data) < 14 + length:
            _truncated("BMP", len(data))
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    else:
        _damaged("BMP", f"a header of {length} bytes", 14)
    if compression not in _BMP_PLAIN:
        message = f"compressed BMP (kind {compression}), expected a plain one"
        raise MediaError(message, READ_HINT)
    if depth not in (1, 4, 8, 16, 24, 32):
        _damaged("BMP", f"{depth} bits a pixel", 28)
    height, width = _size("BMP", abs(height), width, 18)  # negative: the top row comes first
    row_bytes = (width * depth + 31) // 32 * 4
    if first < 14 + length:
        _damaged("BMP", "pixels within the header", 10)
    if first + row_bytes * height > len(data):
        _truncated("BMP", len(data))
    return Header("BMP", height, width, _UPRIGHT, data)


# ---- EXIF ---------------------------------------------------------------------------------------


def _exif_orientation(exif: bytes) -> int:
    """Return the rotation of the first directory; upright where it is missing or makes no sense.

    Rotation is advice: a picture whose camera wrote it wrongly is still a picture.
    """
    exif = exif.removeprefix(b"Exif\0\0")  # always in a JPEG, often in a WebP, never in a PNG
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:  # noqa: PLR2004
        return _UPRIGHT
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    if start + 2 > len(exif):
        return _UPRIGHT
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    for entry in range(min(count, _MOST_EXIF_ENTRIES)):
        at = start + 2 + 12 * entry
        if at + 12 > len(exif):
            break
        tag, kind, number, value = struct.unpack_from(f"{order}HHIH", exif, at)
        if tag == _ORIENTATION_TAG:
            is_known = kind == _SHORT and number == 1 and _UPRIGHT <= value <= _MOST_TURNED
            return value if is_known else _UPRIGHT
    return _UPRIGHT
