"""Batches of any size over engines of one: every item's result, in order, wherever it ran."""

from __future__ import annotations

import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tiny_networks as tiny
from forks import in_a_fork

from pyposefast.engines import Port
from pyposefast.engines.batches import Batched, can_batch
from pyposefast.engines.onnx_runtime import OnnxRuntime
from pyposefast.errors import EngineError, InputError, InputTypeError

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnxruntime", reason="ONNX Runtime is the extra `cpu`")

COUNTS = (0, 1, 2, 3, 5, 8)


def images(count: int) -> Any:
    return np.random.default_rng(2).normal(size=(count, 3, 16, 12)).astype(np.float32)


@pytest.fixture(params=[(1, None), (3, None), ("n", 1), ("n", 2)], ids=str)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[OnnxRuntime, int | None]:
    """An engine of a fixed or a free first axis, and the size to run it at."""
    batch, size = request.param
    path = tiny.save(tiny.convolution(batch), tmp_path / "net.onnx")
    return OnnxRuntime(path, device="cpu", threads=1), size


@pytest.fixture
def single(tmp_path: Path) -> OnnxRuntime:
    return OnnxRuntime(
        tiny.save(tiny.convolution(), tmp_path / "one.onnx"), device="cpu", threads=1
    )


@pytest.mark.parametrize("parallel", [1, 3])
def test_every_item_gets_what_it_gets_alone(
    opened: tuple[OnnxRuntime, int | None], single: OnnxRuntime, parallel: int
) -> None:
    engine, size = opened
    network = Batched(engine, parallel=parallel, size=size)
    assert [str(port) for port in network.inputs] == ["float32 [any, 3, 16, 12]"]
    assert network.outputs[0].shape == (None, 4, 16, 12)
    for count in COUNTS:
        results = network.run({"image": images(count)})
        assert results["maps"].shape == (count, 4, 16, 12)
        assert results["means"].shape == (count, 4)
        for index in range(count):
            alone = single.run({"image": images(count)[index : index + 1]})
            # The same kernel on the same numbers: which item of a run it is makes no difference.
            assert np.array_equal(results["maps"][index], alone["maps"][0])
            assert np.array_equal(results["means"][index], alone["means"][0])
    network.close()


def test_results_go_into_the_buffers_that_were_given(
    opened: tuple[OnnxRuntime, int | None],
) -> None:
    network = Batched(opened[0], size=opened[1])
    for count in COUNTS:
        expected = network.run({"image": images(count)})
        maps = np.full((count, 4, 16, 12), np.nan, np.float32)
        results = network.run({"image": images(count)}, out={"maps": maps})
        assert results["maps"] is maps
        assert np.array_equal(maps, expected["maps"])
        assert np.array_equal(results["means"], expected["means"])
    for wrong in (4, 6):
        with pytest.raises(InputError, match=r'out\["maps"\]'):
            network.run(
                {"image": images(5)}, out={"maps": np.zeros((wrong, 4, 16, 12), np.float32)}
            )


def test_torch_tensors_go_in_and_come_out(single: OnnxRuntime) -> None:
    torch = pytest.importorskip("torch", reason="Torch is the extra `torch`")
    network = Batched(single)
    results = network.run({"image": torch.from_numpy(images(3))})
    assert isinstance(results["maps"], torch.Tensor)
    assert np.array_equal(results["maps"].numpy(), network.run({"image": images(3)})["maps"])


class Noted:
    """A stand-in for an engine: notes its runs, waits, and fails where it is told to."""

    name, device = "noted", "cpu"

    def __init__(self, fails: tuple[int, ...] = (), meet: int = 0) -> None:
        self.inputs = (Port("x", (1, 1), "float32"),)
        self.outputs = (Port("y", (1, 1), "float32"),)
        self.fails, self.seen, self.closed = fails, [], 0
        self.threads: set[str] = set()
        self.meet = threading.Barrier(meet) if meet else None

    def run(self, feeds: Any, *, out: Any = None, stream: int | None = None) -> Any:
        del stream
        item = int(feeds["x"][0, 0])
        self.seen.append(item)
        self.threads.add(threading.current_thread().name)
        if self.meet:
            self.meet.wait(timeout=30)
        if item in self.fails:
            raise EngineError(f"item {item}")
        if out is None:
            return {"y": feeds["x"] * 2}
        out["y"][...] = feeds["x"] * 2
        return dict(out)

    def close(self) -> None:
        self.closed += 1


def numbers(count: int) -> Any:
    return np.arange(count, dtype=np.float32).reshape(count, 1)


def test_runs_go_on_at_once_and_end_in_order() -> None:
    # Nobody passes the barrier before three runs are going on.
    engine: Any = Noted(meet=3)
    network = Batched(engine, parallel=3)
    assert network.run({"x": numbers(6)})["y"].ravel().tolist() == [0, 2, 4, 6, 8, 10]
    assert len(engine.threads) == 3
    assert threading.current_thread().name in engine.threads
    network.close()
    assert not [thread for thread in threading.enumerate() if "pyposefast-batch" in thread.name]


def test_several_items_go_to_an_engine_that_is_opened_for_them_once() -> None:
    one: Any = Noted()
    several: Any = Noted(meet=2)
    opened: list[int] = []

    def open_it() -> Any:
        opened.append(1)
        return several

    network = Batched(one, parallel=2, several=open_it)
    assert network.run({"x": numbers(1)})["y"].ravel().tolist() == [0]
    assert (one.seen, opened) == ([0], [])
    assert network.run({"x": numbers(2)})["y"].ravel().tolist() == [0, 2]
    assert network.run({"x": numbers(4)})["y"].ravel().tolist() == [0, 2, 4, 6]
    assert (one.seen, opened, sorted(several.seen)) == ([0], [1], [0, 0, 1, 1, 2, 3])
    network.close()
    network.close()
    assert (one.closed, several.closed) == (1, 1)


def test_the_first_items_error_is_the_callers() -> None:
    engine: Any = Noted(fails=(2, 3), meet=4)
    with (
        Batched(engine, parallel=4) as network,
        pytest.raises(EngineError, match="item 2"),
    ):
        network.run({"x": numbers(4)})
    alone: Any = Noted(fails=(2,))
    with pytest.raises(EngineError, match="item 2"):
        Batched(alone).run({"x": numbers(100)})
    assert alone.seen == [0, 1, 2]  # nothing is run after a failure


def test_threads_share_a_batched_engine(single: OnnxRuntime) -> None:
    network = Batched(single, parallel=2)
    feed = images(8)
    expected = network.run({"image": feed})["maps"].tobytes()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(network.run, {"image": feed}) for _ in range(40)]
        assert all(future.result()["maps"].tobytes() == expected for future in futures)
    network.close()


def test_closing_closes_the_engine_once() -> None:
    engine: Any = Noted()
    with Batched(engine, parallel=2) as network:
        network.warmup([1, 5])
    network.close()
    assert engine.closed == 1
    with pytest.raises(EngineError, match="noted, in batches: the engine is closed"):
        network.run({"x": numbers(2)})


def test_a_fork_is_told_to_open_its_own(single: OnnxRuntime) -> None:
    network = Batched(single, parallel=2)
    network.run({"image": images(4)})

    def child() -> None:
        with pytest.raises(EngineError, match="spawn"):
            network.run({"image": images(4)})
        network.close()

    in_a_fork(child)
    network.close()


def test_arguments_are_checked(single: OnnxRuntime, tmp_path: Path) -> None:
    network = Batched(single)
    with pytest.raises(InputError, match=r'feeds\["image"\]: expected float32 \[any, 3, 16, 12\]'):
        network.run({"image": images(2)[:, :2].copy()})
    with pytest.raises(InputTypeError, match="float64"):
        network.run({"image": images(2).astype(np.float64)})
    with pytest.raises(InputError, match="feeds: expected image"):
        network.run({"picture": images(2)})
    maps = np.zeros((2, 4, 16, 12), np.float32)
    inside = maps.reshape(-1)[:8].reshape(2, 4)
    with pytest.raises(InputError, match="memory in use"):
        network.run({"image": images(2)}, out={"maps": maps, "means": inside})
    with pytest.raises(InputError, match="size: expected None or 1"):
        Batched(single, size=2)
    with pytest.raises(InputError, match="parallel"):
        Batched(single, parallel=0)
    free = OnnxRuntime(tiny.save(tiny.convolution("n"), tmp_path / "free.onnx"), device="cpu")
    with pytest.raises(InputTypeError, match="size"):
        Batched(free)


def test_all_inputs_have_as_many_items(tmp_path: Path) -> None:
    path = tiny.save(tiny.bytes_to_float(), tmp_path / "two.onnx")
    network = Batched(OnnxRuntime(path, device="cpu"))
    offset = np.zeros((3, 4), np.float32)
    sums = network.run({"picture": np.full((3, 4), 9, np.uint8), "offset": offset})["sum"]
    assert sums.tolist() == [[9.0] * 4] * 3
    with pytest.raises(InputError, match=r'feeds\["offset"\]: expected float32 \[2, 4\]'):
        network.run({"picture": np.zeros((2, 4), np.uint8), "offset": offset})


def test_what_makes_no_batch_is_not_cut(tmp_path: Path) -> None:
    engine = OnnxRuntime(tiny.save(tiny.counting(), tmp_path / "count.onnx"), device="cpu")
    assert not can_batch(engine)
    with pytest.raises(InputError, match="engine: expected one first axis"):
        Batched(engine)
