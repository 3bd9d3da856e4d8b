"""The loops are compiled for several instruction sets, and one is chosen when the program runs."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pyposefast import _C, ops
from pyposefast.decoders import PartAffinity

if TYPE_CHECKING:
    from pyposefast.ops.limbs import Mode

VARIABLE = "PYPOSEFAST_INSTRUCTION_SET"
ROOT = Path(__file__).parents[1]


def digest() -> str:
    """Hash the results of ops that between them run all loops."""
    random = np.random.default_rng(3)
    maps = (random.integers(0, 40, (3, 5, 33, 47)) / 40).astype(np.float32)
    image = random.integers(0, 256, (90, 130, 3), np.uint8)
    scores = random.normal(size=(20, 23, 30)).astype(np.float32)
    boxes = np.array([[3.0, 4.0, 80.0, 85.0], [-20.0, 10.0, 50.0, 120.0]])
    affines = ops.box_affines(boxes, size=(64, 48), angle_rad=np.array([0.0, 0.4]))
    results = [
        ops.crop_images(image, affines.affine, size=(64, 48)).pixels,
        ops.crop_images(image, affines.affine, size=(64, 48), dtype="float16").pixels,
        ops.average_flip(maps, maps, pairs=[(0, 1)], shift=True),
        ops.decode_simcc(maps[:, :, 0], maps[:, :, 1]).xy,
        ops.assign(scores).column,
        ops.assign(maps[0], gate=0.9, maximise=False).total,
        ops.assign(maps[0], method="greedy").row,
    ]
    rules: tuple[ops.Refine, ...] = ("quarter", "dark", "udp_dark", "second_peak", "centroid7")
    results += [ops.best_peaks(maps, refine=rule).xy for rule in rules]
    results.append(ops.find_peaks(maps.astype(np.float16), threshold=0.5).xy)
    # Random fields speak for false limbs in plenty.
    people = PartAffinity("openpose_coco18", least_joints=2, least_score=0.3)(
        np.repeat(maps, 4, axis=1), random.uniform(-1, 1, (3, 38, 33, 47)).astype(np.float32)
    )
    assert people.count.all()
    results += [people.xy, people.score, people.peak, people.person_score]
    heat = random.random((2, 18, 19, 22), np.float32) ** 8
    fields = random.normal(0.2, 0.5, (2, 42, 19, 22)).astype(np.float32)
    modes: tuple[Mode, ...] = ("openpose", "trt_pose")
    for mode in modes:
        decoder = PartAffinity("trt_pose18", mode=mode, capacity=60, partners=60)
        people = decoder(heat, fields)
        assert int(np.min(people.count)) > 0
        results += [people.xy, people.peak, people.person_score]
    return hashlib.sha256(b"".join(np.ascontiguousarray(r).tobytes() for r in results)).hexdigest()


def run_with(instruction_set: str) -> subprocess.CompletedProcess[str]:
    code = (
        "from pyposefast import _C; import test_instruction_sets as t;"
        "print(_C.instruction_set(), t.digest())"
    )
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, VARIABLE: instruction_set, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_widest_is_chosen() -> None:
    if VARIABLE in os.environ:
        pytest.skip(f"{VARIABLE} is set")
    assert _C.instruction_set() == _C.instruction_sets()[-1]
    assert _C.instruction_sets()[0] == "baseline"


@pytest.mark.parametrize("name", _C.instruction_sets())
def test_each_gives_the_same_bits(name: str) -> None:
    done = run_with(name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [name, digest()]


def test_unknown_one_is_refused() -> None:
    done = run_with("mmx")
    assert done.returncode != 0
    assert f"{VARIABLE}: expected one of what this CPU can run: baseline" in done.stderr
    assert "got mmx" in done.stderr


def test_no_function_is_shared_between_instruction_sets() -> None:
    # A weak symbol may be merged with one of the same name from another object, and then an old CPU
    # would meet instructions that it does not have.
    nm = shutil.which("nm")
    objects = [
        path
        for path in ROOT.glob("build/*/CMakeFiles/pyposefast_loops_*.dir/**/*.o")
        if not re.search(r"build/(asan|tsan)/", path.as_posix())
    ]
    if nm is None or not objects:
        pytest.skip("needs nm and the object files of a build in build/")
    for path in objects:
        listing = subprocess.run([nm, "-C", path], capture_output=True, text=True, check=True)
        weak = [line for line in listing.stdout.splitlines() if re.match(r"[0-9a-f]+ [WVu] ", line)]
        assert not weak, f"{path.name} of {path.parents[2].name}: {weak}"
