"""TensorRT on an NVIDIA card, through pycuda. Nothing of either is imported before something is opened."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.backends import _batches, _cuda
from rtface.backends._batches import Arrays
from rtface.backends._checks import Sides, check_arrays, check_file
from rtface.backends._cuda import Card, Context
from rtface.backends._fitting import fitting
from rtface.backends._loaded import Loaded, Loader
from rtface.backends._tensorrt import load
from rtface.backends._tensors import Shape
from rtface.engine_files import Flavour
from rtface.errors import BackendError, MissingLibrary

Results = dict[str, NDArray[np.float32]]


def open(
    path: Path,
    *,
    threads: int = 0,  # noqa: ARG001 - the joint's; a card has its own
    flavour: Flavour | None = None,
    cuda_graphs: bool = False,
) -> TensorRtBackend:
    """The engine of a graph, on the first card and ready to run.

    Args:
        path: the .onnx file the engine was built from; the engine lies beside it.
        threads: of the CPU, which has nothing to do here.
        flavour: which TensorRT; by default the one that is installed.
        cuda_graphs: TensorRT for RTX keeps the launches of each shape it has run and repeats them as one.

    Raises:
        MissingLibrary: TensorRT or pycuda is not installed.
        DriverUnavailable: no card, or no driver that serves it.
        EngineUnready: no engine for this graph, library and card; a build mends it.
        BackendError: the card has no room for it, or TensorRT cannot do what is asked.
    """
    check_file(path)
    library = load(flavour)
    driver = _driver()
    device = _cuda.first_device(driver)
    engine = fitting(path, library, _cuda.describe(driver, device).capability)
    return TensorRtBackend(Loader(path, engine, library, driver, cuda_graphs), device)


def card() -> Card:
    """The card that engines would run on.

    Raises:
        MissingLibrary: pycuda is not installed.
        DriverUnavailable: there is none, or its driver does not answer.
    """
    driver = _driver()
    return _cuda.describe(driver, _cuda.first_device(driver))


def _driver() -> Any:
    try:
        import pycuda.driver
    except ModuleNotFoundError as error:
        raise MissingLibrary(
            "The backend 'tensorrt' needs pycuda, which is not installed: pip install 'rtface[gpu]'"
        ) from error
    except ImportError as error:
        raise _cuda.not_linked(error) from error
    return pycuda.driver


class TensorRtBackend:
    """One engine on the card; fulfils ``interfaces.AsyncBackend``. May be used by one thread at a time.

    Inputs with a free first side are batches and all of one length; others go with every batch as they are. More than
    the engine takes at once is run in several parts, one after the other.
    """

    name = "tensorrt"

    def __init__(self, loader: Loader, device: Any) -> None:
        self._path = loader.graph
        self._driver = loader.driver
        self._context: Context | None = Context(loader.driver, device, loader.graph.name)
        self._loaded = Loaded()
        self._under_way: Launched | None = None
        try:
            with self._context.current():
                loader.load(self._loaded)
        except BaseException:
            self.close()
            raise
        self.inputs: Mapping[str, Sides] = {name: tensor.sides for name, tensor in self._loaded.inputs.items()}
        self.outputs = tuple(self._loaded.outputs)
        self._dtypes = {name: tensor.dtype for name, tensor in self._loaded.inputs.items()}

    def run(self, arrays: Arrays) -> Results:
        """Every output for these inputs. The arrays returned belong to the caller.

        Raises:
            BackendError: names, types or shapes are not the engine's, it is closed, a run is under way, or the card
                has failed.
        """
        return self.launch(arrays).collect()

    def launch(self, arrays: Arrays) -> Launched:
        """Begins what ``run`` does; the arrays given may be changed as soon as it returns.

        Of more than the engine takes at once all parts but the last are through when this returns.

        Raises:
            BackendError: as ``run``.
        """
        context, loaded, graph = self._usable(), self._loaded, self._path.name
        check_arrays(graph, arrays, self.inputs, self._dtypes)
        parts = _batches.parts(graph, arrays, loaded.inputs, loaded.outputs)
        with context.current():
            if parts:
                done = [self._finish(self._begin(part)) for part in parts[:-1]]
                shapes = self._begin(parts[-1])
            else:
                some = self._shapes(_batches.smallest(graph, arrays, loaded.inputs))
                done, shapes = [], {name: (0, *shape[1:]) for name, shape in some.items()}
        self._under_way = Launched(self, done, shapes)
        return self._under_way

    def close(self) -> None:
        """Frees the engine and its memory, whatever is under way; once more does no harm."""
        context, self._context = self._context, None
        if context is None:
            return
        self._under_way = None
        with context.ending():
            with suppress(self._driver.Error):  # memory in use by a run must not be freed; a lost card uses none
                self._loaded.wait()
            self._loaded.free()

    def _usable(self) -> Context:
        if self._context is None:
            raise BackendError(f"{self._path.name} has been closed and cannot run any more.")
        if self._under_way is not None:
            raise BackendError(f"{self._path.name} is still running: collect that run before the next begins.")
        return self._context

    def _begin(self, arrays: Arrays) -> dict[str, Shape]:
        """Copies in, computes and copies out, all later; the shapes of the outputs."""
        loaded, driver = self._loaded, self._driver
        for name, array in arrays.items():
            place = loaded.places[name]
            np.copyto(place.part(array.shape), array)
            driver.memcpy_htod_async(place.address, place.host[: array.size], loaded.stream)
        shapes = self._shapes({name: array.shape for name, array in arrays.items()})
        if not loaded.execution.execute_async_v3(loaded.stream.handle):
            raise BackendError(f"TensorRT cannot run {self._path.name}: {loaded.said()}.")
        for name, shape in shapes.items():
            place = loaded.places[name]
            driver.memcpy_dtoh_async(place.part(shape).reshape(-1), place.address, loaded.stream)
        return shapes

    def _shapes(self, given: Mapping[str, Shape]) -> dict[str, Shape]:
        """The outputs' shapes for these of the inputs, which are set."""
        loaded = self._loaded
        for name, shape in given.items():
            if not loaded.execution.set_input_shape(name, shape):
                raise BackendError(f"TensorRT refuses {name} of {self._path.name} in {shape}: {loaded.said()}.")
        return {name: tuple(loaded.execution.get_tensor_shape(name)) for name in loaded.outputs}

    def _finish(self, shapes: Mapping[str, Shape]) -> Results:
        self._loaded.wait()
        places = self._loaded.places
        return {name: np.array(places[name].part(shape), np.float32) for name, shape in shapes.items()}

    def _collect(self, launched: Launched) -> Results:
        if self._context is None or self._under_way is not launched:
            raise BackendError(f"This run of {self._path.name} has been collected already, or its engine closed.")
        self._under_way = None
        with self._context.current():
            last = self._finish(launched.shapes)
        if not launched.done:
            return last
        return {name: np.concatenate([*(part[name] for part in launched.done), last[name]]) for name in last}


class Launched:
    """A run under way on the card; fulfils ``interfaces.Running``."""

    def __init__(self, backend: TensorRtBackend, done: list[Results], shapes: Mapping[str, Shape]) -> None:
        self._backend = backend
        self.done = done
        self.shapes = shapes

    def collect(self) -> Results:
        """Waits for the run's end and gives every output; the arrays belong to the caller. Called once.

        Raises:
            BackendError: it was called before, the engine is closed, or the card has failed.
        """
        return self._backend._collect(self)
