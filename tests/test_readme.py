"""What the README and the guide to own networks show works as it is written there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import real_networks
import shared_data

import pyposefast
from pyposefast import manifest, skeletons, zoo
from pyposefast.cli import main
from pyposefast.manifest import tomllib

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OWN_MODEL = (ROOT / "docs" / "own_model.md").read_text(encoding="utf-8")
# The README loads a network that has to be fetched; these are at hand, and stand in for it.
NETWORK, DETECTOR = "movenet_lightning", "rtmdet_nano"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with the files that the README speaks of."""
    picture = shared_data.path("images/000000000785.jpg")
    shutil.copy(picture, tmp_path / "photo.jpg")
    with pyposefast.media.VideoWriter(tmp_path / "video.mp4", fps=10, size=(96, 128)) as video:
        for _ in range(7):
            video.write(np.zeros((96, 128, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_picture_and_a_video_go_through_a_pipeline(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed: the extra `cpu`")
    detector = real_networks.load(DETECTOR)
    load = {"rtmpose_m": real_networks.load(NETWORK, detector=detector)}.__getitem__
    monkeypatch.setattr(pyposefast, "load", load)
    names: dict[str, Any] = {}
    for block in blocks(README, "python")[:2]:
        exec(block, names)  # noqa: S102
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:17]] == list(names["poses"].skeleton.joints)
    assert lines[17:] == [f"{index} 0" for index in range(7)]  # nobody is in the video
    assert (folder / "overlay.png").stat().st_size > 10_000


def test_the_ops_work_without_a_network() -> None:
    names: dict[str, Any] = {}
    exec(blocks(README, "python")[2], names)  # noqa: S102
    assert len(blocks(README, "python")) == 3
    # All three noses are found, to a tenth of the pixels of the maps.
    truth = names["scene"].joints[:, 0]
    assert np.abs(names["keypoints"][:, 0] - truth).max() < 0.4


def test_every_command_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed: the extra `cpu`")
    pytest.importorskip("onnx", reason="onnx is not installed: the extra `export`")
    network = shared_data.path(f"models/{real_networks.FILES[NETWORK]}")
    here = folder / "mine.onnx"
    shutil.copy(network, here)
    row = zoo.rows()[NETWORK].manifest
    here.with_suffix(".toml").write_text(
        'pipeline = "top_down"\nskeleton = "coco17"\n[input]\nsize = [192, 192]\nlayout = "nhwc"\n'
        'dtype = "uint8"\npadding = 1.25\n[decoder]\nkind = "points"\npoints = "keypoints"\n'
        'order = "yx"\nper_joint = 3\n',
        encoding="utf-8",
    )
    assert row.input.size == (192, 192)
    truth = shared_data.path("annotations/coco_person_keypoints_20.json")
    detector = shared_data.path(f"models/{real_networks.FILES[DETECTOR]}")
    words = {
        "MODEL": [str(here)],
        "rtmpose_m": [str(here)],
        "bench": ["bench", "--repeat", "3", "--warmup", "1"],
        "DIR": [str(shared_data.path("images"))],
        "coco.json": [str(truth), "--limit", "2"],
        "photo.jpg": ["photo.jpg", "--detector", DETECTOR, "--detector-weights", str(detector)],
    }
    lines = [line for line in README.splitlines() if line.startswith("pyposefast ")]
    commands = [re.split(r" {2,}", line)[0] for line in lines]
    assert len(commands) == 7
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "pyposefast"
        given = [each for word in arguments for each in words.get(word, [word])]
        assert main(given) == 0, (command, capsys.readouterr().err)
    assert {"pyposefast_demo.png", "photo.jpg"} <= {path.name for path in folder.iterdir()}


def test_every_manifest_of_the_guide_is_right() -> None:
    kinds = []
    for text in blocks(OWN_MODEL, "toml"):
        table = tomllib.loads(text)
        if "pipeline" in table:
            kinds.append(manifest.parse(table, name="guide").pipeline)
        else:
            assert skeletons.from_record(table["skeleton"]).joints[0] == "shoulder"
    assert kinds == ["top_down", "cascade"]


def test_a_decoder_of_the_guide_works_alone() -> None:
    names: dict[str, Any] = {}
    exec(blocks(OWN_MODEL, "python")[1], names)  # noqa: S102
    assert names["xy"].shape == (1, 17, 2)


@pytest.mark.parametrize("table", ["[input]", "[decoder]", "top"])
def test_the_guide_leaves_no_key_out(table: str) -> None:
    keys: dict[str, Callable[[], set[str]]] = {
        "[input]": lambda: set(manifest.Input.__dataclass_fields__),
        "[decoder]": lambda: {
            key for parts in manifest._DECODERS.values() for part in parts for key in part
        },
        "top": lambda: set(manifest._KEYS) - {"input", "decoder", "refinement"},
    }
    missing = {key for key in keys[table]() if f"`{key}`" not in OWN_MODEL}
    assert not missing
