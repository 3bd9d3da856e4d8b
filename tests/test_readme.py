"""What the README shows works as it is written there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

README = Path(__file__).parents[1] / "README.md"


def test_the_code_in_the_readme_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)  # noqa: S102
    # All three noses are found in either way, to a tenth of the pixels of the maps.
    truth = names["scene"].joints[:, 0]
    assert np.abs(names["keypoints"][:, 0] - truth).max() < 0.4
    nearest = np.abs(names["poses"].xy[:, None, 0] - truth).max(axis=-1).min(axis=0)
    assert nearest.max() < 0.8
