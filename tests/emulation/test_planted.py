"""The emulator catches every mistake planted in ``planted.cu``, and finds none where none is.

Each mistake is a build of its own, with the system's C++ compiler. What is tested here is that a
test of a kernel can fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "kernels").is_dir(), reason="kernels/ was deleted")
COMMON_FLAGS = [
    *["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-pthread"],
    *["-DPPF_EMULATED", "-DPPF_WITH_CUDA"],
]
SANITIZERS = {
    "plain": [],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"],
    "thread": ["-fsanitize=thread", "-g"],
}
# The exit statuses of planted_driver.cpp, and one that we ask ThreadSanitizer for.
RIGHT, WRONG, ERROR, RACE = 0, 1, 2, 66
BUILD_TIMEOUT_S = 120
RUN_TIMEOUT_S = 60

# Mistake, build, exit status (None: any but 0), and what the output says.
CAUGHT: list[tuple[str, str, int | None, str]] = [
    # Some thread order gives a wrong result, or ThreadSanitizer names both lines.
    ("kMissingBarrier", "plain", WRONG, "wrong argmax"),
    ("kMissingBarrier", "thread", RACE, "data race"),
    ("kMissingTileBarrier", "plain", WRONG, "wrong box_sums"),
    ("kMissingTileBarrier", "thread", RACE, "data race"),
    ("kUninitialisedShared", "plain", WRONG, "wrong compact"),
    ("kAtomicOrder", "plain", WRONG, "wrong compact"),
    # Poison and guard bytes, and the sanitizers that name the line.
    ("kReadPastEnd", "plain", WRONG, "wrong argmax"),
    ("kReadPastEnd", "address", None, "out of bounds"),
    ("kReadPastDynamicEnd", "address", None, "heap-buffer-overflow"),
    ("kWritePastEnd", "plain", ERROR, "written outside of its bounds"),
    ("kWritePastEnd", "address", None, "out of bounds"),
    # What a device would hang on, or leave undefined, is an error that names the lines.
    ("kDivergentBarrier", "plain", ERROR, "divergent __syncthreads"),
    ("kMaskWithoutCaller", "plain", ERROR, "leaves the caller out"),
    ("kMaskWithEndedLanes", "plain", ERROR, "names lanes that have ended"),
    ("kShuffleOutsideMask", "plain", ERROR, "which is not in the mask"),
    # No thread order shows this one, as blocks run one after the other.
    ("kRaceBetweenBlocks", "thread", RACE, "data race"),
]


@dataclass
class Compiler:
    """Builds the planted variants; what they share is compiled once for each set of sanitizers."""

    command: str
    folder: Path
    objects: dict[str, list[Path]] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)  # sanitizer -> why

    def run(self, sanitizer: str, arguments: Sequence[str | Path]) -> None:
        flags = [*COMMON_FLAGS, *SANITIZERS[sanitizer], f"-I{ROOT}", f"-I{ROOT / 'csrc'}"]
        result = subprocess.run(
            [self.command, *flags, *map(str, arguments)],
            capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr

    def prepare(self, sanitizer: str) -> None:
        """Compiles the emulator and the driver, if programs with this sanitizer run here at all."""
        folder = self.folder / sanitizer
        folder.mkdir()
        probe = folder / "probe.cpp"
        probe.write_text("int main() { return 0; }\n")
        built = subprocess.run(
            [self.command, *SANITIZERS[sanitizer], str(probe), "-o", str(folder / "probe")],
            capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False,
        )  # fmt: skip
        if built.returncode != 0:
            self.unusable[sanitizer] = f"{self.command} cannot build for it: {built.stderr[-200:]}"
            return
        # An old libtsan refuses the address space of a new kernel.
        ran = execute(folder / "probe")
        if ran.returncode != 0:
            self.unusable[sanitizer] = f"an empty program fails: {ran.stdout[-200:]}"
            return
        sources = [s for s in sorted(HERE.glob("*.cpp")) if not s.name.startswith("test_")]
        self.objects[sanitizer] = [folder / f"{source.stem}.o" for source in sources]
        for source, target in zip(sources, self.objects[sanitizer], strict=True):
            self.run(sanitizer, ["-c", source, "-o", target])

    def build(self, mistake: str, sanitizer: str) -> Path:
        """The program with this mistake; skips the test where its sanitizer does not work."""
        if sanitizer in self.unusable:
            pytest.skip(f"no -fsanitize={sanitizer} here: {self.unusable[sanitizer]}")
        program = self.folder / sanitizer / mistake
        kernels: list[str | Path] = ["-x", "c++", HERE / "planted.cu", "-x", "none"]
        self.run(
            sanitizer,
            [f"-DPPF_PLANTED={mistake}", *kernels, *self.objects[sanitizer], "-o", program],
        )
        return program


def execute(program: Path) -> subprocess.CompletedProcess[str]:
    """Runs a program; output and errors come back as one text."""
    # A sanitizer that somebody preloaded for Python would be the wrong one for the program.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    environment["TSAN_OPTIONS"] = f"halt_on_error=1 exitcode={RACE}"
    # Off by default in some compilers, and the hardest for code that switches stacks.
    environment["ASAN_OPTIONS"] = "detect_stack_use_after_return=1"
    return subprocess.run(
        [str(program)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    """The system's C++ compiler, with everything but the kernels compiled."""
    command = shutil.which("g++")
    if command is None:
        pytest.skip("no g++ on PATH: the emulator cannot be built")
    made = Compiler(command, tmp_path_factory.mktemp("planted"))
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(made.prepare, SANITIZERS))
    return made


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_kernels_without_a_mistake_pass(compiler: Compiler, sanitizer: str) -> None:
    result = execute(compiler.build("kNone", sanitizer))
    assert result.returncode == RIGHT, result.stdout
    orders = [line for line in result.stdout.splitlines() if line.endswith(": right")]
    assert len(orders) == 5, result.stdout


@pytest.mark.parametrize(("mistake", "sanitizer", "status", "says"), CAUGHT)
def test_mistake_is_caught(
    compiler: Compiler, mistake: str, sanitizer: str, status: int | None, says: str
) -> None:
    result = execute(compiler.build(mistake, sanitizer))
    assert result.returncode != RIGHT, result.stdout
    if status is not None:
        assert result.returncode == status, result.stdout
    assert says in result.stdout


def test_every_planted_mistake_has_a_test() -> None:
    declared = {
        line.split(",")[0].strip()
        for line in (HERE / "planted.h").read_text().splitlines()
        if line.startswith("  k") and "," in line
    }
    assert declared == {"kNone"} | {mistake for mistake, *_ in CAUGHT}
