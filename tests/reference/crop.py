"""Oracle of ``crop_images``: bilinear sampling of affine sub-images, in float64.

Every option is one small function on whole planes: a source becomes an RGB-like float64 image
[H, W, C] in the output's channel order, the image is sampled at the crop's positions, the samples
are normalised, and only `rounded` knows the output's dtype.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.affine import Floats, invert

# Kr and Kb of the two standards (ITU-R BT.601-7 section 2.5.1, BT.709-6 item 3.2).
_LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def yuv_to_rgb(luma: Floats, blue: Floats, red: Floats, standard: str) -> Floats:
    """Y, Cb, Cr planes [...] in 0..255 -> RGB [..., 3], clamped to 0..255 and not rounded.

    The standards define Y = Kr R + Kg G + Kb B with Kr + Kg + Kb = 1, Cb = (B - Y) / (2 (1 - Kb)),
    Cr = (R - Y) / (2 (1 - Kr)), and limited range as Y in 16..235 and Cb, Cr in 16..240 around 128.
    This is that, solved for R, G, B.
    """
    kr, kb = _LUMA[standard.removesuffix("_full")]
    if standard.endswith("_full"):
        y, cb, cr = luma, blue - 128.0, red - 128.0
    else:
        y, cb, cr = (
            (luma - 16.0) * 255.0 / 219.0,
            (blue - 128.0) * 255.0 / 224.0,
            (red - 128.0) * 255.0 / 224.0,
        )
    r = y + 2 * (1 - kr) * cr
    b = y + 2 * (1 - kb) * cb
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.stack([r, g, b], axis=-1), 0.0, 255.0)


def image_planes(image: Any, source: str, output: str, yuv: str = "bt601") -> Floats:
    """One image of any source -> float64 [H, W, C] with the channels in the output's order."""
    if source == "nv12":
        luma, chroma = (np.asarray(plane, np.float64) for plane in image)
        rows, columns = np.arange(luma.shape[0]) // 2, np.arange(luma.shape[1]) // 2
        nearest = chroma[rows][:, columns]  # [H, W, 2], Cb then Cr
        rgb = yuv_to_rgb(luma, nearest[..., 0], nearest[..., 1], yuv)
    elif source == "grey":
        grey = np.asarray(image, np.float64)
        if output == "grey":
            return grey[..., None]
        rgb = np.stack([grey, grey, grey], axis=-1)
    else:
        rgb = np.asarray(image, np.float64)
        if source == "bgr":
            rgb = rgb[..., ::-1]
    return rgb[..., ::-1] if output == "bgr" else rgb


def tap(planes: Floats, x: Any, y: Any, border: str, fill: Floats) -> Floats:
    """Samples at integer positions x, y [h, w] -> [h, w, C]; outside speaks the border rule."""
    height, width = planes.shape[:2]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    values = planes[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return values if border == "replicate" else np.where(inside[..., None], values, fill)


def sample(planes: Floats, x: Floats, y: Floats, border: str, fill: Floats) -> Floats:
    """Bilinear samples at x, y [h, w] -> [h, w, C]."""
    # Positions far outside all read the border, and must not wrap round as integers.
    height, width = planes.shape[:2]
    x, y = np.clip(x, -2.0, width + 1.0), np.clip(y, -2.0, height + 1.0)
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    wx, wy = (x - left)[..., None], (y - top)[..., None]
    above = (1 - wx) * tap(planes, left, top, border, fill) + wx * tap(
        planes, left + 1, top, border, fill
    )
    below = (1 - wx) * tap(planes, left, top + 1, border, fill) + wx * tap(
        planes, left + 1, top + 1, border, fill
    )
    return (1 - wy) * above + wy * below


def crop_images(
    images: Any,
    affines: Any,
    *,
    size: tuple[int, int],
    image_index: Any = None,
    source: str = "rgb",
    output: str = "rgb",
    layout: str = "nchw",
    mean: Any = 0.0,
    std: Any = 1.0,
    border: str = "constant",
    fill: Any = 0.0,
    yuv: str = "bt601",
) -> Floats:
    """A list of images (nv12: of pairs), affines [P, 2, 3] -> the values before `rounded`."""
    affines = np.asarray(affines, np.float64)
    image_index = [0] * len(affines) if image_index is None else image_index
    channels = 1 if output == "grey" else 3
    fill, mean, std = (
        np.broadcast_to(np.asarray(value, np.float64), (channels,)) for value in (fill, mean, std)
    )
    columns, rows = np.meshgrid(
        np.arange(size[1], dtype=np.float64), np.arange(size[0], dtype=np.float64)
    )
    result = np.empty((len(affines), *size, channels))
    for number, (index, inverse) in enumerate(zip(image_index, invert(affines), strict=True)):
        planes = image_planes(images[index], source, output, yuv)
        x = inverse[0, 0] * columns + inverse[0, 1] * rows + inverse[0, 2]
        y = inverse[1, 0] * columns + inverse[1, 1] * rows + inverse[1, 2]
        result[number] = (sample(planes, x, y, border, fill) - mean) / std
    return result.transpose(0, 3, 1, 2) if layout == "nchw" else result


def rounded(values: Floats, dtype: str) -> Any:
    """To the output's dtype: nearest, ties to even; uint8 saturates."""
    if dtype == "uint8":
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return values.astype(dtype)
