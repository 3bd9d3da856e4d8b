"""What this machine has, what is missing, and what to do about each thing that is.

Everything native is loaded in a child process with a time limit: a library that crashes or hangs
when it is imported is a finding, not the end of the report.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pyposefast import __version__
from pyposefast.caches import cache_folder

PROBE_TIMEOUT_S = 60.0  # a cold Torch on a slow disk takes half of it
_MOST_CACHE_FILES = 100_000

Status = Literal["ok", "missing", "broken"]


@dataclass(frozen=True, slots=True)
class Extension:
    """The compiled module."""

    status: Status
    path: str = ""
    build: dict[str, Any] = field(default_factory=dict)  # what `_C.build_info()` says
    instruction_set: str = ""  # the one chosen on this machine
    instruction_sets: tuple[str, ...] = ()  # those that this build has and this CPU runs
    problem: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Cuda:
    """The CUDA driver and its devices, as the extension sees them."""

    status: str  # "ok", or why there is nothing to use
    driver_version: int | None = None  # 13000 is 13.0
    runtime_version: int | None = None
    devices: tuple[dict[str, Any], ...] = ()
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Component:
    """An optional library."""

    name: str  # of the module
    purpose: str
    status: Status
    version: str = ""
    detail: str = ""
    problem: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder where compiled engines and weights are kept."""

    path: str
    source: str  # the variable or rule that names it
    is_used: bool  # the first that applies is the one in use
    files: int
    size_bytes: int
    weights: tuple[str, ...] = ()  # the networks whose files are there
    plans: int = 0  # compiled engines


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that `pyposefast doctor` says."""

    versions: dict[str, str]
    extension: Extension
    cuda: Cuda
    components: tuple[Component, ...]
    caches: tuple[Cache, ...]
    warnings: tuple[str, ...]

    @property
    def is_usable(self) -> bool:
        """The ops work; everything else is optional."""
        return self.extension.status == "ok"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An optional library, what it is for, and how to get it."""

    name: str
    purpose: str
    extra: str  # of this package, that installs it
    detail: str = "''"  # an expression over `module` for the child process


_COMPONENTS = (
    _Wanted("cv2", "pictures, overlays, the demo", "cpu"),
    _Wanted(
        "onnxruntime",
        "runs networks; the default engine",
        "cpu",
        "', '.join(module.get_available_providers())",
    ),
    _Wanted("openvino", "runs networks faster on Intel CPUs", "openvino"),
    _Wanted(
        "torch",
        "runs and trains PyTorch networks",
        "torch",
        "'built for CUDA ' + module.version.cuda if module.version.cuda else 'CPU build'",
    ),
    _Wanted("tensorrt", "runs networks fastest on NVIDIA GPUs", "cuda"),
    _Wanted("cupy", "NumPy's arrays on NVIDIA GPUs", "cuda"),
    _Wanted("av", "reads and writes videos", "video"),
    _Wanted("onnx", "converts networks: `pyposefast export`", "export"),
    _Wanted("matplotlib", "draws curves and bars: --plot", "plot"),
    _Wanted("nvtx", "shows stages in NVIDIA's profilers: `pyposefast bench --nvtx`", "cuda"),
)

# Distributions that overwrite each other's files: of each set, one at most may be installed.
_RIVALS = (
    ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
    (
        "opencv-python",
        "opencv-python-headless",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    ),
)

# The child looks for modules where we do, says one line of JSON, and nothing else: what libraries
# print goes to the error stream.
_CHILD = """
import json, os, sys
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
sys.path[:] = json.loads(sys.argv[1])
"""
_EXTENSION_CHILD = """
from pyposefast import _C
found = {"path": _C.__file__, "build": _C.build_info(), "instruction_set": _C.instruction_set(),
         "instruction_sets": _C.instruction_sets()}
answer.write(json.dumps(found))
"""
_CUDA_CHILD = """
from pyposefast import _C
answer.write(json.dumps(_C.cuda_devices()))
"""
_COMPONENT_CHILD = """
import importlib
module = importlib.import_module({name!r})
found = {{"version": str(getattr(module, "__version__", "")), "detail": str({detail})}}
answer.write(json.dumps(found))
"""


def report() -> Report:
    """Look at this machine; takes as long as the slowest library does to import."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        extension = pool.submit(_extension)
        components = [pool.submit(_component, wanted) for wanted in _COMPONENTS]
        found_extension = extension.result()
        cuda = _cuda(found_extension)
        found = tuple(component.result() for component in components)
    return Report(
        versions={
            "pyposefast": __version__,
            "python": f"{platform.python_version()} ({sys.executable})",
            "numpy": _version_of("numpy") or "missing",
            "platform": f"{platform.platform()}, {os.cpu_count()} logical CPUs",
        },
        extension=found_extension,
        cuda=cuda,
        components=found,
        caches=_caches(),
        warnings=_warnings(),
    )


def to_dict(found: Report) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {"is_usable": found.is_usable, **asdict(found)}


# ---- looking -------------------------------------------------------------------------------------


def _probe(code: str, timeout_s: float = PROBE_TIMEOUT_S) -> tuple[dict[str, Any], str]:
    """Run code in a child process; return what it found, or in one line why it did not."""
    path = json.dumps([entry or str(Path.cwd()) for entry in sys.path])
    try:
        child = subprocess.run(  # noqa: S603  our own interpreter, our own code
            [sys.executable, "-c", _CHILD + code, path],
            capture_output=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return {}, f"importing it did not end within {timeout_s:.0f} s"
    except OSError as error:
        return {}, f"no child process could be started: {error}"
    if child.returncode < 0:
        return {}, f"importing it crashes the process (signal {-child.returncode})"
    if child.returncode > 0:
        lines = child.stderr.decode(errors="replace").strip().splitlines()
        return {}, _printable(lines[-1]) if lines else f"exit status {child.returncode}"
    try:
        found = json.loads(child.stdout)
    except ValueError:
        return {}, "importing it ended the process before it could answer"
    return found, ""


def _printable(line: str, limit: int = 200) -> str:
    """Make a foreign line safe to show: no control characters, not endless."""
    clean = "".join(sign if sign.isprintable() else "?" for sign in line)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _extension() -> Extension:
    if find_spec("pyposefast._C") is None:
        return Extension(
            status="missing",
            problem="pyposefast._C has not been built for this Python",
            remedy="install a wheel for it, or build one: pip install . (needs a C++17 compiler)",
        )
    found, problem = _probe(_EXTENSION_CHILD)
    if problem:
        return Extension(
            status="broken",
            problem=problem,
            remedy="build it again on this machine: pip install . in the source tree",
        )
    found["instruction_sets"] = tuple(found["instruction_sets"])
    return Extension(status="ok", **found)


def _cuda(extension: Extension) -> Cuda:
    if extension.status != "ok":
        return Cuda(status="unknown: the extension does not load", remedy="see the extension above")
    found, problem = _probe(_CUDA_CHILD)
    if problem:
        return Cuda(
            status=f"asking the CUDA driver failed: {problem}",
            remedy="check the driver with nvidia-smi; CPU arrays work all the same",
        )
    found["devices"] = tuple(found["devices"])
    return Cuda(**found, remedy=_cuda_remedy(extension, found))


def _cuda_remedy(extension: Extension, found: dict[str, Any]) -> str:
    """Say how to get from here to a usable device; CPU arrays never need one."""
    if not extension.build.get("cuda"):
        return (
            "CPU arrays need nothing; for CUDA arrays put nvcc on the PATH and build again: "
            "pip install ."
        )
    if found["devices"]:
        return ""
    driver, runtime = found["driver_version"], found["runtime_version"]
    if driver is None:
        return "CPU arrays need nothing; for CUDA arrays install the NVIDIA driver"
    if runtime is not None and driver // 1000 < runtime // 1000:
        return f"update the NVIDIA driver to one for CUDA {_cuda_version(runtime)} or later"
    return "check that a GPU is there and not hidden: nvidia-smi, CUDA_VISIBLE_DEVICES"


def _component(wanted: _Wanted) -> Component:
    install = f'pip install "pyposefast[{wanted.extra}]"'
    if find_spec(wanted.name) is None:
        return Component(wanted.name, wanted.purpose, "missing", remedy=install)
    code = _COMPONENT_CHILD.format(name=wanted.name, detail=wanted.detail)
    found, problem = _probe(code)
    if problem:
        remedy = f"reinstall it: pip uninstall it, then {install}"
        return Component(wanted.name, wanted.purpose, "broken", problem=problem, remedy=remedy)
    version, detail = _printable(found["version"]), _printable(found["detail"])
    return Component(wanted.name, wanted.purpose, "ok", version, detail)


def _version_of(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _warnings() -> tuple[str, ...]:
    warnings = []
    for rivals in _RIVALS:
        present = [name for name in rivals if _version_of(name)]
        if len(present) > 1:
            warnings.append(
                f"{' and '.join(present)} overwrite each other's files; keep one: "
                f"pip uninstall {' '.join(present)}, then install the one you want"
            )
    return tuple(warnings)


def _caches() -> tuple[Cache, ...]:
    """Return the folders that may hold a cache, the one in use first."""
    own, desktop = os.environ.get("PYPOSEFAST_CACHE"), os.environ.get("XDG_CACHE_HOME", "")
    by_desktop = Path(desktop) / "pyposefast" if Path(desktop).is_absolute() else None
    usual = "default" if by_desktop is None else "XDG_CACHE_HOME"
    places = [(cache_folder(), "PYPOSEFAST_CACHE" if own else usual)]
    if own and by_desktop is not None:
        places.append((by_desktop, "XDG_CACHE_HOME"))
    return tuple(
        Cache(str(path), source, position == 0, *_measure(path), *_contents(path))
        for position, (path, source) in enumerate(places)
    )


def _contents(folder: Path) -> tuple[tuple[str, ...], int]:
    """Return whose weights are complete in a cache, and how many compiled engines are."""
    try:
        # Whatever is under way or kept beside a network has an ending behind its name.
        found = {each.parent.name for each in (folder / "weights").glob("*/*.onnx")}
        plans = sum(1 for _ in (folder / "plans").glob("*.plan"))
    except OSError:  # a folder of somebody else
        return (), 0
    return tuple(sorted(found)), plans


def _measure(folder: Path) -> tuple[int, int]:
    """Count files and bytes below a folder; links are not followed, so it ends."""
    files = size_bytes = 0
    for parent, _, names in os.walk(folder, followlinks=False):
        for name in names:
            try:
                size_bytes += (Path(parent) / name).lstat().st_size
            except OSError:  # gone since it was listed
                continue
            files += 1
            if files >= _MOST_CACHE_FILES:
                return files, size_bytes
    return files, size_bytes


# ---- saying --------------------------------------------------------------------------------------


def text(found: Report) -> str:
    """Return the report as people read it."""
    sections = [
        ("versions", [_row(name, value) for name, value in found.versions.items()]),
        ("extension", _extension_lines(found.extension)),
        ("CUDA", _cuda_lines(found.cuda)),
        ("engines and extras", [line for part in found.components for line in _lines_of(part)]),
        ("caches", [line for cache in found.caches for line in _cache_lines(cache)]),
        ("warnings", [f"  {warning}" for warning in found.warnings] or ["  none"]),
    ]
    blocks = ["\n".join([title, *lines]) for title, lines in sections]
    verdict = "usable" if found.is_usable else "not usable: the extension does not load"
    return "\n\n".join([*blocks, f"pyposefast is {verdict}"])


def _row(name: str, value: str) -> str:
    return f"  {name:<18} {value}"


def _to_do(remedy: str) -> list[str]:
    return [_row("", f"-> {remedy}")] if remedy else []


def _extension_lines(extension: Extension) -> list[str]:
    if extension.status != "ok":
        problem = _row(extension.status, extension.problem)
        return [problem, *_to_do(extension.remedy)]
    build = extension.build
    compiled = "no"
    if build.get("cuda"):
        architectures = " ".join(re.split(r"[;,\s]+", str(build.get("cuda_architectures", ""))))
        compiled = f"yes, nvcc {build.get('cuda_compiler')}, architectures {architectures}"
    known = {"cuda", "cuda_architectures", "cuda_compiler"}
    others = ", ".join(str(value) for name, value in build.items() if name not in known)
    choices = ", ".join(extension.instruction_sets)
    return [
        _row("ok", extension.path),
        _row("built with", others),
        _row("CUDA kernels", compiled),
        _row("instruction set", f"{extension.instruction_set} (to choose from: {choices})"),
    ]


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _cuda_lines(cuda: Cuda) -> list[str]:
    lines = [_row("ok" if cuda.devices else "no device", "" if cuda.devices else cuda.status)]
    for name, version in (("driver for", cuda.driver_version), ("runtime", cuda.runtime_version)):
        if version is not None:
            lines.append(_row(name, f"CUDA {_cuda_version(version)}"))
    lines += [
        _row(
            f"cuda:{device['index']}",
            f"{device['name']}, compute capability {device['compute_capability']}, "
            f"{device['memory_bytes'] / 2**30:.1f} GiB, "
            f"{device['multiprocessors']} multiprocessors",
        )
        for device in cuda.devices
    ]
    return [line.rstrip() for line in lines] + _to_do(cuda.remedy)


def _lines_of(part: Component) -> list[str]:
    about = " ".join(filter(None, [part.version, f"({part.detail})" if part.detail else ""]))
    facts = "; ".join(filter(None, [about, part.problem, part.purpose]))
    return [
        f"  {part.status:<8} {part.name:<12} {facts}",
        *(f"  {'':<8} {'':<12} {line.strip()}" for line in _to_do(part.remedy)),
    ]


def _cache_lines(cache: Cache) -> list[str]:
    role = "in use" if cache.is_used else "not in use"
    size = f"{cache.files} files, {cache.size_bytes / 2**20:.1f} MiB" if cache.files else "empty"
    lines = [_row(role, f"{_printable(cache.path)} ({cache.source}): {size}")]
    if cache.weights:
        lines.append(_row("weights", _printable(", ".join(cache.weights), 2000)))
    if cache.plans:
        lines.append(_row("compiled engines", str(cache.plans)))
    return lines
