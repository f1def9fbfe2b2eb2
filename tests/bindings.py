"""The Python bindings that NVIDIA publishes for the full TensorRT, which can be had without TensorRT itself.

They are read in a process of their own, with next to empty libraries in place of TensorRT: enough to see classes, names
and parameters, and nothing of it can be called. ``make test`` puts them into ``bindings/`` of the environment.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

NEEDED = ("nvinfer", "nvonnxparser", "nvinfer_plugin")
PROGRAM = """
import inspect, json, os, sys
sys.setdlopenflags(os.RTLD_LAZY)
import tensorrt_bindings as trt
classes = {name: kind for name, kind in vars(trt).items() if inspect.isclass(kind)}
names = {name: {own: getattr(kind, own).__doc__ for own in dir(kind)} for name, kind in classes.items()}
print(json.dumps(names))
"""

TAKEN_BY_ADDRESS = "\n".join(
    f"void {name}(void) {{}}"
    for name in ("getPluginRegistry", "getBuilderPluginRegistry", "getNvOnnxParserVersion", "initLibNvInferPlugins")
)
"""What has to be there when the bindings are loaded; anything else is looked for when it is called."""

Bindings = dict[str, dict[str, str | None]]
"""{class: {name: its docstring}}; pybind11 writes the parameters into the docstring of a function."""


def published() -> list[Path]:
    """Folders of unpacked bindings, one a version; may be empty."""
    return sorted((Path(sys.prefix) / "bindings").glob("*"))


@cache
def described(folder: Path) -> Bindings:
    """All classes of some bindings; skips without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler for libraries in TensorRT's place")
    major = next(folder.glob("tensorrt_*.dist-info")).name.split("-")[1].split(".")[0]
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    for name in NEEDED:
        file = f"lib{name}.so.{major}"
        options = ["-shared", "-fPIC", "-x", "c", "-", f"-Wl,-soname,{file}", "-o", str(empty / file)]
        subprocess.run([compiler, *options], input=TAKEN_BY_ADDRESS, text=True, check=True)
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"LD_LIBRARY_PATH": str(empty), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: Bindings = json.loads(ran.stdout)
    return found
