"""Procedural people: pictures with exact joints, for tests, the demo and, later, training.

NumPy only, and the same picture for the same seed.
"""

from __future__ import annotations

from pyposefast.synthetic.maps import heatmaps, limb_fields, mirror_points
from pyposefast.synthetic.scene import Scene, render_scene

__all__ = ["Scene", "heatmaps", "limb_fields", "mirror_points", "render_scene"]
