"""An ONNX graph as a TensorRT network, and the shapes its engine is to take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtface.backends._tensorrt import Library
from rtface.engine_files import Shapes
from rtface.errors import BackendError, ModelBroken

USUAL_BATCH = 8
"""Faces an engine is made for; more and fewer take what was found best for these."""

USUAL_PICTURE = (736, 1280)
"""Height and width of the picture an engine is made for, px: 1280x720 in whole cells of 32 px."""

LARGEST_SIDE_PX = 4096
"""Of a picture either way up, px. Detectors look at no more than 3840x2160 px of any picture, which is within this
unless one side is more than twice the other."""

SMALLEST_SIDE_PX = {"yunet": 32, "scrfd": 32}
"""Of what these networks are given, px: the width of their largest cell."""

WINDOW_PX = 12
"""Smallest side of any other picture, px: what MTCNN's first network looks at for one answer."""


@dataclass(frozen=True, slots=True)
class Network:
    """A parsed graph; its weights belong to the parser, which therefore stays with it."""

    definition: Any
    builder: Any
    parser: Any


def parse(graph: Path, library: Library) -> Network:
    """The graph as a strongly typed network: it computes in the types that stand in the graph.

    Raises:
        ModelBroken: the file is no ONNX graph.
        BackendError: this TensorRT cannot compute it; says every node it refuses.
    """
    trt = library.trt
    with library.listening() as heard:
        try:
            builder = trt.Builder(library.logger)
        except TypeError as error:  # what its bindings make of a null pointer
            raise BackendError(f"{library.name} does not start: {'; '.join(heard) or error}") from error
        # TensorRT 11 knows nothing else and ignores the flag, 10 wants it.
        definition = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(definition, library.logger)
        if not parser.parse_from_file(str(graph)):
            raise _refusal(graph, library, [parser.get_error(index) for index in range(parser.num_errors)])
    return Network(definition, builder, parser)


def _refusal(graph: Path, library: Library, errors: list[Any]) -> ModelBroken | BackendError:
    broken = library.trt.ErrorCode.MODEL_DESERIALIZE_FAILED
    if any(error.code() == broken for error in errors):
        return ModelBroken(
            f"{graph} is no ONNX graph or damaged ({'; '.join(error.desc() for error in errors)}). "
            f"rtface models fetch {graph.parent.name} --force makes it anew."
        )
    told = "; ".join(map(_told, errors))
    return BackendError(f"{library.name} cannot compute {graph}: {told}. --set backend=onnxruntime can.")


def _told(error: Any) -> str:
    """One parser error with the node it is about."""
    place = f"{error.file()}:{error.line()} {error.func()}"
    if error.node() < 0:
        return f"{error.desc()} ({place})"
    # A refused operator has nothing but the failed check's "false" for a description.
    why = "the operator is not supported" if error.desc() == "false" else error.desc()
    return f"node {error.node()} {error.node_name()!r}, operator {error.node_operator()}: {why} ({place})"


def shapes(network: Network, kind: str, max_batch: int) -> dict[str, Shapes]:
    """The shapes an engine is to take, of every input that has free sides.

    An input whose first side alone is free is a batch of 1 to ``max_batch``. One with further free sides is a picture:
    one at a time, of any size.

    Args:
        network: the parsed graph.
        kind: the module of ``rtface.models`` that made the graph.
        max_batch: at least 1.
    """
    definition = network.definition
    tensors = [definition.get_input(index) for index in range(definition.num_inputs)]
    sides = {tensor.name: tuple(int(side) for side in tensor.shape) for tensor in tensors}
    return {key: _range(shape, kind, max_batch) for key, shape in sides.items() if -1 in shape}


def _range(shape: tuple[int, ...], kind: str, max_batch: int) -> Shapes:
    if -1 not in shape[1:]:
        return Shapes(*((batch, *shape[1:]) for batch in (1, min(USUAL_BATCH, max_batch), max_batch)))
    assert len(shape) == 4 and shape[1:3] == (-1, -1), f"{shape} is neither a batch nor a picture"
    smallest = SMALLEST_SIDE_PX.get(kind, WINDOW_PX)
    pictures = ((smallest, smallest), USUAL_PICTURE, (LARGEST_SIDE_PX, LARGEST_SIDE_PX))
    return Shapes(*((1, *sides, shape[3]) for sides in pictures))


def offer(network: Network, config: Any, profile: Mapping[str, Shapes]) -> None:
    """Sets the shapes as the engine's one optimisation profile."""
    if not profile:
        return
    wanted = network.builder.create_optimization_profile()
    for name, (smallest, usual, largest) in profile.items():
        wanted.set_shape(name, smallest, usual, largest)
    if config.add_optimization_profile(wanted) < 0:
        raise BackendError(f"TensorRT refuses the shapes {dict(profile)}: report this as a bug of rtface.")
