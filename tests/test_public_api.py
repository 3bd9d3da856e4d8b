"""What `import pyposefast` gives, and what it costs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import pyposefast


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def imported(code: str) -> dict[str, float]:
    """Return what running `code` imports: module -> microseconds, its own imports included."""
    times = {}
    for line in python("-X", "importtime", "-c", code).stderr.splitlines():
        fields = [field.strip() for field in line.removeprefix("import time:").split("|")]
        if len(fields) == 3 and fields[1].isdigit():
            times[fields[2]] = float(fields[1])
    return times


def top_levels(modules: dict[str, float]) -> set[str]:
    names = {module.partition(".")[0] for module in modules}
    return names - sys.stdlib_module_names


def test_import_loads_numpy_and_the_extension_at_most() -> None:
    background = imported("pass")  # what the interpreter itself and editable installs load
    foreign = top_levels(imported("import pyposefast")) - top_levels(background)
    assert foreign <= {"pyposefast", "numpy"}
    assert "importlib.metadata" not in set(imported("import pyposefast")) - set(background)


def test_import_takes_less_than_150_ms_beyond_numpy() -> None:
    # The smallest of three: a busy machine makes imports slower, nothing makes them faster.
    times = [imported("import numpy, pyposefast")["pyposefast"] for _ in range(3)]
    assert min(times) < 150_000


def test_ops_load_numpy_and_the_extension_only() -> None:
    # sys.modules and not -X importtime, which lists modules that were looked for in vain too.
    code = "import numpy, sys; known = set(sys.modules); import pyposefast.ops; "
    code += "print(*(set(sys.modules) - known))"
    names = {module.partition(".")[0] for module in python("-c", code).stdout.split()}
    assert names - sys.stdlib_module_names == {"pyposefast"}


@pytest.mark.parametrize("name", pyposefast.__all__)
def test_every_public_name_arrives(name: str) -> None:
    assert getattr(pyposefast, name) is not None
    assert name in dir(pyposefast)


def test_names_are_the_same_objects_everywhere() -> None:
    assert pyposefast.Poses is importlib.import_module("pyposefast.poses").Poses
    assert pyposefast.ops is importlib.import_module("pyposefast.ops")
    assert pyposefast.InputError is importlib.import_module("pyposefast.errors").InputError


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Possums'"):
        pyposefast.Possums  # type: ignore[attr-defined]  # noqa: B018


def test_the_version_is_the_installed_one() -> None:
    metadata = importlib.import_module("importlib.metadata")
    try:
        assert pyposefast.__version__ == metadata.version("pyposefast")
    except metadata.PackageNotFoundError:
        assert pyposefast.__version__ == "0+unknown"


def test_star_import_works() -> None:
    assert "Poses" in python("-c", "from pyposefast import *; print(sorted(vars()))").stdout


def test_python_dash_m_is_the_command() -> None:
    assert python("-m", "pyposefast", "--version").stdout.startswith("pyposefast ")
