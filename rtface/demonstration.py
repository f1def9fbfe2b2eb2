"""The built-in demonstration: three faces of InsightFace's group photo are enrolled, the others must stay unknown."""

from __future__ import annotations

from rtface.errors import ModelBroken
from rtface.sources.demo import portrait
from rtface.system import System

SEATS = {0: "Left", 2: "Middle", 5: "Right"}
"""Which of the six faces, counted from the left, are enrolled, and as whom."""


def enroll_demo(system: System) -> list[str]:
    """Enrols the three from the still photo; gives their names.

    Raises:
        ModelBroken: detector or embedder do not find in the photo what is known to be there.
    """
    image = portrait()
    faces = sorted(system.faces(image), key=lambda face: float(face.detection.box[0]))
    if len(faces) <= max(SEATS):
        raise ModelBroken(
            f"The detector {system.config.detector} found {len(faces)} of the demonstration's six faces: "
            "rtface models verify tells whether its weights are whole."
        )
    for seat, name in SEATS.items():
        face = faces[seat]
        system.gallery.add(
            name, face.embedding, sha256=f"demo-{seat}", file=f"t1.jpg, face {seat + 1}", quality=face.quality
        )
    return list(SEATS.values())
