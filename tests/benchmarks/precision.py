"""Models in each of their precisions: recognition on LFW, detection on labelled pictures, agreement with float32.

    python -m tests.benchmarks.precision --shared ../shared [--model facenet] [--model yunet] ... [--threads 1]
    python -m tests.benchmarks.precision --shared ../shared --times [--threads 0] [--rounds 7]

A JSON line a model and precision, then a Markdown table. float32 and int8 run on ONNX Runtime as always. float16 and
int8-signed are for cards: they are computed as a card would (``tests.models.emulation``), since ONNX Runtime does not
round float16 on a CPU. Cosines are to float32, over all faces found on LFW, as galleries hold them. A detector's
``again`` and ``more`` are the parts of float32's faces that it finds on LFW, and of its own that float32 has not.

``--times`` tells instead what FaceNet takes on the CPU in float32 and int8: medians a face through rtface's backend,
the two engines taking turns on the same faces.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from rtface import registry
from rtface.backends import onnxruntime
from rtface.config import load_config
from rtface.embedding.embedder import ModelEmbedder, Pending
from rtface.evaluation import lfw
from rtface.evaluation.detection import judge, quality
from rtface.interfaces import Backend, Embedder
from rtface.models.spec import ModelSpec, Precision, Task
from rtface.models.store import converted
from rtface.sources.images import read_picture
from rtface.system import System
from rtface.types import Detection, Image
from tests.benchmarks import detection
from tests.benchmarks.calibration import central_crops
from tests.models.emulation import open_emulated

MODELS = ("facenet", "sface", "yunet", "mtcnn", "scrfd")
ON_CPU = (Precision.FP32, Precision.INT8)
BATCHES = (1, 2, 4, 8, 16)
FACES_A_ROUND = 32
FACES = 64
LOOKS = 500
"""LFW people of whom a detector looks at the first picture."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What the measurements stand on: a system on the CPU, the folder of test data, one for graphs."""

    system: System
    data: Path
    folder: Path
    threads: int

    def opened(self, precision: Precision) -> Callable[[Path], Backend]:
        """Opens a float32 graph's form in this precision on what computes it as it will be computed."""

        def open_backend(graph: Path) -> Backend:
            spec = self.system.models.spec(MODEL_OF.get(graph.stem, graph.stem))
            path = self.folder / f"{graph.stem}.{precision}.onnx"
            onnx.save(converted(onnx.load(graph), spec, precision), path)
            opened = onnxruntime.open if precision in ON_CPU else open_emulated
            return opened(path, threads=self.threads)

        return open_backend


MODEL_OF = dict.fromkeys(("pnet", "rnet", "onet"), "mtcnn")


class SideBySide:
    """One model in several precisions on the same crops; fulfils ``interfaces.Embedder``, their rows end to end."""

    def __init__(self, embedders: Mapping[Precision, ModelEmbedder]) -> None:
        self._embedders = embedders
        first = next(iter(embedders.values()))
        self.name, self.fingerprint, self.backend = first.name, first.fingerprint, first.backend
        self.by_landmarks, self.width, self.size = first.by_landmarks, first.size, first.size * len(embedders)
        self.crop_size, self.asynchronous = first.crop_size, False
        self._crop = first.crop

    def crop(self, image: Image, detection: Detection) -> Image:
        """The crop that all of them take."""
        return self._crop(image, detection)

    def embed(self, crops: NDArray[np.uint8], *, mirror: bool = False) -> NDArray[np.float32]:
        """(N, size): (N, width) of each precision."""
        return np.concatenate([one.embed(crops, mirror=mirror) for one in self._embedders.values()], axis=1)

    def launch(self, crops: NDArray[np.uint8]) -> Pending:
        """Done when this returns."""
        rows = self.embed(crops)
        return Pending(lambda: rows)

    def close(self) -> None:
        """Frees the engines."""
        for one in self._embedders.values():
            one.close()


def recognition(bench: Bench, spec: ModelSpec) -> Iterator[tuple[Precision, dict[str, object]]]:
    """Accuracy, VAL and cosines of each precision of an embedder on LFW folds 1-3."""
    (graph,) = bench.system.models.graphs(spec.name).values()
    embedders = {one: ModelEmbedder(spec, bench.opened(one)(graph), precision=one) for one in spec.precisions}
    together = SideBySide(embedders)
    protocol = lfw.read_protocol(bench.data / "lfw_pairs_folds1-3.txt", bench.data / "lfw")
    rows = lfw.embed_pictures(
        protocol.pictures,
        bench.system.detector,
        together,
        read_picture=read_picture,
        report=lambda label, done, total: None,
    )
    together.close()
    for place, precision in enumerate(embedders):
        part = slice(place * together.width, (place + 1) * together.width)
        vectors = {path: None if row is None else row[part] for path, row in rows.items()}
        found = lfw.evaluate(protocol, vectors)
        cosines = [float(row[: together.width] @ row[part]) for row in rows.values() if row is not None]
        yield (
            precision,
            {
                "accuracy": round(found.accuracy, 4),
                "val_1e3": round(found.val_at_far["1e-3"], 4),
                "cosine": round(float(np.mean(cosines)), 6),
                "worst_cosine": round(min(cosines), 6),
                "faces": len(cosines),
            },
        )


def finding(bench: Bench, spec: ModelSpec) -> Iterator[tuple[Precision, dict[str, object]]]:
    """What each precision of a detector finds of labelled faces and of what float32 finds on LFW."""
    files = detection.graphs(spec.name, bench.data.parent, bench.folder)
    looks = [sorted(person.iterdir())[0] for person in sorted((bench.data / "lfw").iterdir())[:LOOKS]]
    part = registry.load("detectors", spec.builder)
    truth: list[NDArray[np.float32]] = []
    for precision in spec.precisions:
        figures: dict[str, object] = {}
        for protocol in detection.protocols(bench.data.parent):
            judged = detection.verdicts(spec.name, files, protocol, bench.opened(precision))
            found = quality(judged, part.MIN_SCORE)
            if found.faces:
                figures |= {f"{protocol.name}_recall": round(found.recall, 4)}
                figures |= {f"{protocol.name}_precision": round(found.precision, 4)}
            else:
                figures["false_in_animals"] = found.false
        detector = part.open(files, bench.opened(precision))
        seen = [detector.detect(read_picture(path)) for path in looks]
        detector.close()
        boxes = [np.array([face.box for face in faces], np.float32).reshape(-1, 4) for faces in seen]
        truth = truth or boxes
        nothing = np.zeros((0, 4), np.float32)
        again = quality(
            [judge(faces, labels, nothing) for faces, labels in zip(seen, truth, strict=True)], part.MIN_SCORE
        )
        figures |= {"again": round(again.recall, 4), "more": round(1 - again.precision, 4)}
        yield precision, figures


def table(rows: list[tuple[str, Precision, dict[str, object]]]) -> str:
    """Markdown, one table a kind of figures."""
    lines: list[str] = []
    heads: list[str] = []
    for model, precision, figures in rows:
        if list(figures) != heads:
            heads = list(figures)
            names = [head.replace("_", " ").replace("val 1e3", "VAL at FAR 1e-3") for head in heads]
            lines += ["", f"| model | precision | {' | '.join(names)} |", "|---" * (2 + len(heads)) + "|"]
        lines.append(f"| {model} | {precision} | {' | '.join(str(figures[head]) for head in heads)} |")
    return "\n".join(lines)


def milliseconds(
    embedders: Mapping[str, Embedder], crops: NDArray[np.uint8], batch: int, rounds: int
) -> dict[str, float]:
    """Median time a face of each, in batches of this size."""
    times: dict[str, list[float]] = {name: [] for name in embedders}
    for turn in range(rounds + 1):
        for name, embedder in embedders.items():
            for start in range(0, FACES_A_ROUND, batch):
                began = time.perf_counter()
                embedder.embed(crops[start : start + batch])
                if turn:  # the first round warms up
                    times[name].append(1000 * (time.perf_counter() - began) / batch)
    return {name: round(float(np.median(found)), 2) for name, found in times.items()}


def print_times(data: Path, place: Path, threads: int, rounds: int) -> None:
    """FaceNet's time a face on the CPU, a JSON line a batch size."""
    settings = {"gallery": place / "gallery.db", "embedder": "facenet", "threads": threads, "backend": "onnxruntime"}
    with ExitStack() as stack:
        systems = {
            name: stack.enter_context(System(load_config(None, {**settings, "precision": name})))
            for name in ("fp32", "int8")
        }
        embedders = {name: system.embedder for name, system in systems.items()}
        paths = [sorted(folder.iterdir())[0] for folder in sorted((data / "lfw").iterdir())[:FACES]]
        crops = central_crops(systems["fp32"], paths)
        for batch in BATCHES:
            times = milliseconds(embedders, crops, batch, rounds)
            print(json.dumps({"batch": batch, "ms_a_face": times}), flush=True)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--model", action="append", choices=MODELS, help="all without it")
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    data = arguments.shared / "data"
    with tempfile.TemporaryDirectory() as place:
        if arguments.times:
            print_times(data, Path(place), arguments.threads, arguments.rounds)
            return
        rows = []
        settings = {"gallery": f"{place}/gallery.db", "backend": "onnxruntime", "threads": arguments.threads}
        with System(load_config(None, settings)) as system:
            bench = Bench(system, data, Path(place), arguments.threads)
            for name in arguments.model or MODELS:
                spec = system.models.spec(name)
                measure = finding if spec.task is Task.DETECTOR else recognition
                for precision, figures in measure(bench, spec):
                    print(json.dumps({"model": name, "precision": precision, **figures}), file=sys.stderr, flush=True)
                    rows.append((name, precision, figures))
        print(table(rows))


if __name__ == "__main__":
    main()
