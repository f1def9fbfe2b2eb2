"""rtface with its second embedder, SFace; everything else as in ``rtface_facenet``."""

from __future__ import annotations

from tests.benchmarks.peers.adapters.rtface_facenet import Rtface
from tests.benchmarks.peers.protocol import Job, serve

TITLE = "rtface, SFace"
RULE = "as rtface with FaceNet"
REQUIREMENTS: tuple[str, ...] = ()
WITHOUT_DEPENDENCIES: tuple[str, ...] = ()


def open_peer(job: Job) -> Rtface:
    return Rtface(job, "sface")


if __name__ == "__main__":
    serve(open_peer, ["onnxruntime", "opencv-python", "numpy"])
