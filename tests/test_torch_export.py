"""Modules of Torch as ONNX: what comes out is what the module gives."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pyposefast.errors import InputError, InputTypeError, ModelError
from pyposefast.export import export

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch", reason="exporting modules needs Torch: the extra `torch`")
onnx = pytest.importorskip("onnx", reason="writing ONNX needs the package onnx: `export`")
pytest.importorskip("onnxruntime", reason="export compares with ONNX Runtime: the extra `cpu`")


class TwoHeads(torch.nn.Module):  # type: ignore[misc, name-defined]
    """One trunk and two outputs, as tuples and dicts."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU()
        )
        self.maps, self.tags = torch.nn.Conv2d(8, 2, 1), torch.nn.Conv2d(8, 1, 1)

    def forward(self, image: Any, gain: Any) -> Any:
        trunk = self.trunk(image) * gain
        return self.maps(trunk), {"tags": self.tags(trunk)}


class Broken(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, image: Any) -> Any:
        raise LookupError(f"nothing for {image.shape[0]}")


EXAMPLE = {"image": torch.ones(1, 3, 8, 8), "gain": torch.full((1, 1, 1, 1), 0.5)}


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_a_module_gives_what_its_file_gives(tmp_path: Path, exporter: Any) -> None:
    if exporter == "dynamo" and importlib.util.find_spec("onnxscript") is None:
        pytest.skip("the exporter dynamo needs onnxscript: the extra `export`")
    target = tmp_path / "heads.onnx"
    report = export(
        TwoHeads().eval(),
        target,
        example=EXAMPLE,
        output_names=["maps", "tags"],
        free_batch=True,
        exporter=exporter,
        opset=18 if exporter == "dynamo" else 17,
    )
    assert report.source == "TwoHeads"
    assert report.bytes_before is None
    assert [each.output for each in report.differences] == ["maps", "tags"]
    # Two convolutions of 27 and 8 products, of values about 1: 35 roundings by 2^-24.
    assert max(each.largest for each in report.differences) < 35 * 2.0**-24
    graph = onnx.load(target).graph
    assert [each.name for each in graph.input] == ["image", "gain"]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert [each.name for each in tmp_path.iterdir()] == ["heads.onnx"]


def test_a_module_in_half(tmp_path: Path) -> None:
    report = export(
        TwoHeads().eval(),
        tmp_path / "half.onnx",
        precision="fp16",
        example=EXAMPLE,
        output_names=["maps", "tags"],
        images=[{"image": np.ones((1, 3, 8, 8), np.float32), "gain": np.ones((1, 1, 1, 1), "f")}],
    )
    assert report.plan is not None
    assert report.plan.fp16 > 0
    # Weights, trunk, product and output round by 2^-11 each, on 27 and 8 products of about 1.
    assert max(each.largest for each in report.rounded) < 4 * 35 * 2.0**-11


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"source": 5}, InputTypeError, "source: expected the path .*got int"),
        ({"source": TwoHeads()}, InputError, r"training mode[^\0]*hint: `module.eval\(\)`"),
        ({"example": None}, InputTypeError, "example: expected the module's inputs by name"),
        ({"example": {}}, InputTypeError, "example"),
        ({"example": {"image": np.ones(3)}}, InputTypeError, r"example\['image'\]"),
        ({"example": {"image": torch.ones(1, device="meta")}}, InputError, "on meta"),
        ({"exporter": "onnx2"}, InputError, "exporter: expected one of"),
        ({"opset": 5}, InputError, "opset"),
        ({"free_batch": 1}, InputTypeError, "free_batch"),
        ({"source": Broken().eval()}, ModelError, "Broken: Torch cannot export it"),
    ],
)
def test_wrong_arguments_are_refused(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    settings = {"source": TwoHeads().eval(), "example": EXAMPLE, **change}
    with pytest.raises(error, match=words):
        export(settings.pop("source"), tmp_path / "out.onnx", **settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(
    importlib.util.find_spec("onnxscript") is not None, reason="shows what is said without it"
)
def test_the_absence_of_onnxscript_names_the_extra(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match=r'hint: pip install "pyposefast\[export\]"'):
        export(TwoHeads().eval(), tmp_path / "out.onnx", example=EXAMPLE, exporter="dynamo")
