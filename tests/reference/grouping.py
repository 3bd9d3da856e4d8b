"""Oracle of `group_people`: sets, dictionaries and lists, in float64.

The three steps as docs/ops.md tells them. Nothing is shared with csrc but the table of the body.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from pyposefast import body

if TYPE_CHECKING:
    from pyposefast.skeletons import Skeleton

Joint = tuple[int, int]  # which joint, which of its peaks

MOST_STRAIN = 12.0
JOINS_PER_FRAGMENT = 4


@dataclasses.dataclass
class Group:
    """Joints that hang together."""

    peaks: dict[int, int]  # joint -> peak
    length2: float = 0.0  # of the limbs between them, px^2
    body2: float = 0.0  # the same for somebody one pixel tall


class Grouping:
    """One image: peaks [K] lists of (x, y, score), links [L] lists of (first, second, score)."""

    def __init__(self, skeleton: Skeleton, peaks: Any, links: Any, **limits: float) -> None:
        self.ends = [(field.first, field.second) for field in skeleton.fields]
        self.peaks, self.links, self.limits = peaks, links, limits
        self.places = body.places_of(skeleton.joints)
        self.variances = body.variances()
        self.body_length = [
            math.dist(a[:2], b[:2]) if a and b else 0.0
            for a, b in ((self.places[i], self.places[j]) for i, j in self.ends)
        ]
        self.neighbours: dict[int, set[int]] = {k: set() for k in range(len(peaks))}
        for a, b in self.ends:
            self.neighbours[a].add(b)
            self.neighbours[b].add(a)

    # ---- links ----

    def flat(self) -> list[tuple[int, int, int, float]]:
        """All links in their order: limb, first, second, score."""
        return [(limb, *link) for limb, several in enumerate(self.links) for link in several]

    def pixel_length(self, limb: int, a: int, b: int) -> float:
        first, second = self.ends[limb]
        return math.dist(self.peaks[first][a][:2], self.peaks[second][b][:2])

    def groups(self, scores: list[float]) -> dict[Joint, Group]:
        """Take the links best first; every joint's group."""
        of = {
            (k, i): Group({k: i}) for k, peaks in enumerate(self.peaks) for i in range(len(peaks))
        }
        flat = self.flat()
        for index in sorted(range(len(flat)), key=lambda index: (-scores[index], index)):
            limb, a, b, _ = flat[index]
            first, second = self.ends[limb]
            one, other = of[first, a], of[second, b]
            if one is not other:
                if one.peaks.keys() & other.peaks.keys():
                    continue
                one.peaks |= other.peaks
                one.length2 += other.length2
                one.body2 += other.body2
                for joint in other.peaks.items():
                    of[joint] = one
            if self.body_length[limb]:
                one.length2 += self.pixel_length(limb, a, b) ** 2
                one.body2 += self.body_length[limb] ** 2
        return of

    def penalty(self, group: Group, limb: int, length: float) -> float:
        if not (group.body2 and group.length2):
            return 0.0
        size = length**2 / self.body_length[limb] ** 2
        log_ratio = 0.5 * math.log(size * group.body2 / group.length2)
        return 1.65 * log_ratio if log_ratio > 0 else -1.35 * log_ratio

    def weighed(self, of: dict[Joint, Group]) -> list[float]:
        scores = []
        for limb, a, b, score in self.flat():
            if self.body_length[limb]:
                one, other = of[self.ends[limb][0], a], of[self.ends[limb][1], b]
                length = self.pixel_length(limb, a, b)
                for group in (one, other):
                    score -= self.penalty(group, limb, length)  # noqa: PLW2901
            scores.append(score)
        return scores

    # ---- gaps ----

    def variance(self, bones: Any) -> float:
        return sum(self.variances[bone] for bone in sorted(bones))

    def cost(self, large: Group, small: Group) -> float | None:
        """What joining two groups costs; None when it cannot be."""
        known_large, known_small = (
            [k for k in sorted(group.peaks) if self.places[k]] for group in (large, small)
        )
        barred = set[int]().union(*(self.neighbours[k] for k in large.peaks))
        if large.peaks.keys() & small.peaks.keys() or barred & small.peaks.keys():
            return None
        body2 = large.body2 + small.body2
        if not body2 or not known_large or not known_small:
            return None
        height2 = (large.length2 + small.length2) / body2 * 1.1
        if height2 <= 0:
            return None
        strain = 0.0
        if min(large.body2, small.body2, large.length2, small.length2) > 0:
            sizes = [group.length2 / group.body2 for group in (large, small)]
            strain = (0.5 * math.log(sizes[0] / sizes[1]) / 0.35) ** 2
            if strain >= MOST_STRAIN:
                return None
        bones = {k: set(place.bones) for k, place in enumerate(self.places) if place}
        to = min(known_small, key=lambda k: (self.variance(bones[k]), k))
        at = min(known_large, key=lambda k: (self.variance(bones[k] ^ bones[to]), k))
        usual_at, usual_to = self.places[at], self.places[to]
        assert usual_at
        assert usual_to
        variance = 0.0004 + self.variance(bones[at] ^ bones[to])
        variance_x = variance + 0.6 * (usual_at.x - usual_to.x) ** 2
        x, y, _ = self.peaks[at][large.peaks[at]]
        to_x, to_y, _ = self.peaks[to][small.peaks[to]]
        dy = to_y - y - (usual_to.y - usual_at.y) * math.sqrt(height2)
        strain += ((to_x - x) ** 2 / variance_x + dy**2 / variance) / height2
        if strain >= MOST_STRAIN:
            return None
        return strain + 0.5 * math.log(variance_x * variance) + math.log(height2)

    def total(self, group: Group) -> float:
        return sum(self.peaks[k][i][2] for k, i in group.peaks.items())

    def join(self, groups: list[Group], large: int, small: int) -> list[Group]:
        """Join groups of `small` joints or more with such of `large` or more, cheapest first."""

        def takes_part(group: Group) -> bool:
            if len(group.peaks) == 1 and self.total(group) < self.limits["least_lone"]:
                return False
            return len(group.peaks) >= small

        def by_size(f: int, g: int) -> tuple[int, int]:
            return (f, g) if len(groups[f].peaks) >= len(groups[g].peaks) else (g, f)

        joins = []
        for f in range(len(groups)):
            costs = []
            for g in range(f + 1, len(groups)):
                one, other = groups[f], groups[g]
                if max(len(one.peaks), len(other.peaks)) < large:
                    continue
                if not takes_part(one) or not takes_part(other):
                    continue
                cost = self.cost(*(groups[i] for i in by_size(f, g)))
                if cost is not None:
                    costs.append((cost, g))
            costs.sort()
            joins += [
                (cost, f * JOINS_PER_FRAGMENT + rank, f, g)
                for rank, (cost, g) in enumerate(costs[:JOINS_PER_FRAGMENT])
            ]
        into = list(range(len(groups)))
        for _, _, f, g in sorted(joins):
            f, g = into[f], into[g]  # noqa: PLW2901
            if f == g or self.cost(*(groups[i] for i in by_size(f, g))) is None:
                continue
            kept, gone = min(f, g), max(f, g)
            groups[kept].peaks |= groups[gone].peaks
            groups[kept].length2 += groups[gone].length2
            groups[kept].body2 += groups[gone].body2
            into = [kept if i == gone else i for i in into]
        return [groups[i] for i in sorted(set(into))]

    # ---- people ----

    def people(self) -> list[dict[int, int]]:
        """Joint -> peak of everybody, best first."""
        of = self.groups([score for *_, score in self.flat()])
        of = self.groups(self.weighed(of))
        # In the order of their first joints.
        groups = list(
            {id(group): group for _, group in sorted(of.items(), key=lambda x: x[0])}.values()
        )
        groups = self.join(groups, 3, 2)
        groups = self.join(groups, 4, 1)
        real = [
            group
            for group in groups
            if len(group.peaks) >= self.limits["least_joints"]
            and self.total(group) >= self.limits["least_score"] * len(group.peaks)
        ]
        order = sorted(range(len(real)), key=lambda i: (-self.total(real[i]), i))
        return [real[i].peaks for i in order]


def group_people(skeleton: Skeleton, peaks: Any, links: Any, image: int, **limits: float) -> Any:
    """The people of one image, out of what the ops returned."""
    lists = [
        [
            (*map(float, peaks.xy[image, k, i]), float(peaks.score[image, k, i]))
            for i in range(int(peaks.count[image, k]))
        ]
        for k in range(len(skeleton.joints))
    ]
    rows = [
        [
            (i, int(links.partner[image, limb, i, r]), float(links.score[image, limb, i, r]))
            for i in range(len(lists[field.first]))
            for r in range(int(links.count[image, limb, i]))
        ]
        for limb, field in enumerate(skeleton.fields)
    ]
    return Grouping(skeleton, lists, rows, **limits).people()
