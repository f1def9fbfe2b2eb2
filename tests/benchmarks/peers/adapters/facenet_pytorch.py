"""facenet-pytorch: its MTCNN and its InceptionResnetV1, every face of every frame, no tracking, as its README shows.

Its pretrained weights lie on GitHub. Its module gets FaceNet 20180408-102900 from rtface's own source of weights
instead, of which its 'casia-webface' weights are a port, and the embeddings are compared with the original graph's at
start.

The package asks for a torchvision that goes with torch 2.2, of which it uses two functions. Where torchvision does not
load beside this torch, stand-ins are used: OpenCV's compiled NMS, which keeps the same boxes, and a transpose.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.peers.protocol import FACENET_LIMIT, Image, Job, StillPeer, rgb, serve

TITLE = "facenet-pytorch (MTCNN + Inception-ResNet-v1)"
RULE = "nearest enrolled picture within squared distance 1.1"
REQUIREMENTS = ("torch==2.13.0", "numpy", "pillow", "requests", "tqdm", "opencv-python-headless==5.0.0.93")
WITHOUT_DEPENDENCIES = ("facenet-pytorch==2.6.0",)

MARGIN_PX = 14
"""Source: facenet-pytorch's examples/lfw_evaluate.ipynb. Its default, 0, serves these weights worse."""
PARITY = 1e-4
"""How far a number of an embedding may lie from the original graph's; float32 convolutions agree to 1e-6 or so."""


def kept(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], groups: NDArray[np.int64], overlap: float
) -> list[int]:
    """Which (N, 4) boxes survive within their group, best first: ``torchvision.ops.batched_nms``."""
    sized = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.float64)
    chosen = cv2.dnn.NMSBoxesBatched(sized.tolist(), scores.tolist(), groups.tolist(), -1.0, overlap)
    return sorted((int(place) for place in np.ravel(chosen)), key=lambda place: -float(scores[place]))


def stand_in_for_torchvision(torch: ModuleType) -> None:
    """Puts the two functions that facenet-pytorch wants where it looks for them."""

    def batched_nms(boxes: Any, scores: Any, groups: Any, overlap: float) -> Any:
        if not len(boxes):
            return torch.zeros(0, dtype=torch.int64)
        return torch.tensor(kept(boxes.numpy(), scores.numpy(), groups.long().numpy(), overlap), dtype=torch.int64)

    def to_tensor(picture: NDArray[np.float32]) -> Any:
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))

    parts = {
        name: ModuleType(name)
        for name in ("torchvision", "torchvision.ops", "torchvision.ops.boxes", "torchvision.transforms")
    }
    functional = ModuleType("torchvision.transforms.functional")
    vars(functional)["to_tensor"] = to_tensor
    vars(parts["torchvision.ops.boxes"])["batched_nms"] = batched_nms
    vars(parts["torchvision.transforms"])["functional"] = functional
    sys.modules.update({**parts, "torchvision.transforms.functional": functional})


def state_of(weights: dict[str, NDArray[np.float32]], network: Any, torch: ModuleType) -> dict[str, Any]:
    """The frozen graph's weights under the module's names.

    Both list their convolutions from input to output. The graph's carry their batch norms already, so the module's get
    the offset and nothing else: mean 0, variance 1 - eps.

    Raises:
        ValueError: the two are not the same network.
    """
    state = {key: value.clone() for key, value in network.state_dict().items()}
    places = [
        key.removesuffix(".weight") for key, value in state.items() if key.endswith(".weight") and value.ndim == 4
    ]
    if len(places) != sum(key.startswith("kernel") for key in weights):
        raise ValueError(f"InceptionResnetV1 has {len(places)} convolutions, the weights have another number.")
    new: dict[str, NDArray[np.float32]] = {}
    for number, place in enumerate(places):
        kernel, bias = weights[f"kernel{number:03}"], weights[f"bias{number:03}"]
        new[f"{place}.weight"] = kernel
        if f"{place}.bias" in state:
            new[f"{place}.bias"] = bias
        else:
            norm = place.removesuffix("conv") + "bn"
            new |= {f"{norm}.weight": np.ones_like(bias), f"{norm}.bias": bias, f"{norm}.running_mean": bias * 0}
            new[f"{norm}.running_var"] = np.full_like(bias, 1 - 1e-3)  # eps of BasicConv2d
    new["last_linear.weight"] = weights["last_kernel"]
    for ours, theirs in (("gamma", "weight"), ("beta", "bias"), ("mean", "running_mean"), ("variance", "running_var")):
        new[f"last_bn.{theirs}"] = weights[f"last_{ours}"]
    for key, value in new.items():
        if tuple(state[key].shape) != value.shape:
            raise ValueError(
                f"{key} is {tuple(state[key].shape)} in InceptionResnetV1 and {value.shape} in the weights."
            )
        state[key] = torch.from_numpy(np.ascontiguousarray(value))
    return state


class FacenetPytorch(StillPeer):
    """MTCNN with its defaults, keeping all faces; one batch of faces a frame."""

    def __init__(self, job: Job) -> None:
        super().__init__(FACENET_LIMIT)
        self._torch = torch = importlib.import_module("torch")
        try:
            importlib.import_module("torchvision")
        except (ImportError, RuntimeError, OSError):
            stand_in_for_torchvision(torch)
            self.notes.append("torchvision stood in for by OpenCV's NMS")
        library = importlib.import_module("facenet_pytorch")
        self._detector = library.MTCNN(image_size=160, margin=MARGIN_PX, keep_all=True)
        self._embedder = library.InceptionResnetV1().eval()
        with np.load(job.files["facenet_layers"]) as archive:
            weights = {key: archive[key] for key in archive.files}
        self._embedder.load_state_dict(state_of(weights, self._embedder, torch))
        self._check(weights["sample"], weights["expected"])

    def _check(self, sample: NDArray[np.uint8], expected: NDArray[np.float32]) -> None:
        planes = (np.ascontiguousarray(sample.transpose(0, 3, 1, 2)).astype(np.float32) - 127.5) / 128
        with self._torch.no_grad():
            rows = self._embedder(self._torch.from_numpy(planes)).numpy()
        off = float(np.abs(rows - expected).max())
        if off > PARITY:
            raise ValueError(
                f"InceptionResnetV1 with FaceNet's weights is {off:.1e} off the original graph's embeddings."
            )
        self.notes.append(f"FaceNet 20180408-102900 in its InceptionResnetV1, {off:.0e} off the original graph")

    def look(self, image: Image) -> list[tuple[tuple[float, float, float, float], NDArray[np.float32]]]:
        picture = rgb(image)
        boxes, _ = self._detector.detect(picture)
        if boxes is None:
            return []
        faces = self._detector.extract(picture, boxes, None)
        with self._torch.no_grad():
            rows = self._embedder(faces).numpy()
        return [
            ((float(left), float(top), float(right), float(bottom)), np.array(row, np.float32))
            for (left, top, right, bottom), row in zip(boxes, rows, strict=True)
        ]


def open_peer(job: Job) -> FacenetPytorch:
    return FacenetPytorch(job)


if __name__ == "__main__":
    serve(open_peer, ["facenet-pytorch", "torch", "numpy", "opencv-python-headless"])
