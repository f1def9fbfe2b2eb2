"""The simulated card forgives nothing, and has no name or parameter that the real libraries have not."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rtface.backends._recorder import recorder
from rtface.engine_files import Flavour
from tests.backends.simulation import Misuse, SimulatedGpu, library, simulated_gpu
from tests.backends.simulation.driver import driver_on
from tests.backends.simulation.machine import Machine
from tests.backends.simulation.network import DataType

SIMULATED = [
    library.ICudaEngine,
    library.IExecutionContext,
    library.IRuntimeConfig,
    library.IRuntimeCache,
    library.TensorIOMode,
    library.ErrorCodeTRT,
    library.CudaGraphStrategy,
    DataType,
    library.ILogger,
]
RTX_ONLY = {"IRuntimeConfig", "IRuntimeCache", "CudaGraphStrategy", "create_runtime_config", "runtime_config"}


def real(package: str) -> Any:
    """A real library; skips without it, or without the driver it stands on."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        pytest.skip(f"{package} is not here: {error}")


def signatures(function: Any) -> list[tuple[str, ...]]:
    """The parameters of each form of a function, as its docstring gives them: ``name: type`` by pybind11,
    ``(type)name`` by Boost."""
    forms = re.findall(rf"^(?:\d+\. )?{function.__name__}\((.*)\) ->", function.__doc__, re.MULTILINE)
    return [tuple(re.findall(r"(?<=\w\))\w+", form) or re.findall(r"\w+(?=:)", form)) for form in forms]


@pytest.mark.parametrize("package", ["tensorrt_rtx", "tensorrt"])
@pytest.mark.parametrize("simulated", SIMULATED, ids=lambda kind: kind.__name__)
def test_library_has_only_what_tensorrt_has(simulated: type, package: str) -> None:
    trt = real(package)
    if package == "tensorrt" and simulated.__name__ in RTX_ONLY:
        pytest.skip("of TensorRT for RTX alone")
    there = getattr(trt, simulated.__name__)
    own = {name: value for name, value in vars(simulated).items() if not name.startswith("_")}
    for name, value in own.items():
        if name in ("MAGIC", "kernels", "network", "cache"):  # the simulation's own
            continue
        if package == "tensorrt" and name in RTX_ONLY:
            continue
        assert hasattr(there, name), f"{package} has no {simulated.__name__}.{name}"
        if inspect.isfunction(value):
            wanted = (
                set(inspect.signature(value).parameters) - {"self"} - (RTX_ONLY if package == "tensorrt" else set())
            )
            forms = signatures(getattr(there, name))
            assert any(wanted <= set(form) for form in forms), f"{name}{wanted} is none of {forms}"


@pytest.mark.parametrize("package", ["tensorrt_rtx", "tensorrt"])
def test_runtime_has_only_what_tensorrt_has(package: str) -> None:
    trt = real(package)
    with simulated_gpu(flavour=Flavour.RTX) as gpu:
        made = library.library_on(gpu.machine, Flavour.RTX, "1.0").Runtime
    for name, value in vars(made).items():
        if inspect.isfunction(value) and not name.startswith("_"):
            wanted = set(inspect.signature(value).parameters) - {"self"}
            assert any(wanted <= set(form) for form in signatures(getattr(trt.Runtime, name)))


@pytest.mark.parametrize("package", ["tensorrt_rtx", "tensorrt"])
def test_errors_of_the_real_library_reach_the_recorder(package: str) -> None:
    trt = real(package)
    told = recorder(trt)
    try:
        runtime = trt.Runtime(trt.Logger(trt.Logger.INTERNAL_ERROR))
    except TypeError as error:
        pytest.skip(f"{package} does not start here: {error}")
    runtime.error_recorder = told
    assert runtime.deserialize_cuda_engine(b"no engine " * 50) is None
    assert "magictag" in told.taken()[0].casefold()
    assert told.num_errors() == 0


def test_driver_has_only_what_pycuda_has() -> None:
    there = real("pycuda.driver")
    for name, value in vars(driver_on(Machine((8, 6)))).items():
        if name.startswith("_"):
            continue
        assert hasattr(there, name), f"pycuda has no {name}"
        if inspect.isclass(value):
            for attribute in vars(value):
                assert attribute.startswith("_") or hasattr(getattr(there, name), attribute), f"{name}.{attribute}"
        elif name not in ("get_driver_version", "mem_alloc", "mem_get_info"):  # their parameters have no names
            assert tuple(inspect.signature(value).parameters) in signatures(getattr(there, name)), name


@pytest.fixture
def machine() -> Machine:
    return Machine((8, 6))


def used(machine: Machine) -> Any:
    """A driver with a current context."""
    driver = driver_on(machine)
    driver.init()
    context = driver.Device(0).retain_primary_context()
    context.push()
    return driver


def twice(free: Callable[[], None]) -> None:
    free()
    free()


@pytest.mark.parametrize(
    ("misuse", "complaint"),
    [
        (lambda driver, machine: machine.read(int(driver.mem_alloc(8)), 8), "read before they were written"),
        (lambda driver, machine: machine.write(int(driver.mem_alloc(8)), np.zeros(9, np.uint8)), "end behind the 8"),
        (lambda driver, machine: machine.find(123, 1), "never allocated"),
        (lambda driver, machine: twice(driver.mem_alloc(8).free), "freed twice"),
        (lambda driver, machine: twice(driver.pagelocked_empty(8, np.uint8).base.free), "freed twice"),
        (lambda driver, machine: driver.mem_alloc(0), "0 bytes cannot be allocated"),
        (lambda driver, machine: driver.pagelocked_empty(0, np.uint8), "0 pinned bytes"),
        (
            lambda driver, machine: driver.memcpy_htod_async(
                int(driver.mem_alloc(8)), np.zeros(8, np.uint8), driver.Stream()
            ),
            "not pinned",
        ),
        (lambda driver, machine: (driver.Context.pop(), driver.mem_alloc(8)), "mem_alloc without a current context"),
        (lambda driver, machine: (driver.mem_alloc(8), machine.stack[-1].detach()), "released before 8 bytes"),
    ],
)
def test_misuse_is_not_forgiven(machine: Machine, misuse: Callable[[Any, Machine], object], complaint: str) -> None:
    driver = used(machine)
    with pytest.raises(Misuse, match=complaint):
        misuse(driver, machine)
    assert complaint in machine.misuses[0]


def test_freed_memory_is_used_no_more(machine: Machine) -> None:
    driver = used(machine)
    stream, device, host = driver.Stream(), driver.mem_alloc(8), driver.pagelocked_empty(8, np.uint8)
    driver.memcpy_htod_async(device, host, stream)
    host.base.free()
    with pytest.raises(Misuse, match="pinned memory used after it was freed"):
        stream.synchronize()
    device.free()
    with pytest.raises(Misuse, match="used after it was freed"):
        machine.read(int(device), 8)


def test_copies_happen_when_they_are_waited_for(machine: Machine) -> None:
    driver = used(machine)
    stream, device = driver.Stream(), driver.mem_alloc(8)
    there, back = driver.pagelocked_empty(8, np.uint8), driver.pagelocked_empty(8, np.uint8)
    there[:] = 1
    driver.memcpy_htod_async(device, there, stream)
    driver.memcpy_dtoh_async(back, device, stream)
    there[:] = 2
    assert not (back == 2).any()
    stream.synchronize()
    np.testing.assert_array_equal(back, 2)


def test_misuse_that_was_swallowed_is_told_at_the_end() -> None:
    def swallow(gpu: SimulatedGpu) -> None:
        with pytest.raises(Misuse):
            gpu.machine.find(1, 1)

    with pytest.raises(Misuse, match="0x1 was never allocated"), simulated_gpu() as gpu:
        swallow(gpu)
