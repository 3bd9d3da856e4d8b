"""Fixtures: the devices that every op is tested on, and shared data where there is some.

`device` runs a test once per device. `cpu` is the extension as it was installed; `emulated` is the
CUDA sources compiled for the CPU (build/emulated), whose threads run in the order of
`--thread-order`; `cuda` is a GPU, through CuPy or Torch. Tests marked `thread_orders` run on the
emulator in five orders: what depends on which thread comes first is a race.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shared_data
from emulated_array import EmulatedArray, emulated

import pyposefast.decoders.part_affinity
import pyposefast.ops.affines
import pyposefast.ops.assignment
import pyposefast.ops.crop
import pyposefast.ops.grouping
import pyposefast.ops.limbs
import pyposefast.ops.peaks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
DEVICES = ("cpu", "emulated", "cuda")
OTHER_THREAD_ORDERS = ("descending", "1", "2", "3")


@dataclasses.dataclass(frozen=True)
class Device:
    """Where a test runs: how arrays get there, and how results come back."""

    name: str
    put_array: Callable[[np.ndarray[Any, Any]], Any]
    get_array: Callable[[Any], np.ndarray[Any, Any]]

    def put(self, host: Any) -> Any:
        """Move an array, or every array of a list or tuple. Strides are kept."""
        if host is None or isinstance(host, (str, int, float)):
            return host
        if isinstance(host, (list, tuple)):
            return type(host)(self.put(each) for each in host)
        return self.put_array(host)

    def get(self, result: Any) -> Any:
        """Bring an array, or every array of a result, back to NumPy."""
        if dataclasses.is_dataclass(result) and not isinstance(result, type):
            names = [field.name for field in dataclasses.fields(result)]
            return dataclasses.replace(
                result, **{name: self.get_array(getattr(result, name)) for name in names}
            )
        return self.get_array(result)

    @property
    def is_cpu(self) -> bool:
        return self.name == "cpu"


def _as_it_is(array: Any) -> Any:
    return array


CPU = Device("cpu", _as_it_is, _as_it_is)
EMULATED = Device("emulated", emulated, EmulatedArray.numpy)


# ---- the emulator --------------------------------------------------------------------------------


def emulated_module() -> Any:
    """The extension whose kernels run on the CPU; skips the test when it has not been built."""
    name = "_C_emulated"
    if name not in sys.modules:
        folder = Path(os.environ.get("PYPOSEFAST_EMULATED", ROOT / "build" / "emulated"))
        files = sorted(folder.glob(f"{name}*.so"))
        if not files:
            pytest.skip(f"no {name} in {folder.name}/: configure with -D PYPOSEFAST_EMULATED=ON")
        spec = importlib.util.spec_from_file_location(name, files[0])
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


@contextlib.contextmanager
def emulation(order: str = "ascending") -> Iterator[Device]:
    """The ops call the emulated extension for as long as this lasts."""
    module = emulated_module()
    users = (
        pyposefast.decoders.part_affinity,
        pyposefast.ops.affines,
        pyposefast.ops.assignment,
        pyposefast.ops.crop,
        pyposefast.ops.grouping,
        pyposefast.ops.limbs,
        pyposefast.ops.peaks,
    )
    originals = [user._C for user in users]  # type: ignore[attr-defined]
    module.set_thread_order(order)
    try:
        for user in users:
            user._C = module  # type: ignore[attr-defined]
        yield EMULATED
    finally:
        for user, original in zip(users, originals, strict=True):
            user._C = original  # type: ignore[attr-defined]


# ---- a GPU ---------------------------------------------------------------------------------------


def _memory_of(host: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], int]:
    """The bytes that an array lies in, and where among them its first element is."""
    reaches = [(size - 1) * stride for size, stride in zip(host.shape, host.strides, strict=True)]
    before = -sum(reach for reach in reaches if reach < 0) if host.size else 0
    after = sum(reach for reach in reaches if reach > 0) + host.itemsize if host.size else 1
    memory = np.empty(before + after, np.uint8)
    if host.size:
        first = host.__array_interface__["data"][0]
        ctypes.memmove(memory.ctypes.data, first - before, before + after)
    return memory, before


def cuda_device() -> Device:
    """A GPU through CuPy, which knows all strides, or Torch; skips when there is none."""
    with contextlib.suppress(Exception):
        import cupy

        cupy.zeros(1).sum().get()

        def put_cupy(host: np.ndarray[Any, Any]) -> Any:
            around, offset = _memory_of(host)
            memory = cupy.asarray(around).data + offset
            return cupy.ndarray(host.shape, host.dtype, memory, strides=host.strides)

        return Device("cuda", put_cupy, cupy.asnumpy)
    with contextlib.suppress(ImportError):
        import torch

        if torch.cuda.is_available():

            def put_torch(host: np.ndarray[Any, Any]) -> Any:
                if any(stride < 0 for stride in host.strides):
                    pytest.skip("Torch has no negative strides, and CuPy is absent")
                strides = [stride // host.itemsize for stride in host.strides]
                tensor = torch.from_numpy(np.ascontiguousarray(host).copy())
                place = torch.empty_strided(host.shape, strides, dtype=tensor.dtype, device="cuda")
                return place.copy_(tensor)

            return Device("cuda", put_torch, lambda tensor: tensor.cpu().numpy())
    pytest.skip("no CUDA device that CuPy or Torch can use")


# ---- fixtures ------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thread-order",
        default=os.environ.get("PPF_EMULATION_ORDER", "ascending"),
        help="order of the emulator's threads: ascending, descending or a seed",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "thread_orders: on the emulator, also with descending threads and three shuffles",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" not in metafunc.fixturenames:
        return
    order = metafunc.config.getoption("--thread-order")
    cases: list[Any] = []
    for name in DEVICES:
        marks = [pytest.mark.cuda] if name == "cuda" else []
        cases.append(pytest.param((name, order), id=name, marks=marks))
        if name == "emulated" and metafunc.definition.get_closest_marker("thread_orders"):
            cases += [
                pytest.param((name, other), id=f"{name}-{other}") for other in OTHER_THREAD_ORDERS
            ]
    metafunc.parametrize("device", cases, indirect=True)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    name, order = request.param
    if name == "emulated":
        with emulation(order) as device:
            yield device
    else:
        yield CPU if name == "cpu" else cuda_device()


@pytest.fixture
def put(device: Device) -> Callable[[Any], Any]:
    return device.put


@pytest.fixture
def get(device: Device) -> Callable[[Any], Any]:
    return device.get


@pytest.fixture(scope="session")
def photographs() -> list[Path]:
    """Real photographs, from the folder of shared data where there is one."""
    return sorted(shared_data.path("images").glob("*.jpg"))


@pytest.fixture(scope="session")
def workload() -> ModuleType:
    """The workloads with known people that decoders are compared on, where the folder has them."""
    file = shared_data.path("../bench/workload.py")
    spec = importlib.util.spec_from_file_location("workload", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
