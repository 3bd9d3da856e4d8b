"""The place where procedural people stand: sky, hills, a meadow in perspective, shadows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Canvas = npt.NDArray[np.float64]  # [H, W, 3], 0..255

_NOISE_SIDE = 64  # of the repeating table of random values that all textures read
_HAZE = np.array([214.0, 224.0, 228.0])
_GRASS = np.array([[126.0, 158.0, 92.0], [92.0, 128.0, 70.0]])  # far, near
_SKIES = np.array([
    [[112.0, 168.0, 222.0], [216.0, 232.0, 240.0]],  # top, horizon: noon
    [[128.0, 158.0, 204.0], [246.0, 222.0, 196.0]],  # evening
    [[150.0, 172.0, 190.0], [222.0, 226.0, 226.0]],  # overcast
])  # fmt: skip


def paint(random: np.random.Generator, height: int, width: int, horizon: float) -> Canvas:
    """Paint an empty meadow; ``horizon`` is an image row."""
    table = random.random((_NOISE_SIDE, _NOISE_SIDE))
    rows, columns = np.arange(height, dtype=np.float64), np.arange(width, dtype=np.float64)
    canvas = np.empty((height, width, 3))
    sky = _SKIES[random.integers(len(_SKIES))]
    canvas[:] = _blend(sky[0], sky[1], np.clip(rows / horizon, 0, 1) ** 1.3)[:, None]
    clouds = _noise(table, rows[:, None] / height * 9, columns / height * 3)
    clouds += 0.5 * _noise(table, rows[:, None] / height * 23 + 7, columns / height * 8)
    cover = np.clip(clouds - 0.78, 0, 0.5) * 1.3
    canvas += (250.0 - canvas) * cover[..., None]
    for nearness in (0.25, 0.55, 0.85):
        _add_hills(canvas, random, table, horizon, nearness)
    _add_grass(canvas, table, horizon)
    return canvas


def cast_shadow(
    canvas: Canvas, centre: tuple[float, float], radii: tuple[float, float], strength: float
) -> None:
    """Darken the ground around ``centre`` (x, y) in a soft ellipse of ``radii`` (x, y)."""
    height, width = canvas.shape[:2]
    (x, y), (rx, ry) = centre, radii
    top, bottom = np.clip([int(y - 2 * ry), int(y + 2 * ry) + 1], 0, height)
    left, right = np.clip([int(x - 2 * rx), int(x + 2 * rx) + 1], 0, width)
    across, down = (np.arange(left, right) - x) / rx, (np.arange(top, bottom)[:, None] - y) / ry
    shade = strength * np.exp(-1.5 * (across**2 + down**2) ** 1.5)
    canvas[top:bottom, left:right] *= 1.0 - shade[..., None]


def _add_hills(
    canvas: Canvas,
    random: np.random.Generator,
    table: npt.NDArray[np.float64],
    horizon: float,
    nearness: float,
) -> None:
    """Put one row of wooded hills before the sky; distance takes the colour out of them."""
    height, width = canvas.shape[:2]
    columns = np.arange(width) / height
    waves = sum(
        np.sin(columns * rate + random.uniform(0, 6.3)) / rate for rate in (2.3, 4.1, 7.7, 15.0)
    )
    bumps = _noise(table, np.array(31 * nearness), columns * 60 * nearness)
    ridge = horizon - height * ((1.05 - nearness) * 0.13 * (1 + 1.6 * waves) + 0.012 * bumps)
    top, bottom = max(int(ridge.min()), 0), min(int(horizon) + 2, height)
    rows = np.arange(top, bottom)[:, None]
    cover = np.clip(rows - ridge, 0, 1)  # a pixel of ramp instead of stairs
    crowns = _noise(table, rows / height * 70, columns * 45)
    leaves = _noise(table, rows / height * 210 + 0.3 * crowns, columns * 160)
    wood = np.array([70.0, 102.0, 80.0]) + 17.0 * (crowns + leaves - 1.0)[..., None]
    colour = _HAZE + (wood - _HAZE) * (0.22 + 0.60 * nearness)
    canvas[top:bottom] += (colour - canvas[top:bottom]) * cover[..., None]


def _add_grass(canvas: Canvas, table: npt.NDArray[np.float64], horizon: float) -> None:
    """Cover what is below the horizon; textures follow the perspective of flat ground."""
    height, width = canvas.shape[:2]
    first = int(np.ceil(horizon))
    below = np.arange(first, height)[:, None] - horizon + 1.0  # [h, 1] rows below the horizon
    distance = height / below
    sideways = (np.arange(width) - width / 2) / height * distance
    near = below / (height - horizon)
    grass = _blend(_GRASS[0], _GRASS[1], near[:, 0] ** 0.7)[:, None]
    patches = _noise(table, distance * 1.7, sideways * 1.7) - 0.5
    tufts = _noise(table, distance * 19, sideways * 19) - 0.5
    blades = _noise(table, distance * 71, sideways * 83) - 0.5
    # Fine detail that is smaller than a pixel far away would flicker: it fades in with nearness.
    texture = 34 * patches + 34 * tufts * near + 30 * blades * near**1.5
    meadow = grass + texture[..., None] * np.array([1.0, 0.95, 0.7])
    haze = 0.45 * np.exp(-14 * near)[..., None]
    canvas[first:] = meadow + (_HAZE - meadow) * haze


def _blend(
    first: npt.NDArray[np.float64], last: npt.NDArray[np.float64], part: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    mixed: npt.NDArray[np.float64] = first + (last - first) * part[..., None]
    return mixed


def _noise(
    table: npt.NDArray[np.float64], v: npt.NDArray[np.float64], u: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Read the repeating table [S, S] at (v, u), which broadcast, smoothly between its entries."""
    row, column = np.floor(v), np.floor(u)
    down, across = v - row, u - column
    down, across = down * down * (3 - 2 * down), across * across * (3 - 2 * across)
    y1, x1 = row.astype(np.int64) % _NOISE_SIDE, column.astype(np.int64) % _NOISE_SIDE
    y2, x2 = (y1 + 1) % _NOISE_SIDE, (x1 + 1) % _NOISE_SIDE
    upper = table[y1, x1] * (1 - across) + table[y1, x2] * across
    lower = table[y2, x1] * (1 - across) + table[y2, x2] * across
    mixed: npt.NDArray[np.float64] = upper * (1 - down) + lower * down
    return mixed
