"""pyposefast: fast building blocks for human pose estimation, on the CPU and on CUDA devices.

Nothing is computed or imported here: every public name arrives when it is first used, so
``import pyposefast`` costs milliseconds and works even where the extension does not load (which is
when ``pyposefast doctor`` is needed).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyposefast import decoders, drawing, ops, skeletons, synthetic
    from pyposefast.drawing import draw_poses
    from pyposefast.errors import (
        CapacityError,
        DeviceError,
        DeviceMismatchError,
        InputError,
        InputTypeError,
        PyposefastError,
    )
    from pyposefast.poses import Poses
    from pyposefast.skeletons import Skeleton

    __version__: str

__all__ = [
    "CapacityError",
    "DeviceError",
    "DeviceMismatchError",
    "InputError",
    "InputTypeError",
    "Poses",
    "PyposefastError",
    "Skeleton",
    "__version__",
    "decoders",
    "draw_poses",
    "drawing",
    "ops",
    "skeletons",
    "synthetic",
]

# Public name -> the module that defines it. A name that is a module itself maps to nothing.
_HOMES = {
    "CapacityError": "errors",
    "DeviceError": "errors",
    "DeviceMismatchError": "errors",
    "InputError": "errors",
    "InputTypeError": "errors",
    "Poses": "poses",
    "PyposefastError": "errors",
    "Skeleton": "skeletons",
    "decoders": None,
    "draw_poses": "drawing",
    "drawing": None,
    "ops": None,
    "skeletons": None,
    "synthetic": None,
}


def _import(name: str) -> object:
    if name == "__version__":
        value: object = _installed_version()
    elif name in _HOMES:
        from importlib import import_module  # noqa: PLC0415  kept out of the import of the package

        home = _HOMES[name]
        module = import_module(f"{__name__}.{home or name}")
        value = module if home is None else getattr(module, name)
    else:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = value  # the next use does not come back here
    return value


if not TYPE_CHECKING:  # a type checker would take every name, the misspelt ones too
    __getattr__ = _import


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _installed_version() -> str:
    # importlib.metadata costs more than the rest of this package together: only on demand.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("pyposefast")
    except PackageNotFoundError:  # a source tree on the path, never installed
        return "0+unknown"
