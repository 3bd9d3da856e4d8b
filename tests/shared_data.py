"""Real photographs and networks to test against. They are not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("PYPOSEFAST_SHARED", Path(__file__).parents[2] / "shared")) / "data"


def path(name: str) -> Path:
    """Return a file or folder of the shared data, or skip the test."""
    found = FOLDER / name
    if not found.exists():
        pytest.skip(f"no shared data: PYPOSEFAST_SHARED names a folder with data/{name}")
    return found
