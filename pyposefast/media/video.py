"""Video files, frame by frame: by PyAV where it is installed, else by OpenCV.

PyAV has exact timestamps and tells which frames are damaged, as far as their coding lets anybody
know. OpenCV skips damaged frames, or stops at the first, without a word; all that can be said then
is how many are missing at the end.

A video is a program for FFmpeg: a playlist by the name of a video would make it open other files
and addresses. So the container is recognised here, from its first bytes, and only those that hold
their pictures themselves are passed on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import numpy as np

from pyposefast.errors import MediaError
from pyposefast.extras import opencv
from pyposefast.files import open_regular, shown
from pyposefast.media.frames import Frame, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from pyposefast.media.pictures import Image

_MP4_BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"))
_TS_PACKET = 188
_MOST_BOXES = 1 << 16
_MILLISECONDS = 1e-3
_TOLERANT = 19  # the version of PyAV that takes metadata which is no text without being told to


@dataclass(frozen=True, slots=True)
class _Opened:
    """A video whose header has been read."""

    frames: Iterator[tuple[float | None, Image | None, str]]  # seconds, picture or what is wrong
    close: Callable[[], None]
    fps: float | None
    size: tuple[int, int]
    count: int | None  # of frames, as the header has it


def container_of(start: bytes) -> str | None:
    """Return FFmpeg's name of a video container from its first bytes, None for all else."""
    found = {
        "mov": start[4:8] in _MP4_BOXES,
        "matroska": start[:4] == b"\x1aE\xdf\xa3",
        "avi": start[:4] == b"RIFF" and start[8:12] == b"AVI ",
        "mpegts": len(start) > _TS_PACKET and start[0] == start[_TS_PACKET] == 0x47,  # noqa: PLR2004
        "mpeg": start[:4] == b"\0\0\1\xba",
        "flv": start[:4] == b"FLV\1",
    }
    return next((name for name, is_it in found.items() if is_it), None)


def open_video(path: Path, *, decoder: str, max_pixels: int) -> Source:
    """Open a video file whose frames come one after the other, as they are decoded.

    Args:
        path: a regular file.
        decoder: "pyav", "opencv", or "auto" for the first of them that is installed.
        max_pixels: videos with larger frames are refused.

    Raises:
        MediaError: no video that is read, or one without the index that it cannot do without.
    """
    file = open_regular(path)
    try:
        container = container_of(file.read(512))
        if container is None:
            _refuse(path, "expected a video, got something else")
        promised = _promised_bytes(file, container)
        file.seek(0)
        av = None if decoder == "opencv" else pyav(is_wanted=decoder == "pyav")
        try:
            opened = _by_opencv(file) if av is None else _by_pyav(av, file, container, max_pixels)
        except MediaError as error:
            _refuse(path, error.message)
        height, width = opened.size
        if height * width > max_pixels:
            opened.close()
            _refuse(path, f"expected at most {max_pixels} pixels a frame, got {width} x {height}")
    except BaseException:
        file.close()
        raise
    # OpenCV's count is that of the header in these containers, and guessed in the others.
    is_counted = av is None and container in ("mov", "avi")
    frames = _frames(path, file, opened, promised, is_counted=is_counted)

    def release() -> None:
        opened.close()
        file.close()

    return Source(
        frames,
        name=path.name,
        len_hint=opened.count,
        fps=opened.fps,
        size=opened.size,
        release=release,
    )


def _refuse(path: Path, reason: str) -> NoReturn:
    raise MediaError(f"{shown(path)}: {reason}", "MP4, MOV, Matroska, AVI, MPEG and FLV are read")


def _frames(
    path: Path, file: BinaryIO, opened: _Opened, promised: int, *, is_counted: bool
) -> Generator[Frame, None, None]:
    """Give a record for every frame, and one for what is missing at the end."""
    index = good = 0
    size = os.fstat(file.fileno()).st_size
    for time_s, image, reason in opened.frames:
        error = None if image is not None else _error(path, index, reason)
        yield Frame(index, time_s, f"{path.name}:{index}", image, error)
        good += image is not None
        index += 1
    missing = (opened.count or 0) - good if is_counted else 0
    reason = ""
    if promised > size:
        reason = f"the file ends at byte {size} of {promised}"
    elif missing > 0:
        reason = f"{missing} of {opened.count} frames are missing or could not be decoded"
    elif index == 0:
        reason = "no frame could be decoded"
    if reason:
        yield Frame(index, None, f"{path.name}:{index}", None, _error(path, index, reason))


def _error(path: Path, index: int, reason: str) -> MediaError:
    return MediaError(f"{shown(path)}: frame {index}: {reason}")


# ---- PyAV ---------------------------------------------------------------------------------------


def pyav(*, is_wanted: bool) -> Any:
    """Import PyAV; without it, say how to get it if it is wanted, else return None."""
    try:
        import av  # noqa: PLC0415  an extra: imported when needed
    except ImportError as error:
        if not is_wanted:
            return None
        message = 'PyAV does not import here\nhint: pip install "pyposefast[video]"'
        raise ImportError(message) from error
    return av


def _by_pyav(av: Any, file: BinaryIO, container: str, max_pixels: int) -> _Opened:
    def refuse(*_: object) -> None:
        message = "a video that wants to open other files"
        raise OSError(message)

    try:
        # The container is named and nothing else may be opened: FFmpeg has no choices left.
        opened = av.open(file, format=container, io_open=refuse, **_metadata_options(av))
    except av.error.FFmpegError as error:
        message = f"damaged or cut off video: {shown(error.strerror).lower()}"
        raise MediaError(message) from error
    stream = next(iter(opened.streams.video), None)
    if stream is None or stream.codec_context is None:
        opened.close()
        message = "a file without pictures, or with a coding that this FFmpeg does not know"
        raise MediaError(message)
    stream.thread_type = "AUTO"
    # Damage shall be an error, instead of being painted over with what lies around it.
    stream.codec_context.options = {"max_pixels": str(max_pixels), "err_detect": "explode"}
    return _Opened(
        frames=_decoded(av, opened, stream),
        close=opened.close,
        fps=float(stream.average_rate) if stream.average_rate else None,
        size=(stream.height, stream.width),
        count=stream.frames or None,
    )


def _metadata_options(av: Any) -> dict[str, str]:
    """Titles and the like are text of anybody, which need not be text; since 19 PyAV knows."""
    major = av.__version__.partition(".")[0]
    return {"metadata_errors": "replace"} if major.isdecimal() and int(major) < _TOLERANT else {}


def _decoded(
    av: Any, opened: Any, stream: Any
) -> Generator[tuple[float | None, Image | None, str], None, None]:
    packets = opened.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            yield None, None, f"the rest cannot be read: {shown(error.strerror).lower()}"
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            time_s = None if packet.pts is None else float(packet.pts * packet.time_base)
            yield time_s, None, f"cannot be decoded: {shown(error.strerror).lower()}"
            continue
        except ValueError as error:  # no codec: newer versions of PyAV notice it only here
            yield None, None, f"the rest cannot be decoded: {shown(error).lower()}"
            return
        for frame in frames:
            if frame.is_corrupt:  # what is missing has been filled from its neighbours
                yield frame.time, None, "damaged"
                continue
            image = frame.to_ndarray(format="rgb24")
            # Telephones store the frames as the sensor lies, and note how to turn them.
            turns = round(frame.rotation / 90) % 4
            yield frame.time, np.ascontiguousarray(np.rot90(image, turns)), ""


# ---- OpenCV -------------------------------------------------------------------------------------


def _by_opencv(file: BinaryIO) -> _Opened:
    cv2 = opencv()
    # By its handle: no name, however odd, is then taken for a pattern or an address.
    capture = cv2.VideoCapture(f"/proc/self/fd/{file.fileno()}", cv2.CAP_FFMPEG)
    if not capture.isOpened():
        message = "damaged or cut off video: OpenCV cannot open it"
        raise MediaError(message)
    height, width = (
        int(capture.get(each)) for each in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
    )
    fps, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return _Opened(
        frames=_captured(cv2, capture),
        close=capture.release,
        fps=fps if 0 < fps < float("inf") else None,
        size=(height, width),
        count=int(count) if 0 < count < 2**53 else None,
    )


def _captured(
    cv2: Any, capture: Any
) -> Generator[tuple[float | None, Image | None, str], None, None]:
    while True:
        is_read, bgr = capture.read()
        if not is_read:
            return
        time_s = capture.get(cv2.CAP_PROP_POS_MSEC) * _MILLISECONDS
        yield time_s, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), ""


# ---- is the file whole? -------------------------------------------------------------------------


def _promised_bytes(file: BinaryIO, container: str) -> int:
    """Return how long the container says that the file is; 0 where it does not say."""
    file.seek(0)
    if container == "mov":
        return max((end for _, end in _mp4_boxes(file)), default=0)
    start = file.read(64)
    if container == "avi":
        return 8 + int.from_bytes(start[4:8], "little")
    if container == "matroska":
        header, size = _ebml_size(start, 4)
        at = size + header
        if start[at : at + 4] == b"\x18\x53\x80\x67":  # the segment: everything else
            position, length = _ebml_size(start, at + 4)
            return position + length if length else 0
    return 0


def is_whole_mp4(path: Path) -> bool:
    """Return whether an MP4 has its index and ends where it says."""
    with open_regular(path) as file:
        boxes = dict(_mp4_boxes(file))
        return b"moov" in boxes and max(boxes.values()) == os.fstat(file.fileno()).st_size


def _mp4_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield the kind of each outermost box and where it ends; only the last can be cut."""
    size = os.fstat(file.fileno()).st_size
    position = 0
    for _ in range(_MOST_BOXES):
        if position + 8 > size:
            return
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0:  # up to the end of the file, wherever that is
            length = size - position
        if length < 8 or not head[4:8].isalnum():  # noqa: PLR2004  no box: junk behind the last
            return
        position += length
        yield head[4:8], position


def _ebml_size(data: bytes, at: int) -> tuple[int, int]:
    """Return where a Matroska element's content starts and its length, 0 if it is not known."""
    first = data[at] if at < len(data) else 0
    if first == 0:
        return at + 1, 0
    count = 9 - first.bit_length()
    value = int.from_bytes(data[at : at + count], "big") & ((1 << 7 * count) - 1)
    return at + count, 0 if value == (1 << 7 * count) - 1 else value
