"""Videos on disk, which appear only when they are whole."""

from __future__ import annotations

import errno
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from pyposefast import arguments
from pyposefast.errors import InputError, MediaError, StorageError
from pyposefast.extras import opencv
from pyposefast.files import PartialFile, as_path, shown, storage_error
from pyposefast.media.pictures import Image, check_image
from pyposefast.media.video import is_whole_mp4, pyav

if TYPE_CHECKING:
    import os

_H264 = "libx264"
_FASTEST_FPS = 1000.0
_FINEST_FPS = 1001  # denominators up to this one: 30000/1001 is exact
_LARGEST_SIDE = 16_384
_SPACE_HINT = "free some space and run again; what is there is whole"


class _Encoder(Protocol):
    """Puts pictures of one even size into a file."""

    def write(self, image: Image) -> None:
        """Append a picture [H, W, 3] RGB."""

    def close(self) -> None:
        """Finish the file. OSError where the encoder notices a disk that is full."""


class VideoWriter:
    """An MP4 in the making, which appears under its name when it is closed, or never.

    H.264 by PyAV where that is installed with it, else MPEG-4 by OpenCV, which browsers do not
    play. Both store colour at half the resolution, so sides must be even: an odd one repeats its
    last row or column. As a context manager, an exception discards the video.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fps: float,
        size: tuple[int, int],
        encoder: Literal["auto", "pyav", "opencv"] = "auto",
    ) -> None:
        """Begin a video.

        Args:
            path: ends in .mp4; missing folders are made, and a file of that name is replaced.
            fps: frames per second, above 0 and up to 1000.
            size: (height, width) in pixels of every frame.
            encoder: "auto" is PyAV with H.264 if it can be had, else OpenCV.

        Raises:
            StorageError: the folder cannot be written to.
            MediaError: the encoder refuses.
        """
        self._path = as_path(path)
        if self._path.suffix.lower() != ".mp4":
            raise InputError("path", "a name that ends in .mp4", shown(self._path.name))
        rate = arguments.number(fps, "fps", 1e-3, _FASTEST_FPS)
        height, width = arguments.crop_size(size)
        if max(height, width) > _LARGEST_SIDE:
            raise InputError("size", f"sides up to {_LARGEST_SIDE}", repr(size))
        arguments.word(encoder, "encoder", ("auto", "pyav", "opencv"))
        self._size = (height, width)
        even = (height + height % 2, width + width % 2)
        self._padding = ((0, even[0] - height), (0, even[1] - width), (0, 0))
        av = None if encoder == "opencv" else pyav(is_wanted=encoder == "pyav")
        if encoder == "auto" and av is not None and _H264 not in av.codecs_available:
            av = None
        self._count = 0
        self._partial: PartialFile | None = PartialFile(self._path)
        try:
            name = str(self._partial.path)
            self._encoder: _Encoder = (
                _OpenCVEncoder(name, rate, even)
                if av is None
                else _PyAVEncoder(av, name, rate, even)
            )
        except BaseException:
            self._partial.discard()
            raise

    def __enter__(self) -> VideoWriter:  # noqa: PYI034  Self came with Python 3.11
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def write(self, image: Image) -> None:
        """Append a frame.

        Args:
            image: [H, W, 3] uint8 RGB of the video's size.
        """
        if self._partial is None:
            raise InputError("image", "a video that is not closed", f"{shown(self._path)}, closed")
        check_image(image, "image")
        if image.shape[:2] != self._size:
            expected = f"frames [{self._size[0]}, {self._size[1]}, 3]"
            raise InputError("image", expected, str(list(image.shape)))
        if any(after for _, after in self._padding):
            image = np.pad(image, self._padding, mode="edge")
        try:
            self._encoder.write(np.ascontiguousarray(image))
        except OSError as error:
            self.discard()
            raise storage_error(self._path, error, _SPACE_HINT) from error
        self._count += 1

    def close(self) -> None:
        """Finish the video and give it its name.

        Raises:
            StorageError: the disk is full; nothing is left behind then.
            MediaError: no frame was written, so there is no video.
        """
        partial = self._partial
        if partial is None:
            return
        try:
            self._encoder.close()
            if self._count == 0:
                message = f"{shown(self._path)}: no video: no frame was written to it"
                raise MediaError(message)  # noqa: TRY301  discards like the failures beside it
            if not is_whole_mp4(partial.path):  # OpenCV says nothing about a full disk
                message = f"{shown(self._path)}: cannot be written: the video is incomplete"
                raise StorageError(message, _SPACE_HINT)  # noqa: TRY301
        except OSError as error:
            self.discard()
            if isinstance(error, StorageError):
                raise
            raise storage_error(self._path, error, _SPACE_HINT) from error
        except BaseException:
            self.discard()
            raise
        self._partial = None
        partial.publish()

    def discard(self) -> None:
        """Remove the unfinished video."""
        partial, self._partial = self._partial, None
        if partial is None:
            return
        try:
            self._encoder.close()
        except OSError:  # the disk's failure is what led here, or does not matter any more
            partial.discard()
        else:
            partial.discard()


class _PyAVEncoder:
    def __init__(self, av: Any, name: str, fps: float, size: tuple[int, int]) -> None:
        self._av = av
        self._container = av.open(name, "w", format="mp4")
        rate = Fraction(fps).limit_denominator(_FINEST_FPS)
        try:
            self._stream = self._container.add_stream(_H264, rate=rate)
            self._stream.height, self._stream.width = size
            self._stream.pix_fmt = "yuv420p"  # what every player knows
        except av.error.FFmpegError as error:
            self._container.close()
            message = f"H.264 cannot be encoded here: {shown(error)}"
            raise MediaError(message, 'pass encoder="opencv"') from error
        self._count = 0
        self._is_open = True

    def write(self, image: Image) -> None:
        frame = self._av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = self._count, 1 / self._stream.average_rate
        self._count += 1
        self._put(frame)

    def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        try:
            if self._count:
                self._put(None)
        finally:
            self._container.close()

    def _put(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except self._av.error.FFmpegError as error:
            if error.errno in errno.errorcode:
                raise  # an OSError: the disk's fault
            message = f"a frame cannot be encoded: {shown(error)}"
            raise MediaError(message) from error


class _OpenCVEncoder:
    def __init__(self, name: str, fps: float, size: tuple[int, int]) -> None:
        self._cv2 = opencv()
        code = self._cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = self._cv2.VideoWriter(name, self._cv2.CAP_FFMPEG, code, fps, size[::-1])
        if not self._writer.isOpened():
            message = "OpenCV cannot write videos here"
            raise MediaError(message, 'pip install "pyposefast[video]"')

    def write(self, image: Image) -> None:
        self._writer.write(self._cv2.cvtColor(image, self._cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._writer.release()
