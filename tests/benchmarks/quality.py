"""What more these embeddings can give without new data, step by step, on people nothing was learned from.

    python -m tests.benchmarks.quality --shared ../shared --embedder facenet --keep DIR [--judge 3] [--steps ...]
    python -m tests.benchmarks.quality --shared ../shared --embedder facenet --keep DIR --write engines/facenet-head.npz

LFW's people of folds 1 to 3 in View 2's pair file; whoever is in none of them, or is mislabelled, is left out. A step
learns on two folds and is judged on the third: VAL at FAR over all pairs of all pictures, as stills (with the mirror
image) and as single looks, and what it gains, with a 95 % interval from drawing people. ``elsewhere`` is the same over
other faces, judged among themselves: dlib's Johns, people of a series, webcam clips (a frame in 12). Heads also see
strangers: the faces of the detection data sets, each taken for somebody else. What is gained over is FaceNet as it was
before it had a head, centred on the mean of 85 of these (facenet_centre.npy), and SFace as it is.

A head gains on LFW, and loses where limits measured on LFW are used on people of one group: see engines/models.toml.

Embeddings are kept in DIR. ``--write`` makes the file that is shipped, with ``--trained`` a head of all three folds.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.backends import onnxruntime
from rtface.config import load_config
from rtface.embedding.crops import best_crop
from rtface.embedding.embedder import ModelEmbedder
from rtface.evaluation.lfw import read_protocol
from rtface.models.head import Head, Rows, unit_rows
from rtface.sources import open_source
from rtface.sources.images import read_picture
from rtface.system import System
from rtface.types import Image
from tests.benchmarks import heads
from tests.benchmarks.rates import Judge, Measured

FOLDS = (1, 2, 3)
RATES = (1e-3, 1e-4, 1e-5)
ELSEWHERE = (1e-2, 1e-3)
STRANGER_PX = 24
CENTRE = Path(__file__).with_name("facenet_centre.npy")
MISLABELLED = {"Takahiro_Mori", "Carlos_Ruckauf", "Glenn_Rivers", "Hasan_Wirayuda"}
STEPS: dict[str, Callable[[Rows, heads.Names, Rows], heads.Map]] = {
    "mean of the people": lambda rows, people, _: heads.fit_mean(rows, people),
    "whitened by a quarter": lambda rows, people, _: heads.fit_white(rows, people, power=-0.25),
    "whitened": lambda rows, people, _: heads.fit_white(rows, people, power=-0.5),
    "within-class whitening by a quarter": lambda rows, people, _: heads.fit_within(rows, people, power=-0.25),
    "within-class whitening": lambda rows, people, _: heads.fit_within(rows, people, power=-0.5),
    "discriminants": lambda rows, people, _: heads.fit_discriminants(rows, people, shrink=0.3),
    "linear head, triplets": partial(heads.fit_head, linear=True, attention=False),
    "local centring, not trained": partial(heads.fit_head, steps=0),
    "head, triplets": heads.fit_head,
    "head with a matrix, triplets": partial(heads.fit_head, linear=True),
}


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Pictures of known people.

    Attributes:
        people: (N,) who is on them.
        plain, mirrored: (N, D) unit rows of the network, of the pictures and of their mirror images.
    """

    people: NDArray[np.str_]
    plain: Rows
    mirrored: Rows

    @property
    def stills(self) -> Rows:
        """(N, D): the middle of both."""
        return unit_rows(self.plain + self.mirrored)

    def of(self, chosen: NDArray[np.bool_]) -> Faces:
        """Some of them."""
        return Faces(self.people[chosen], self.plain[chosen], self.mirrored[chosen])


def embedded(name: str, shared: Path, keep: Path, embedder: str, margin: float | None = None) -> Faces:
    """The faces of ``lfw``, ``strangers`` or ``elsewhere``, from DIR where they have been embedded before."""
    file = keep / f"{name}-{embedder}{'' if margin is None else f'-{margin:g}'}.npz"
    if not file.is_file():
        pictures = {"lfw": lfw_pictures, "strangers": crowds, "elsewhere": other_pictures}[name](shared)
        with tempfile.TemporaryDirectory() as place:
            settings = {"embedder": embedder, "gallery": f"{place}/g.db", "threads": 1, "crop_in_graph": False}
            with System(load_config(None, settings)) as system:
                found = _embed(system, pictures, margin, everybody=name == "strangers")
        np.savez(file, names=found.people, plain=found.plain, mirror=found.mirrored)
    with np.load(file) as kept:
        return Faces(kept["names"], kept["plain"], kept["mirror"])


def _embed(system: System, pictures: Iterator[tuple[str, Image]], margin: float | None, *, everybody: bool) -> Faces:
    """The face nearest the middle of each picture that shows one, or every face of at least 24 px."""
    spec = replace(system.embedder_spec, centre=None, head=None)
    assert spec.crop is not None
    crop = spec.crop if margin is None else replace(spec.crop, margin=margin)
    precision = system.engines.precision_of(spec)
    (graph,) = system.models.graphs(spec.name, precision).values()
    bare = ModelEmbedder(replace(spec, crop=crop), onnxruntime.open(graph, threads=1), precision=precision)
    people, crops = [], []
    for person, image in pictures:
        middle = np.array([image.shape[1], image.shape[0]]) / 2
        faces = system.detector.detect(image)
        if everybody:
            faces = [face for face in faces if face.box[2] - face.box[0] >= STRANGER_PX]
        elif faces:
            off = [float(np.linalg.norm((face.box[:2] + face.box[2:]) / 2 - middle)) for face in faces]
            faces = [faces[int(np.argmin(off))]]
        crops += [best_crop(system.detector, bare, image, face) for face in faces]
        people += [person] * len(faces)
    whole = np.stack(crops)
    return Faces(np.array(people), bare.embed(whole), bare.embed(np.ascontiguousarray(whole[:, :, ::-1])))


def lfw_pictures(shared: Path) -> Iterator[tuple[str, Image]]:
    """All of LFW that is here."""
    for folder in sorted((shared / "data" / "lfw").iterdir()):
        for picture in sorted(folder.iterdir()):
            yield folder.name, read_picture(picture)


def crowds(shared: Path) -> Iterator[tuple[str, Image]]:
    """Pictures of the detection data sets, faces of people who are in no other set."""
    for file in sorted((shared / "data" / "detection").rglob("*")):
        if file.suffix in (".jpg", ".png"):
            yield file.stem, read_picture(file)


def other_pictures(shared: Path) -> Iterator[tuple[str, Image]]:
    """The Johns, the series' people, and a frame in 12 of the webcam clips."""
    data = shared / "data"
    for place in ("dlib_johns", "bbt_faceapi"):
        for folder in sorted(path for path in (data / place).iterdir() if path.is_dir()):
            for picture in sorted(folder.iterdir()):
                yield folder.name, read_picture(picture)
    clips = data / "videos" / "intel" / "asl"
    with (clips / "labels.csv").open() as stream:
        for row in csv.DictReader(stream):
            source = open_source(str(clips / f"{row['clip']}.mkv"))
            for frame in source.frames():
                if frame.index % 12 == 0:
                    yield f"asl {row['person']}", frame.image
            source.close()


def by_fold(faces: Faces, shared: Path) -> dict[int, Faces]:
    """Faces of each fold's people. Nobody is in two folds; this is asserted."""
    data = shared / "data"
    protocol = read_protocol(data / "lfw_pairs_folds1-3.txt", data / "lfw")
    named = [{side.parent.name for pair in fold for side in (pair.first, pair.second)} for fold in protocol.folds]
    assert not any(one & other for place, one in enumerate(named) for other in named[:place])
    return {
        fold: faces.of(np.isin(faces.people, sorted(people - MISLABELLED)))
        for fold, people in zip(FOLDS, named, strict=True)
    }


def together(faces: dict[int, Faces], folds: list[int]) -> Faces:
    """The faces of several folds."""
    parts = [faces[fold] for fold in folds]
    joined = (np.concatenate([getattr(part, name) for part in parts]) for name in ("people", "plain", "mirrored"))
    return Faces(*joined)


def line(label: str, before: list[Measured], after: list[Measured]) -> str:
    """A row of the table: VAL and gain of stills, single looks and others."""
    cells = []
    for old, new in zip(before, after, strict=True):
        gains = zip(new.val, *new.gain_over(old), strict=True)
        cells.append(
            "  ".join(
                f"{100 * val:5.1f} ({100 * gain:+.1f}: {100 * low:+.1f} {100 * high:+.1f})"
                for val, gain, low, high in gains
            )
        )
    return f"| {label} | {' | '.join(cells)} |"


def table(shared: Path, keep: Path, embedder: str, fold: int, steps: list[str]) -> None:
    """Prints the steps, learned on the other folds, judged on this one."""
    faces = by_fold(embedded("lfw", shared, keep, embedder), shared)
    others = embedded("elsewhere", shared, keep, embedder)
    strangers = embedded("strangers", shared, keep, embedder).stills
    taught = together(faces, [other for other in FOLDS if other != fold])
    judges = [Judge(faces[fold].people, RATES), Judge(faces[fold].people, RATES), Judge(others.people, ELSEWHERE)]
    looked_at = [faces[fold].stills, faces[fold].plain, others.stills]

    def measured(mapped: heads.Map) -> list[Measured]:
        return [judge.measure(mapped(rows)) for judge, rows in zip(judges, looked_at, strict=True)]

    print(f"{embedder}, judged on fold {fold}: {len(faces[fold].people)} pictures; elsewhere {len(others.people)}")
    print(f"| step | stills at {RATES} | single looks | elsewhere at {ELSEWHERE} |\n|---|---|---|---|")
    bare = measured(lambda rows: rows)
    before = measured(partial(centred, mean=np.load(CENTRE))) if embedder == "facenet" else bare
    print(line("as it was", before, before), flush=True)
    print(line("not centred", before, bare), flush=True)
    print(line("mean of the strangers", before, measured(partial(centred, mean=strangers.mean(axis=0)))), flush=True)
    for label in steps:
        print(line(label, before, measured(STEPS[label](taught.stills, taught.people, strangers))), flush=True)


def centred(rows: Rows, mean: Rows) -> Rows:
    """With this mean subtracted."""
    return unit_rows(rows - mean)


def write(shared: Path, keep: Path, embedder: str, file: Path, *, trained: bool) -> None:
    """Learns from everybody and writes a head: basis and the centre of before, or what the triplet loss makes."""
    faces = together(by_fold(embedded("lfw", shared, keep, embedder), shared), list(FOLDS))
    strangers = embedded("strangers", shared, keep, embedder).stills
    head = heads.fit_head(faces.stills, faces.people, strangers, steps=heads.STEPS if trained else 0)
    assert isinstance(head, Head)
    if not trained:
        none = np.zeros((0, head.basis.shape[1]), np.float32)
        head = Head(head.basis, np.asarray(np.load(CENTRE) @ head.basis, np.float32), none, none)
    np.savez(file, basis=head.basis, centre=head.centre, keys=head.keys, values=head.values)
    print(f"{file}: {head.digest[:12]}, from {len(np.unique(faces.people))} people, {len(faces.people)} pictures")


def main() -> None:
    """Measures and prints, or trains and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--embedder", default="facenet")
    parser.add_argument("--judge", type=int, choices=FOLDS, default=3)
    parser.add_argument("--steps", nargs="*", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--write", type=Path)
    parser.add_argument("--trained", action="store_true", help="with --write: keys and values too")
    arguments = parser.parse_args()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    if arguments.write:
        write(arguments.shared, arguments.keep, arguments.embedder, arguments.write, trained=arguments.trained)
    else:
        table(arguments.shared, arguments.keep, arguments.embedder, arguments.judge, arguments.steps)


if __name__ == "__main__":
    main()
