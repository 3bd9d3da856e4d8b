"""How many people and joints a part-affinity decoder finds in scenes with known answers.

The scenes, which come from a generator outside of this repository, have Gaussians and limb fields
with noise, missed joints, false peaks, people who stand in front of each other and people cut by
the border. A person is found when a decoded one has an object keypoint similarity of at least 0.5
with it, one to one, the most similar first. Counts are summed over all scenes before they are
divided, so that every person weighs the same.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from peers import OPENPOSE_COCO18, Decoder, add_peer_option, decoders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SIZES = ((46, 46), (54, 72), (96, 128))
CROWDS = (0, 1, 5, 10, 20, 50, 100)
ROOT = Path(__file__).resolve().parent.parent
NECK = 1  # of the generator's 18 joints
SIMILARITY = 0.5
FEWEST_JOINTS = 3  # of a decoded person
NEAR = 0.1  # of a person's scale: a joint that is nearer is found


@dataclass(frozen=True)
class Scene:
    """One image's maps, and who is in it."""

    heat: Any  # [19, H, W] float32
    paf: Any  # [38, H, W] float32
    people: Any  # [P, 18, 3] x and y in map pixels, visible
    sigmas: Any  # [18] of the similarity of each joint
    neck: int  # index of that joint


@dataclass
class Quality:
    """Counts, and what follows from them; NaN where nothing could be counted."""

    scenes: int = 0
    people: int = 0
    decoded: int = 0
    matched: int = 0
    joints: int = 0
    joints_found: int = 0
    error_sum: float = 0.0
    neckless: int = 0  # people whose neck is not visible
    neckless_matched: int = 0

    @property
    def recall(self) -> float:
        """People found."""
        return _ratio(self.matched, self.people)

    @property
    def precision(self) -> float:
        """Decoded people who are real."""
        return _ratio(self.matched, self.decoded)

    @property
    def joint_recall(self) -> float:
        """Visible joints found, as part of the right person."""
        return _ratio(self.joints_found, self.joints)

    @property
    def error_cells(self) -> float:
        """Mean distance of found joints, in map pixels."""
        return _ratio(self.error_sum, self.joints_found)

    @property
    def neckless_recall(self) -> float:
        """People found among those whose neck is not visible."""
        return _ratio(self.neckless_matched, self.neckless)

    def facts(self) -> dict[str, float]:
        """All figures by name, without those that nothing could be counted for."""
        names = ("recall", "precision", "joint_recall", "error_cells", "neckless_recall", "decoded")
        figures = {name: float(getattr(self, name)) for name in names}
        return {name: value for name, value in figures.items() if not np.isnan(value)}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def generator() -> Any:
    """The generator of scenes, or None and a word about why."""
    folder = Path(os.environ.get("PYPOSEFAST_SHARED", ROOT.parent / "shared"))
    path = folder / "bench" / "workload.py"
    if not path.exists():
        print(f"skipped: the scenes ({path} is not there; PYPOSEFAST_SHARED says where to look)")
        return None
    spec = importlib.util.spec_from_file_location("workload", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scene(workload: Any, people: int, size: tuple[int, int], seed: int, style: str) -> Scene:
    """One scene of `people` people; `style` is 'openpose' or 'trt', the network to look like."""
    made = workload.bottom_up(people, *size, style, seed=seed)
    order = made["order"]
    return Scene(
        made["heat"],
        made["paf"],
        made["gt"][:, order],
        workload.SIGMA18[order],
        int(np.flatnonzero(order == NECK)[0]),
    )


def scenes_for(
    workload: Any,
    people: int,
    size: tuple[int, int],
    *,
    seeds: int,
    style: str = "openpose",
    first_seed: int = 0,
) -> list[Scene]:
    """Scenes of equal size, one for each seed."""
    return [
        scene(workload, people, size, seed, style) for seed in range(first_seed, first_seed + seeds)
    ]


def scales(people: Any) -> Any:
    """Area [P] that a person's visible joints span, of which 0.8 count; at least 4 cells."""
    visible = people[..., 2:] > 0
    low = np.where(visible, people[..., :2], np.inf).min(axis=1)
    high = np.where(visible, people[..., :2], -np.inf).max(axis=1)
    return np.maximum(np.prod(high - low, axis=1) * 0.8, 4.0)


def matches(decoded: Any, of: Scene, area: Any) -> list[tuple[int, int]]:
    """(decoded person, real person), the most similar first."""
    visible = of.people[None, ..., 2] > 0
    squares = ((of.people[None, ..., :2] - decoded[:, None, :, :2]) ** 2).sum(axis=-1)
    similar = np.exp(-squares / (2 * area[:, None] * (2 * of.sigmas) ** 2))
    similar *= visible & (decoded[:, None, :, 2] > 0)
    similarity = similar.sum(axis=-1) / np.maximum(visible.sum(axis=-1), 1)
    pairs = []
    while similarity.size and similarity.max() >= SIMILARITY:
        d, p = np.unravel_index(similarity.argmax(), similarity.shape)
        pairs.append((int(d), int(p)))
        similarity[d], similarity[:, p] = -1, -1
    return pairs


def judged(decode: Callable[[Any, Any], Any], scenes: Iterable[Scene]) -> Quality:
    """What a decoder finds in these scenes."""
    total = Quality()
    for each in scenes:
        decoded = np.array(decode(each.heat, each.paf), np.float64)
        decoded = decoded[(decoded[..., 2] > 0).sum(axis=1) >= FEWEST_JOINTS]
        visible = each.people[..., 2] > 0
        area = scales(each.people)
        pairs = matches(decoded, each, area)
        neckless = ~visible[:, each.neck]
        total.scenes += 1
        total.people += len(each.people)
        total.decoded += len(decoded)
        total.matched += len(pairs)
        total.joints += int(visible.sum())
        total.neckless += int(neckless.sum())
        for d, p in pairs:
            total.neckless_matched += int(neckless[p])
            both = visible[p] & (decoded[d, :, 2] > 0)
            error = np.linalg.norm(each.people[p, both, :2] - decoded[d, both, :2], axis=1)
            error = error[error < NEAR * np.sqrt(area[p])]
            total.joints_found += len(error)
            total.error_sum += float(error.sum())
    return total


def openpose_oracle() -> Decoder:
    """The NumPy oracle of OpenPose's decoder from the tests: what that project would find."""
    sys.path.insert(0, str(ROOT / "tests"))
    from reference.part_affinity import openpose  # noqa: PLC0415

    layout = OPENPOSE_COCO18
    return Decoder(
        lambda heat, paf: openpose.decode(heat, paf, layout.limbs, layout.channels),
        lambda people: people.joints,
    )


def main() -> None:
    """Print a table: all sizes, crowds and decoders."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_peer_option(parser)
    parser.add_argument("--oracle", action="store_true", help="OpenPose's rule too; slow")
    parser.add_argument("--seeds", type=int, default=10, help="scenes per size and crowd")
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    workload = generator()
    if workload is None:
        return
    candidates = decoders(arguments.peer)
    if arguments.oracle:
        candidates["OpenPose (oracle)"] = openpose_oracle()
    print(
        f"{'maps':<8}{'people':>7}  {'decoder':<22}{'recall':>8}{'precision':>10}{'joints':>8}"
        f"{'error':>8}{'decoded':>9}  no neck"
    )
    for size in SIZES:
        for crowd in CROWDS:
            scenes = scenes_for(
                workload, crowd, size, seeds=arguments.seeds, first_seed=arguments.first_seed
            )
            for name, decoder in candidates.items():
                q = judged(decoder, scenes)
                maps = f"{size[0]}x{size[1]}"
                print(
                    f"{maps:<8}{crowd:>7}  {name:<22}{q.recall:>8.3f}{q.precision:>10.3f}"
                    f"{q.joint_recall:>8.3f}{q.error_cells:>8.3f}"
                    f"{q.decoded:>9}  {q.neckless_matched} of {q.neckless}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
