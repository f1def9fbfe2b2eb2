"""The LFW protocol: its file, good and bad, and figures that can be counted by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.errors import EvaluationError, PictureError
from rtface.evaluation.lfw import BATCH, LfwProtocol, Pair, embed_pictures, evaluate, read_protocol, read_view1
from rtface.types import Detection, Image
from tests.fakes import FakeEmbedder

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
FARS = ("1e-1", "1e-2", "1e-3", "1e-4")
GOOD = "2\t1\nAda\t1\t2\nAda\t1\tBo\t1\nBo\t1\t2\nBo\t2\tCy\t12\n"
PICTURES = ["Ada/Ada_0001.jpg", "Ada/Ada_0002.jpg", "Bo/Bo_0001.jpg", "Bo/Bo_0002.jpg", "Cy/Cy_0012.jpg"]


def written(folder: Path, text: str, pictures: Sequence[str] = PICTURES) -> Path:
    """A pair file, and empty pictures beside it."""
    for picture in pictures:
        (folder / picture).parent.mkdir(exist_ok=True)
        (folder / picture).touch()
    file = folder / "pairs.txt"
    file.write_bytes(text.encode())
    return file


@pytest.mark.parametrize("text", [GOOD, GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD + "\n\n", GOOD.replace("\t", " ")])
def test_reads_folds_of_same_and_different_pairs(tmp_path: Path, text: str) -> None:
    protocol = read_protocol(written(tmp_path, text), tmp_path)
    paths = [tmp_path / picture for picture in PICTURES]
    assert protocol.folds == (
        (Pair(paths[0], paths[1], True), Pair(paths[0], paths[2], False)),
        (Pair(paths[2], paths[3], True), Pair(paths[3], paths[4], False)),
    )
    assert protocol.pictures == paths


def test_names_may_hold_spaces_between_tabs(tmp_path: Path) -> None:
    pictures = ["김 민수/김 민수_0001.jpg", "김 민수/김 민수_0002.jpg", "Bo/Bo_0001.jpg"]
    protocol = read_protocol(written(tmp_path, "1\t1\n김 민수\t1\t2\n김 민수\t1\tBo\t1", pictures), tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in protocol.pictures] == sorted(pictures)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"line 1: '' is not the number of folds"),
        ("two\t1\n", r"line 1: 'two\\t1'"),
        ("0\t300\n", r"line 1"),
        (GOOD.replace("Bo\t2\tCy\t12\n", ""), r"has 3 pairs, .* promises 2 folds of 2 x 1, 4 in all"),
        (GOOD + "Ada\t1\tCy\t12\n", r"has 5 pairs"),
        (GOOD.replace("Bo\t1\t2", "Bo\t1"), r"line 4: 'Bo\\t1' is not a pair of one person"),
        (GOOD.replace("Bo\t1\t2", "Bo\t1\tAda\t1"), r"line 4: .* is not a pair of one person"),
        (GOOD.replace("Ada\t1\tBo\t1", "Ada\t1\t2"), r"line 3: .* is not a pair of two people"),
        (GOOD.replace("Ada\t1\tBo\t1", "Ada\tone\tBo\t1"), r"line 3: .* numbers from 1"),
        (GOOD.replace("Ada\t1\tBo\t1", "Ada\t0\tBo\t1"), r"line 3: .* numbers from 1"),
        (GOOD.replace("Ada\t1\tBo\t1", "Ada\t1\tAda\t2"), r"line 3: a pair of two people names Ada twice"),
        (GOOD.replace("Bo\t1\t2", "Bo\t2\t2"), r"line 4: Bo_0002.jpg is compared with itself"),
    ],
)
def test_a_bad_file_is_refused_with_the_line_and_the_reason(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(EvaluationError, match=complaint):
        read_protocol(written(tmp_path, text), tmp_path)


def test_a_file_that_is_not_there_or_not_text_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"absent.txt cannot be read: No such file"):
        read_protocol(tmp_path / "absent.txt", tmp_path)
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(EvaluationError, match=r"picture.jpg is not a text file"):
        read_protocol(tmp_path / "picture.jpg", tmp_path)


def test_missing_pictures_are_counted_and_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"2 of 5 pictures are missing .*: Bo.Bo_0002.jpg, Cy.Cy_0012.jpg\. The"):
        read_protocol(written(tmp_path, GOOD, PICTURES[:3]), tmp_path)
    people = "".join(f"P{number}\t1\t2\n" for number in range(8))
    others = "".join(f"P{number}\t1\tP{number + 1}\t1\n" for number in range(8))
    with pytest.raises(EvaluationError, match=r"17 of 17 .* and 7 more"):
        read_protocol(written(tmp_path, f"1\t8\n{people}{others}"), tmp_path)


def test_the_official_folds_hold_what_their_authors_say() -> None:
    file, folder = SHARED / "lfw_pairs_folds1-3.txt", SHARED / "lfw"
    if not file.exists() or not folder.exists():
        pytest.skip(f"{file} and {folder} are not here")
    protocol = read_protocol(file, folder)
    assert [len(fold) for fold in protocol.folds] == [600, 600, 600]
    assert [sum(pair.same for pair in fold) for fold in protocol.folds] == [300, 300, 300]
    assert len(protocol.pictures) == 2320
    report = evaluate(protocol, perfect(protocol))
    assert (report.same_pairs, report.different_pairs) == (2891, 2687149)
    assert (report.accuracy, report.accuracy_std) == (1.0, 0.0)
    assert report.val_at_far == dict.fromkeys(("1e-1", "1e-2", "1e-3", "1e-4", "1e-5"), 1.0)


def protocol_of(people: int, folds: int = 2) -> LfwProtocol:
    """Each person with pictures 1 and 2, dealt to the folds in turn; the different pairs are neighbours."""
    names = [f"P{number:03d}" for number in range(people)]

    def picture(person: int, number: int) -> Path:
        name = names[person % people]
        return Path(name) / f"{name}_{number:04d}.jpg"

    same = [Pair(picture(person, 1), picture(person, 2), True) for person in range(people)]
    different = [Pair(picture(person, 1), picture(person + 1, 2), False) for person in range(people)]
    return LfwProtocol(tuple((*same[fold::folds], *different[fold::folds]) for fold in range(folds)))


def perfect(protocol: LfwProtocol) -> dict[Path, NDArray[np.float32] | None]:
    """One direction in space a person."""
    pictures = protocol.pictures
    people = sorted({path.parent.name for path in pictures})
    directions = dict(zip(people, np.eye(len(people), dtype=np.float32), strict=True))
    return {path: directions[path.parent.name] for path in pictures}


def test_a_perfect_embedding_is_perfect() -> None:
    protocol = protocol_of(20)
    report = evaluate(protocol, perfect(protocol))
    assert (report.accuracy, report.accuracy_std, report.accuracy_error) == (1.0, 0.0, 0.0)
    assert report.val_at_far == dict.fromkeys(FARS, 1.0)
    assert report.threshold == pytest.approx(1.0)
    assert (report.pairs, report.pictures, report.same_pairs, report.different_pairs) == (40, 40, 20, 760)
    assert report.failed_to_acquire == ()


def test_an_embedding_that_sees_nobody_apart_validates_nobody() -> None:
    protocol = protocol_of(20)
    report = evaluate(protocol, dict.fromkeys(protocol.pictures, np.array([1, 0], np.float32)))
    assert report.accuracy == 0.5
    assert report.val_at_far == dict.fromkeys(FARS, 0.0)


def test_a_smaller_rate_is_told_where_enough_pairs_show_it() -> None:
    few, many = protocol_of(20), protocol_of(230)
    assert set(evaluate(few, perfect(few)).val_at_far) == set(FARS)
    assert set(evaluate(many, perfect(many)).val_at_far) == {*FARS, "1e-5"}


def test_a_failed_picture_is_wrong_in_each_of_its_pairs() -> None:
    protocol = protocol_of(20)
    failed = protocol.pictures[0]
    report = evaluate(protocol, perfect(protocol) | {failed: None})
    assert report.failed_to_acquire == (failed,)
    assert report.accuracy == pytest.approx(1 - 2 / 40)
    assert report.val_at_far == dict.fromkeys(FARS, 19 / 20)
    assert (report.same_pairs, report.different_pairs) == (20, 760 - 38)


def test_figures_of_folds_that_differ_are_spread() -> None:
    protocol = protocol_of(20)
    report = evaluate(protocol, perfect(protocol) | dict.fromkeys(protocol.pictures[:1]))
    assert report.accuracy_std == pytest.approx(abs(18 / 20 - 1) / np.sqrt(2))
    assert report.accuracy_error == pytest.approx(report.accuracy_std / np.sqrt(2))


def test_json_has_the_keys_that_others_script_against() -> None:
    protocol = protocol_of(20)
    report = evaluate(protocol, perfect(protocol) | dict.fromkeys(protocol.pictures[:1]))
    read = json.loads(json.dumps(report.as_json()))
    assert {"accuracy", "accuracy_std", "val_at_far", "threshold", "pairs", "failed_to_acquire"} <= set(read)
    assert set(read["val_at_far"]) == {"1e-1", "1e-2", "1e-3", "1e-4"}
    assert (read["pairs"], read["failed_to_acquire"]) == (40, 1)
    assert read["failed_pictures"] == [str(protocol.pictures[0])]


def test_view_1_judges_the_test_pairs_at_the_distance_of_the_training_pairs(tmp_path: Path) -> None:
    written(tmp_path, "")
    train, test = tmp_path / "pairsDevTrain.txt", tmp_path / "pairsDevTest.txt"
    train.write_text("1\nAda\t1\t2\nAda\t1\tBo\t1\n")
    test.write_text("1\nBo\t1\t2\nBo\t2\tCy\t12\n")
    protocol = read_view1(train, test, tmp_path)
    assert (protocol.view, [len(fold) for fold in protocol.folds]) == (1, [2, 2])
    ada, ada2, bo, bo2, cy = protocol.pictures
    vectors = {path: unit(angle) for path, angle in ((ada, 0), (ada2, 20), (bo, 90), (bo2, 150), (cy, 260))}
    report = evaluate(protocol, vectors, resamples=20)
    # Trained on 20 and 90 degrees, the distance lies between; of the test pairs (60, 110 degrees) both are beyond
    # or, at 60, inside it: 2 - 2 cos 60 = 1.0 against (0.12 + 2.0) / 2 = 1.06.
    assert report.threshold == pytest.approx((2 - 2 * np.cos(np.radians(20)) + 2) / 2)
    assert report.accuracy == 1.0
    vectors[bo2] = unit(170)
    assert evaluate(protocol, vectors).accuracy == 0.5


def test_view_1_wants_the_number_of_pairs_alone_in_its_first_line(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD)
    with pytest.raises(EvaluationError, match=r"line 1: .* is not the number of pairs of a kind"):
        read_view1(file, file, tmp_path)


def test_intervals_of_accuracy_hold_the_accuracy() -> None:
    protocol = protocol_of(60)
    rng = np.random.default_rng(2)
    vectors = {path: unit(float(rng.uniform(0, 40) + 70 * (i // 2 % 5))) for i, path in enumerate(protocol.pictures)}
    report = evaluate(protocol, vectors, resamples=100)
    assert report.accuracy_interval is not None
    assert report.accuracy_interval[0] < report.accuracy < report.accuracy_interval[1]
    assert report.all_pairs.auc_interval is not None
    assert evaluate(protocol, vectors).accuracy_interval is None


def unit(degrees: float) -> NDArray[np.float32]:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


def test_vectors_that_do_not_fit_are_refused() -> None:
    protocol = protocol_of(4)
    vectors, first = perfect(protocol), protocol.pictures[0]
    with pytest.raises(EvaluationError, match="must have 1"):
        evaluate(protocol, vectors | {first: np.full(4, 1, np.float32)})
    with pytest.raises(EvaluationError, match="must have 1"):
        evaluate(protocol, vectors | {first: np.full(4, np.nan, np.float32)})
    with pytest.raises(EvaluationError, match="different sizes"):
        evaluate(protocol, vectors | {first: np.ones(1, np.float32)})
    with pytest.raises(EvaluationError, match="1 pictures were never embedded"):
        evaluate(protocol, {path: vector for path, vector in vectors.items() if path != first})
    with pytest.raises(EvaluationError, match="In none of the 8 pictures"):
        evaluate(protocol, dict.fromkeys(protocol.pictures))


class FaceAtMarks:
    """Finds a face of 4 px around each pixel brighter than 99, best first as they are bright."""

    name = "marks"

    def detect(self, image: Image) -> list[Detection]:
        rows, columns = np.nonzero(image[..., 0] > 99)
        faces = [
            Detection(np.array([x - 2, y - 2, x + 2, y + 2], np.float32), np.zeros((5, 2), np.float32), score)
            for y, x, score in zip(rows, columns, image[rows, columns, 0] / 255, strict=True)
        ]
        return sorted(faces, key=lambda face: -face.score)

    def refine(self, image: Image, detection: Detection) -> Detection:
        return detection

    def close(self) -> None: ...


class MarkAsVector(FakeEmbedder):
    """A face's vector is its mark's brightness; remembers the sizes of its batches."""

    name, fingerprint, backend, size, crop_size = "mark", "0", "fake", 1, 1
    by_landmarks = True

    def crop(self, image: Image, detection: Detection) -> Image:
        x, y = ((detection.box[:2] + detection.box[2:]) / 2).astype(int)
        return image[y : y + 1, x : x + 1]

    def embed(self, crops: NDArray[np.uint8], *, mirror: bool = False) -> NDArray[np.float32]:
        self.batches.append(len(crops))
        return crops[:, 0, 0, :1].astype(np.float32)


def with_marks(*marks: tuple[int, int, int]) -> Image:
    image = np.zeros((40, 60, 3), np.uint8)
    for x, y, brightness in marks:
        image[y, x] = brightness
    return image


def test_the_face_nearest_the_middle_is_the_one_named() -> None:
    pictures = {Path("a"): with_marks((5, 5, 250), (33, 22, 120)), Path("b"): with_marks((50, 30, 200))}
    vectors = embed_pictures(
        list(pictures), FaceAtMarks(), MarkAsVector(), read_picture=pictures.__getitem__, report=lambda *_: None
    )
    assert {path.name: None if vector is None else vector.tolist() for path, vector in vectors.items()} == {
        "a": [120],
        "b": [200],
    }


def test_a_picture_without_a_face_or_that_cannot_be_read_has_no_vector() -> None:
    def read(path: Path) -> Image:
        if path.name == "broken":
            raise PictureError("broken cannot be read as a picture.")
        return with_marks() if path.name == "empty" else with_marks((30, 20, 100))

    paths = [Path("whole"), Path("empty"), Path("broken")]
    vectors = embed_pictures(paths, FaceAtMarks(), MarkAsVector(), read_picture=read, report=lambda *_: None)
    assert [vectors[path] is not None for path in paths] == [True, False, False]


@pytest.mark.parametrize(("faces", "batches"), [(0, []), (1, [1]), (BATCH, [BATCH]), (BATCH + 1, [BATCH, 1])])
@pytest.mark.parametrize("empty", [0, 3])
def test_faces_go_through_in_batches_and_none_is_left_behind(faces: int, batches: list[int], empty: int) -> None:
    paths = [Path(str(number)) for number in range(faces + empty)]
    embedder, told = MarkAsVector(), list[tuple[str, int, int]]()

    def read(path: Path) -> Image:
        number = int(path.name)
        return with_marks((30, 20, 100 + number)) if number < faces else with_marks()

    vectors = embed_pictures(
        paths,
        FaceAtMarks(),
        embedder,
        read_picture=read,
        report=lambda label, done, total: told.append((label, done, total)),
    )
    assert embedder.batches == batches
    assert [None if vector is None else int(vector[0]) for vector in vectors.values()] == [
        *range(100, 100 + faces),
        *[None] * empty,
    ]
    assert told == [("pictures", done, len(paths)) for done in range(1, len(paths) + 1)]
