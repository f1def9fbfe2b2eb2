"""Ranges of activations for ranges.toml, and what each way of choosing them costs.

    python -m tests.benchmarks.calibration --shared ../shared --model facenet    # prints the table [facenet.ranges]
    python -m tests.benchmarks.calibration --shared ../shared --compare          # a JSON line a method, for FaceNet

Embedders are shown the faces of the detection data sets that are not masked and at least 24 px wide, each as it is,
mirrored, lit otherwise, from fewer pixels and from a worse JPEG. None of these people is in a set that recognition is
measured on. Detectors look at the pictures of these data sets, each as it is, mirrored and lit otherwise; what the
second and third network of a cascade are shown is what the ones before them found. ``--compare`` takes 95 faces of
others (the folders bbt_faceapi and dlib_johns).

Sources: entropy after Migacz 2017, "8-bit inference with TensorRT"; the other methods as in Wu et al. 2020, "Integer
quantization for deep learning inference", section 4.1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from rtface import registry
from rtface.config import load_config
from rtface.embedding.crops import best_crop
from rtface.evaluation.detection import LabelledPicture, read_dlib, read_voc
from rtface.geometry import iou
from rtface.models import quantize as bytes_for_cpus
from rtface.models import signed
from rtface.models.head import Head
from rtface.models.quantize import Range, quantize
from rtface.models.spec import ModelSpec, Precision, Task
from rtface.sources.images import read_picture
from rtface.system import System

COMPARED = "facenet"
SMALLEST_PX = 24
BINS = 4096
BATCH = 16
Crops = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How often a tensor's values lie in each of ``BINS`` equal parts of low..high; exact zeros are not counted."""

    low: float
    high: float
    counts: NDArray[np.float64]

    @property
    def middles(self) -> NDArray[np.float64]:
        """(BINS,) middles of the parts."""
        edges = np.linspace(self.low, self.high, BINS + 1)
        return (edges[1:] + edges[:-1]) / 2


def pictures(folder: Path) -> list[LabelledPicture]:
    """The detection data sets, masked faces left out."""
    groups = {
        picture.path: picture
        for name in ("testing.xml", "training.xml")
        for picture in read_dlib(folder / "dlib_faces" / name)
    }
    masks = [
        read_voc(file, folder / "mask_voc" / "images", wanted=lambda name: name == "sin_mascarilla", min_px=SMALLEST_PX)
        for file in sorted((folder / "mask_voc" / "annotations").glob("*.xml"))
    ]
    return [*groups.values(), *masks]


def labelled_crops(system: System, labelled: Iterable[LabelledPicture]) -> Crops:
    """(N, S, S, 3) crops of the labelled faces that the detector finds."""
    crops = []
    for picture in labelled:
        image = read_picture(picture.path)
        for face in system.detector.detect(image):
            found = picture.faces.size and iou(face.box[None], picture.faces).max() >= 0.5
            if found and face.box[2] - face.box[0] >= SMALLEST_PX:
                crops.append(best_crop(system.detector, system.embedder, image, face))
    return np.stack(crops)


def central_crops(system: System, paths: Iterable[Path]) -> Crops:
    """(N, S, S, 3) crops of the best face of each picture that has one."""
    crops = []
    for path in paths:
        image = read_picture(path)
        faces = system.detector.detect(image)
        crops += [best_crop(system.detector, system.embedder, image, face) for face in faces[:1]]
    return np.stack(crops)


def variants(crops: Crops) -> Crops:
    """(5 N, S, S, 3): each crop as it is and as other cameras would have given it; always the same."""
    rng = np.random.default_rng(0)
    made = []
    for crop in crops:
        light = np.clip(crop * rng.uniform(0.5, 1.5) + rng.uniform(-20, 20), 0, 255).astype(np.uint8)
        side, whole = int(rng.integers(32, 96)), (crop.shape[1], crop.shape[0])
        small = cv2.resize(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), whole)
        packed = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 70))])[1]
        worse = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        assert worse is not None
        made += [crop, crop[:, ::-1], light, small, worse]
    return np.stack(made).astype(np.uint8)


class Watched:
    """A graph whose activations are watched while it runs; fulfils ``interfaces.Backend``.

    Everything has to be shown to it twice: first for the ends of each tensor, then for its histogram.
    """

    name = "watched"

    def __init__(self, model: onnx.ModelProto, names: list[str]) -> None:
        exposed = onnx.ModelProto()
        exposed.CopyFrom(model)
        self.outputs = tuple(item.name for item in model.graph.output)
        for name in names:
            exposed.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        self._session = ort.InferenceSession(exposed.SerializeToString())
        self.inputs: Mapping[str, tuple[int | None, ...]] = {
            item.name: tuple(side if isinstance(side, int) else None for side in item.shape)
            for item in self._session.get_inputs()
        }
        self._names = names
        self._low, self._high = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
        self._counts = {name: np.zeros(BINS) for name in names}
        self.counting = False

    def run(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        """The graph's own outputs."""
        results = self._session.run(None, dict(arrays))
        for name, tensor in zip(self._names, results[len(self.outputs) :], strict=True):
            if self.counting:
                ends = self._low[name], self._high[name]
                self._counts[name] += np.histogram(tensor[tensor != 0], BINS, ends)[0]
            elif tensor.size:
                self._low[name] = min(self._low[name], float(tensor.min()))
                self._high[name] = max(self._high[name], float(tensor.max()))
        return dict(zip(self.outputs, results, strict=False))

    def close(self) -> None:
        """Nothing to free: what was seen is still wanted."""

    def seen(self) -> dict[str, Histogram]:
        """What values the tensors took."""
        return {name: Histogram(self._low[name], self._high[name], self._counts[name]) for name in self._names}


def watched(spec: ModelSpec, graph: Path) -> Watched:
    """A float32 graph, watched where its 8-bit forms want ranges."""
    model = onnx.load(graph)
    in_bytes = Precision.INT8 in spec.precisions
    return Watched(model, bytes_for_cpus.measured(model) if in_bytes else signed.measured(model))


def observe(spec: ModelSpec, graph: Path, crops: Crops) -> dict[str, Histogram]:
    """What values an embedder's tensors take on these faces."""
    backend = watched(spec, graph)
    for backend.counting in (False, True):
        for start in range(0, len(crops), BATCH):
            backend.run({"faces": crops[start : start + BATCH]})
    return backend.seen()


def observe_looks(spec: ModelSpec, graphs: Mapping[str, Path], paths: Iterable[Path]) -> dict[str, Histogram]:
    """What values the tensors of a detector's graphs take when it looks at these pictures."""
    backends: list[Watched] = []

    def open_backend(graph: Path) -> Watched:
        backends.append(watched(spec, graph))
        return backends[-1]

    detector = registry.load("detectors", spec.builder).open(graphs, open_backend)
    shown = list(paths)
    for counting in (False, True):
        for backend in backends:
            backend.counting = counting
        rng = np.random.default_rng(0)
        for path in shown:
            image = read_picture(path)
            light = np.clip(image * rng.uniform(0.5, 1.5) + rng.uniform(-20, 20), 0, 255).astype(np.uint8)
            for look in (image, np.ascontiguousarray(image[:, ::-1]), light):
                detector.detect(look)
    return {name: histogram for backend in backends for name, histogram in backend.seen().items()}


def whole_range(seen: Histogram) -> Range:
    """Everything seen."""
    return seen.low, seen.high


def percentile(share: float) -> Callable[[Histogram], Range]:
    """All but the outermost values, ``share`` of them kept at either end."""

    def choose(seen: Histogram) -> Range:
        below = np.cumsum(seen.counts) / seen.counts.sum()
        high = seen.middles[min(int(np.searchsorted(below, share)), BINS - 1)]
        return (float(seen.middles[np.searchsorted(below, 1 - share)]) if seen.low < 0 else 0.0), float(high)

    return choose


def least_error(power: float) -> Callable[[Histogram], Range]:
    """The part of the range that loses least, errors raised to ``power``."""

    def choose(seen: Histogram) -> Range:
        values, errors = seen.middles, {}
        for part in np.linspace(0.3, 1, 60):
            low, high = seen.low * part, seen.high * part
            step = (high - low) / 255
            rounded = np.clip(np.rint((values - low) / step), 0, 255) * step + low
            errors[part] = float((seen.counts * np.abs(rounded - values) ** power).sum())
        best = min(errors, key=errors.__getitem__)
        return float(seen.low * best), float(seen.high * best)

    return choose


def entropy(seen: Histogram) -> Range:
    """The range whose 256 levels tell most about the values; tensors that go below 0 keep everything."""
    if seen.low < 0:
        return whole_range(seen)
    best, chosen = np.inf, BINS
    for kept in range(256, BINS + 1, 32):
        inside = seen.counts[:kept]
        true = inside.copy()
        true[-1] += seen.counts[kept:].sum()
        level = np.arange(kept) * 256 // kept
        filled = inside > 0
        mean = np.bincount(level, inside, 256) / np.maximum(np.bincount(level, filled, 256), 1)
        told = np.where(filled, mean[level], 0)
        p, q = true / true.sum(), told / max(told.sum(), 1e-12)
        there = p > 0
        divergence = float((p[there] * np.log(p[there] / np.maximum(q[there], 1e-12))).sum())
        if divergence < best:
            best, chosen = divergence, kept
    return 0.0, float(seen.high * chosen / BINS)


METHODS: dict[str, Callable[[Histogram], Range]] = {
    "min-max": whole_range,
    "percentile 99.9": percentile(0.999),
    "percentile 99.99": percentile(0.9999),
    "percentile 99.999": percentile(0.99999),
    "least squared error": least_error(2),
    "least cubed error": least_error(3),
    "entropy": entropy,
}
SHIPPED = "least cubed error"


def embeddings(model: onnx.ModelProto, crops: Crops) -> NDArray[np.float32]:
    """(N, D) unit rows."""
    session = ort.InferenceSession(model.SerializeToString())
    return np.asarray(session.run(None, {"faces": crops})[0], np.float32)


def compare(model: onnx.ModelProto, seen: dict[str, Histogram], crops: Crops, head: Head) -> None:
    """Prints each method's cosine to the float network on these faces, as embeddings are compared: through the head."""
    truth = head(embeddings(model, crops))
    for name, choose in METHODS.items():
        small = quantize(model, {tensor: choose(histogram) for tensor, histogram in seen.items()})
        cosines = (truth * head(embeddings(small, crops))).sum(axis=1)
        figures = {"faces": len(crops), "cosine": round(float(cosines.mean()), 5), "worst": round(cosines.min(), 5)}
        print(json.dumps({"method": name, **figures}, default=float), flush=True)


def print_ranges(spec: ModelSpec, seen: Mapping[str, Histogram]) -> None:
    """The table for ranges.toml."""
    print(f"[{spec.name}.ranges]")
    for name, histogram in seen.items():
        low, high = METHODS[SHIPPED](histogram)
        print(f'"{name}" = [{low:.4g}, {high:.4g}]')


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--model", default=COMPARED)
    parser.add_argument("--compare", action="store_true")
    arguments = parser.parse_args()
    data = arguments.shared / "data"
    with tempfile.TemporaryDirectory() as place:
        models = {"backend": "onnxruntime", "precision": "fp32", "gallery": f"{place}/g"}
        with System(load_config(None, models)) as system:
            spec, graphs = system.models.spec(arguments.model), system.models.graphs(arguments.model)
        if spec.task is Task.DETECTOR:
            print_ranges(spec, observe_looks(spec, graphs, [one.path for one in pictures(data / "detection")]))
            return
        with System(load_config(None, {**models, "embedder": spec.name})) as system:
            crops = labelled_crops(system, pictures(data / "detection"))
            print(f"{len(crops)} faces, {5 * len(crops)} crops", file=sys.stderr)
            seen = observe(spec, graphs[spec.name], variants(crops))
            if not arguments.compare:
                print_ranges(spec, seen)
                return
            others = [path for name in ("bbt_faceapi", "dlib_johns") for path in sorted((data / name).glob("*/*.*"))]
            assert spec.head is not None
            compare(onnx.load(graphs[spec.name]), seen, central_crops(system, others), spec.head)


if __name__ == "__main__":
    main()
