"""Every name and keyword of TensorRT that the engine uses exists in the real bindings.

The bindings are real, the libraries below them are not: tests/tensor_rt/stub.c lets them import.
What is used is read from the engine's source; the stand-in that the other tests run on is compared
too. What the bindings cannot say without TensorRT, on any version: that values mean what their
names say, that memory handed out stays alive as long as we think, that messages arrive, that a
graph can be captured, and everything about speed.

PYPOSEFAST_TENSORRT_BINDINGS may name more folders with bindings, of other versions.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tensor_rt import uses
from tensor_rt.fake import Orders, fake_tensorrt, offered
from tensor_rt.machine import Machine

import pyposefast.engines

ENGINES = Path(pyposefast.engines.__file__).parent
HELPERS = Path(uses.__file__).parent
SOURCES = sorted(ENGINES.glob("tensor_rt*.py"))
LIBRARIES = {
    "nvinfer": "STUB_INFER",
    "nvonnxparser": "STUB_PARSER",
    "nvinfer_plugin": "STUB_PLUGIN",
}


def bindings() -> list[Path]:
    """Folders to import bindings from: the installed ones, and those that the variable names."""
    named = os.environ.get("PYPOSEFAST_TENSORRT_BINDINGS", "")
    folders = [Path(folder) for folder in named.split(os.pathsep) if folder]
    spec = importlib.util.find_spec("tensorrt_bindings")
    if spec is not None and spec.origin is not None:
        folders.insert(0, Path(spec.origin).parents[1])
    return folders


@pytest.fixture(scope="module", params=bindings() or [None], ids=str)
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function that compares uses and fakes with one version of the bindings."""
    folder: Path | None = request.param
    if folder is None:
        pytest.skip("tensorrt_bindings is not installed: pip install tensorrt_cu13_bindings")
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the stub libraries with")
    libraries = tmp_path_factory.mktemp("libraries")
    binary = (folder / "tensorrt_bindings" / "tensorrt.so").read_bytes()
    for name, macro in LIBRARIES.items():
        found = re.search(rf"lib{name}\.so\.\d+".encode(), binary)
        assert found is not None, f"these bindings are not linked against {name}"
        target = libraries / found[0].decode()
        flags = ["-shared", "-fPIC", f"-D{macro}", f"-Wl,-soname,{target.name}"]
        subprocess.run([compiler, *flags, "-o", target, HELPERS / "stub.c"], check=True)

    def compare(wanted: list[uses.Use], fakes: list[dict[str, Any]]) -> dict[str, Any]:
        question = {"uses": [use.to_dict() for use in wanted], "fakes": fakes}
        child = subprocess.run(
            [sys.executable, HELPERS / "check_bindings.py"],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={
                **os.environ,
                "LD_LIBRARY_PATH": str(libraries),
                "PYTHONPATH": str(folder),
            },
        )
        assert child.returncode == 0, child.stderr
        answer: dict[str, Any] = json.loads(child.stdout)
        return answer

    return compare


def all_uses() -> list[uses.Use]:
    found: list[uses.Use] = []
    for source in SOURCES:
        used, problems = uses.uses_of_tensorrt(source)
        assert problems == []
        found += used
    return found


def planted(before: str, after: str) -> list[uses.Use]:
    """The uses of the one file in which the text is, after a change to it."""
    for source in SOURCES:
        text = source.read_text(encoding="utf-8")
        if before in text:
            return uses.uses_of_tensorrt(source, text.replace(before, after))[0]
    pytest.fail(f"nothing to plant a mistake in: {before}")


def test_every_use_exists_in_the_real_bindings(real: Any, record_property: Any) -> None:
    wanted = all_uses()
    answer = real(wanted, [])
    record_property("tensorrt", answer["version"])
    assert answer["problems"] == []


def test_the_list_of_uses_is_not_empty_where_we_know_it_is_not() -> None:
    wanted = all_uses()
    paths = {use.path for use in wanted}
    assert len(paths) > 60
    assert paths >= {
        "Builder.build_serialized_network",
        "BuilderFlag.TF32",
        "IBuilderConfig.progress_monitor",
        "ICudaEngine.get_tensor_profile_shape",
        "IExecutionContext.execute_async_v3",
        "ILogger.Severity.INTERNAL_ERROR",
        "ILogger.log",
        "IOptimizationProfile.set_shape",
        "IProgressMonitor.step_complete",
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "OnnxParser",
        "OnnxParserRefitter.refit_from_bytes",
        "ParserError.desc",
        "Runtime.engine_host_code_allowed",
        "nptype",
    }
    shape = next(use for use in wanted if use.path == "IOptimizationProfile.set_shape")
    assert (shape.positional, shape.keywords) == (1, ("min", "opt", "max"))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("execute_async_v3(stream)", "execute_async_v4(stream)", "execute_async_v4"),
        ("trt.BuilderFlag.TF32", "trt.BuilderFlag.TF23", "BuilderFlag.TF23"),
        ("min=low", "minimum=low", "does not take 1 positional arguments and ['minimum'"),
        ("ignore_mismatch=False", "mismatch=False", "IBuilderConfig.set_timing_cache does not"),
        ("config.add_optimization_profile(profile)", "config.add_optimization_profile()", "0 pos"),
        ("config.progress_monitor = ", "config.monitor = ", "there is no IBuilderConfig.monitor"),
        ("network.num_layers", "network.layers", "INetworkDefinition.layers"),
        ("self, phase_name: str, step: int", "self, phase_name: str", "is called with [2]"),
        ("def log(", "def write(", "there is no ILogger.write"),
        ("config.builder_optimization_level = ", "config.num_optimization_profiles = ", "be set"),
    ],
)
def test_a_planted_mistake_in_the_engine_is_found(
    real: Any, before: str, after: str, said: str
) -> None:
    problems = real(planted(before, after), [])["problems"]
    assert problems
    assert all(said in problem for problem in problems), problems


def test_an_object_without_an_annotation_is_a_finding() -> None:
    source = (
        "def f(trt, logger):\n    b = trt.Runtime(logger)\n    e = b.deserialize(1)\n    e.name\n"
    )
    found, problems = uses.uses_of_tensorrt(Path("x.py"), source)
    assert [use.path for use in found] == ["Runtime", "Runtime.deserialize"]
    assert problems == ["x.py:4: .name of an object without an annotation"]


@pytest.mark.parametrize("version", ["10.3.0", "11.4.0.106"])
def test_the_fake_offers_nothing_that_the_real_bindings_do_not(real: Any, version: str) -> None:
    fakes = offered(fake_tensorrt(version, Machine(), Orders()))
    assert len(fakes) > 100
    assert real([], fakes)["problems"] == []


@pytest.mark.parametrize(
    ("fake", "said"),
    [
        ({"path": "Builder.build", "parameters": None}, "Builder.build, which there is not"),
        ({"path": "BuilderFlag.FP17", "parameters": None}, "BuilderFlag.FP17"),
        ({"path": "OnnxParser.parse", "parameters": [["data", True]]}, "but it takes"),
        ({"path": "OnnxParser.get_error", "parameters": []}, "but it takes"),
    ],
)
def test_a_planted_mistake_in_the_fake_is_found(real: Any, fake: dict[str, Any], said: str) -> None:
    problems = real([], [fake])["problems"]
    assert len(problems) == 1
    assert said in problems[0]


def test_every_use_of_cupy_exists() -> None:
    cupy: Any = pytest.importorskip("cupy", reason="CuPy is not installed")
    chains = uses.uses_of_cupy(ENGINES / "tensor_rt_gpu.py")
    assert len(chains) > 10
    for chain in chains:
        thing = cupy
        for name in chain.split("."):
            thing = getattr(thing, name)
    # Of instances, which cannot be made without a device.
    assert hasattr(cupy.cuda.Graph, "graphExec")
    assert hasattr(cupy.cuda.Memory, "ptr")
    assert hasattr(cupy.cuda.Stream, "begin_capture")
    assert hasattr(cupy.cuda.Stream, "end_capture")
    assert "~Stream.ptr" in cupy.cuda.Stream.__doc__
    assert "~Event.ptr" in cupy.cuda.Event.__doc__
    assert cupy.cuda.runtime.memcpyDefault == 4
