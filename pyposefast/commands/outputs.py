"""Where ``pyposefast predict`` puts results: overlays, videos, COCO results, logs, a window."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pyposefast.commands.sources import identity, unique_names
from pyposefast.errors import DeviceError, InputError, MediaError, StorageError
from pyposefast.extras import opencv
from pyposefast.files import shown
from pyposefast.media import write_image
from pyposefast.media.records import JsonLines, read_json_lines, write_json
from pyposefast.media.writers import VideoWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyposefast.commands.sources import Job
    from pyposefast.pipelines import FrameResult

_USUAL_FPS = 30.0  # of a camera that does not say
_ESCAPE = 27
_WINDOW = "pyposefast (q ends)"


@dataclass(frozen=True, slots=True)
class Place:
    """Which picture or frame a result is of."""

    job: Job
    index: int  # in the job
    path: Path | None  # of the picture or the video
    fps: float | None  # of the video

    @property
    def source(self) -> str:
        """What was given on the command line, for records; not escaped."""
        return self.job.name if self.path is None else str(self.path)

    @property
    def text(self) -> str:
        """The same for people, with the frame of a video."""
        if self.job.kind == "pictures":
            return shown(self.source)
        return f"{shown(self.source)} frame {self.index}"


class Stopped(Exception):  # noqa: N818  nothing went wrong
    """The user closed the window."""


class Output(Protocol):
    """Takes results one by one."""

    def add(self, place: Place, result: FrameResult) -> str:
        """Take one result; return what is wrong with it for this output, or nothing."""

    def end_job(self, job: Job, *, is_complete: bool) -> None:
        """Finish what belongs to one job."""

    def close(self, *, is_complete: bool) -> list[str]:
        """Finish everything; return what there is now, for people."""


class Overlays:
    """Pictures and videos with the skeletons over them, in a folder."""

    def __init__(self, folder: Path, jobs: Sequence[Job], *, threshold: float) -> None:
        """Give every picture and video a name in the folder, and refuse to write over them.

        Args:
            folder: made when it is needed.
            jobs: all that will come.
            threshold: joints with a lower score are not drawn.
        """
        _check_writable(folder)
        self._folder, self._threshold, self._count = folder, threshold, 0
        paths = [path for job in jobs for path in job.paths]
        names = unique_names([_named(path, job) for job in jobs for path in job.paths])
        start, self._targets = 0, {}
        for job in jobs:
            for index in range(len(job.paths)):
                self._targets[id(job), index] = folder / names[start + index]
            start += len(job.paths)
        for target in self._targets.values():
            if target.exists() and any(target.samefile(path) for path in paths if path.exists()):
                hint = f"{shown(target)} would be written over"
                raise InputError(
                    "--output", "another folder than the pictures'", shown(folder), hint
                )
        self._video: VideoWriter | None = None
        self._last: Any = None  # what was drawn last, in place of frames that cannot be read

    def add(self, place: Place, result: FrameResult) -> str:
        """Draw the people of one picture or frame."""
        if result.image is not None and result.poses is not None:
            self._last = result.poses.draw(result.image, threshold=self._threshold)
        if place.job.kind == "pictures":
            if result.poses is not None:
                write_image(self._targets[id(place.job), place.index], self._last)
                self._count += 1
            return ""
        if self._last is None:
            return ""
        if self._video is None:
            self._shape, fps = self._last.shape, place.fps or _USUAL_FPS
            self._video = VideoWriter(self._target(place.job), fps=fps, size=self._shape[:2])
        if self._last.shape != self._shape:
            return "of another size than the first, so left out of the annotated video"
        self._video.write(self._last)
        return ""

    def end_job(self, job: Job, *, is_complete: bool) -> None:
        """Publish the video. One of a camera is complete whenever it is ended."""
        video, self._video, self._last = self._video, None, None
        if video is None:
            return
        if is_complete or job.kind == "camera":
            video.close()
            self._count += 1
        else:
            video.discard()

    def close(self, *, is_complete: bool) -> list[str]:  # noqa: ARG002
        """Say how many there are."""
        return [f"{self._count} overlays in {shown(self._folder)}"]

    def _target(self, job: Job) -> Path:
        if job.kind == "video":
            return self._targets[id(job), 0]
        word = job.camera if job.camera.isdecimal() else "stream"
        return self._folder / f"camera_{word}.mp4"


class CocoResults:
    """One JSON file as COCO's tools read it. Pictures named by a number have it as their id."""

    def __init__(self, path: Path, jobs: Sequence[Job]) -> None:
        """Start with nobody, and refuse a place where nothing can be written."""
        _check_writable(path.parent)
        self._path, self._records, self._next = path, list[dict[str, Any]](), 1
        paths = [path for job in jobs for path in job.paths]
        stems = [path.stem for path in paths]
        is_numbered = all(job.kind == "pictures" for job in jobs) and all(
            stem.isascii() and stem.isdecimal() for stem in stems
        )
        self._by_name = is_numbered and len({int(stem) for stem in stems}) == len(stems)

    def add(self, place: Place, result: FrameResult) -> str:
        """Keep the people of one picture or frame."""
        image_id, self._next = self._next, self._next + 1
        if self._by_name and place.path is not None:
            image_id = int(place.path.stem)
        if result.poses is None:
            return ""
        where: dict[str, Any] = {"file_name": place.source}
        if place.job.kind != "pictures":
            where["frame"] = place.index
        self._records += [record | where for record in result.poses.to_coco(image_id)]
        return ""

    def end_job(self, job: Job, *, is_complete: bool) -> None:
        """Nothing belongs to one job."""

    def close(self, *, is_complete: bool) -> list[str]:
        """Write the file, unless some inputs are missing from it."""
        if not is_complete:
            return [f"{shown(self._path)} was not written, since the run was not finished"]
        write_json(self._path, self._records)
        return [f"{len(self._records)} people in {shown(self._path)}"]


class Log:
    """A JSON line for every picture or frame, written as it comes; another run goes on behind it.

    The first line says which network and which settings made the others. The log is the only truth
    about what is done: a picture or frame that has its line is not looked at again.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], *, overwrite: bool) -> None:
        """Open the log.

        Args:
            path: of the file; if it is there, it is continued.
            header: what has to be the same for that.
            overwrite: start anew instead.
        """
        self._path, self._known = path, dict[tuple[str, int], dict[str, Any]]()
        plain = dict(header)
        is_there = not overwrite and path.exists() and path.stat().st_size > 0
        records = read_json_lines(path) if is_there else []
        self._file = JsonLines(path, resume=is_there)
        try:
            if records:
                _check_header(path, records[0], plain)
            else:
                self._file.write(plain)
        except BaseException:
            self._file.close()
            raise
        for record in records[1:]:
            key = str(record.get("source")), int(record.get("frame") or 0)
            self._known[key] = {name: record.get(name) for name in ("input", "error")}
        self._identities: dict[Path, Any] = {}

    def done(self, job: Job) -> dict[int, str]:
        """Return the indices in a job that have their line, each with its error if there was one.

        Raises:
            InputError: a file has changed since.
        """
        found = {}
        if job.kind == "pictures":
            keys = [(index, (str(path), 0), path) for index, path in enumerate(job.paths)]
        elif job.kind == "video":
            name = str(job.paths[0])
            keys = [(key[1], key, job.paths[0]) for key in self._known if key[0] == name]
        else:
            return {}  # no camera shows the same twice
        for index, key, path in keys:
            record = self._known.get(key)
            if record is None:
                continue
            if record.get("input") != self._identity(path):
                hint = "name another file, or pass --overwrite to start anew"
                expected = f"{shown(path)} as it was when its line was written"
                raise InputError(f"--jsonl {shown(self._path)}", expected, "another file", hint)
            found[index] = str(record.get("error") or "")
        return found

    def add(self, place: Place, result: FrameResult) -> str:
        """Append a line."""
        is_picture = place.job.kind == "pictures"
        status = "error" if result.poses is None else "ok" if len(result.poses) else "empty"
        record: dict[str, Any] = {
            "source": place.source,
            "frame": None if is_picture else place.index,
            "time_s": result.time_s,
            "status": status,
            "error": None if result.error is None else result.error.message,
            "input": None if place.path is None else self._identity(place.path),
        }
        if result.dropped:
            record["dropped"] = result.dropped
        if result.poses is not None:
            record |= result.poses.to_dict()
        self._file.write(record)
        return ""

    def end_job(self, job: Job, *, is_complete: bool) -> None:
        """Nothing belongs to one job."""

    def close(self, *, is_complete: bool) -> list[str]:  # noqa: ARG002
        """Let go of the file."""
        self._file.close()
        return [f"{self._file.count - 1} records in {shown(self._path)}"]

    def _identity(self, path: Path) -> Any:
        if path not in self._identities:
            self._identities.clear()  # one is asked for again and again: the video's
            self._identities[path] = identity(path)
        return self._identities[path]


class Window:
    """The overlays on the screen."""

    def __init__(self, *, threshold: float) -> None:
        """Open the window, which not every OpenCV and not every machine can."""
        self._threshold, self._cv2 = threshold, opencv()
        is_linux = sys.platform.startswith("linux")
        if is_linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            message = "--show: there is no screen: neither DISPLAY nor WAYLAND_DISPLAY is set"
            raise DeviceError(message, "write the overlays to a folder instead: --output FOLDER")
        try:
            self._cv2.namedWindow(_WINDOW, self._cv2.WINDOW_NORMAL)
        except self._cv2.error as error:
            message = (
                "--show: this OpenCV was built without windows\n"
                "hint: pip uninstall opencv-python-headless, then pip install opencv-python"
            )
            raise ImportError(message) from error

    def add(self, place: Place, result: FrameResult) -> str:
        """Show one result: a picture until a key is pressed, a frame until the next one comes."""
        if result.image is None or result.poses is None:
            return ""
        overlay = result.poses.draw(result.image, threshold=self._threshold)
        self._cv2.imshow(_WINDOW, overlay[..., ::-1])
        key = self._cv2.waitKey(0 if place.job.kind == "pictures" else 1) & 0xFF
        if key in (_ESCAPE, ord("q")):
            raise Stopped
        return ""

    def end_job(self, job: Job, *, is_complete: bool) -> None:
        """The next job has the same window."""

    def close(self, *, is_complete: bool) -> list[str]:  # noqa: ARG002
        """Close the window."""
        self._cv2.destroyAllWindows()
        return []


def _check_writable(folder: Path) -> None:
    """Refuse, before any work, a folder that cannot be made or written to."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise StorageError(f"{shown(folder)}: cannot be written: {shown(there)} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise StorageError(f"{shown(folder)}: cannot be written: permission denied")


def _check_header(path: Path, have: Mapping[str, Any], want: Mapping[str, Any]) -> None:
    """Refuse to go on behind records of another network, other settings or another version."""
    if have == want:
        return
    got = "no such log"
    if have.keys() == want.keys():
        got = f"another {', '.join(key for key in want if have[key] != want[key])}"
    hint = "name another file, or pass --overwrite to start anew"
    expected = "a log of the same network, settings and version"
    raise InputError(f"--jsonl {shown(path)}", expected, got, hint)


def _named(path: Path, job: Job) -> Path:
    """Return a name that says how the overlay is to be written."""
    if job.kind == "video":
        return path.with_suffix(".mp4")
    suffix = path.suffix.lower()
    return path if suffix in (".jpg", ".jpeg", ".png", ".webp", ".bmp") else Path(f"{path}.png")


def error_of(place: Place, error: Exception) -> str:
    """Return a line for the list of failures, with the place in it once."""
    message = error.message if hasattr(error, "message") else shown(error)
    name = shown(place.source)
    if isinstance(error, MediaError) and name in message:
        return str(message)
    return f"{place.text}: {message}"
