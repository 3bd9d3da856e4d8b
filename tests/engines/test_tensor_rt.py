"""Opening a network with TensorRT: what is asked of it, kept, refused. TensorRT is a stand-in."""

from __future__ import annotations

import _thread
import json
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tensor_rt.bench import (
    Bench,
    feeds_of,
    make_matrix_network,
    make_network,
    make_quantised_network,
    set_up,
)

from pyposefast.engines import plan_cache, tensor_rt
from pyposefast.engines.plan_cache import PlanCache
from pyposefast.errors import (
    DeviceError,
    EngineCacheError,
    EngineError,
    InputError,
    InputTypeError,
    ModelError,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["10.3.0", "11.4.0.106"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    return set_up(monkeypatch, tmp_path, request.param)


@pytest.fixture
def eleven(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    return set_up(monkeypatch, tmp_path, "11.4.0.106")


def assert_right(engine: Any, batch: int = 1, seed: int = 0) -> None:
    feeds = feeds_of(batch, seed)
    results = engine.run(feeds)
    assert list(results) == ["y", "s"]
    np.testing.assert_array_equal(results["y"], feeds["x"] * feeds["w"])
    np.testing.assert_array_equal(results["s"], feeds["x"] + feeds["w"])


# ---- the machine ---------------------------------------------------------------------------------


def test_without_a_device_tensorrt_is_not_even_imported(
    eleven: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    eleven.survey.update(status="no CUDA device", devices=[])
    monkeypatch.setitem(sys.modules, "tensorrt", None)  # importing it would raise
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match=r"cuda:0: no CUDA device\nhint: .*doctor"):
        eleven.open(make_network())


def test_this_machine_says_what_it_lacks(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    del onnx
    path = tmp_path / "network.onnx"
    path.write_bytes(make_network())
    try:
        engine = tensor_rt.open_tensor_rt(path, cache=tmp_path / "plans")
    except (DeviceError, ImportError) as error:
        assert "hint: " in str(error)  # noqa: PT017  there may be a GPU here
    else:
        engine.close()


def test_a_device_that_is_not_there_is_named_with_those_that_are(eleven: Bench) -> None:
    with pytest.raises(DeviceError, match="cuda:3: no such device, there is only cuda:0"):
        eleven.open(make_network(), device="cuda:3")


@pytest.mark.parametrize("words", ["cpu", "cuda:", "cuda:x", "gpu", "cuda:0 "])
def test_other_words_for_a_device(eleven: Bench, words: str) -> None:
    with pytest.raises(InputError, match=r'^device: expected "cuda"'):
        eleven.open(make_network(), device=words)


@pytest.mark.parametrize(("module", "said"), [("tensorrt", "TensorRT"), ("cupy", "CuPy")])
def test_what_is_not_installed_is_named_with_the_extra(
    eleven: Bench, monkeypatch: pytest.MonkeyPatch, module: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=said) as caught:
        eleven.open(make_network())
    assert str(caught.value).endswith('hint: pip install "pyposefast[cuda]"')


# ---- building ------------------------------------------------------------------------------------


def test_networks_are_strongly_typed_on_both_versions(bench: Bench) -> None:
    with bench.open(make_network()) as engine:
        assert_right(engine)  # the fake's plan of another network would not run
    version = sys.modules["tensorrt"].__version__
    assert bench.orders.flags == [1 << 1 if version.startswith("10") else 0]


def test_ports_have_the_sizes_that_the_profile_leaves_open(bench: Bench) -> None:
    with bench.open(make_network()) as engine:
        assert engine.name == "tensor_rt"
        assert engine.device == "cuda:0"
        assert [str(port) for port in engine.inputs] == ["float32 [1, 3]"] * 2
        assert [port.shape for port in engine.outputs] == [(1, 3)] * 2
    with bench.open(make_network(), mode="throughput") as engine:
        assert [port.shape for port in engine.inputs] == [(None, 3)] * 2
        assert [port.shape for port in engine.outputs] == [(None, 3)] * 2


@pytest.mark.parametrize(
    ("batch", "options", "profiles"),
    [
        ("N", {}, [[(1, 3), (1, 3), (1, 3)]]),
        ("N", {"mode": "throughput"}, [[(1, 3), (8, 3), (32, 3)]]),
        (4, {}, []),
        (4, {"mode": "throughput"}, []),
    ],
)
def test_profiles_of_the_modes(
    eleven: Bench, batch: Any, options: dict[str, Any], profiles: list[Any]
) -> None:
    with eleven.open(make_network(batch), **options) as engine:
        assert_right(engine, 4 if batch == 4 else 1)
    assert [profile["x"] for profile in eleven.orders.profiles] == profiles


def test_own_profiles_each_serve_their_shapes(eleven: Bench) -> None:
    small = [(1, 3), (1, 3), (2, 3)]
    large = [(16, 3), (16, 3), (64, 3)]
    profiles = [{"x": small, "w": small}, {"x": large, "w": large}]
    with eleven.open(make_network(), profiles=profiles) as engine:
        for batch in (1, 2, 16, 64):
            assert_right(engine, batch)
        with pytest.raises(InputError, match=r"^feeds: expected shapes within one of the"):
            engine.run(feeds_of(3))


@pytest.mark.parametrize(
    ("profiles", "error", "said"),
    [
        ([], InputError, "an empty list"),
        ("x", InputTypeError, "str"),
        ([3], InputTypeError, "a list of int"),
        ([{"x": 3}], InputTypeError, "x: 3"),
        ([{"x": ((1, 3), (2, 3))}], InputTypeError, "x: "),
        ([{"x": ((1, 3), (2, 3), (1, 3))}], InputError, "never shrink"),
        ([{"x": ((0, 3), (2, 3), (2, 3))}], InputError, "never shrink"),
        ([{"x": ((1, 3),) * 3}], InputError, r"shapes of input w \[\?, 3\], got none"),
        ([{"x": ((1, 4),) * 3, "w": ((1, 3),) * 3}], InputError, r"fit \[\?, 3\], got \[1, 4\]"),
        ([dict.fromkeys("xwz", ((1, 3),) * 3)], InputError, "inputs x, w, got z"),
    ],
)
def test_profiles_that_do_not_fit(
    eleven: Bench, profiles: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=rf"^profiles: .*{said}"):
        eleven.open(make_network(), profiles=profiles)


def test_other_free_axes_need_profiles(eleven: Bench) -> None:
    with pytest.raises(InputError, match=r"^profiles: .*input x.*\[\?, \?\]\nhint: give them"):
        eleven.open(make_network(width="W"))


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, set()),
        ({"tf32": True}, {"TF32"}),
        ({"version_compatible": True}, {"VERSION_COMPATIBLE"}),
        ({"strip_weights": True}, {"STRIP_PLAN", "REFIT_IDENTICAL"}),
    ],
)
def test_builder_flags(bench: Bench, options: dict[str, Any], flags: set[str]) -> None:
    for _ in range(2):  # the second time from the cache
        with bench.open(make_network(), **options) as engine:
            assert_right(engine)
    assert bench.orders.config["flags"] == flags
    assert bench.orders.builds == 1


def test_a_network_that_the_parser_refuses_says_where(bench: Bench) -> None:
    content = make_network(operator="Mul").replace(b"Mul", b"Foo")
    with pytest.raises(EngineError, match=r"node 3 \(Foo odd\): no importer for   this") as caught:
        bench.open(content)
    assert "\x1b" not in str(caught.value)
    assert bench.plans() == []


def test_a_failed_build_says_what_tensorrt_said(bench: Bench) -> None:
    bench.orders.fail_build = "no tactics\nfor conv"
    with pytest.raises(EngineError, match="could not build it: no tactics for conv"):
        bench.open(make_network())
    assert bench.plans() == []


def test_a_plan_that_gives_another_dtype_than_promised_is_refused(bench: Bench) -> None:
    bench.orders.output_dtype = "float16"
    with pytest.raises(EngineError, match=r"expected a plan with .*'y': 'DataType.FLOAT'.*HALF"):
        bench.open(make_network())
    assert bench.plans() == []


@pytest.mark.parametrize("name", ["precision", "mode"])
def test_unknown_words(eleven: Bench, name: str) -> None:
    with pytest.raises(InputError, match=rf"^{name}: expected one of"):
        eleven.open(make_network(), **{name: "fast"})


def test_files_that_are_no_networks(eleven: Bench, tmp_path: Path) -> None:
    for path in (tmp_path / "absent.onnx", tmp_path):
        with pytest.raises(ModelError, match=str(path)):
            eleven.open(path)


# ---- precision -----------------------------------------------------------------------------------


def test_fp16_is_in_the_graph_that_is_built(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyposefast.precision.to_fp16", lambda _: make_network(half=True))
    with bench.open(make_network(), precision="fp16") as engine:
        assert [port.dtype for port in engine.outputs] == ["float32"] * 2
        assert_right(engine)


def test_our_own_pass_gives_fp16_inside_and_fp32_outside(bench: Bench) -> None:
    x = np.array([[1.0, -2.0, 4.0]], np.float32)  # which float16 holds exactly
    for _ in range(2):
        with bench.open(make_matrix_network(), precision="fp16", strip_weights=True) as engine:
            np.testing.assert_array_equal(engine.run({"x": x})["y"], [[4.5, 1.5, -1.5]])
    assert bench.orders.builds == 1


def test_fp16_that_would_run_in_fp32_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyposefast.precision.to_fp16", lambda model: model)
    with pytest.raises(EngineError, match="expected layers in fp16, got none"):
        bench.open(make_network(), precision="fp16")
    assert bench.plans() == []


def test_int8_needs_a_quantised_file(bench: Bench) -> None:
    with pytest.raises(EngineError, match="needs QuantizeLinear and DequantizeLinear nodes"):
        bench.open(make_network(), precision="int8")
    with bench.open(make_quantised_network(), precision="int8") as engine:
        x = np.array([[0.2, 0.9, -3.1]], np.float32)
        np.testing.assert_array_equal(engine.run({"x": x})["y"], [[0.0, 1.0, -3.0]])


# ---- the cache -----------------------------------------------------------------------------------


def test_a_plan_is_built_once(bench: Bench) -> None:
    for seed in range(3):
        with bench.open(make_network()) as engine:
            assert_right(engine, seed=seed)
    assert bench.orders.builds == 1
    assert sorted(name.rpartition(".")[2] for name in bench.plans()) == ["plan", "timing"]


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "throughput"},
        {"tf32": True},
        {"level": 4},
        {"version_compatible": True},
        {"strip_weights": True},
        {"profiles": [dict.fromkeys("xw", ((1, 3),) * 3)]},
    ],
    ids=str,
)
def test_every_option_that_changes_a_plan_makes_another(
    eleven: Bench, options: dict[str, Any]
) -> None:
    eleven.open(make_network()).close()
    eleven.open(make_network(), **options).close()
    assert eleven.orders.builds == 2


def test_other_machines_make_other_plans(bench: Bench) -> None:
    bench.open(make_network()).close()
    gpu = bench.survey["devices"][0]
    for change in ({"name": "Fake 9001"}, {"compute_capability": "9.1"}):
        bench.survey["devices"] = [{**gpu, **change}]
        bench.open(make_network()).close()
    bench.survey["driver_version"] = 13010
    bench.open(make_network()).close()
    sys.modules["tensorrt"].__version__ = "11.5.0"
    bench.open(make_network()).close()
    assert bench.orders.builds == 5


def test_a_version_compatible_plan_serves_a_later_version(eleven: Bench) -> None:
    eleven.open(make_network(), version_compatible=True).close()
    sys.modules["tensorrt"].__version__ = "11.5.0"
    with eleven.open(make_network(), version_compatible=True) as engine:
        assert_right(engine)
    assert eleven.orders.builds == 1


def test_a_plan_that_tensorrt_refuses_is_built_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.open(make_network()).close()
    bench.orders.refuse_plans = 1
    with bench.open(make_network()) as engine:
        assert_right(engine)
    assert bench.orders.builds == 2
    assert sum("not accepted by TensorRT" in line for line in caplog.messages) == 1
    assert any(name.endswith(".plan.bad") for name in bench.plans())


def test_a_plan_that_is_refused_twice_is_an_error(
    eleven: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    eleven.open(make_network()).close()
    monkeypatch.setattr(tensor_rt, "load_plan", lambda *_, **__: None)
    with pytest.raises(EngineCacheError, match="loads neither its plan nor a new one"):
        eleven.open(make_network())


def test_what_was_measured_helps_the_next_build(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.open(make_network()).close()
    assert bench.orders.config["timing"] == b""
    bench.open(make_network(2)).close()
    assert bench.orders.config["timing"] == b"FAKE TIMING 1"
    bench.open(make_network(3), timing_cache=False).close()
    assert bench.orders.config["timing"] == b""
    (timing,) = (bench.folder / "plans").glob("*.timing")
    timing.write_bytes(timing.read_bytes()[:-1])
    bench.open(make_network(4)).close()
    assert bench.orders.config["timing"] == b""
    assert sum("moved to *.bad" in line for line in caplog.messages) == 1


def test_timing_that_tensorrt_does_not_want_is_left_out(
    eleven: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlanCache, "read", lambda *_: b"of another device")
    eleven.open(make_network()).close()
    assert eleven.orders.config["timing"] == b""


def test_a_plan_tells_what_it_is_of(eleven: Bench) -> None:
    eleven.open(make_network(), level=2).close()
    (path,) = (eleven.folder / "plans").glob("*.plan")
    manifest = json.loads(path.read_bytes().partition(b"\n")[0])
    assert manifest["format"] == plan_cache.FORMAT
    assert manifest["key"]["gpu"] == "Fake 9000"
    assert manifest["key"]["tensor_rt"] == "11.4.0.106"
    assert json.loads(manifest["key"]["flags"])["level"] == 2


# ---- long builds ---------------------------------------------------------------------------------


def test_progress_is_told(bench: Bench) -> None:
    told: list[tuple[str, int, int]] = []
    bench.open(make_network(), progress=lambda *step: told.append(step)).close()
    assert told == [("Build", step, 3) for step in (0, 1, 2, 3, 3)]


def test_what_the_callback_raises_ends_the_build(bench: Bench) -> None:
    def progress(_: str, step: int, __: int) -> None:
        if step == 1:
            message = "enough"
            raise ValueError(message)

    with pytest.raises(ValueError, match="enough"):
        bench.open(make_network(), progress=progress)
    assert bench.plans() == []


def test_a_build_can_be_interrupted(bench: Bench) -> None:
    bench.orders.steps, bench.orders.step_s = 1000, 0.01
    timer = threading.Timer(0.1, _thread.interrupt_main)
    network = make_network()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        bench.open(network)
    timer.join()
    assert bench.orders.steps_done < 1000
    assert bench.plans() == []
    bench.orders.steps = 1
    with bench.open(make_network()) as engine:  # the lock is free
        assert_right(engine)


def test_a_build_may_take_only_so_long(bench: Bench) -> None:
    bench.orders.steps, bench.orders.step_s = 1000, 0.01
    with pytest.raises(EngineError, match=r"took longer than 0.05 s"):
        bench.open(make_network(), build_timeout_s=0.05)
    assert bench.orders.steps_done < 1000


def test_messages_of_tensorrt_go_to_the_log(
    eleven: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    eleven.orders.fail_build = "bad\x1b[2Jthing"
    with caplog.at_level(logging.ERROR, "pyposefast"), pytest.raises(EngineError):
        eleven.open(make_network())
    assert caplog.messages == ["TensorRT: bad [2Jthing"]
