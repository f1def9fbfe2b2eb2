"""Recall and precision on cases counted by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.errors import EvaluationError
from rtface.evaluation.detection import Verdicts, judge, quality, read_dlib, read_voc
from rtface.types import Detection


def report(box: list[float], score: float = 0.9) -> Detection:
    return Detection(np.array(box, np.float32), np.zeros((5, 2), np.float32), score)


def boxes(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32).reshape(-1, 4)


FACE = [0.0, 0.0, 100.0, 100.0]
OTHER = [200.0, 0.0, 300.0, 100.0]


def verdict(verdicts: Verdicts) -> tuple[int, int]:
    """Found and false."""
    result = quality([verdicts], 0)
    return result.found, result.false


def test_face_is_found_from_half_overlap_on() -> None:
    # 100x100 against 100x50 inside it: exactly one half.
    assert verdict(judge([report([0, 0, 100, 50])], boxes(FACE), boxes())) == (1, 0)
    assert verdict(judge([report([0, 0, 100, 49])], boxes(FACE), boxes())) == (0, 1)


def test_second_report_of_a_face_is_false() -> None:
    assert verdict(judge([report(FACE, 0.9), report([0, 0, 100, 90], 0.8)], boxes(FACE), boxes())) == (1, 1)


def test_better_report_chooses_first_whatever_the_order() -> None:
    reports = [report([0, 0, 100, 60], 0.5), report([0, 0, 100, 80], 0.8)]
    judged = judge(reports, boxes(FACE), boxes())
    np.testing.assert_allclose(judged.scores, [0.8, 0.5])
    np.testing.assert_allclose(judged.overlaps, [0.8, 0])


def test_report_takes_the_face_it_overlaps_most() -> None:
    near = [0.0, 0.0, 90.0, 100.0]
    judged = judge([report(FACE, 0.9), report(near, 0.8)], boxes(near, FACE), boxes())
    np.testing.assert_allclose(judged.overlaps, [1, 1])


def test_report_on_an_ignored_region_counts_neither_way() -> None:
    assert verdict(judge([report(OTHER)], boxes(FACE), boxes(OTHER))) == (0, 0)
    assert verdict(judge([report([240, 40, 260, 60])], boxes(FACE), boxes(OTHER))) == (0, 0)
    assert verdict(judge([report([260, 0, 400, 100])], boxes(FACE), boxes(OTHER))) == (0, 1)


def test_face_beside_an_ignored_region_is_still_found() -> None:
    assert verdict(judge([report(FACE)], boxes(FACE), boxes([0, 0, 100, 90]))) == (1, 0)


def test_report_too_small_to_be_labelled_counts_neither_way() -> None:
    assert verdict(judge([report([0, 0, 20, 40])], boxes(OTHER), boxes(), min_px=24)) == (0, 0)
    assert verdict(judge([report([0, 0, 24, 40])], boxes(OTHER), boxes(), min_px=24)) == (0, 1)
    assert verdict(judge([report([0, 0, 20, 40])], boxes([0, 0, 22, 40]), boxes(), min_px=24)) == (1, 0)


def test_nobody_and_nothing_reported_are_no_numbers() -> None:
    empty = quality([judge([], boxes(), boxes())], 0.5)
    assert (empty.faces, empty.found, empty.false) == (0, 0, 0)
    assert math.isnan(empty.recall)
    assert math.isnan(empty.precision)
    assert math.isnan(empty.median_iou)
    assert judge([report(FACE)], boxes(), boxes()).overlaps.tolist() == [0]


def test_figures_add_up_over_pictures_at_each_score() -> None:
    verdicts = [
        judge([report(FACE, 0.9), report([400, 0, 500, 100], 0.4)], boxes(FACE, OTHER), boxes()),
        judge([report([0, 0, 100, 60], 0.6)], boxes(FACE), boxes()),
    ]
    at_once = quality(verdicts, 0.3)
    assert (at_once.faces, at_once.found, at_once.false) == (3, 2, 1)
    assert at_once.median_iou == pytest.approx(0.8)
    assert quality(verdicts, 0.3).recall == pytest.approx(2 / 3)
    assert quality(verdicts, 0.3).precision == pytest.approx(2 / 3)
    assert quality(verdicts, 0.7).recall == pytest.approx(1 / 3)
    assert quality(verdicts, 0.7).precision == 1
    assert quality(verdicts, 0.95).recall == 0


def test_one_run_at_a_low_score_serves_every_higher_one() -> None:
    generator = np.random.default_rng(5)
    corners = generator.uniform(0, 200, (40, 2))
    reports = [
        report([*corner, *(corner + generator.uniform(30, 90, 2))], float(score))
        for corner, score in zip(corners, generator.uniform(0, 1, 40), strict=True)
    ]
    faces = boxes(*(face.box.tolist() for face in reports[::4]))
    at_once = judge(reports, faces, boxes())
    for limit in (0.2, 0.5, 0.8):
        alone = judge([face for face in reports if face.score >= limit], faces, boxes())
        assert quality([at_once], limit) == quality([alone], 0)


def test_dlib_labels_are_left_top_width_height(tmp_path: Path) -> None:
    file = tmp_path / "faces.xml"
    file.write_text(
        "<dataset><images><image file='a.jpg'><box top='10' left='20' width='30' height='40'/>"
        "<box top='1' left='2' width='3' height='4' ignore='1'/></image><image file='b.jpg'/></images></dataset>"
    )
    first, second = read_dlib(file)
    assert first.path == tmp_path / "a.jpg"
    assert first.faces.tolist() == [[20, 10, 50, 50]]
    assert first.ignored.tolist() == [[2, 1, 5, 5]]
    assert second.faces.shape == second.ignored.shape == (0, 4)


VOC = (
    "<annotation><filename>a.jpg</filename>"
    "<object><name>face</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>31</xmax><ymax>42</ymax></bndbox></object>"
    "<object><name>mask</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>41</xmax><ymax>41</ymax></bndbox></object>"
    "<object><name>face</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>28</xmax><ymax>45</ymax></bndbox></object>"
    "<object><name>face</name><difficult>1</difficult>"
    "<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>90</xmax><ymax>90</ymax></bndbox></object></annotation>"
)


def test_voc_labels_ask_for_the_wanted_large_and_plain_ones(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    file.write_text(VOC)
    labelled = read_voc(file, Path("images"), wanted=lambda name: name == "face", min_px=24)
    assert labelled.path == Path("images/a.jpg")
    assert labelled.faces.tolist() == [[1, 2, 31, 42]]
    assert labelled.ignored.tolist() == [[1, 1, 41, 41], [5, 5, 28, 45], [0, 0, 90, 90]]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "no xml",
        VOC,
        "<dataset><image file='a.jpg'><box top='1' left='x' width='3' height='4'/></image></dataset>",
        "<dataset><image file='a.jpg'><box top='1'/></image></dataset>",
    ],
)
def test_file_that_is_not_labels_is_named(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "odd.xml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(EvaluationError, match=r"odd\.xml"):
        read_dlib(file)
