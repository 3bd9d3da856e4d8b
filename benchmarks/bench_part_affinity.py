"""`PartAffinity` against trt_pose's C++ parser: time, and what it finds, on the same maps.

Decoders take turns on one scene, then on the next; times are means over the scenes. Quality comes
from more scenes of the same kind. With `--instructions` callgrind counts a decode on 46x46 maps,
Python and all: it knows no AVX-512, for which reason trt_pose's parser has to be built without.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from measure import Report, Timing, race
from peers import (
    OURS,
    TRT_POSE,
    Decoder,
    add_peer_option,
    decoders,
    trt_pose_path,
)
from quality import CROWDS, SIZES, Scene, generator, judged, scenes_for

if TYPE_CHECKING:
    from collections.abc import Sequence

WARM_CALLS, COUNTED_CALLS = 3, 10


def race_over(
    candidates: dict[str, Decoder], scenes: Sequence[Scene], repeats: int
) -> dict[str, Timing]:
    """Mean of the medians, and of the minima, of one race per scene."""
    races = [
        race(
            {name: decoder.on(each.heat, each.paf) for name, decoder in candidates.items()},
            repeats=repeats,
        )
        for each in scenes
    ]
    return {
        name: Timing(
            name,
            statistics.fmean(timings[name].median_ms for timings in races),
            statistics.fmean(timings[name].min_ms for timings in races),
        )
        for name in candidates
    }


def instructions_of(run: Sequence[str]) -> int:
    """All instructions of a process, from callgrind."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        subprocess.run(  # noqa: S603
            [
                *("valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={out}"),
                *(sys.executable, str(Path(__file__).parent / "call_decoder.py"), *run),
            ],
            check=True,
            # The order of Python's sets and dicts must not differ between two processes.
            env={
                **os.environ,
                "PYTHONHASHSEED": "0",
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
            },
        )
        found = re.search(r"^summary: (\d+)$", out.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def instructions_per_call(decoder: str, maps: Path) -> float:
    """What one more call costs: two processes, of which one calls more often."""
    few, many = (
        instructions_of([decoder, str(maps), str(calls)])
        for calls in (WARM_CALLS, WARM_CALLS + COUNTED_CALLS)
    )
    return (many - few) / COUNTED_CALLS


def count_instructions(
    report: Report, workload: Any, candidates: dict[str, Decoder], peer: Path | None
) -> None:
    """Instructions per decode of each crowd on the smallest maps."""
    if shutil.which("valgrind") is None:
        print("\nskipped: instructions (valgrind is not installed)")
        return
    for crowd in CROWDS:
        each = scenes_for(workload, crowd, SIZES[0], seeds=1)[0]
        facts = {}
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / "heat.npy", each.heat)
            np.save(Path(folder) / "paf.npy", each.paf)
            for name in (each for each in (OURS, TRT_POSE) if each in candidates):
                decoder = OURS if name == OURS else str(peer)
                instructions_of([decoder, folder, "0"])  # Python writes its bytecode files now
                facts[name] = instructions_per_call(decoder, Path(folder))
        report.add(f"instructions, {crowd} people", {}, "", **facts)


def main() -> None:
    """Race on all sizes and crowds."""
    parser = argparse.ArgumentParser()
    add_peer_option(parser)
    parser.add_argument("--seeds", type=int, default=10, help="scenes whose people are counted")
    parser.add_argument("--timed", type=int, default=3, help="of these, how many are timed")
    parser.add_argument("--instructions", action="store_true", help="count them too; minutes")
    report = Report("part affinity: one image at a time, one thread", __doc__, parser)
    arguments = report.arguments
    workload = generator()
    candidates = decoders(arguments.peer, other_ways=True)
    if workload is None or not candidates:
        return
    for size in SIZES:
        for crowd in CROWDS:
            scenes = scenes_for(workload, crowd, size, seeds=arguments.seeds)
            facts = {
                f"{name}: {what}": value
                for name, decoder in candidates.items()
                if name in (OURS, TRT_POSE)
                for what, value in judged(decoder, scenes).facts().items()
            }
            report.add(
                f"{crowd} people, {size[0]}x{size[1]} maps",
                race_over(candidates, scenes[: arguments.timed], report.repeats),
                next(iter(candidates)),
                **facts,
            )
    if arguments.instructions:
        count_instructions(report, workload, candidates, trt_pose_path(arguments.peer))
    report.close()


if __name__ == "__main__":
    main()
