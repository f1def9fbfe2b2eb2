"""What the graph cuts out against what OpenCV does."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from rtface.embedding import align
from rtface.embedding.placement import placement
from rtface.errors import ModelBroken
from rtface.interfaces import Backend
from rtface.models import catalogue, onnx_embedder
from rtface.models.cropping import with_crops
from rtface.models.spec import CropKind, CropSpec
from rtface.types import Detection, Image
from tests.models import own
from tests.models.cutter import cut, cutter, pixel_network
from tests.models.given import noise, opened

BOX = CropSpec(CropKind.BOX, 64, margin=0.21)
WARP = CropSpec(CropKind.WARP, 112, template="arcface_112")


def scene() -> Image:
    """360x480: detail of every size, from single pixels to shades across the whole picture."""
    scales = [cv2.resize(noise(360 // size, 480 // size, 3), (480, 360)).astype(float) for size in (1, 4, 20, 90)]
    return np.asarray(np.mean(scales, axis=0).round(), np.uint8)


def face(x: float, y: float, width: float, height: float, *, lean: float = 0.0) -> Detection:
    """A face about this point, its landmarks leaning clockwise by so many degrees."""
    box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2], np.float32)
    turn = np.exp(1j * np.radians(lean)) * width / 80
    points = ((align.ARCFACE_112 - 56) @ [1, 1j]) * turn + x + 1j * y
    return Detection(box, np.stack([points.real, points.imag], axis=1).astype(np.float32), 0.9)


def apart(engine: Backend, image: Image, shown: Detection, crop: CropSpec) -> NDArray[np.float32]:
    """How far each value of the crop is from OpenCV's."""
    if crop.kind is CropKind.WARP:
        wanted = align.warp_landmarks(image, shown.landmarks, crop.size)
    else:
        angle = align.roll(shown.landmarks)
        wanted = align.crop_box(image, shown.box, crop.size, crop.margin, angle=angle)
    return np.asarray(np.abs(cut(engine, image, [shown], crop)[0] - wanted), np.float32)


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return cutter(BOX, tmp_path_factory.mktemp("boxes"))


@pytest.fixture(scope="module")
def warps(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return cutter(WARP, tmp_path_factory.mktemp("warps"))


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(face(200, 150, 18.3, 25.1), id="enlarged"),
        pytest.param(face(201.4, 150.2, 45, 70), id="narrower and higher than the crop"),
        pytest.param(face(211.3, 159.4, 64 / 1.21, 64 / 1.21), id="nearly as large as the crop"),
        pytest.param(face(220, 170, 60, 78), id="shrunk a little"),
        pytest.param(face(230.7, 180.1, 140, 157), id="shrunk to less than a half"),
        pytest.param(face(200, 150, 20, 26, lean=25), id="enlarged and turned"),
        pytest.param(face(240, 180, 90, 120, lean=-40), id="shrunk and turned"),
        pytest.param(face(240, 180, 90, 120, lean=170), id="upside down"),
        pytest.param(face(4, 355, 50, 70), id="over the lower left corner"),
        pytest.param(face(478, 6, 90, 120, lean=20), id="over the upper right corner, turned"),
        pytest.param(face(100, 100, 0.2, 0.3), id="less than a pixel"),
    ],
)
def test_box_crop_is_opencvs_to_the_rounding(boxes: Backend, shown: Detection) -> None:
    difference = apart(boxes, scene(), shown, BOX)
    assert difference.max() <= 1
    assert difference.mean() < 0.2


@pytest.mark.parametrize("shown", [face(240, 180, 250, 280), face(239.3, 180.6, 330, 290)])
def test_area_of_more_pixels_than_places_read_is_still_the_mean_of_all_of_it(boxes: Backend, shown: Detection) -> None:
    """Single pixels of noise: their mean over an area is far from any one of them."""
    image = noise(360, 480, 3)
    left, top, right, bottom = align.whole_box(shown.box, BOX.margin)
    points = cv2.resize(image[top:bottom, left:right], (64, 64), interpolation=cv2.INTER_LINEAR)
    means = align.crop_box(image, shown.box, 64, BOX.margin)
    assert apart(boxes, image, shown, BOX).mean() < np.abs(points.astype(float) - means).mean() / 4


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(face(200, 150, 30, 40), id="enlarged"),
        pytest.param(face(200.3, 150.8, 240, 300), id="shrunk, which aliases in OpenCV too"),
        pytest.param(face(220, 180, 80, 100, lean=33), id="turned"),
        pytest.param(face(470, 10, 80, 100, lean=-20), id="over the edge, where it is black"),
    ],
)
def test_warp_is_opencvs_to_the_rounding(warps: Backend, shown: Detection) -> None:
    difference = apart(warps, scene(), shown, WARP)
    assert difference.max() <= 1
    assert difference.mean() < 0.05


def test_every_face_of_a_frame_is_cut_as_if_it_were_alone(boxes: Backend) -> None:
    faces = [face(100, 120, 30, 40), face(300, 200, 200, 260, lean=30), face(470, 350, 80, 90)]
    together = cut(boxes, scene(), faces, BOX)
    alone = [cut(boxes, scene(), [one], BOX)[0] for one in faces]
    np.testing.assert_array_equal(together, alone)


def test_frame_is_read_once_for_all_faces() -> None:
    graph = with_crops(pixel_network(64), BOX).graph
    (reading,) = (node for node in graph.node if node.op_type == "GridSample")
    inferred = onnx.shape_inference.infer_shapes(with_crops(pixel_network(64), BOX), data_prop=True).graph
    shapes = {item.name: item.type.tensor_type.shape.dim for item in inferred.value_info}
    assert shapes[reading.input[0]][0].dim_value == 1
    assert shapes[reading.input[1]][0].dim_value == 1


def test_bytes_follow_their_cast_at_once_and_stay_outside_the_graph() -> None:
    """TensorRT knows bytes at a graph's ends only, and there only before a cast."""
    model = onnx.shape_inference.infer_shapes(with_crops(pixel_network(64), BOX))
    assert [node.op_type for node in model.graph.node if "frame" in node.input] == ["Cast"]
    kinds = {item.type.tensor_type.elem_type for item in model.graph.value_info}
    assert TensorProto.UINT8 not in kinds


def test_network_that_takes_bytes_as_they_are_gets_bytes(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["faces"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["embeddings"]),
    ]
    faces = helper.make_tensor_value_info("faces", TensorProto.UINT8, ("N", 64, 64, 3))
    rows = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ("N", "D"))
    graph = helper.make_graph(nodes, "bytes", [faces], [rows])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert apart(opened(with_crops(model, BOX), tmp_path), scene(), face(200, 150, 60, 80), BOX).max() <= 1


@pytest.mark.parametrize("opset", [9, 11, 16, 18, 20, 21])
def test_network_of_ones_own_cuts_in_whatever_opset_it_is(tmp_path: Path, opset: int) -> None:
    path = own.declare(tmp_path, own.network(opset=opset))
    mine = catalogue.load(tmp_path)["own"]
    assert mine.crop is not None
    network = onnx_embedder.build({path.name: path}, mine)["own"]
    shown = face(200, 150, 60, 80)
    crops = align.warp_landmarks(scene(), shown.landmarks, own.SIZE)[None]
    wanted = opened(network, tmp_path).run({"faces": crops})["embeddings"]
    matrices = placement(shown, mine.crop)[None]
    found = opened(with_crops(network, mine.crop), tmp_path).run({"frame": scene()[None], "matrices": matrices})
    assert (found["embeddings"] * wanted).sum() > 0.9999


def test_network_that_cannot_be_converted_is_refused_with_the_cure() -> None:
    model = own.network(opset=11)
    model.graph.node[1].op_type = "Homemade"
    with pytest.raises(ModelBroken, match=r"own is of opset 11 and cannot be converted to 17.*crop_on=cpu"):
        with_crops(model, WARP)
