"""One procedural person: a jointed skeleton in a posture, dressed in round cones.

Metres; x right, y down, z away from the camera. "Left" is the person's own left. The sizes are
those of an adult of about 1.75 m; `Looks` changes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pyposefast import skeletons
from pyposefast.synthetic.cones import Colour, Cone, Vector

Limb = tuple[tuple[float, float], tuple[float, float]]  # (swing, spread) of its two parts
Part = tuple[dict[str, Vector], list[Cone]]  # joints by name, and what covers them


class Stance(NamedTuple):
    """A posture: for each part of each limb its swing forward and its spread outward, in degrees.

    Hanging straight down is (0, 0), pointing straight up (180, 0).
    """

    left_arm: Limb  # upper arm, forearm
    right_arm: Limb
    left_leg: Limb  # thigh, shin
    right_leg: Limb
    lean: float = 0.0  # of the trunk, forward
    turn: float = 35.0  # how far the body may face away from the camera, either way
    jump: float = 0.0  # metres above the ground


STANCES = (
    # at ease
    Stance(((4, 13), (14, 6)), ((2, 12), (18, 4)), ((3, 6), (-2, 4)), ((-2, 7), (-4, 5))),
    # waving with the right hand
    Stance(((5, 12), (16, 5)), ((0, 74), (178, 14)), ((2, 8), (-2, 6)), ((0, 7), (-3, 5))),
    # hands on the hips
    Stance(((-14, 48), (24, -38)), ((-14, 48), (24, -38)), ((2, 12), (0, 9)), ((0, 12), (-2, 9))),
    # walking
    Stance(((-34, 8), (-8, 4)), ((34, 8), (62, 2)), ((30, 3), (8, 2)), ((-22, 3), (-48, 2)), 4, 65),
    # running
    Stance(
        left_arm=((58, 10), (128, -8)), right_arm=((-52, 12), (30, 4)),
        left_leg=((-24, 3), (-88, 2)), right_leg=((54, 3), (-8, 2)), lean=14, turn=75,
    ),
    # both arms up
    Stance(((176, 36), (178, 12)), ((176, 34), (178, 14)), ((2, 15), (0, 12)), ((2, 15), (0, 12))),
    # jumping
    Stance(
        left_arm=((170, 52), (174, 30)), right_arm=((172, 55), (174, 34)),
        left_leg=((4, 26), (-16, 20)), right_leg=((4, 27), (-20, 18)), turn=25, jump=0.22,
    ),
    # squatting with both arms stretched forward
    Stance(
        left_arm=((72, 14), (84, -6)), right_arm=((70, 14), (82, -6)),
        left_leg=((74, 20), (-30, 12)), right_leg=((72, 20), (-32, 12)), lean=26, turn=60,
    ),
)  # fmt: skip

_SKINS = ((241, 204, 178), (226, 178, 144), (198, 144, 108), (158, 106, 76), (112, 72, 52))
_HAIRS = ((38, 30, 28), (74, 48, 34), (122, 82, 48), (196, 158, 98), (150, 148, 150))
_SHIRTS = (
    (206, 62, 56), (46, 112, 176), (236, 186, 68), (62, 146, 104), (238, 236, 230),
    (122, 82, 150), (232, 128, 88), (56, 60, 74), (110, 182, 196),
)  # fmt: skip
_TROUSERS = (
    (48, 62, 92), (58, 58, 62), (126, 112, 90), (86, 98, 112), (92, 66, 56), (150, 140, 122),
)  # fmt: skip
_SHOES = ((238, 238, 236), (52, 46, 46), (176, 60, 54), (92, 72, 58))
_EYES = (36, 30, 30)


@dataclass(frozen=True, slots=True)
class Looks:
    """What makes one person differ from the next."""

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    sleeve: Colour  # the end of the sleeve on: skin or shirt
    leg: Colour  # from the knee on: skin or trousers
    has_long_hair: bool
    tall: float  # factor on lengths
    broad: float  # factor on widths


@dataclass(frozen=True, slots=True)
class Axes:
    """Unit vectors of a body part."""

    left: Vector
    up: Vector
    front: Vector

    def turned(self, degrees: float) -> Axes:
        """Turn about `up`, to the person's left."""
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        left, front = self.left, self.front
        return Axes(cosine * left - sine * front, self.up, cosine * front + sine * left)

    def leaning(self, degrees: float) -> Axes:
        """Lean to the front."""
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        up, front = self.up, self.front
        return Axes(self.left, cosine * up + sine * front, cosine * front - sine * up)

    def limb(self, side: float, swing: float, spread: float) -> Vector:
        """Return the unit vector of a limb; ``side`` is 1 on the left and -1 on the right."""
        swing, spread = np.radians(swing), np.radians(spread)
        ahead = np.sin(swing) * self.front - np.cos(swing) * self.up
        vector: Vector = np.cos(spread) * ahead + side * np.sin(spread) * self.left
        return vector


_FACING = Axes(np.array([1.0, 0, 0]), np.array([0, -1.0, 0]), np.array([0, 0, -1.0]))


def pose_figure(random: np.random.Generator, stance: Stance) -> tuple[Vector, list[Cone]]:
    """Return a person in about this posture: joints [17, 3] in COCO order, and the body.

    The lowest point of the body is ``stance.jump`` above y = 0, the pelvis at x = z = 0.
    """
    looks = _random_looks(random)
    upright = _FACING.turned(random.uniform(-stance.turn, stance.turn))
    trunk = upright.leaning(stance.lean + random.normal(0, 1.5))
    pelvis = np.zeros(3)
    collar = 0.50 * looks.tall * trunk.up
    joints: dict[str, Vector] = {}
    body = _trunk(looks, trunk, pelvis, collar)
    for name, side, arm, leg in (
        ("left", 1.0, stance.left_arm, stance.left_leg),
        ("right", -1.0, stance.right_arm, stance.right_leg),
    ):
        angles = np.array([*arm, *leg]) + random.normal(0, 3.0, (4, 2))
        upper, fore, thigh, shin = (upright.limb(side, *angle) for angle in angles)
        foot = upright.limb(side, float(np.clip(90 + angles[3, 0], 15, 100)), 10)
        for points, cones in (
            _arm(looks, trunk, collar, side, upper, fore),
            _leg(looks, upright, pelvis, side, (thigh, shin, foot)),
        ):
            joints |= {f"{name}_{joint}": place for joint, place in points.items()}
            body += cones
    # Heads are held upright even where the trunk leans.
    head = upright.turned(random.normal(0, 12)).leaning(0.4 * stance.lean + random.normal(0, 4))
    points, cones = _head(looks, head, collar + 0.215 * (0.5 * trunk.up + 0.5 * upright.up))
    joints |= points
    body += cones
    sole = max(
        max(cone.start[1] + cone.start_radius, cone.end[1] + cone.end_radius) for cone in body
    )
    rise = np.array([0.0, sole + stance.jump, 0.0])
    body = [cone._replace(start=cone.start - rise, end=cone.end - rise) for cone in body]
    return np.array([joints[name] for name in skeletons.load("coco17").joints]) - rise, body


def _random_looks(random: np.random.Generator) -> Looks:
    def pick(colours: tuple[Colour, ...]) -> Colour:
        return colours[int(random.integers(len(colours)))]

    skin, shirt, trousers = pick(_SKINS), pick(_SHIRTS), pick(_TROUSERS)
    return Looks(
        skin=skin,
        hair=pick(_HAIRS),
        shirt=shirt,
        trousers=trousers,
        shoes=pick(_SHOES),
        sleeve=skin if random.random() < 0.65 else shirt,  # noqa: PLR2004  most sleeves are short
        leg=skin if random.random() < 0.3 else trousers,  # noqa: PLR2004  few trousers are
        has_long_hair=bool(random.random() < 0.45),  # noqa: PLR2004
        tall=float(random.uniform(0.93, 1.06)),
        broad=float(random.uniform(0.92, 1.12)),
    )


def _trunk(looks: Looks, axes: Axes, pelvis: Vector, collar: Vector) -> list[Cone]:
    def section(low: tuple[float, float], high: tuple[float, float], colour: Colour) -> Cone:
        (low_at, low_radius), (high_at, high_radius) = low, high
        return Cone(
            pelvis + low_at * looks.tall * axes.up,
            pelvis + high_at * looks.tall * axes.up,
            low_radius * looks.broad,
            high_radius * looks.broad,
            colour,
            flat_axis=axes.front,
            flatness=0.66,
        )

    return [
        section((0.02, 0.164), (0.08, 0.160), looks.trousers),
        section((0.09, 0.163), (0.24, 0.147), looks.shirt),
        section((0.22, 0.147), (0.365, 0.168), looks.shirt),
        Cone(collar - 0.02 * axes.up, collar + 0.10 * axes.up, 0.060, 0.050, looks.skin),
    ]


def _arm(
    looks: Looks, trunk: Axes, collar: Vector, side: float, upper: Vector, fore: Vector
) -> Part:
    raised = max(0.0, float(upper @ trunk.up))  # a raised arm takes its shoulder along
    out = side * (0.175 - 0.03 * raised) * looks.broad
    shoulder = collar + out * trunk.left + (0.05 * raised - 0.035) * trunk.up
    elbow = shoulder + 0.285 * looks.tall * upper
    wrist = elbow + 0.255 * looks.tall * fore
    chest = collar - 0.10 * trunk.up + side * 0.07 * trunk.left
    neck = collar - 0.012 * trunk.up
    cones = [
        Cone(chest, shoulder, 0.090 * looks.broad, 0.064 * looks.broad, looks.shirt),
        Cone(neck, shoulder + 0.008 * trunk.up, 0.056, 0.054 * looks.broad, looks.shirt),
        Cone(
            shoulder, elbow, 0.060 * looks.broad, 0.043 * looks.broad,
            looks.shirt, looks.sleeve, 0.60,
        ),
        Cone(elbow, wrist, 0.042 * looks.broad, 0.030, looks.sleeve, looks.skin, 0.90),
        Cone(wrist, wrist + 0.085 * fore, 0.031, 0.036, looks.skin),
    ]  # fmt: skip
    return {"shoulder": shoulder, "elbow": elbow, "wrist": wrist}, cones


def _leg(
    looks: Looks, upright: Axes, pelvis: Vector, side: float, parts: tuple[Vector, Vector, Vector]
) -> Part:
    thigh, shin, foot = parts
    hip = pelvis + side * 0.092 * looks.broad * upright.left
    knee = hip + 0.425 * looks.tall * thigh
    ankle = knee + 0.415 * looks.tall * shin
    heel, toe = ankle + 0.03 * shin - 0.03 * foot, ankle + 0.04 * shin + 0.14 * foot
    cones = [
        Cone(
            hip, knee, 0.094 * looks.broad, 0.060 * looks.broad,
            looks.trousers, looks.leg, 0.80,
        ),
        Cone(knee, ankle, 0.058 * looks.broad, 0.040, looks.leg),
        Cone(heel, toe, 0.047, 0.034, looks.shoes),
    ]  # fmt: skip
    return {"hip": hip, "knee": knee, "ankle": ankle}, cones


def _head(looks: Looks, axes: Axes, centre: Vector) -> Part:
    def at(left: float, up: float, front: float) -> Vector:
        return centre + left * axes.left + up * axes.up + front * axes.front

    def flat(low: Vector, high: Vector, radii: tuple[float, float], colour: Colour) -> Cone:
        return Cone(low, high, *radii, colour, flat_axis=axes.left, flatness=0.85)

    points = {
        "nose": at(0, -0.022, 0.104),
        "left_eye": at(0.034, 0.012, 0.084),
        "right_eye": at(-0.034, 0.012, 0.084),
        "left_ear": at(0.080, -0.005, -0.006),
        "right_ear": at(-0.080, -0.005, -0.006),
    }
    cones = [
        flat(at(0, -0.058, 0.020), at(0, 0.032, 0.004), (0.070, 0.096), looks.skin),
        flat(at(0, 0.030, -0.030), at(0, 0.054, -0.004), (0.104, 0.096), looks.hair),
        Cone(at(0, 0.008, 0.090), points["nose"], 0.010, 0.016, looks.skin),
    ]
    cones += [_ball(points[f"{side}_ear"], 0.023, looks.skin) for side in ("left", "right")]
    cones += [_ball(points[f"{side}_eye"], 0.0125, _EYES) for side in ("left", "right")]
    if looks.has_long_hair:
        cones.append(Cone(at(0, 0.0, -0.045), at(0, -0.17, -0.07), 0.092, 0.055, looks.hair))
    return points, cones


def _ball(centre: Vector, radius: float, colour: Colour) -> Cone:
    return Cone(centre, centre, radius, radius, colour)
