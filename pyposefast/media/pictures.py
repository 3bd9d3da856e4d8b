"""Pictures: files or bytes in, uint8 [H, W, 3] RGB out, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pyposefast import arguments
from pyposefast.errors import InputError, InputTypeError, MediaError
from pyposefast.extras import opencv
from pyposefast.files import as_path, read_regular, shown, write_bytes
from pyposefast.media.headers import read_header

if TYPE_CHECKING:
    import os

Image = npt.NDArray[np.uint8]  # [H, W, 3] RGB

MOST_PIXELS = 64_000_000  # of one picture: 192 MB once decoded
MOST_BYTES = 256 << 20  # of one file
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")  # of the kinds that are read and written
_LARGEST = 1 << 40  # of either limit


def read_image(
    path: str | os.PathLike[str], *, max_pixels: int = MOST_PIXELS, max_bytes: int = MOST_BYTES
) -> Image:
    """Read a picture, upright and as RGB.

    The kind is told by the content, never by the name: JPEG, PNG, WebP and BMP. TIFF is left out
    on purpose: its many codings are more than a stranger's file should reach.

    The rotation that EXIF notes is applied. 16-bit samples keep their upper 8 bits, grey and
    palettes become RGB, CMYK is converted without its profile, and no colour profile is applied.
    Alpha is dropped, not blended: hidden pixels show the colour they were stored with. Of an
    animated PNG the still picture is read; an animated WebP is refused.

    Args:
        path: a regular file, or a link to one; not a pipe, a device or a folder.
        max_pixels: larger pictures are refused from their header, before any decoding.
        max_bytes: larger files are refused before they are read.

    Returns:
        [H, W, 3] uint8 RGB, a new array.

    Raises:
        MediaError: no such file, not a picture, too large, cut off or damaged. The message starts
            with the path.
    """
    name = as_path(path)
    most = arguments.integer(max_bytes, "max_bytes", 1, _LARGEST)
    data = read_regular(name, most_bytes=most)
    try:
        return decode_image(data, max_pixels=max_pixels)
    except MediaError as error:
        raise MediaError(f"{shown(name)}: {error.message}", error.hint) from error


def decode_image(data: bytes, *, max_pixels: int = MOST_PIXELS) -> Image:
    """Decode the bytes of a picture's file; everything else is as in ``read_image``.

    Args:
        data: a whole JPEG, PNG, WebP or BMP.
        max_pixels: larger pictures are refused from their header, before any decoding.

    Returns:
        [H, W, 3] uint8 RGB, a new array.

    Raises:
        MediaError: not a picture, too large, cut off or damaged.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InputTypeError("data", "bytes", type(data).__name__)
    most = arguments.integer(max_pixels, "max_pixels", 1, _LARGEST)
    header = read_header(bytes(data))
    if header.height * header.width > most:
        size = f"{header.width} x {header.height}"
        message = f"expected a picture of at most {most} pixels, got a {header.kind} of {size}"
        raise MediaError(message, "raise `max_pixels` if the picture is meant")
    stored = _decode(header.kind, header.data, (header.height, header.width))
    return turned(stored, header.orientation)


def write_image(
    path: str | os.PathLike[str],
    image: Image,
    *,
    suffix: str | None = None,
    quality: int = 95,
) -> None:
    """Write a picture; it appears under its name only when it is complete and on the disk.

    Args:
        path: missing folders are made, and a file of that name is replaced.
        image: [H, W, 3] uint8 RGB.
        suffix: says how: .jpg, .jpeg, .png, .webp or .bmp; by default that of the path.
        quality: 1 to 100, of JPEG and WebP; the others lose nothing.

    Raises:
        StorageError: the disk is full, read-only or gone.
        MediaError: the encoder refuses, as for a WebP of more than 16,383 pixels a side.
    """
    name = as_path(path)
    if suffix is not None:
        arguments.word(suffix, "suffix", SUFFIXES)
    kind = suffix or name.suffix.lower()
    if kind not in SUFFIXES:
        raise InputError("path", f"a name that ends in {', '.join(SUFFIXES)}", shown(name.name))
    check_image(image, "image")
    cv2 = opencv()
    arguments.integer(quality, "quality", 1, 100)
    flags = {
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
    }.get(kind, [])
    bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    try:
        is_encoded, data = cv2.imencode(kind, bgr, flags)
    except cv2.error as error:
        message = f"{shown(name)}: cannot be encoded: {shown(error)}"
        raise MediaError(message) from error
    if not is_encoded:
        message = f"{shown(name)}: OpenCV could not encode a picture {list(image.shape)}"
        raise MediaError(message)
    write_bytes(name, data.tobytes())


def check_image(image: object, argument: str) -> Image:
    """Check for a NumPy picture uint8 [H, W, 3] with at least one pixel."""
    expected = "a NumPy array uint8 [H, W, 3]"
    if not isinstance(image, np.ndarray):
        raise InputTypeError(argument, expected, type(image).__name__)
    got = f"{image.dtype} {list(image.shape)}"
    if image.dtype != np.uint8:
        raise InputTypeError(argument, expected, got)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:  # noqa: PLR2004
        raise InputError(argument, expected, got)
    return image


def _decode(kind: str, data: bytes, size: tuple[int, int]) -> Image:
    cv2 = opencv()
    # OpenCV's own way with EXIF differs between its versions and kinds of files: ours decides.
    # Decoding to RGB came with OpenCV 4.11; it saves a third of the time of a JPEG.
    order = getattr(cv2, "IMREAD_COLOR_RGB", None)
    flags = (cv2.IMREAD_COLOR if order is None else order) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        message = f"damaged {kind}: {shown(error)}"
        raise MediaError(message) from error
    if image is None:
        message = f"damaged {kind}: OpenCV cannot decode it"
        raise MediaError(message)
    if image.dtype != np.uint8 or image.shape != (*size, 3):
        message = f"damaged {kind}: {list(image.shape)} came where its header says {[*size, 3]}"
        raise MediaError(message)
    decoded: Image = image if order is not None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return decoded


def turned(image: Image, orientation: int) -> Image:
    """Return a picture upright that is stored as EXIF's ``orientation`` says.

    Args:
        image: [H, W, 3] as stored.
        orientation: 1 is upright, 3 upside down, 6 and 8 lie on a side; 2, 4, 5 and 7 are their
            mirror images.
    """
    if orientation > 4:  # noqa: PLR2004  5 ... 8 swap the sides
        image = image.transpose(1, 0, 2)
    # After the swap: 2 3 | 6 7 mirror left and right, 3 4 | 7 8 top and bottom.
    is_mirrored = orientation in (2, 3, 6, 7)
    is_upside_down = orientation in (3, 4, 7, 8)
    image = image[:: -1 if is_upside_down else 1, :: -1 if is_mirrored else 1]
    return np.ascontiguousarray(image)
