"""Where this package keeps what can be made again: compiled engines, weights that were fetched."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """Return the folder, which need not exist.

    ``PYPOSEFAST_CACHE`` names it; else it is ``pyposefast`` in ``XDG_CACHE_HOME``, else in
    ``~/.cache``. A variable that is empty counts as not set, and so does an ``XDG_CACHE_HOME``
    that is not absolute, as its specification asks.
    """
    own = os.environ.get("PYPOSEFAST_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    desktop = os.environ.get("XDG_CACHE_HOME", "")
    if Path(desktop).is_absolute():
        return Path(desktop) / "pyposefast"
    return Path.home() / ".cache" / "pyposefast"
