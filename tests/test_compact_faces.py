"""The paper's claim on real faces: a face in 128 bytes, without loss of accuracy."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.errors import PictureError
from rtface.evaluation.metrics import accuracy, best_threshold
from rtface.gallery.compacting import compact
from rtface.system import System
from tests.gallery.samples import distances
from tests.shared import shared, system

JOHNS = 5


@pytest.fixture(scope="module", params=["facenet", "sface"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> System:
    return system(tmp_path_factory.mktemp("compact") / "g.db", {"embedder": request.param})


@pytest.fixture(scope="module")
def faces(made: System) -> tuple[NDArray[np.float32], list[str]]:
    """Embeddings of all pictures of the five Johns, and whose they are."""
    rows, names = [], []
    for folder in sorted(path for path in shared("data", "dlib_johns").iterdir() if path.is_dir()):
        for picture in sorted(folder.iterdir()):
            try:
                rows += [max(made.faces(picture), key=lambda face: face.detection.score).embedding]
            except (PictureError, ValueError):
                continue
            names.append(folder.name)
    return np.stack(rows), names


def test_accuracy_in_bytes_is_the_accuracy_in_floats(
    made: System, faces: tuple[NDArray[np.float32], list[str]]
) -> None:
    rows, names = faces
    spec = made.embedder_spec
    form = made.gallery.model.form(made.gallery.database)
    assert form.name == "float32"
    for row, (place, name) in zip(rows, enumerate(names), strict=True):
        made.gallery.add(name, row, sha256=f"{place:064x}", file=str(Path(name) / str(place)), quality=1.0)
    assert len(set(names)) == JOHNS
    done = compact(made.gallery)
    assert (done.bytes_before, done.bytes_after) == (4 * spec.embedding_size, 128)
    form = made.gallery.form
    small = form.decode(form.encode(rows))
    first, second = np.triu_indices(len(rows), 1)
    same = np.array([names[one] == names[other] for one, other in zip(first, second, strict=True)])
    floats, in_bytes = (distances(one, one)[first, second] for one in (rows, small))
    assert np.abs(floats - in_bytes).max() < 0.02
    assert (
        abs(
            accuracy(floats, same, best_threshold(floats, same))
            - accuracy(in_bytes, same, best_threshold(in_bytes, same))
        )
        <= 0.002
    )


def test_everybody_in_a_compact_gallery_finds_their_own(
    made: System, faces: tuple[NDArray[np.float32], list[str]]
) -> None:
    rows, names = faces
    assert made.gallery.form.name == "bytes"
    found = made.gallery.search(rows, 2)
    assert [near[0].person for near in found] == names
    assert max(near[0].distance for near in found) < 0.01
    assert [near[1].person for near in found] == names
