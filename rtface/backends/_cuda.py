"""The CUDA driver, the card, and the card's context round a call, told in rtface's words. pycuda is handed in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rtface.errors import BackendError, DriverUnavailable

CPU_INSTEAD = "--set backend=onnxruntime runs on the CPU."


@dataclass(frozen=True, slots=True)
class Card:
    """An NVIDIA card.

    Attributes:
        name: NVIDIA's.
        capability: compute capability, such as ``8.6``.
        cuda: the newest CUDA its driver serves, such as ``12.4``.
        bytes: of its memory.
    """

    name: str
    capability: str
    cuda: str
    bytes: int


def first_device(driver: Any) -> Any:
    """The first card CUDA sees; ``CUDA_VISIBLE_DEVICES`` chooses among several.

    Raises:
        DriverUnavailable: there is none, or its driver does not answer.
    """
    try:
        driver.init()
        return driver.Device(0)
    except driver.Error as error:
        if "no CUDA-capable device" in str(error) or "invalid device ordinal" in str(error):
            raise DriverUnavailable(
                f"CUDA sees no NVIDIA card ({error}). Look with nvidia-smi and at CUDA_VISIBLE_DEVICES; a container "
                f"needs --gpus all. {CPU_INSTEAD}"
            ) from error
        raise DriverUnavailable(
            f"The NVIDIA driver does not answer ({error}). Look with nvidia-smi; after an update of the driver the "
            f"machine has to be restarted. {CPU_INSTEAD}"
        ) from error


def not_linked(error: ImportError) -> DriverUnavailable:
    """What it means that pycuda is installed and cannot be imported."""
    if "undefined symbol" in str(error):
        return DriverUnavailable(
            f"The NVIDIA driver is older than the CUDA that pycuda was built with ({error}). Install a newer driver, "
            f"or build pycuda again: pip install --force-reinstall --no-cache-dir --no-deps pycuda. {CPU_INSTEAD}"
        )
    return DriverUnavailable(
        f"There is no NVIDIA driver ({error}). Install it, and look with nvidia-smi; a container needs --gpus all. "
        f"{CPU_INSTEAD}"
    )


def describe(driver: Any, device: Any) -> Card:
    """What CUDA says of a card."""
    major, minor = device.compute_capability()
    return Card(device.name(), f"{major}.{minor}", newest_cuda(driver), device.total_memory())


def newest_cuda(driver: Any) -> str:
    """The newest CUDA the driver serves, such as ``12.4``."""
    version = driver.get_driver_version()
    return f"{version // 1000}.{version % 1000 // 10}"


class Context:
    """The card's primary context, which whatever else uses the card in this process shares.

    It is current for the length of a call and no longer: pycuda aborts the process when a thread ends with one.
    """

    def __init__(self, driver: Any, device: Any, graph: str) -> None:
        """Retains it. ``graph`` is who asks, for messages."""
        self._driver, self._graph = driver, graph
        self._lost = ""
        try:
            self._context: Any = device.retain_primary_context()
        except driver.Error as error:
            raise BackendError(
                f"The card has no room for {graph}, or does not serve this process ({error}). Close what else uses "
                f"it (nvidia-smi). {CPU_INSTEAD}"
            ) from error

    @contextmanager
    def current(self) -> Iterator[None]:
        """The context is this thread's while the block runs.

        Raises:
            BackendError: the driver refuses something, or has lost the card.
        """
        if self._lost:
            raise BackendError(self._lost)
        self._context.push()
        try:
            yield
        except self._driver.Error as error:
            raise self._failed(error) from error
        finally:
            self._context.pop()

    @contextmanager
    def ending(self) -> Iterator[None]:
        """It is current for the block, in whatever state the card is, and released after it."""
        self._context.push()
        try:
            yield
        finally:
            # While it is current, which takes it off pycuda's stack: one that is not is released by pycuda only in the
            # thread that retained it. On the driver's own stack of this thread it stays, below whatever comes later.
            self._context.detach()

    def _failed(self, error: Exception) -> BackendError:
        try:
            self._driver.Context.synchronize()
        except self._driver.Error:  # after a fault on the card every call fails
            self._lost = (
                f"The card has failed while it ran {self._graph} ({error}) and does nothing more for this process. "
                "Start rtface again; if it comes back, look for Xid errors in dmesg."
            )
            return BackendError(self._lost)
        return BackendError(f"The card failed to run {self._graph}: {error}.")
