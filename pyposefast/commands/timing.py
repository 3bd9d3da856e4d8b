"""How long each stage of a pipeline takes, for batches of several sizes and several streams."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pyposefast.errors import DeviceError
from pyposefast.stages import Recorder, stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

_PERCENTILES = (50, 95, 99)
NETWORK = "network"  # the last part of the names of stages that are no work of ours
REST = "rest"
# The order in which a picture meets them; others come behind.
_ORDER = (
    "upload",
    "detect",
    "detect/preprocess",
    "detect/network",
    "detect/decode",
    "preprocess",
    NETWORK,
    "decode",
    "download",
    REST,
)


@dataclass(frozen=True, slots=True)
class Spread:
    """Times of one thing, in milliseconds a call."""

    mean: float
    p50: float
    p95: float
    p99: float

    def to_dict(self) -> dict[str, float]:
        """Return plain numbers for JSON."""
        return {
            "mean_ms": self.mean,
            "p50_ms": self.p50,
            "p95_ms": self.p95,
            "p99_ms": self.p99,
        }


@dataclass(frozen=True, slots=True)
class Timing:
    """One size of batches and one number of streams."""

    batch: int  # frames in a call
    streams: int  # threads that call at once
    calls: int  # that were timed, of all streams
    fps: float  # frames a second, of all streams
    call: Spread
    stages: dict[str, Spread]  # in order; without what their own parts take, so that they add up
    people: float  # found in a frame, in the mean

    @property
    def our_share(self) -> float:
        """The part 0..1 of a call's time that is not spent in networks."""
        networks = sum(
            spread.mean for name, spread in self.stages.items() if name.split("/")[-1] == NETWORK
        )
        return 1.0 - networks / self.call.mean

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "batch": self.batch,
            "streams": self.streams,
            "calls": self.calls,
            "fps": self.fps,
            "call": self.call.to_dict(),
            "stages": {name: spread.to_dict() for name, spread in self.stages.items()},
            "our_share": self.our_share,
            "people_a_frame": self.people,
        }


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a pipeline again and again."""

    model: Any  # a pipeline or a detector
    images: Sequence[npt.NDArray[np.uint8]]  # the frames, in turn; [H, W, 3] RGB
    boxes: npt.NDArray[np.float32] | None  # [P, 4] of each; None: the detector's
    nvtx: bool = False  # show the stages in NVIDIA's profilers

    def batch(self, first: int, count: int) -> dict[str, Any]:
        """Return the arguments of one call, whose frames go on behind ``first``."""
        chosen = [self.images[(first + index) % len(self.images)] for index in range(count)]
        if self.boxes is None:
            return {"images": chosen}
        return {"images": chosen, "boxes": [self.boxes] * count}


def time_it(load: Load, *, batch: int, streams: int, repeat: int, warmup: int) -> Timing:
    """Time calls of one size.

    Args:
        load: what is called.
        batch: frames in a call.
        streams: threads that call at once, each ``repeat`` times.
        repeat: timed calls of each thread.
        warmup: calls of each thread before.
    """
    device = _Device(load.model.network.engine.device)
    everyone = threading.Barrier(streams + 1)
    runs: list[list[dict[str, float]]] = [[] for _ in range(streams)]
    people = [0] * streams
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            recorder = Recorder(wait=device.wait, nvtx=load.nvtx)
            for index in range(warmup):
                _call(load, device, index * batch, batch)
            everyone.wait()
            for index in range(repeat):
                start = time.perf_counter()
                with recorder.listening():
                    found = _call(load, device, index * batch, batch)
                total = time.perf_counter() - start
                runs[number].append({**recorder.take(), "": total})
                people[number] += sum(map(len, found))
        except BaseException as error:  # noqa: BLE001  raised again below
            failures.append(error)
            everyone.abort()

    threads = [
        threading.Thread(target=work, args=(number,), name=f"bench-{number}", daemon=True)
        for number in range(streams)
    ]
    for thread in threads:
        thread.start()
    start = _started(everyone)
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - start
    real = [error for error in failures if not isinstance(error, threading.BrokenBarrierError)]
    if real:
        raise real[0]
    calls = [run for each in runs for run in each]
    return Timing(
        batch=batch,
        streams=streams,
        calls=len(calls),
        fps=len(calls) * batch / elapsed,
        call=_spread([run[""] for run in calls]),
        stages=_stages(calls),
        people=sum(people) / (len(calls) * batch),
    )


def _started(everyone: threading.Barrier) -> float:
    """Wait until all threads are warm; return when."""
    with contextlib.suppress(threading.BrokenBarrierError):  # one of them failed, and says why
        everyone.wait()
    return time.perf_counter()


def _call(load: Load, device: _Device, first: int, count: int) -> list[Any]:
    arguments = load.batch(first, count)
    if device.upload is not None:
        with stage("upload"):
            arguments["images"] = [device.upload(image) for image in arguments["images"]]
    found: list[Any] = load.model(arguments.pop("images"), **arguments)
    return found


class _Device:
    """Where the networks run, and how to wait for it."""

    def __init__(self, name: str) -> None:
        self.upload: Callable[[Any], Any] | None = None
        self.wait: Callable[[], object] | None = None
        if name == "cpu":
            return
        try:
            import cupy  # noqa: PLC0415  an extra: imported when needed
        except ImportError as error:
            message = f"the network runs on {name}, and waiting for it needs CuPy"
            raise DeviceError(message, 'pip install "pyposefast[cuda]"') from error
        self.upload, self.wait = cupy.asarray, cupy.cuda.Device().synchronize


def _stages(calls: list[dict[str, float]]) -> dict[str, Spread]:
    """Return the times of each stage by itself: of a stage with parts, what is between them."""
    names = {name for run in calls for name in run} - {""}
    order = {name: place for place, name in enumerate(_ORDER)}
    result = {}
    for name in sorted({*names, REST}, key=lambda name: (order.get(name, len(order)), name)):
        whole, parts = "" if name == REST else name, _parts(name, names)
        spent = [run.get(whole, 0.0) - sum(run.get(part, 0.0) for part in parts) for run in calls]
        result[name] = _spread(spent)
    return result


def _parts(name: str, names: set[str]) -> list[str]:
    """Return the stages directly within one; within the whole call, for what is left of it."""
    if name == REST:
        return [each for each in names if "/" not in each]
    return [each for each in names if each.rpartition("/")[0] == name]


def _spread(seconds: list[float]) -> Spread:
    times = 1e3 * np.asarray(seconds)
    p50, p95, p99 = np.percentile(times, _PERCENTILES).tolist()
    return Spread(float(times.mean()), p50, p95, p99)
