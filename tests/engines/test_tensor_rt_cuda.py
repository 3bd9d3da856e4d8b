"""TensorRT itself, on a GPU; skipped where either is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tensor_rt.bench import feeds_of, make_matrix_network, make_network, make_quantised_network

from pyposefast.engines.tensor_rt import open_tensor_rt
from pyposefast.errors import DeviceError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.cuda


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network, if there is something to run it on."""
    pytest.importorskip("onnx", reason="onnx is not installed")
    path = tmp_path / "network.onnx"
    path.write_bytes(make_network(1))
    try:
        open_tensor_rt(path, cache=tmp_path / "probe").close()
    except (DeviceError, ImportError) as error:
        pytest.skip(str(error).partition("\n")[0])
    path.write_bytes(make_network())
    return path


@pytest.mark.parametrize("cuda_graph", [True, False])
@pytest.mark.parametrize("options", [{}, {"version_compatible": True}, {"strip_weights": True}])
def test_host_arrays(
    network: Path, tmp_path: Path, options: dict[str, Any], *, cuda_graph: bool
) -> None:
    for _ in range(2):  # built, and then from the cache
        with open_tensor_rt(
            network, mode="throughput", cache=tmp_path / "plans", cuda_graph=cuda_graph, **options
        ) as engine:
            for seed, batch in enumerate((1, 8, 32, 8, 1)):
                feeds = feeds_of(batch, seed)
                results = engine.run(feeds)
                np.testing.assert_array_equal(results["y"], feeds["x"] * feeds["w"])
                np.testing.assert_array_equal(results["s"], feeds["x"] + feeds["w"])


@pytest.mark.parametrize("cuda_graph", [True, False])
def test_device_arrays_on_a_stream(network: Path, tmp_path: Path, *, cuda_graph: bool) -> None:
    cupy: Any = pytest.importorskip("cupy", reason="CuPy is not installed")
    with open_tensor_rt(network, cache=tmp_path / "plans", cuda_graph=cuda_graph) as engine:
        for stream in (cupy.cuda.Stream.null, cupy.cuda.Stream(non_blocking=True)):
            with stream:
                for seed in range(5):
                    feeds = feeds_of(1, seed)
                    arrays = {name: cupy.asarray(array) for name, array in feeds.items()}
                    results = engine.run(arrays)
                    assert isinstance(results["y"], cupy.ndarray)
                    np.testing.assert_array_equal(results["y"].get(), feeds["x"] * feeds["w"])


def test_fp16(network: Path, tmp_path: Path) -> None:
    network.write_bytes(make_matrix_network())
    x = np.array([[1.0, -2.0, 4.0]], np.float32)  # which float16 holds exactly
    with open_tensor_rt(network, cache=tmp_path / "plans", precision="fp16") as engine:
        np.testing.assert_array_equal(engine.run({"x": x})["y"], [[4.5, 1.5, -1.5]])


def test_int8(network: Path, tmp_path: Path) -> None:
    network.write_bytes(make_quantised_network())
    x = np.array([[0.2, 0.9, -3.1]], np.float32)
    with open_tensor_rt(network, cache=tmp_path / "plans", precision="int8") as engine:
        np.testing.assert_array_equal(engine.run({"x": x})["y"], [[0.0, 1.0, -3.0]])
