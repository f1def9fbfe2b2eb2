"""What TensorRT reports while an engine is loaded and run."""

from __future__ import annotations

from typing import Any


def recorder(trt: Any) -> Any:
    """An ``IErrorRecorder``. With one set, TensorRT tells it of errors and the logger no more.

    ``taken()`` gives the sentences since it was asked last.
    """

    class Recorder(trt.IErrorRecorder):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IErrorRecorder.__init__(self)
            self._errors: list[tuple[Any, str]] = []

        def report_error(self, code: Any, desc: str) -> bool:
            self._errors.append((code, desc))
            return False  # whether to go on is TensorRT's to know

        def num_errors(self) -> int:
            return len(self._errors)

        def get_error_code(self, index: int) -> Any:
            return self._errors[index][0]

        def get_error_desc(self, index: int) -> str:
            return self._errors[index][1]

        def has_overflowed(self) -> bool:
            return False

        def clear(self) -> None:
            self._errors.clear()

        def taken(self) -> list[str]:
            told = [desc for _, desc in self._errors]
            self._errors.clear()
            return told

    return Recorder()
