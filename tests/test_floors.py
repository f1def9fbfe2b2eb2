"""Imports go down or sideways, never up, and heavy libraries live at one address each."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "rtface"
FLOORS = [
    ["types", "errors"],
    ["interfaces", "registry", "config", "server_url", "geometry", "engine_files", "decision_record"],
    ["sources", "backends", "sinks", "overlay", "contact_sheet"],
    ["detectors", "embedding", "models", "tracking", "gallery"],
    [
        "pipeline",
        "enrollment",
        "engine_builder",
        "engines",
        "evaluation",
        "training",
        "stills",
        "photos",
        "clustering",
        "system",
        "demonstration",
        "portraits",
    ],
    ["cli", "web", "__main__"],
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
ADDRESSES = {
    "cv2": (
        "sources",
        "sinks",
        "overlay",
        "embedding.align",
        "detectors",
        "tracking.changes",
        "training.crops",
        "training.augmentation",
        "evaluation.degrade",
    ),
    "onnxruntime": ("backends.onnxruntime",),
    "openvino": ("backends.openvino",),
    "tensorrt": ("backends._tensorrt",),
    "tensorrt_rtx": ("backends._tensorrt",),
    "pycuda": ("backends.tensorrt",),
    "hnswlib": ("gallery.graph",),
    "sqlite3": ("gallery", "evaluation.template_cache", "photos.library"),
    "psycopg": ("gallery.postgres",),
    "psycopg_pool": ("gallery.postgres_server",),
    "cryptography": ("gallery.sealing",),
    "keyring": ("gallery.keys",),
    "torch": ("training",),
    "scipy": ("gallery.calibration", "clustering.grouping"),
    "sklearn": ("clustering.grouping",),
    "click": ("cli",),
    "matplotlib": ("pipeline.plot", "evaluation"),
    "PIL": ("sources", "overlay", "contact_sheet"),
}
FILES = sorted(ROOT.rglob("*.py"))


def imported(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_imports_go_down_or_sideways(path: Path) -> None:
    own = dotted(path)
    if own == "__init__":
        return
    assert own.split(".")[0] in FLOOR, f"{own} stands on no floor: name it in house.md's list here"
    for name in imported(path):
        if name.startswith("rtface.") and name.split(".")[1] in FLOOR:
            assert FLOOR[name.split(".")[1]] <= FLOOR[own.split(".")[0]], f"{own} imports {name}, which is above it"


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_outside_libraries_live_at_their_address(path: Path) -> None:
    own = dotted(path)
    for name in imported(path):
        allowed = ADDRESSES.get(name.split(".")[0])
        if allowed:
            assert own.startswith(allowed), f"{own} imports {name}, which belongs to {', '.join(allowed)}"


def test_help_imports_nothing_heavy() -> None:
    heavy = ["cv2", "onnxruntime", "insightface", "hnswlib", "tensorrt", "pycuda", "onnx", "numpy", "pydantic", "rich"]
    script = (
        "import sys\nfrom rtface.cli import main\nsys.argv = ['rtface', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Real-time face recognition" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "[]"
