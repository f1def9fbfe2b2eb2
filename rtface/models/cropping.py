"""An embedder that cuts its faces out of the frame itself: the crops of ``embedding.align`` inside the graph.

The graph takes a frame and the place of each face, so that on a card a frame crosses the bus once, however many faces
are in it. All of them are read in one GridSample, in float32: half precision cannot tell neighbouring columns of a
frame 1920 px wide.

A warp reads a point for each pixel of the crop. A box crop is made of areas: where OpenCV shrinks, a pixel is the mean
of the area it covers, and its linear enlarging is the mean of an area as large as a pixel of the box. So an area is
read in ``TAPS`` x ``TAPS`` places, each weighted with its share. These are the box's own pixels, turned upright and
rounded as OpenCV makes them, up to ``TAPS - 1`` of them a pixel of the crop; of larger areas, even parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, version_converter

from rtface.errors import ModelBroken
from rtface.models.formula import Sheet, Tensor
from rtface.models.graph import OPSET, GraphBuilder
from rtface.models.spec import CropKind, CropSpec

OLDEST_OPSET = 16
"""The first with GridSample."""
RENAMED_OPSET = 20
"""From it on GridSample calls its bilinear mode linear."""
TAPS = 4
"""Places along either direction in which an area is read: enough for faces 900 px wide under a camera's noise
(tests/benchmarks/in_frame.py)."""
SHRINKS = 1.001
"""Pixels of the box a pixel of the crop, above which OpenCV takes means of areas. A box has whole pixels: one that is
shrunk at all is shrunk by more than this."""


def with_crops(model: onnx.ModelProto, crop: CropSpec) -> onnx.ModelProto:
    """The same network for faces in a frame.

    Inputs are ``frame`` uint8 (1, H, W, 3) BGR, H and W free, and ``matrices`` float32 (N, 2, 3), N at least 1. Each
    takes the middle of a pixel of the crop, (column, row, 1), to its place in the frame, (column, row), where whole
    numbers are the middles of pixels; ``embedding.placement`` makes them. The output is the network's own.

    Args:
        model: with the input ``faces`` uint8 (N, S, S, 3), in any precision; one of an older opset is converted.
        crop: the crop it wants; S is its size.

    Raises:
        ModelBroken: the graph is too old for this and cannot be converted.
    """
    model = _renewed(model)
    opset = _opset(model)
    front = _front(crop, "linear" if opset >= RENAMED_OPSET else "bilinear", floats=_takes_floats(model.graph))
    graph = helper.make_graph(
        [*front.node, *model.graph.node],
        model.graph.name,
        front.input,
        model.graph.output,
        [*front.initializer, *model.graph.initializer],
        value_info=model.graph.value_info,
    )
    imports, functions = model.opset_import, model.functions
    made = helper.make_model(graph, opset_imports=imports, functions=functions, producer_name="rtface")
    made.ir_version = model.ir_version
    onnx.checker.check_model(made)
    return made


def _opset(model: onnx.ModelProto) -> int:
    return next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)


def _renewed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in an opset that has GridSample."""
    if _opset(model) >= OLDEST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except (RuntimeError, version_converter.ConvertError) as error:
        raise ModelBroken(
            f"{model.graph.name} is of opset {_opset(model)} and cannot be converted to {OPSET}, which it takes to cut "
            f"out faces in the graph ({error}). Convert it yourself, or use --set crop_on=cpu."
        ) from error


def _takes_floats(graph: onnx.GraphProto) -> bool:
    """Whether the faces are cast first, which works for whole floats as well; TensorRT has no bytes inside a graph."""
    return all(node.op_type == "Cast" for node in graph.node if "faces" in node.input)


def _front(crop: CropSpec, mode: str, *, floats: bool) -> onnx.GraphProto:
    """From ``frame`` and ``matrices`` to ``faces``: whole numbers 0..255, as floats or as bytes.

    Shapes here and below: F faces, a crop of S pixels a side that is read in T places a side.
    """
    graph = GraphBuilder("crops")
    sheet = Sheet(graph, "crops")
    frame = sheet.tensor(graph.input("frame", TensorProto.UINT8, (1, "H", "W", 3)))
    planes = sheet.do("Transpose", sheet.do("Cast", frame, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    across, down, origin = _columns(sheet)
    if crop.kind is CropKind.BOX:
        rows, columns, origin = _areas(across, down, origin, crop.size)
        grid = _grid(planes, rows.places, columns.places, origin, side=crop.size * TAPS)
        pixels = _means(_read(planes, grid, mode, "border"), rows, columns, crop.size)
    else:
        middles = np.arange(crop.size, dtype=np.float32).reshape(1, -1, 1)
        grid = _grid(planes, across * middles, down * middles, origin, side=crop.size)
        pixels = _read(planes, grid, mode, "zeros")
    # (1, 3, F * S, S): the crops, one below the other.
    crops = sheet.do("Reshape", sheet.do("Round", pixels), [3, -1, crop.size, crop.size])
    crops = sheet.do("Transpose", crops, name="faces" if floats else "", perm=[1, 2, 3, 0])
    if not floats:
        sheet.do("Cast", crops, name="faces", to=TensorProto.UINT8)
    graph.output("faces", ("N", crop.size, crop.size, 3))
    return graph.model().graph


def _columns(sheet: Sheet) -> tuple[Tensor, Tensor, Tensor]:
    """The columns of the matrices, (F, 1, 2) each: one pixel of the crop across, one down, and where its first lies."""
    matrices = sheet.tensor(sheet.graph.input("matrices", TensorProto.FLOAT, ("N", 2, 3)))
    turned = sheet.do("Transpose", matrices, perm=[0, 2, 1])
    names = [f"matrices/{name}" for name in ("across", "down", "origin")]
    across, down, origin = sheet.graph.columns(turned.name, names, [1, 1, 1], axis=1)
    return sheet.tensor(across), sheet.tensor(down), sheet.tensor(origin)


def _grid(planes: Tensor, rows: Tensor, columns: Tensor, origin: Tensor, *, side: int) -> Tensor:
    """(1, F * T, T, 2) every place to read, as GridSample counts: the frame's edges are at -1 and 1.

    Args:
        planes: the frame.
        rows, columns: (F, T, 2) from ``origin`` along a row and along a column of the crop, px of the frame.
        origin: (F, 1, 2).
        side: T.
    """
    sheet = planes.sheet
    sides = sheet.do("Gather", sheet.do("Shape", planes), [3, 2])
    scale = sheet.constant(2.0) / sheet.do("Cast", sides, to=TensorProto.FLOAT)
    # Whole numbers are the middles of pixels here and their edges there.
    along = (rows + origin + 0.5) * scale - 1.0
    places = sheet.do("Unsqueeze", along, [1]) + sheet.do("Unsqueeze", columns * scale, [2])
    return sheet.do("Reshape", places, [1, -1, side, 2])


def _read(planes: Tensor, grid: Tensor, mode: str, outside: str) -> Tensor:
    """(1, 3, F * T, T) the frame at these places."""
    return planes.sheet.do("GridSample", planes, grid, mode=mode, padding_mode=outside, align_corners=0)


@dataclass(frozen=True, slots=True)
class _Direction:
    """One direction of the box.

    Attributes:
        unit: (F, 1, 2) one pixel of the box, px of the frame.
        places: (F, T, 2) where it is read, px of the frame from the middle of its first pixel.
        weights: (F, T, 1) of each place, ``TAPS`` in all for a pixel of the crop.
    """

    unit: Tensor
    places: Tensor
    weights: Tensor


def _areas(across: Tensor, down: Tensor, origin: Tensor, size: int) -> tuple[_Direction, _Direction, Tensor]:
    """What is read along rows and columns of the box, and the middle of its first pixel, (F, 1, 2) px of the frame.

    The box is a picture of its own, turned and not stretched, with pixels as large as the frame's.
    """
    sheet = origin.sheet
    pitches = [sheet.do("Sqrt", sheet.do("ReduceSum", step * step, [2])) for step in (across, down)]
    shrinks = pitches[0].at_most(pitches[1]) > SHRINKS
    rows, columns = (
        _direction(step, pitch, shrinks.either(pitch, 1.0), size)
        for step, pitch in zip((across, down), pitches, strict=True)
    )
    # The crop and the box have a corner in common, half a pixel before the middle of the first one of each.
    return rows, columns, origin + (rows.unit + columns.unit - across - down) * 0.5


def _direction(step: Tensor, pitch: Tensor, area: Tensor, size: int) -> _Direction:
    """The places that give the means of areas.

    Args:
        step: (F, 1, 2) one pixel of the crop, px of the frame.
        pitch: (F, 1, 1) its length.
        area: (F, 1, 1) length of what a pixel of the crop is the mean of.
        size: S.
    """
    sheet = step.sheet
    taps = np.arange(size * TAPS).reshape(1, -1, 1)
    middle = pitch * (taps // TAPS + 0.5)
    start, end = middle - area * 0.5, middle + area * 0.5
    # An area is parted into cells: the pixels of the box from that in which it begins, or even ones if these are many.
    even = area * (1 / TAPS)
    wide = area > float(TAPS - 1)
    cell = wide.either(even, 1.0)
    left = wide.either(start, sheet.do("Floor", start)) + cell * (taps % TAPS).astype(np.float32)
    common = (left + cell).at_most(end) - left.at_least(start)
    # Beyond its edge the box repeats its last pixel, as it does when OpenCV stretches it.
    place = (left + (cell - 1.0) * 0.5).at_most(pitch * float(size) - 1.0).at_least(0.0)
    unit = step / pitch
    return _Direction(unit, place * unit, common.at_least(0.0) / even)


def _means(values: Tensor, rows: _Direction, columns: _Direction, size: int) -> Tensor:
    """(1, 3, F * S, S) from what was read: the weighted mean of each area."""
    sheet = values.sheet
    weights = columns.weights * sheet.do("Transpose", rows.weights, perm=[0, 2, 1])
    weighted = sheet.do("Round", values) * sheet.do("Reshape", weights, [1, 1, -1, size * TAPS])
    return sheet.do("AveragePool", weighted, kernel_shape=[TAPS, TAPS], strides=[TAPS, TAPS])
