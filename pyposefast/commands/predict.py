"""``pyposefast predict``: who is in pictures, videos and camera streams."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast import __version__, arguments, preprocess
from pyposefast.commands import EXIT_STATUS, OK, SOME_FAILED, loading, sources
from pyposefast.commands.outputs import (
    CocoResults,
    Log,
    Output,
    Overlays,
    Place,
    Stopped,
    Window,
    error_of,
)
from pyposefast.commands.printing import note, say
from pyposefast.errors import InputError, MediaError, StreamEnded, StreamStalled
from pyposefast.pipelines.following import follow
from pyposefast.pipelines.stream import Stream
from pyposefast.progress import Progress

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from pyposefast.commands.sources import Job
    from pyposefast.pipelines import FrameResult

_PROBE_SIDE = 64  # pixels, of a picture with nobody in it
_MORE = """\
examples:
  pyposefast predict rtmpose_s photo.jpg
  pyposefast predict rtmpose_s holiday/ --output overlays --json people.json
  pyposefast predict rtmo_s video.mp4 --output annotated --jsonl people.jsonl
  pyposefast predict my_network.toml 0 --latest --show
  pyposefast predict rtmpose_s video.mp4 --detect-every 5 --batch 1

Without an output option, a line for every picture or frame: how many people, the best score, and
how long the networks and what is around them took. A file that cannot be read costs only itself.

"""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "Find the people in pictures, videos or camera streams, and their joints."
    parser.epilog = _MORE + EXIT_STATUS
    loading.add_model(parser)
    parser.add_argument("source", nargs="+", metavar="SOURCE", help=sources.HELP)
    outputs = parser.add_argument_group("where the results go")
    outputs.add_argument(
        "--output", type=Path, metavar="FOLDER", help="pictures and MP4 videos with the skeletons"
    )
    outputs.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="COCO results, joints in the network's own order; written when all is done",
    )
    outputs.add_argument(
        "--jsonl",
        type=Path,
        metavar="FILE",
        help="a JSON line for each picture or frame, written as it comes; a run that was broken "
        "off goes on behind the last line",
    )
    outputs.add_argument(
        "--overwrite", action="store_true", help="start the --jsonl file anew instead"
    )
    outputs.add_argument(
        "--show", action="store_true", help="a window; pictures wait for a key, q ends"
    )
    outputs.add_argument(
        "--threshold",
        type=float,
        default=0.2,
        metavar="S",
        help="joints that score less are not drawn; scores are 0 to 1 (default: 0.2)",
    )
    how = parser.add_argument_group("how the sources are gone through")
    how.add_argument(
        "--detect-every",
        type=int,
        default=1,
        metavar="N",
        help="the detector looks at every N-th frame; in between people are followed (default: 1)",
    )
    how.add_argument(
        "--latest",
        action="store_true",
        help="of cameras: always the newest frame; those that came meanwhile are dropped",
    )
    how.add_argument(
        "--batch", type=int, default=1, metavar="N", help="frames run together (default: 1)"
    )
    how.add_argument(
        "--workers", type=int, default=1, metavar="N", help="batches run at once (default: 1)"
    )
    how.add_argument(
        "--limit", type=int, metavar="N", help="stop each source after N frames (default: never)"
    )
    how.add_argument(
        "--flip-test", action="store_true", help="look at mirror images too: better, half as fast"
    )
    loading.add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Go through all sources."""
    _check(options)
    jobs = sources.find(options.source)
    if options.latest and any(job.kind != "camera" for job in jobs):
        hint = "files wait until they are read: leave --latest out"
        raise InputError("--latest", "cameras alone", options.source[0], hint)
    window = Window(threshold=options.threshold) if options.show else None
    overlays = None
    if options.output is not None:
        overlays = Overlays(options.output, jobs, threshold=options.threshold)
    coco = None if options.json is None else CocoResults(options.json, jobs)
    pipeline = loading.load_pipeline(options, flip_test=options.flip_test)
    try:
        _prepare(pipeline, options)
        log = None
        if options.jsonl is not None:
            log = Log(options.jsonl, _header(options), overwrite=options.overwrite)
        outputs: list[Output] = [each for each in (overlays, coco, log, window) if each is not None]
        return _Run(options, pipeline, outputs, log).all_of(jobs)
    finally:
        pipeline.close()


def _check(options: argparse.Namespace) -> None:
    loading.check(options)
    arguments.number(options.threshold, "--threshold", 0.0, 1.0)
    for name, most in (("detect_every", 1 << 20), ("batch", 1 << 10), ("workers", 1 << 10)):
        arguments.integer(getattr(options, name), f"--{name.replace('_', '-')}", 1, most)
    if options.limit is not None:
        arguments.integer(options.limit, "--limit", 1, 1 << 40)
    if options.detect_every > 1 and options.workers > 1:
        hint = "frames follow one another"
        raise InputError("--workers", "1 with --detect-every", str(options.workers), hint)
    if options.overwrite and options.jsonl is None:
        raise InputError("--overwrite", "a --jsonl file", "none")


def _prepare(pipeline: Any, options: argparse.Namespace) -> None:
    """Look for people in an empty picture, so that what is missing is missed now, and once.

    In the stream it would be the failure of every single picture.
    """
    if hasattr(pipeline, "boxes_of"):
        nobody = np.zeros((_PROBE_SIDE, _PROBE_SIDE, 3), np.uint8)
        try:
            pipeline.boxes_of(preprocess.pictures(nobody))
        except InputError as error:
            if error.argument != "boxes":
                raise
            expected = "a network that finds the people"
            raise InputError("--detector", expected, options.detector) from error
    elif options.detect_every > 1:
        got = "one that looks at everything"
        raise InputError("--detect-every", "a network with a detector", got)


def _header(options: argparse.Namespace) -> dict[str, Any]:
    """Return what two runs have to share for one to go on with the records of the other."""
    manifest, file = loading.manifest_and_file(options.model, options.weights)
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    settings = [repr(manifest), options.detector, options.detector_weights, options.precision]
    settings += [options.engine, options.flip_test, options.detect_every]
    return {
        "pyposefast": __version__,
        "network": manifest.name,
        "network_sha256": digest.hexdigest(),
        "settings_sha256": hashlib.sha256(repr(settings).encode()).hexdigest(),
    }


@dataclass(slots=True)
class _Counts:
    wanted: int = 0  # pictures and frames that came, or should have, and sources without any
    looked_at: int = 0
    unopened: int = 0  # sources
    before: int = 0  # by an earlier run
    people: int = 0
    dropped: int = 0
    failures: list[str] = field(default_factory=list)


class _Run:
    """Takes every job through the pipeline and hands the results to the outputs."""

    def __init__(
        self, options: argparse.Namespace, pipeline: Any, outputs: Sequence[Output], log: Log | None
    ) -> None:
        self._options, self._pipeline = options, pipeline
        self._outputs, self._log = outputs, log
        self._counts = _Counts()

    def all_of(self, jobs: Sequence[Job]) -> int:
        """Go through the jobs; return the exit code."""
        is_complete = False
        try:
            # Looked at beforehand, so that a log that does not fit is refused before any work.
            done = [{} if self._log is None else self._log.done(job) for job in jobs]
            for job, known in zip(jobs, done, strict=True):
                self._one(job, known)
            is_complete = True
        except Stopped:
            note("stopped from the window")
        finally:
            endings = [
                line for each in self._outputs for line in each.close(is_complete=is_complete)
            ]
            for line in endings:
                note(line)
        return self._summary(is_complete=is_complete)

    def _one(self, job: Job, done: dict[int, str]) -> None:
        """Go through one job; what cannot be opened fails alone."""
        counts, options = self._counts, self._options
        counts.before += len(done)
        counts.wanted += len(done)
        counts.failures += [error for error in done.values() if error]
        try:
            source, indices = job.opened(
                latest=options.latest, limit=options.limit, done=done.keys()
            )
        except (MediaError, StreamEnded, StreamStalled) as error:
            counts.wanted += 1
            counts.unopened += 1
            counts.failures.append(error.message)
            return
        if indices is not None:
            counts.wanted += len(indices)
        follows = options.detect_every > 1
        run = _Timed(
            follow(self._pipeline, options.detect_every, {}) if follows else self._pipeline
        )
        is_complete = False
        progress = Progress(source.len_hint, "pictures" if indices is not None else "frames")
        try:
            with (
                progress,
                Stream(
                    run, source, latest=options.latest, batch=options.batch, workers=options.workers
                ) as stream,
            ):
                for result in stream:
                    index = result.index if indices is None else indices[result.index]
                    path = job.paths[index if job.kind == "pictures" else 0] if job.paths else None
                    self._take(Place(job, index, path, source.fps), result, run, progress)
                    if indices is None:
                        counts.wanted += 1
                    progress.add()
            is_complete = True
        finally:
            for output in self._outputs:
                output.end_job(job, is_complete=is_complete)

    def _take(self, place: Place, result: FrameResult, run: _Timed, progress: Progress) -> None:
        counts = self._counts
        counts.looked_at += 1
        counts.dropped += result.dropped
        if result.error is not None:
            counts.failures.append(error_of(place, result.error))
        elif result.poses is not None:
            counts.people += len(result.poses)
            took_ms = run.milliseconds(result.poses)
            if not self._outputs:
                progress.clear()
                say(_line(place, result, took_ms))
        for output in self._outputs:
            problem = output.add(place, result)
            if problem:
                counts.failures.append(f"{place.text}: {problem}")

    def _summary(self, *, is_complete: bool) -> int:
        counts = self._counts
        if counts.failures:
            note(f"{len(counts.failures)} failed:")
            for failure in counts.failures:
                note(f"  {failure}")
        parts = [f"{counts.wanted} inputs", f"{counts.people} people"]
        if counts.before:
            parts.append(f"{counts.before} done before")
        if counts.dropped:
            parts.append(f"{counts.dropped} dropped")
        if counts.failures:
            parts.append(f"{len(counts.failures)} failed")
        adds_up = counts.looked_at + counts.before + counts.unopened == counts.wanted
        word = "completed" if is_complete and adds_up else "not completed"
        if self._outputs or counts.failures:
            note(f"{word}: {', '.join(parts)}")
        return SOME_FAILED if counts.failures or (is_complete and not adds_up) else OK


class _Timed:
    """A pipeline that remembers how long it took for each of its results."""

    def __init__(self, run: Callable[[list[Any]], Any]) -> None:
        self._run = run
        self._took_ms: dict[int, float] = {}  # by the identity of Poses, which the stream keeps

    def __call__(self, images: list[Any]) -> Any:
        start = time.perf_counter()
        found = self._run(images)
        each_ms = 1e3 * (time.perf_counter() - start) / len(images)
        for poses in found:
            self._took_ms[id(poses)] = each_ms
        return found

    def milliseconds(self, poses: Any) -> float:
        return self._took_ms.pop(id(poses))


def _line(place: Place, result: FrameResult, took_ms: float) -> str:
    poses = result.poses
    if poses is None or not len(poses):
        return f"{place.text}  nobody  {took_ms:.1f} ms"
    people = "1 person" if len(poses) == 1 else f"{len(poses)} people"
    return f"{place.text}  {people}  best {float(poses.person_score.max()):.3f}  {took_ms:.1f} ms"
