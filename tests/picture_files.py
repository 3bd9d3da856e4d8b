"""Pictures as files, made by hand where no encoder makes them: every kind and rotation, bombs."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    import numpy.typing as npt

KINDS = (".jpg", ".png", ".webp", ".bmp")


def scene(height: int = 48, width: int = 64, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Return a smooth RGB picture, whose four corners differ."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (4, 5, 3)).astype(float)
    y = np.linspace(0, 3, height)[:, None] * np.ones(width)
    x = np.linspace(0, 4, width) * np.ones(height)[:, None]
    top, left = np.minimum(y.astype(int), 2), np.minimum(x.astype(int), 3)
    fy, fx = (y - top)[..., None], (x - left)[..., None]
    rows = [coarse[top + dy, left] * (1 - fx) + coarse[top + dy, left + 1] * fx for dy in (0, 1)]
    return np.rint(rows[0] * (1 - fy) + rows[1] * fy).astype(np.uint8)


def encode(suffix: str, image: npt.NDArray[np.uint8], *flags: int) -> bytes:
    """Return the file of an RGB picture, as OpenCV encodes it."""
    cv2 = pytest.importorskip("cv2", reason="pictures need OpenCV: the extra `cpu`")
    is_encoded, data = cv2.imencode(suffix, image[..., ::-1], list(flags))
    assert is_encoded
    return bytes(data.tobytes())


def exif(orientation: int, order: str = "<") -> bytes:
    """Return the smallest EXIF block that turns a picture."""
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(f"{order}IH", 8, 1) + entry + struct.pack(f"{order}I", 0)


def jpeg_with_exif(jpeg: bytes, block: bytes) -> bytes:
    """Put an EXIF block behind the start of a JPEG."""
    content = b"Exif\0\0" + block
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return one part of a PNG, its checksum included."""
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png_with(png: bytes, extra: bytes) -> bytes:
    """Put chunks between the header of a PNG and its samples."""
    return png[:33] + extra + png[33:]


def webp_with_exif(webp: bytes, block: bytes, size: tuple[int, int]) -> bytes:
    """Turn a simple WebP of (height, width) into an extended one that has an EXIF block."""
    height, width = size
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + canvas
    parts = extended + webp[12:] + b"EXIF" + struct.pack("<I", len(block)) + block
    parts += b"\0" * (len(block) & 1)
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WEBP" + parts


def png_bomb(height: int = 10_000, width: int = 20_000) -> bytes:
    """Return a PNG that is whole, a few kilobytes long and large when decoded (1 bit a pixel)."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * height, 9)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks
