"""Side-by-side timing: candidates take turns in one process, so a slow moment hits all of them."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pyposefast import _C

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Timing:
    """One candidate on one input."""

    name: str
    median_ms: float
    min_ms: float


def race(candidates: dict[str, Callable[[], object]], *, repeats: int = 15) -> dict[str, Timing]:
    """Time candidates in turn.

    CPU time of this thread, so that other programs on the machine count less than on a wall clock.
    Every sample runs a candidate long enough (about 5 ms) for the clock's grain not to matter,
    after one call that brings back the caches and branches which the one before it has taken.
    """
    rounds: dict[str, int] = {}
    for name, run in candidates.items():
        run()
        start = time.thread_time()
        run()
        rounds[name] = max(1, int(5e-3 / max(time.thread_time() - start, 1e-6)))
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, run in candidates.items():
            run()
            start = time.thread_time()
            for _ in range(rounds[name]):
                run()
            samples[name].append((time.thread_time() - start) / rounds[name] * 1e3)
    return {
        name: Timing(name, statistics.median(times), min(times)) for name, times in samples.items()
    }


def read_bandwidth(size_bytes: int) -> float:
    """Bytes per second at which one thread reads a buffer of this size again and again."""
    words = np.ones(max(size_bytes // 4, 1), np.int32)  # zeros would be one page, mapped many times
    timing = race({"read": words.max})["read"]
    return float(words.nbytes / (timing.median_ms / 1e3))


def write_bandwidth(size_bytes: int) -> float:
    """Bytes per second at which one thread writes a buffer of this size again and again."""
    words = np.zeros(max(size_bytes // 4, 1), np.float32)
    timing = race({"write": lambda: words.fill(1.0)})["write"]
    return float(words.nbytes / (timing.median_ms / 1e3))


def machine() -> dict[str, str]:
    """What a figure needs to mean anything."""
    return {
        "cpu": _cpu_name(),
        "instruction_set": _C.instruction_set(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "compiler": str(_C.build_info()["compiler"]),
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"),
    }


class Report:
    """Rows of a benchmark: printed as they come, and kept for `--json`."""

    def __init__(
        self, title: str, description: str, parser: argparse.ArgumentParser | None = None
    ) -> None:
        """`parser` has the options of this benchmark alone; their values are in `arguments`."""
        parser = parser or argparse.ArgumentParser()
        parser.description = description
        parser.add_argument("--repeats", type=int, default=15, help="samples per candidate")
        parser.add_argument("--json", type=Path, help="also write all figures to this file")
        self.arguments = parser.parse_args()
        self._rows: list[dict[str, object]] = []
        self._title = title
        print(f"# {title}")
        print("  ".join(f"{key}: {value}" for key, value in machine().items()))

    @property
    def repeats(self) -> int:
        """How many samples the reader asked for."""
        return int(self.arguments.repeats)

    def add(self, case: str, timings: dict[str, Timing], ours: str, **facts: float) -> None:
        """Print one case: every candidate's median and minimum, and the median over ours."""
        print(f"\n{case}")
        for name, timing in timings.items():
            ratio = timing.median_ms / timings[ours].median_ms
            times = f"{timing.median_ms:>11.4f} ms, at best {timing.min_ms:.4f}"
            print(f"  {name:<42}{times:<32}{ratio:>9.2f} x")
        for name, value in facts.items():
            print(f"  {name:<42}{value:>14.4g}")
        rows = [asdict(timing) for timing in timings.values()]
        self._rows.append({"case": case, "ours": ours, "timings": rows, **facts})

    def close(self) -> None:
        """Write the JSON that was asked for."""
        if self.arguments.json:
            content = {"title": self._title, "machine": machine(), "rows": self._rows}
            self.arguments.json.write_text(json.dumps(content, indent=2) + "\n")
            print(f"\nwrote {self.arguments.json}", file=sys.stderr)


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
