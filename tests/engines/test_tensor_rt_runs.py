"""Running a plan: arrays, streams, graphs, threads, and what CUDA may answer.

TensorRT and the device are stand-ins; the device does nothing before it is waited for, so that a
wait that is missing shows.
"""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from emulated_array import EmulatedArray, Namespace
from tensor_rt.bench import Bench, feeds_of, make_network, set_up

from pyposefast.errors import (
    DeviceError,
    DeviceMismatchError,
    EngineError,
    InputError,
    InputTypeError,
)

if TYPE_CHECKING:
    from pathlib import Path

ALIGNMENT = 256


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    return set_up(monkeypatch, tmp_path, "11.4.0.106")


def wanted(feeds: dict[str, Any]) -> dict[str, Any]:
    return {"y": feeds["x"] * feeds["w"], "s": feeds["x"] + feeds["w"]}


def assert_equal(results: dict[str, Any], feeds: dict[str, Any]) -> None:
    for name, array in wanted(feeds).items():
        np.testing.assert_array_equal(np.asarray(results[name]), array)


def on_device(array: Any, *, aligned: bool = True) -> EmulatedArray:
    """A copy on the emulated device, at an address that TensorRT takes, or not."""
    memory = np.empty(array.nbytes + 2 * ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT + (0 if aligned else 4)
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return EmulatedArray(copy)


def host(results: dict[str, EmulatedArray]) -> dict[str, Any]:
    return {name: array.numpy() for name, array in results.items()}


# ---- on the host ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cuda_graph", [True, False])
def test_host_feeds_give_host_results(bench: Bench, *, cuda_graph: bool) -> None:
    with bench.open(make_network(), cuda_graph=cuda_graph) as engine:
        for seed in range(4):
            feeds = feeds_of(1, seed)
            assert_equal(engine.run(feeds), feeds)


def test_results_go_into_given_buffers(bench: Bench) -> None:
    feeds = feeds_of(1)
    buffer = np.zeros((1, 3), np.float32)
    with bench.open(make_network()) as engine:
        results = engine.run(feeds, out={"s": buffer})
    assert results["s"] is buffer
    assert_equal(results, feeds)


def test_torch_feeds_give_torch_results(bench: Bench) -> None:
    torch: Any = pytest.importorskip("torch", reason="Torch is not installed")
    feeds = feeds_of(1)
    buffer = torch.zeros(1, 3)
    with bench.open(make_network()) as engine:
        tensors = {name: torch.from_numpy(array) for name, array in feeds.items()}
        results = engine.run(tensors, out={"y": buffer})
    assert results["y"] is buffer
    assert isinstance(results["s"], torch.Tensor)
    assert_equal(results, feeds)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"x": np.zeros((1, 3))}, InputTypeError, r'^feeds\["x"\]: expected float32.*float64'),
        ({"x": np.zeros((1, 4), np.float32)}, InputError, r'^feeds\["x"\]: .*\[1, 3\].*\[1, 4\]'),
        ({"x": np.zeros((1, 6), np.float32)[:, ::2]}, InputError, "C-contiguous"),
        ({"x": [[1.0, 2.0, 3.0]]}, InputTypeError, "expected an array"),
        ({"z": np.zeros((1, 3), np.float32)}, InputError, "^feeds: expected x, w, got x, w, z"),
    ],
)
def test_feeds_that_do_not_fit(
    bench: Bench, change: dict[str, Any], error: type[Exception], said: str
) -> None:
    with bench.open(make_network()) as engine:
        with pytest.raises(error, match=said):
            engine.run({**feeds_of(1), **change})
        with pytest.raises(InputError, match=r"^feeds: expected x, w, got x"):
            engine.run({"x": feeds_of(1)["x"]})


def test_buffers_that_do_not_fit(bench: Bench) -> None:
    feeds = feeds_of(2)
    read_only = np.zeros((2, 3), np.float32)
    read_only.setflags(write=False)
    with bench.open(make_network(), mode="throughput") as engine:
        for buffer, said in (
            (np.zeros((3, 3), np.float32), r'^out\["y"\]: expected \[2, 3\], got \[3, 3\]'),
            (read_only, "read-only"),
            (feeds["x"], "memory of its own"),
        ):
            with pytest.raises(InputError, match=said):
                engine.run(feeds, out={"y": buffer})
        assert_equal(engine.run(feeds), feeds)


def test_a_batch_that_no_profile_takes(bench: Bench) -> None:
    with bench.open(make_network(), mode="throughput") as engine:
        with pytest.raises(InputError, match=r"from \[1, 3\] to \[32, 3\], got \[33, 3\]\nhint: "):
            engine.run(feeds_of(33))
        with pytest.raises(InputError, match=r"got \[0, 3\]"):
            engine.run(feeds_of(0))


def test_a_stream_is_for_device_arrays(bench: Bench) -> None:
    with bench.open(make_network()) as engine:
        with pytest.raises(InputError, match=r"^stream: expected none, as the feeds are on the"):
            engine.run(feeds_of(1), stream=16)
        with pytest.raises(InputTypeError, match=r"^stream: "):
            engine.run(feeds_of(1), stream="x")  # type: ignore[arg-type]


# ---- on the device -------------------------------------------------------------------------------


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("own_stream", [True, False])
@pytest.mark.parametrize("cuda_graph", [True, False])
def test_device_arrays_are_used_in_the_order_of_the_callers_stream(
    bench: Bench, *, cuda_graph: bool, own_stream: bool, aligned: bool
) -> None:
    machine = bench.machine
    stream = machine.handle() if own_stream else 0
    machine.streams[stream] = []
    with bench.open(make_network(), cuda_graph=cuda_graph) as engine:
        engine.warmup()
        for seed in range(3):
            feeds = feeds_of(1, seed)
            arrays = {
                name: on_device(np.zeros_like(array), aligned=aligned)
                for name, array in feeds.items()
            }
            buffers = {name: on_device(np.zeros((1, 3), np.float32)) for name in ("y", "s")}
            # The producer is late: the arrays are written by work that is still on the stream.
            for name, array in arrays.items():
                machine.put(stream, lambda to=array, by=feeds[name]: np.copyto(to.numpy(), by))
            out = buffers if aligned else None
            results = engine.run(arrays, out=out, stream=stream if own_stream else None)
            before = host(results)["y"].copy()
            for each in sorted(machine.streams, reverse=True):  # the engine's own before ours
                machine.run(each)
            assert_equal(host(results), feeds)
            assert not np.array_equal(before, wanted(feeds)["y"]), "it waited"
            assert (results["y"] is buffers["y"]) == aligned


def test_without_a_graph_aligned_arrays_are_not_copied(bench: Bench) -> None:
    arrays = {name: on_device(array) for name, array in feeds_of(1).items()}
    buffers = {name: on_device(np.zeros((1, 3), np.float32)) for name in ("y", "s")}
    with bench.open(make_network(), cuda_graph=False) as engine:
        engine.run(arrays, out=buffers)
        bench.machine.run(0)
    assert "memcpyAsync" not in bench.machine.calls
    assert "malloc" not in bench.machine.calls


def test_a_context_that_is_still_at_work_is_waited_for_by_the_next_stream(bench: Bench) -> None:
    machine = bench.machine
    streams = [machine.handle() for _ in range(3)]
    machine.streams.update({stream: [] for stream in streams})
    with bench.open(make_network(), contexts=1) as engine:
        engine.warmup()
        runs = []
        for seed, stream in enumerate(streams):
            feeds = feeds_of(1, seed)
            arrays = {name: on_device(array) for name, array in feeds.items()}
            runs.append((feeds, engine.run(arrays, stream=stream), arrays))
        machine.run_by_turns(streams)
        for feeds, results, _ in runs:
            assert_equal(host(results), feeds)


def test_new_results_are_not_overwritten_by_what_their_memory_was_used_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = bench.machine
    stream = machine.handle()
    machine.streams[stream] = []
    empty = Namespace.empty

    def recycled(shape: Any, *, dtype: Any, device: Any) -> EmulatedArray:
        array = empty(shape, dtype=dtype, device=device)
        machine.put(0, lambda: array.numpy().fill(-1))  # still under way when it was freed
        return array

    feeds = feeds_of(1)
    arrays = {name: on_device(array) for name, array in feeds.items()}
    with bench.open(make_network()) as engine:
        engine.warmup()
        monkeypatch.setattr(Namespace, "empty", staticmethod(recycled))
        results = engine.run(arrays, stream=stream)
        machine.run(stream)
        machine.run(0)
        assert_equal(host(results), feeds)


def test_arrays_in_two_places(bench: Bench) -> None:
    feeds = feeds_of(1)
    with bench.open(make_network()) as engine:
        with pytest.raises(DeviceMismatchError, match=r'^feeds\["w"\]: on the CPU but x is on'):
            engine.run({"x": on_device(feeds["x"]), "w": feeds["w"]})
        other = {name: EmulatedArray(array, device_index=1) for name, array in feeds.items()}
        with pytest.raises(DeviceMismatchError, match="on cuda:1 but the network is on cuda:0"):
            engine.run(other)


# ---- graphs --------------------------------------------------------------------------------------


def test_a_graph_is_captured_once_for_each_shape(bench: Bench) -> None:
    with bench.open(make_network(), mode="throughput") as engine:
        for batch in (1, 2, 5, 2, 1, 5, 5):
            feeds = feeds_of(batch, seed=batch)
            assert_equal(engine.run(feeds), feeds)
    calls = bench.machine.calls
    assert calls.count("streamBeginCapture") == calls.count("streamEndCapture") == 3
    assert calls.count("graphLaunch") == 4


def test_a_network_that_no_graph_can_hold_runs_without(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.orders.can_capture = False
    with bench.open(make_network()) as engine:
        for seed in range(3):
            feeds = feeds_of(1, seed)
            assert_equal(engine.run(feeds), feeds)
    assert caplog.messages == [
        "TensorRT: no CUDA graph of this network, it runs without one",
    ]
    assert bench.machine.calls.count("streamBeginCapture") == 1


def test_warmup_leaves_nothing_to_capture(bench: Bench) -> None:
    with bench.open(make_network(), mode="throughput") as engine:
        engine.warmup((1, 4))
        captured = bench.machine.calls.count("streamBeginCapture")
        for batch in (1, 4):
            feeds = feeds_of(batch)
            assert_equal(engine.run(feeds), feeds)
        assert bench.machine.calls.count("streamBeginCapture") == captured == 2
        with pytest.raises(InputError, match=r"^batches: "):
            engine.warmup((0,))


# ---- contexts and threads ------------------------------------------------------------------------


def test_contexts_are_limited_and_the_oldest_goes(bench: Bench) -> None:
    with bench.open(make_network(), mode="throughput", contexts=2) as engine:
        for batch in (1, 2, 3, 4, 1, 4):
            feeds = feeds_of(batch, seed=batch)
            assert_equal(engine.run(feeds), feeds)
        gc.collect()
        # 5 contexts were made (1 twice) of which 2 are left; each had 4 buffers.
        assert bench.machine.freed == 3 * 4
    gc.collect()
    assert bench.machine.freed == 5 * 4


def test_threads_share_an_engine(bench: Bench) -> None:
    wrong: list[str] = []

    def work(seed: int) -> None:
        for turn in range(15):
            feeds = feeds_of(1 + (seed + turn) % 4, seed=100 * seed + turn)
            results = engine.run(feeds)
            for name, array in wanted(feeds).items():
                if not np.array_equal(results[name], array):
                    wrong.append(f"{seed} {turn} {name}")

    with bench.open(make_network(), mode="throughput", contexts=3) as engine:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


# ---- failures ------------------------------------------------------------------------------------


def test_a_run_that_tensorrt_refuses_is_an_error_and_the_next_one_may_work(bench: Bench) -> None:
    with bench.open(make_network()) as engine:
        bench.orders.fail_execute = "yes"
        with pytest.raises(EngineError, match=r"^the network could not be run"):
            engine.run(feeds_of(1))
        bench.orders.fail_execute = ""
        feeds = feeds_of(1, 3)
        assert_equal(engine.run(feeds), feeds)


def test_a_device_that_died_is_not_asked_again(bench: Bench) -> None:
    engine = bench.open(make_network())
    bench.machine.failures["streamSynchronize"] = 700
    with pytest.raises(DeviceError, match=r"cuda:0: running .*cudaError 700\nhint: .*new one"):
        engine.run(feeds_of(1))
    bench.machine.failures.clear()
    calls = len(bench.machine.calls)
    with pytest.raises(DeviceError, match="cudaError 700"):
        engine.run(feeds_of(1))
    assert len(bench.machine.calls) == calls
    engine.close()


def test_out_of_memory_is_an_error_and_not_the_end(bench: Bench) -> None:
    with bench.open(make_network()) as engine:
        bench.machine.failures["malloc"] = 2
        with pytest.raises(DeviceError, match=r"out of memory\nhint: use smaller batches"):
            engine.run(feeds_of(1))
        bench.machine.failures.clear()
        feeds = feeds_of(1, 5)
        assert_equal(engine.run(feeds), feeds)


def test_out_of_memory_when_a_context_is_made(bench: Bench) -> None:
    with bench.open(make_network(), contexts=1) as engine:
        bench.machine.failures["streamCreate"] = 2
        with pytest.raises(DeviceError, match="out of memory"):
            engine.run(feeds_of(1))
        bench.machine.failures.clear()
        feeds = feeds_of(1)
        assert_equal(engine.run(feeds), feeds)  # the failed one does not count


def test_outputs_whose_size_depends_on_the_data_are_refused(bench: Bench) -> None:
    bench.orders.data_dependent = True
    with bench.open(make_network(), mode="throughput") as engine:  # noqa: SIM117
        with pytest.raises(EngineError, match=r"^y: its shape \[-1\] depends on the data"):
            engine.run(feeds_of(1))


def test_dtypes_that_numpy_does_not_know_are_refused(bench: Bench) -> None:
    bench.open(make_network()).close()
    (path,) = (bench.folder / "plans").glob("*.plan")
    bench.orders.output_dtype = "bfloat16"
    path.unlink()
    with pytest.raises(EngineError, match="expected a plan with"):
        bench.open(make_network())


def test_a_closed_engine_says_so(bench: Bench) -> None:
    engine = bench.open(make_network())
    engine.run(feeds_of(1))
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.run(feeds_of(1))
    gc.collect()
    assert bench.machine.freed == 4


def test_a_fork_may_not_use_the_engine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = bench.open(make_network())
    engine.run(feeds_of(1))
    calls = len(bench.machine.calls)
    with monkeypatch.context() as fork:
        fork.setattr("os.getpid", lambda: -1)
        with pytest.raises(EngineError, match=r"used in a fork of it\nhint: "):
            engine.run(feeds_of(1))
    assert len(bench.machine.calls) == calls
    engine.close()


def test_an_engine_that_nobody_closed_lets_the_device_finish_first(bench: Bench) -> None:
    feeds = feeds_of(1)
    engine = bench.open(make_network())
    results = engine.run({name: on_device(array) for name, array in feeds.items()})
    del engine
    gc.collect()
    assert bench.machine.freed == 4
    bench.machine.run(0)
    assert_equal(host(results), feeds)


def test_closing_while_others_run(bench: Bench) -> None:
    engine = bench.open(make_network())
    engine.warmup()
    outcomes: list[str] = []

    def work() -> None:
        try:
            while True:
                assert_equal(engine.run(feeds), feeds)
        except EngineError as error:
            outcomes.append(error.message)

    feeds = feeds_of(1)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    engine.close()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 4
    assert all("the engine is closed" in outcome for outcome in outcomes)
