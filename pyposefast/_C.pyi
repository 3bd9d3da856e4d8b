# The compiled module (csrc/bindings). Contracts are in csrc/ops/ops.h; users call pyposefast.ops.
from collections.abc import Sequence
from typing import TypedDict, TypeVar, type_check_only

from pyposefast.arrays import Array

_Result = TypeVar("_Result")

MAX_CANDIDATES: int
MAX_CAPACITY: int
MAX_JOINTS: int
MAX_KERNEL: int
MAX_LIMBS: int
MAX_PARTNERS: int
MAX_PEOPLE: int

@type_check_only
class BuildInfo(TypedDict):
    compiler: str
    build_type: str
    cuda: bool
    cuda_compiler: str
    cuda_architectures: str

@type_check_only
class CudaDevice(TypedDict):
    index: int
    name: str
    compute_capability: str
    memory_bytes: int
    multiprocessors: int

@type_check_only
class CudaDevices(TypedDict):
    status: str
    driver_version: int | None
    runtime_version: int | None
    devices: list[CudaDevice]

@type_check_only
class ArrayDescription(TypedDict):
    pointer: int
    device: str
    device_index: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    read_only: bool
    contiguous: bool

def build_info() -> BuildInfo: ...
def cuda_devices() -> CudaDevices: ...
def instruction_set() -> str: ...
def instruction_sets() -> list[str]: ...
def numpy_result(
    kind: type[_Result], arrays: tuple[tuple[tuple[int, ...], str], ...], /
) -> _Result: ...
def describe_array(array: Array, argument: str, stream: int = 0) -> ArrayDescription: ...
def crop(
    planes: list[Array],
    chroma: list[Array],
    is_batch: bool,
    affines: Array,
    image_index: Array | None,
    out: Array,
    inverse: Array,
    *,
    source: str,
    output: str,
    is_nhwc: bool,
    mean: Sequence[float],
    std: Sequence[float],
    border: str,
    fill: Sequence[float],
    yuv: str,
    threads: int,
    stream: int,
) -> None: ...
def region_affines(
    first: Array,
    second: Array | None,
    affine: Array,
    inverse: Array,
    angle_rad: Array | None,
    mirror: Array | None,
    *,
    argument: str,
    kind: str,
    height: int,
    width: int,
    padding: float,
    fit: str,
    alignment: str,
    unit_px: float,
    reach: float,
    reference: tuple[int, int],
    is_top_left: bool,
    stream: int,
) -> None: ...
def transform_points(points: Array, affines: Array, out: Array, *, stream: int) -> None: ...

@type_check_only
class PeakSpec: ...  # opaque

@type_check_only
class SimccSpec: ...

def peak_spec(
    refine: str,
    threshold: float,
    logits: bool,
    kernel: int,
    offset_scale: float,
    shoulders: bool,
) -> PeakSpec: ...
def simcc_spec(
    refine: str, score: str, split: float, threshold: float, kernel: int
) -> SimccSpec: ...
def best_peaks(
    settings: PeakSpec,
    maps: Array,
    offsets: Array | None,
    is_nhwc: bool,
    xy: Array,
    score: Array,
    count: Array,
    nonfinite: Array,
    scratch: Array | None,
    threads: int,
    stream: int,
    /,
) -> None: ...
def best_peaks_scratch(
    settings: PeakSpec, n: int, k: int, height: int, width: int, threads: int, is_cuda: bool, /
) -> int: ...
def find_peaks(
    settings: PeakSpec,
    maps: Array,
    offsets: Array | None,
    is_nhwc: bool,
    xy: Array,
    score: Array,
    count: Array,
    total: Array,
    nonfinite: Array,
    scratch: Array,
    threads: int,
    stream: int,
    /,
) -> None: ...
def find_peaks_scratch(
    n: int, k: int, height: int, width: int, capacity: int, threads: int, is_cuda: bool, /
) -> int: ...
def published_peaks(
    maps: Array,
    xy: Array,
    score: Array,
    count: Array,
    total: Array,
    nonfinite: Array,
    scratch: Array,
    *,
    rule: str,
    threshold: float,
    is_nhwc: bool,
    threads: int,
    stream: int,
) -> None: ...
def published_peaks_scratch(
    rule: str,
    n: int,
    k: int,
    height: int,
    width: int,
    *,
    capacity: int,
    threads: int,
    is_cuda: bool,
) -> int: ...
def decode_simcc(
    settings: SimccSpec,
    x: Array,
    y: Array,
    xy: Array,
    score: Array,
    count: Array,
    nonfinite: Array,
    threads: int,
    stream: int,
    /,
) -> None: ...
def average_flip(
    maps: Array,
    flipped: Array,
    partner: Sequence[int],
    out: Array,
    *,
    shift: bool,
    is_nhwc: bool,
    threads: int,
    stream: int,
) -> None: ...
def assign(
    scores: Array,
    rows: Array | None,
    columns: Array | None,
    column: Array,
    row: Array,
    total: Array,
    finished: Array,
    scratch: Array,
    *,
    method: str,
    maximise: bool,
    gate: float | None,
    iterations: int,
    threads: int,
    stream: int,
) -> None: ...
def assign_scratch(
    method: str, n: int, rows: int, columns: int, *, threads: int, is_cuda: bool
) -> int: ...
def limb_spec(
    mode: str,
    joints: int,
    fields: Sequence[tuple[int, int, int, int]],
    threshold: float,
    longest: float,
) -> object: ...
def score_limbs(
    settings: object,
    fields: Array,
    is_nhwc: bool,
    xy: Array,
    peak_count: Array,
    partner: Array,
    score: Array,
    count: Array,
    total: Array,
    scratch: Array,
    threads: int,
    stream: int,
    /,
) -> None: ...
def score_limbs_scratch(capacity: int, limbs: int, threads: int, is_cuda: bool, /) -> int: ...
def group_spec(
    mode: str,
    joints: int,
    limbs: Sequence[tuple[int, int]],
    body: Sequence[tuple[float, float, list[int]] | None],
    variances: Sequence[float],
    least_joints: int,
    least_score: float,
    least_lone: float,
    least_link: float,
    uncounted: Sequence[int],
) -> object: ...
def people_arrays(
    xy: Array,
    score: Array,
    peak: Array,
    person_score: Array,
    count: Array,
    total: Array,
    dropped: Array,
    nonfinite: Array,
    stream: int,
    /,
) -> object: ...
def group_people(
    settings: object,
    xy: Array,
    score: Array,
    count: Array,
    total: Array,
    nonfinite: Array,
    partner: Array,
    link_score: Array,
    link_count: Array,
    people: object,
    scratch: Array,
    capacity: int,
    threads: int,
    stream: int,
    /,
) -> None: ...
def group_people_scratch(
    settings: object, capacity: int, partners: int, n: int, threads: int, is_cuda: bool, /
) -> int: ...
def part_affinity_spec(
    limbs: object, groups: object, threshold: float, capacity: int, partners: int
) -> object: ...
def part_affinity_scratch(
    settings: object, n: int, k: int, height: int, width: int, threads: int, is_cuda: bool, /
) -> int: ...
def decode_part_affinity(
    settings: object,
    heatmaps: Array,
    fields: Array,
    is_nhwc: bool,
    results: object,
    capacity: int,
    scratch: Array,
    threads: int,
    stream: int,
    /,
) -> None: ...
def decode_part_affinity_anew(
    settings: object,
    heatmaps: Array,
    fields: Array,
    is_nhwc: bool,
    kind: type[_Result],
    capacity: int,
    scratch: Array,
    threads: int,
    /,
) -> _Result: ...
