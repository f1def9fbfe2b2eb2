"""A TensorRT whose every use by a build is noted: TensorRT for RTX, which does the work, in the full one's place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rtface.backends._tensorrt import Library
from rtface.engine_files import Flavour

Use = tuple[str, str, int | None]
"""Class, name, and how many arguments it was called with; None for what was only read or set."""


def full_tensorrt(rtx: Library, uses: set[Use]) -> Library:
    """The library as the builder gets it, with ``uses`` filling up."""
    return replace(rtx, flavour=Flavour.TENSORRT, trt=_Module(rtx.trt, uses))


class _Module:
    def __init__(self, trt: Any, uses: set[Use]) -> None:
        self._trt, self._uses = trt, uses

    def __getattr__(self, name: str) -> Any:
        kind = getattr(self._trt, name)
        if hasattr(kind, "__members__"):
            return _Object(kind, name, self._uses)
        if name in ("Builder", "OnnxParser"):
            return _Object(kind, name, self._uses).noted("__init__", kind)
        return kind  # a class to derive from


class _Object:
    def __init__(self, real: Any, kind: str, uses: set[Use]) -> None:
        vars(self).update(real=real, kind=kind, uses=uses)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.real, name)
        if callable(value) and not isinstance(value, type) and name != "name":
            return self.noted(name, value)
        self.uses.add((self.kind, name, None))
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        self.uses.add((self.kind, name, None))
        setattr(self.real, name, _bare(value))

    def noted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            self.uses.add((self.kind, name, len(arguments)))
            made = call(*map(_bare, arguments))
            kind = type(made).__name__
            if kind == "IBuilderConfig":  # what the full one knows by the card it has
                made.num_compute_capabilities = 1
                made.set_compute_capability(made.get_compute_capability(0).__class__.SM86, 0)
            watched = type(made).__module__.startswith("tensorrt") and kind not in ("IHostMemory", "Dims", "ErrorCode")
            return _Object(made, kind, self.uses) if watched else made

        return called


def _bare(value: Any) -> Any:
    return value.real if isinstance(value, _Object) else value
