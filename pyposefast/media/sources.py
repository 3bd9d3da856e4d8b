"""Sources: pictures, folders, videos, cameras and arrays, all as the same iterator of frames."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sized
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from pyposefast import arguments
from pyposefast.errors import InputError, InputTypeError, MediaError
from pyposefast.files import as_path, open_regular, shown
from pyposefast.media.clock import SYSTEM_CLOCK
from pyposefast.media.frames import Frame, Source
from pyposefast.media.headers import READ_HINT, foreign_kind, kind_of
from pyposefast.media.live import Capture, Feed, OpenCVCapture
from pyposefast.media.pictures import MOST_PIXELS, SUFFIXES, Image, check_image, read_image
from pyposefast.media.video import container_of, open_video

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from pyposefast.media.clock import Clock

AnySource: TypeAlias = (
    "str | os.PathLike[str] | int | Image | Iterable[Image | str | os.PathLike[str]] | Source"
)

_MOST_CAMERAS = 1 << 10
_LONGEST_S = 86_400.0
_STREAMS = ("rtsp", "rtsps")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PASSWORD = re.compile(r"(?<=://)[^/@]*@")
_DIGITS = re.compile(r"([0-9]+)")


def open_source(
    source: AnySource,
    *,
    latest: bool = False,
    decoder: Literal["auto", "pyav", "opencv"] = "auto",
    stall_s: float = 1.0,
    give_up_s: float | None = 60.0,
    max_pixels: int = MOST_PIXELS,
    open_capture: Callable[[], Capture] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Source:
    """Open anything that gives pictures.

    A picture that cannot be read is a frame with an error and costs only itself.

    Args:
        source: the path of a picture or of a video (told apart by content); a folder, whose
            pictures (by suffix, without hidden ones and without folders in it) come in natural
            order, 2 before 10; a camera's number, or that as text; the address of a network camera,
            ``rtsp://`` or ``rtsps://``; an array uint8 [H, W, 3] RGB; or an iterable of such
            arrays and of paths. Other addresses are refused: behind ``http://`` there can be
            a playlist, which would have FFmpeg open other addresses and files of this machine.
        latest: for what is live: whoever is slow gets the newest frame, and the number of those
            that were dropped. An iterable of arrays counts as live then. Otherwise a camera has
            to wait.
        decoder: of video files. "pyav" has exact timestamps and a record for each damaged frame,
            "opencv" tells at the end how many are missing; "auto" takes PyAV if there is one.
        stall_s: a camera that is silent for so long gives a frame with a ``StreamStalled``, and
            another each time it is silent as long again. Reconnection is tried all the while.
        give_up_s: after so much silence it is a ``StreamEnded``, and the end; None: never.
        max_pixels: larger pictures and videos are refused.
        open_capture: opens the camera instead of OpenCV, when ``source`` is a number or an address.
        clock: what live sources wait by.

    Raises:
        InputError: no source that is known, or ``latest`` for files, which never get stale.
        MediaError: the file is neither picture nor video, the camera cannot be opened.
    """
    if isinstance(source, Source):
        raise InputTypeError("source", "something to open", "a Source that is open already")
    latest = arguments.flag(latest, "latest")
    arguments.word(decoder, "decoder", ("auto", "pyav", "opencv"))
    arguments.number(stall_s, "stall_s", 1e-3, _LONGEST_S)
    if give_up_s is not None:
        arguments.number(give_up_s, "give_up_s", 1e-3, _LONGEST_S)
    arguments.integer(max_pixels, "max_pixels", 1, 1 << 40)

    def live(name: str, opener: Callable[[], Capture], *, is_camera: bool) -> Source:
        feed = Feed(
            opener,
            name=name,
            latest=latest,
            stall_s=stall_s if is_camera else _LONGEST_S,
            give_up_s=give_up_s if is_camera else None,
            does_reconnect=is_camera,
            clock=clock,
        )
        return Source(
            feed.frames(),
            name=name,
            fps=feed.fps,
            is_live=True,
            is_latest=latest,
            stop=feed.close,
        )

    camera = _camera(source)
    if camera is not None:
        name = f"camera {camera}" if isinstance(camera, int) else _PASSWORD.sub("***@", camera)
        opener = open_capture or (lambda: OpenCVCapture(camera, 2 * stall_s))
        return live(shown(name), opener, is_camera=True)
    if isinstance(source, (str, os.PathLike)):
        path = as_path(source, "source")
        if latest:
            hint = "a file waits until it is read: leave `latest` out"
            raise InputError("latest", "a camera or an iterable", f"the file {shown(path)}", hint)
        return _file(path, decoder, max_pixels)
    if isinstance(source, np.ndarray) and source.ndim == 3:  # noqa: PLR2004
        source = [source]
    if not isinstance(source, Iterable):
        expected = "a path, a camera's number, an address or an iterable of arrays"
        raise InputTypeError("source", expected, type(source).__name__)
    items = iter(source)
    if latest:
        return live("source", lambda: _Iterated(items), is_camera=False)
    length = len(source) if isinstance(source, Sized) else None
    return Source(_items(items, max_pixels), name="source", len_hint=length)


def _camera(source: object) -> int | str | None:
    """Return a camera's number or address, None for all other sources."""
    if isinstance(source, (int, np.integer)) or (isinstance(source, str) and source.isdecimal()):
        number = source if isinstance(source, bool) else int(source)
        return arguments.integer(number, "source", 0, _MOST_CAMERAS)
    address = _ADDRESS.match(source) if isinstance(source, str) else None
    if address is None or not isinstance(source, str):
        return None
    if address[1].lower() not in _STREAMS:
        got = f"{shown(address[1])}://"
        hint = "download the file first; of network cameras, rtsp:// is read"
        raise InputError("source", "a path, or an address with rtsp:// or rtsps://", got, hint)
    return source


def _file(path: Path, decoder: str, max_pixels: int) -> Source:
    if path.is_dir():
        paths = pictures_in(path)
        return Source(_items(iter(paths), max_pixels), name=path.name, len_hint=len(paths))
    with open_regular(path) as file:
        start = file.read(512)
    if container_of(start) is not None:
        return open_video(path, decoder=decoder, max_pixels=max_pixels)
    if kind_of(start) is None:
        message = f"{shown(path)}: expected a picture or a video, got {foreign_kind(start)}"
        raise MediaError(message, READ_HINT)
    return Source(_items(iter([path]), max_pixels), name=path.name, len_hint=1)


def pictures_in(folder: Path) -> list[Path]:
    """Return a folder's pictures, 2 before 10; hidden files and folders within it are left out.

    Raises:
        MediaError: it cannot be read, or has none.
    """
    try:
        names = sorted((each.name for each in folder.iterdir()), key=_natural)
    except OSError as error:
        message = f"{shown(folder)}: cannot be read: {os.strerror(error.errno or 0).lower()}"
        raise MediaError(message) from error
    paths = [folder / name for name in names if _is_picture(name)]
    paths = [each for each in paths if not each.is_dir()]
    if not paths:
        message = f"{shown(folder)}: expected pictures ({', '.join(SUFFIXES)}), got a folder"
        raise MediaError(f"{message} without any", "folders within it are not looked into")
    return paths


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Order names as people count: 2 before 10, and capitals with their small letters."""
    parts = _DIGITS.split(name.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts] + [(1, name)]


def _items(
    items: Iterator[Image | str | os.PathLike[str]], max_pixels: int
) -> Generator[Frame, None, None]:
    """Give arrays as they are, and what is in the files that paths name."""
    for index, item in enumerate(items):
        if not isinstance(item, (str, os.PathLike)):
            image = check_image(item, f"source[{index}]")
            yield Frame(index, None, f"source[{index}]", image)
            continue
        path = as_path(item, f"source[{index}]")
        try:
            yield Frame(index, None, path.name, read_image(path, max_pixels=max_pixels))
        except MediaError as error:
            yield Frame(index, None, path.name, None, error)


class _Iterated:
    """The arrays of an iterable, as if a camera took them."""

    fps = None

    def __init__(self, items: Iterator[Image | str | os.PathLike[str]]) -> None:
        self._items = items
        self._count = 0

    def read(self) -> Image | None:
        for item in self._items:
            self._count += 1
            return check_image(item, f"source[{self._count - 1}]")
        return None

    def close(self) -> None:
        """Leave the iterable to its owner."""
