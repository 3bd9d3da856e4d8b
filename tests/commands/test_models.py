"""`models`: the table, one network in detail, and which weights are here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pyposefast import cli, weights, zoo

if TYPE_CHECKING:
    from pathlib import Path


def test_the_table_has_a_line_for_every_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models"]) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["name", "finds", "skeleton", "input"]
    assert [row.split()[0] for row in rows] == list(zoo.names())
    (row,) = [row for row in rows if row.split()[0] == "rtmpose_s"]
    assert row.split()[1:6] == ["top-down", "coco17", "192x256", "Apache-2.0", "onnx"]
    assert "ap coco val 69.7" in row


def test_json_has_the_same_networks_and_every_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["name"] for record in records] == list(zoo.names())
    assert all(record["licence"] for record in records)


def test_one_network_in_detail(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "rtmdet_nano"]) == 0
    text = capsys.readouterr().out
    assert "boxes of people, detector" in text
    assert "licence            Apache-2.0" in text
    assert cli.main(["models", "rtmdet_nano", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["skeleton"] is None


def test_weights_that_are_here_are_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYPOSEFAST_CACHE", str(tmp_path))
    path = weights.path_of(weights.source_of("rtmpose_s", zoo.rows()["rtmpose_s"].weights))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    assert cli.main(["models", "rtmpose_s"]) == 0
    assert f"cached             {path}" in capsys.readouterr().out
    assert cli.main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if " cached " in line] == ["rtmpose_s"]


@pytest.mark.parametrize("name", ["rtmpose_sm", "network.toml"])
def test_a_name_that_nothing_has(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", name]) == 2
    assert capsys.readouterr().err.startswith("error: NAME: expected a name of the zoo")
