"""pyposefast: human pose estimation, fast, on the CPU and on CUDA devices.

Nothing is computed or imported here: every public name arrives when it is first used, so
``import pyposefast`` costs milliseconds and works even where the extension does not load (which is
when ``pyposefast doctor`` is needed).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyposefast import (
        decoders,
        drawing,
        engines,
        media,
        metrics,
        ops,
        pipelines,
        skeletons,
        synthetic,
        zoo,
    )
    from pyposefast.drawing import draw_poses
    from pyposefast.errors import (
        CapacityError,
        DeviceError,
        DeviceMismatchError,
        DownloadError,
        EngineCacheError,
        EngineError,
        InputError,
        InputTypeError,
        MediaError,
        ModelError,
        PyposefastError,
        StorageError,
        StreamEnded,
        StreamStalled,
        UntrustedModelError,
    )
    from pyposefast.media import read_image, write_image
    from pyposefast.poses import Boxes, Poses
    from pyposefast.skeletons import Skeleton
    from pyposefast.zoo import load

    __version__: str

__all__ = [
    "Boxes",
    "CapacityError",
    "DeviceError",
    "DeviceMismatchError",
    "DownloadError",
    "EngineCacheError",
    "EngineError",
    "InputError",
    "InputTypeError",
    "MediaError",
    "ModelError",
    "Poses",
    "PyposefastError",
    "Skeleton",
    "StorageError",
    "StreamEnded",
    "StreamStalled",
    "UntrustedModelError",
    "__version__",
    "decoders",
    "draw_poses",
    "drawing",
    "engines",
    "load",
    "media",
    "metrics",
    "ops",
    "pipelines",
    "read_image",
    "skeletons",
    "synthetic",
    "write_image",
    "zoo",
]

# Public name -> the module that defines it. A name that is a module itself maps to nothing.
_HOMES = {
    "Boxes": "poses",
    "CapacityError": "errors",
    "DeviceError": "errors",
    "DeviceMismatchError": "errors",
    "DownloadError": "errors",
    "EngineCacheError": "errors",
    "EngineError": "errors",
    "InputError": "errors",
    "InputTypeError": "errors",
    "MediaError": "errors",
    "ModelError": "errors",
    "Poses": "poses",
    "PyposefastError": "errors",
    "Skeleton": "skeletons",
    "StorageError": "errors",
    "StreamEnded": "errors",
    "StreamStalled": "errors",
    "UntrustedModelError": "errors",
    "decoders": None,
    "draw_poses": "drawing",
    "drawing": None,
    "engines": None,
    "load": "zoo",
    "media": None,
    "metrics": None,
    "ops": None,
    "pipelines": None,
    "read_image": "media",
    "skeletons": None,
    "synthetic": None,
    "write_image": "media",
    "zoo": None,
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
