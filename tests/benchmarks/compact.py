"""A byte a number beside floats: what it costs in accuracy, and what it saves on disk. The paper's 128 bytes a face.

    python -m tests.benchmarks.compact --shared ../shared --keep DIR [--embedder sface] [--judge 3 --head FILE]

LFW folds 1 to 3: accuracy over the folds and VAL at FAR over all pairs of the named pictures, as ``rtface evaluate
lfw`` has them, with the model's floats, with fewer floats where it needs fewer, and with a byte for each of these. Then
a gallery of all of LFW's pictures in a file: bytes a row in the database, and of the graph beside it. With ``--judge``
the people of one fold alone, and with ``--head`` through a head that learned from the others. Embeddings are kept in
DIR (see ``quality``).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from rtface.evaluation import lfw
from rtface.gallery.compacting import compact
from rtface.gallery.editing import NewRow
from rtface.gallery.store import open_gallery
from rtface.gallery.vectors import Bytes
from rtface.models import catalogue
from rtface.models.head import Rows, read_head
from rtface.models.spec import ModelSpec
from tests.benchmarks.quality import FOLDS, by_fold, embedded
from tests.benchmarks.rates import Judge

RATES = (1e-3, 1e-4, 1e-5)


def accuracy(shared: Path, pictures: list[Path], forms: dict[str, Rows]) -> None:
    """A JSON line a form."""
    data = shared / "data"
    protocol = lfw.read_protocol(data / "lfw_pairs_folds1-3.txt", data / "lfw")
    for name, rows in forms.items():
        found = lfw.evaluate(protocol, dict(zip(pictures, rows, strict=True)))
        figures = {"accuracy": found.accuracy, "error": found.accuracy_error, **found.val_at_far}
        print(json.dumps({"form": name, **{key: round(value, 4) for key, value in figures.items()}}), flush=True)


def one_fold(people: np.ndarray[tuple[int], np.dtype[np.str_]], forms: dict[str, Rows]) -> None:
    """VAL at FAR, and what a form loses to the floats, with an interval; a JSON line a form."""
    judge = Judge(people, RATES)
    floats = judge.measure(forms["floats"])
    for name, rows in forms.items():
        found = judge.measure(rows)
        gains = np.stack(found.gain_over(floats)).T
        print(
            json.dumps({"form": name, "val": found.val.round(4).tolist(), "gain": gains.round(4).tolist()}), flush=True
        )


def sizes(spec: ModelSpec, rows: Rows) -> None:
    """Bytes of a gallery with a row of each, before and after; a JSON line each."""
    basis = None if spec.head is None else spec.head.basis
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g.db"

        def tell() -> None:
            with open_gallery(
                path, model=spec.name, fingerprint=spec.fingerprint, size=rows.shape[1], index="hnsw", basis=basis
            ) as gallery:
                gallery.search(rows[:1], 1)
                form = gallery.form
            graph, database = (path.with_name(path.name + end).stat().st_size for end in (".hnsw", ""))
            per_row = {"database": database / len(rows), "graph": graph / len(rows), "vector": form.stored_bytes}
            print(json.dumps({"form": form.name, "bytes_a_row": {key: round(value) for key, value in per_row.items()}}))

        with (
            open_gallery(
                path, model=spec.name, fingerprint=spec.fingerprint, size=rows.shape[1], create=True, basis=basis
            ) as gallery,
            gallery.editing() as edit,
        ):
            gallery.model.adopt(gallery.database)
            for place, vector in enumerate(gallery.form.encode(rows)):
                row = NewRow(f"{place:064x}", vector, f"{place}.jpg", 0.5, 0.0)
                edit.insert(edit.person(f"person {place}", 0.0), row)
        tell()
        with open_gallery(
            path, model=spec.name, fingerprint=spec.fingerprint, size=rows.shape[1], basis=basis
        ) as gallery:
            compact(gallery)
        tell()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--embedder", default="facenet")
    parser.add_argument("--judge", type=int, choices=FOLDS)
    parser.add_argument("--head", type=Path)
    parser.add_argument("--rows", type=int, default=3825, help="in the gallery whose size is measured; 0: none")
    arguments = parser.parse_args()
    spec = catalogue.load(catalogue.shipped_file().parent)[arguments.embedder]
    if arguments.head is not None:
        spec = replace(spec, centre=None, head=read_head(arguments.head, spec.embedding_size))
    faces = embedded("lfw", arguments.shared, arguments.keep, arguments.embedder)
    if arguments.judge is not None:
        faces = by_fold(faces, arguments.shared)[arguments.judge]
    rows = faces.stills if spec.head is None else spec.head(faces.stills)
    form = Bytes(spec.embedding_size, None if spec.head is None else spec.head.basis)
    forms = {"floats": rows, "fewer floats": form.project(rows), "bytes": form.decode(form.encode(rows))}
    if arguments.judge is not None:
        one_fold(faces.people, forms)
        return
    pictures = [
        picture
        for folder in sorted((arguments.shared / "data" / "lfw").iterdir())
        for picture in sorted(folder.iterdir())
    ]
    accuracy(arguments.shared, pictures, forms)
    if arguments.rows:
        sizes(spec, rows[: arguments.rows])


if __name__ == "__main__":
    main()
