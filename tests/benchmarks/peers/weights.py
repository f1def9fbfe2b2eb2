"""The networks the peers share, so that a difference between them is not one of weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from rtface.backends import onnxruntime
from rtface.config import load_config
from rtface.errors import EvaluationError
from rtface.models import facenet
from rtface.models.fetch import Fetcher
from rtface.models.graphdef import Node, read_graph
from rtface.models.store import ModelStore

SAMPLES = 2


def prepare(shared: Path, folder: Path) -> dict[str, str]:
    """Files by name: ``facenet_onnx`` (float32, uint8 BGR crops in, unit rows out), ``facenet_layers`` (the
    same weights, a layer an array, for other frameworks), ``yunet`` and ``scrfd``.

    Args:
        shared: the folder with ``models/``.
        folder: where files that are made may be put.

    Raises:
        ModelUnavailable: FaceNet's weights are neither here nor to be had.
        EvaluationError: a detector's file is missing.
    """
    files = {"facenet_onnx": folder / "facenet.onnx", "facenet_layers": folder / "facenet.npz"}
    for name, file in (("yunet", "face_detection_yunet_2026may.onnx"), ("scrfd", "scrfd_500m_bnkps.onnx")):
        files[name] = (shared / "models" / file).resolve()
        if not files[name].is_file():
            raise EvaluationError(f"{files[name]} is missing; name the folder that has models/{file} with --shared.")
    config = load_config()
    spec = ModelStore(config.engines_dir, offline=config.offline).spec("facenet")
    with Fetcher(config.engines_dir / "weights", offline=config.offline) as fetcher:
        weights = {weight.file: fetcher.get(weight) for weight in spec.weights}
    # Built here and not taken from the store: rtface may serve an INT8 graph, the peers' users have the float32 one.
    onnx.save(facenet.build(weights, spec)[spec.name], files["facenet_onnx"])
    (graph,) = weights.values()
    np.savez(
        files["facenet_layers"], allow_pickle=False, **layers(read_graph(graph)), **_samples(files["facenet_onnx"])
    )
    return {name: str(path) for name, path in files.items()}


def layers(nodes: dict[str, Node]) -> dict[str, NDArray[np.float32]]:
    """``kernelNNN`` (out, in, height, width) and ``biasNNN`` of FaceNet's convolutions from input to output, and the
    bottleneck's ``last_kernel`` (512, 1792), ``last_gamma``, ``last_beta``, ``last_mean`` and ``last_variance``.
    """

    def values(name: str) -> NDArray[np.float32]:
        return np.asarray(nodes[name].values(), np.float32)

    found: dict[str, NDArray[np.float32]] = {}
    for number, offset in enumerate(node for node in nodes.values() if node.op == "BiasAdd"):
        found[f"kernel{number:03}"] = values(nodes[offset.inputs[0]].inputs[1]).transpose(3, 2, 0, 1)
        found[f"bias{number:03}"] = values(offset.inputs[1])
    (product,) = (node for node in nodes.values() if node.op == "MatMul")
    (norm,) = (node for node in nodes.values() if node.op == "FusedBatchNorm")
    found["last_kernel"] = values(product.inputs[1]).T
    for name, place in zip(("gamma", "beta", "mean", "variance"), norm.inputs[1:], strict=True):
        found[f"last_{name}"] = values(place)
    return found


def _samples(graph: Path) -> dict[str, NDArray[np.generic]]:
    """Pictures of noise, RGB, and their embeddings by ONNX Runtime: a second framework must find the same."""
    pictures = np.random.default_rng(7).integers(0, 256, (SAMPLES, facenet.SIZE, facenet.SIZE, 3), np.uint8)
    engine = onnxruntime.open(graph, threads=0)
    try:
        rows = engine.run({"faces": np.ascontiguousarray(pictures[..., ::-1])})["embeddings"]
    finally:
        engine.close()
    return {"sample": pictures, "expected": rows}
