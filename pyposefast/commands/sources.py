"""What SOURCE on a command line means: pictures, a video or a camera."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pyposefast.errors import InputError, MediaError
from pyposefast.files import open_regular, shown
from pyposefast.media import open_source
from pyposefast.media.frames import Source
from pyposefast.media.sources import pictures_in
from pyposefast.media.video import container_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from collections.abc import Set as AbstractSet

    from pyposefast.media.frames import Frame

HELP = (
    "pictures, folders of pictures, videos, cameras (0, 1 ...), rtsp:// addresses; as many as you "
    "like"
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_START_BYTES = 512  # of a file, which say whether it is a video
_BLOCK_BYTES = 1 << 16  # of a file, from both of its ends, which identify it


@dataclass(frozen=True, slots=True)
class Job:
    """What is gone through in one stream: any number of pictures, one video or one camera."""

    kind: Literal["pictures", "video", "camera"]
    name: str  # for people; escaped
    paths: tuple[Path, ...] = ()  # of the pictures, or of the video
    camera: str = ""

    def opened(
        self,
        *,
        latest: bool = False,
        limit: int | None = None,
        done: AbstractSet[int] = frozenset(),
    ) -> tuple[Source, list[int] | None]:
        """Open it.

        Args:
            latest: a camera's frames that nobody took in time are dropped.
            limit: the end, after so many frames.
            done: indices of frames that are left out.

        Returns:
            What gives the frames and, of pictures, the index in ``paths`` of each of them.
        """
        if self.kind == "pictures":
            indices = [index for index in range(len(self.paths[:limit])) if index not in done]
            return open_source([self.paths[index] for index in indices]), indices
        source = open_source(self.camera or self.paths[0], latest=latest)
        if limit is None and not done:
            return source, None
        some = Source(
            _some(source, limit, done),
            name=source.name,
            len_hint=source.len_hint if limit is None else limit,
            fps=source.fps,
            size=source.size,
            is_live=source.is_live,
            is_latest=source.is_latest,
            stop=source.close,
        )
        return some, None


def find(sources: Sequence[str]) -> list[Job]:
    """Tell what each source is; pictures that follow one another become one job.

    What is named twice is gone through once: results are told apart by these names.

    Raises:
        InputError: an address that is not read.
        MediaError: a folder without pictures.
    """
    jobs: list[Job] = []
    seen: set[Path] = set()
    for job in map(_job, dict.fromkeys(sources)):
        new = tuple(path for path in job.paths if path not in seen)
        seen.update(new)
        if job.kind != "camera" and not new:
            continue
        if job.kind != "pictures":
            jobs.append(job)
        elif jobs and jobs[-1].kind == "pictures":
            jobs.append(_pictures(jobs.pop().paths + new))
        else:
            jobs.append(_pictures(new))
    return jobs


def unique_names(paths: Sequence[Path]) -> list[Path]:
    """Return names for results in one folder: the files' own, with their folders' where needed.

    Two files never get the same name, whatever folders they come from.
    """
    # Without any "..", which would lead out of the folder.
    whole = [Path(os.path.normpath(path.absolute())) for path in paths]
    names = [Path(path.name) for path in whole]
    for depth in range(2, max((len(path.parts) for path in whole), default=1)):
        counts = Counter(names)
        if len(counts) == len(names):
            break
        names = [
            Path(*path.parts[-depth:]) if counts[name] > 1 else name
            for name, path in zip(names, whole, strict=True)
        ]
    taken: set[Path] = set()
    for index, name in enumerate(names):  # one file by two names, or a video and its overlay
        names[index] = name if name not in taken else name.with_stem(f"{name.stem}-{index}")
        taken.add(names[index])
    return names


def identity(path: Path) -> dict[str, Any] | None:
    """Return what tells a file from another of that name: size, digest of its start and end."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.sha256(file.read(_BLOCK_BYTES))
            file.seek(max(size - _BLOCK_BYTES, 0))
            digest.update(file.read(_BLOCK_BYTES))
    except (MediaError, OSError):  # it cannot be read, which its record says anyway
        return None
    return {"bytes": size, "ends_sha256": digest.hexdigest()[:32]}


def _job(source: str) -> Job:
    if source.isdecimal():
        return Job("camera", f"camera {source}", camera=source)
    if _ADDRESS.match(source):
        # Without a password; `open_source` refuses the addresses that it does not read.
        name = shown(re.sub(r"(?<=://)[^/@]*@", "***@", source))
        return Job("camera", name, camera=source)
    if not source or "\0" in source:
        raise InputError("SOURCE", "a file, a folder, a camera or an address", repr(source))
    path = Path(source)
    if path.is_dir():
        return _pictures(tuple(pictures_in(path)))
    return Job("video", shown(path), (path,)) if _is_video(path) else _pictures((path,))


def _pictures(paths: tuple[Path, ...]) -> Job:
    name = shown(paths[0]) if len(paths) == 1 else f"{len(paths)} pictures"
    return Job("pictures", name, paths)


def _is_video(path: Path) -> bool:
    """Tell by its first bytes; what cannot be read is taken for a picture, and fails as one."""
    try:
        with open_regular(path) as file:
            return container_of(file.read(_START_BYTES)) is not None
    except (MediaError, OSError):
        return False


def _some(
    source: Source, limit: int | None, done: AbstractSet[int]
) -> Generator[Frame, None, None]:
    """Leave out frames that are done, and stop after the limit."""
    try:
        for count, frame in enumerate(source, start=1):
            if frame.index not in done:
                yield frame
            if count == limit:
                return
    finally:
        source.close()
