#!/usr/bin/env bash
# Everything that only a GPU can show, in ten minutes and without a network: builds for the GPU of this machine, runs the
# suite with the device `cuda`, the op tests under compute-sanitizer, and the benchmarks.
#
#   OUT=results scripts/gpu_check.sh
#
# Needs nvcc, a C++ compiler, and a Python with NumPy, pybind11, scikit-build-core, CMake, pytest, hypothesis, SciPy and
# OpenCV; Torch and CuPy are tested where they are installed. Nothing is installed outside of build/.
#
# Writes into $OUT one log per step and gpu_check.json: machine, commit, date, the steps' exit codes and seconds, and
# the figures of the benchmarks. A step that fails does not keep the next from running; the exit status is 0 only when
# all of them passed. A step that ran out of time has the exit code 124.
#
#   PYTHON=python3   LIMIT_S=570 (for all steps together)   COMMIT=... (when there is no .git)
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${OUT:-$root/gpu_check}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
python=${PYTHON:-python3}
limit_s=${LIMIT_S:-570}
# Reserved for what comes after the last step, the report.
deadline=$((SECONDS + limit_s - 5))

# Sanitizers slow a test down by one or two orders of magnitude: named edge cases only, not thousands of random ones.
slow='random or property or thousand'

if ! gpus=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>&1); then
  echo "gpu_check: no NVIDIA GPU: $gpus" >&2
  exit 3
fi
if ! command -v nvcc >/dev/null; then
  echo 'gpu_check: nvcc is not on the PATH' >&2
  exit 3
fi
architectures=$(tr -d '. ' <<<"$gpus" | sort -u | sed 's/$/-real/' | paste -sd ';')

work=$root/build/gpu_check
rm -rf "$work/figures" "$work/site"
mkdir -p "$work/figures"
steps=$work/steps.tsv
: >"$steps"

step() { # name, limit in seconds, command...
  local name=$1 limit=$2 status=0 started=$SECONDS
  shift 2
  local left=$((deadline - SECONDS))
  ((limit > left)) && limit=$left
  if ((limit <= 0)); then
    echo "== $name: no time left" | tee "$out/$name.log"
    printf '%s\t124\t0\n' "$name" >>"$steps"
    return 0
  fi
  echo "== $name (at most $limit s)"
  timeout --kill-after=5 "$limit" "$@" >"$out/$name.log" 2>&1 </dev/null || status=$?
  printf '%s\t%s\t%s\n' "$name" "$status" "$((SECONDS - started))" >>"$steps"
  tail -n 5 "$out/$name.log"
  echo "== $name: exit code $status after $((SECONDS - started)) s"
}

# The tests import the package from $work/site, not from the source tree, which has no extension: so they start in a
# folder that has neither.
export PYTHONPATH=$work/site${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
export PYPOSEFAST_EMULATED=$root/build/emulated
cd "$work" || exit 1
pytest=("$python" -m pytest --rootdir="$root" --config-file="$root/pyproject.toml" -p no:cacheprovider)
# Caching allocators hide reads past the end of an array from memcheck.
sanitizer=(env PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --error-exitcode=99 --target-processes=all)

build_emulated() {
  cmake -S "$root" -B "$root/build/emulated" -DPYPOSEFAST_CUDA=OFF -DPYPOSEFAST_EMULATED=ON -DPYPOSEFAST_TESTS=ON \
    -DPython_EXECUTABLE="$(command -v "$python")" -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" &&
    cmake --build "$root/build/emulated" --parallel "$(nproc)" &&
    ctest --test-dir "$root/build/emulated" --output-on-failure
}

bench() {
  local status=0 benchmark
  for benchmark in "$root"/benchmarks/bench_*.py; do
    echo "== $benchmark"
    "$python" "$benchmark" --json "$work/figures/$(basename "$benchmark" .py).json" || status=1
  done
  return "$status"
}

see_device='
from contextlib import suppress

from pyposefast import _C

print(_C.build_info())
usable = False
with suppress(Exception):
    import cupy
    usable = bool(cupy.zeros(1).sum().get() == 0)
    print("CuPy", cupy.__version__, usable)
with suppress(Exception):
    import torch
    usable = torch.cuda.is_available() or usable
    print("Torch", torch.__version__, torch.cuda.is_available())
raise SystemExit(0 if usable else "neither CuPy nor Torch can use the GPU: every test on the device would be skipped")
'

export -f build_emulated bench
export root work python

step build 240 "$python" -m pip install --no-index --no-build-isolation --no-deps --target "$work/site" \
  --config-settings=build-dir="$work/tree" --config-settings=cmake.define.PYPOSEFAST_CUDA=ON \
  --config-settings=cmake.define.CMAKE_CUDA_ARCHITECTURES="$architectures" "$root"
# Tests without a device are skipped, which pytest calls a success: so whether there is one is a step of its own.
step device 60 "$python" -c "$see_device"
step emulated 150 bash -c build_emulated
# What sees a device; the rest is the same on every machine.
step tests 240 "${pytest[@]}" "$root"/tests/{ops,decoders,pipelines,engines} "$root"/tests/test_{arrays,array_*,threads}.py
step memcheck 120 "${sanitizer[@]}" --tool=memcheck "${pytest[@]}" "$root/tests/ops" -m 'cuda and not large' -k "not ($slow)"
step racecheck 90 "${sanitizer[@]}" --tool=racecheck "${pytest[@]}" "$root/tests/ops" -m 'cuda and not large' \
  -k "(peaks or limbs or grouping or scenes_of_a_network or assignment_edges) and not ($slow)"
step benchmarks 120 bash -c bench

commit=${COMMIT:-$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)}
"$python" - "$steps" "$work/figures" "$commit" >"$out/gpu_check.json" <<'REPORT'
import json, pathlib, re, subprocess, sys, time

steps_file, figures, commit = sys.argv[1:]


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def query(what):
    return output("nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader").strip().splitlines()


rows = [line.split("\t") for line in pathlib.Path(steps_file).read_text().splitlines()]
release = re.search(r"release ([0-9.]+)", output("nvcc", "--version"))
benchmarks = {}
for path in sorted(pathlib.Path(figures).glob("*.json")):
    try:
        benchmarks[path.stem] = json.loads(path.read_text())
    except ValueError as error:  # a benchmark that was stopped while it wrote
        benchmarks[path.stem] = {"error": str(error)}
report = {
    "gpu": query("name"),
    "compute_capability": query("compute_cap"),
    "driver": query("driver_version"),
    "cuda": release.group(1) if release else "unknown",
    "commit": commit,
    "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    "steps": [
        {"name": name, "exit_code": int(code), "seconds": int(seconds)} for name, code, seconds in rows
    ],
    "benchmarks": benchmarks,
}
print(json.dumps(report, indent=2))
REPORT

echo
column -t "$steps" 2>/dev/null || cat "$steps"
echo "report: $out/gpu_check.json"
! cut -f 2 "$steps" | grep -qv '^0$'
