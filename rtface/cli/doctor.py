"""``rtface doctor``: what is installed, what would serve, and does it work."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from rtface import __version__
from rtface.cli._machine import PACKAGES, version
from rtface.cli._shared import no_gallery_yet, open_system, print_json, settings_options
from rtface.engines import CARD, VERIFY_FAR
from rtface.errors import RtfaceError
from rtface.system import System


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``ok`` is None for what is only told."""

    subject: str
    ok: bool | None
    detail: str


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
@settings_options
def command(as_json: bool, config: Path | None, settings: tuple[str, ...]) -> None:
    """Check this machine: packages, card, models, gallery and display, each tried for real.

    Where an NVIDIA card serves, its engines are built if they are not there yet, which can take minutes, and compared
    with the CPU.

    With --json one object: ok, verdict, and findings, each with subject, ok (null: only told) and detail.
    Exit code 1 when something that the settings need does not work.
    """
    with open_system(config, settings) as system:
        findings = [
            Finding("rtface", None, f"{__version__}, Python {platform.python_version()}, {platform.platform()}"),
            *(Finding(package, None, version(package)) for package in PACKAGES),
            *_card(system),
            _try("detector", lambda: _detector(system)),
            _try("embedder", lambda: _embedder(system)),
            _try("gallery", lambda: _gallery(system)),
            Finding("window", None, _window()),
        ]
    healthy = all(finding.ok is not False for finding in findings)
    verdict = "Ready: rtface run --camera 0" if healthy else "Not ready: mend what is marked, then run this again."
    if as_json:
        print_json({"ok": healthy, "verdict": verdict, "findings": [asdict(finding) for finding in findings]})
    else:
        _print(findings, verdict)
    sys.exit(0 if healthy else 1)


def _try(subject: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, check())
    except RtfaceError as error:
        return Finding(subject, False, str(error))


def _card(system: System) -> list[Finding]:
    """The card and its engines; only told of where the CPU serves."""
    if system.engines.backend != CARD:
        return [
            Finding("card", None, "not used: TensorRT needs an NVIDIA card, its driver and pip install 'rtface[gpu]'")
        ]
    return [_try("card", _found_card), _try("engines", lambda: str(system.engines.prepare()))]


def _found_card() -> str:
    from rtface import registry

    card = registry.load("backends", CARD).card()
    return (
        f"{card.name}, compute capability {card.capability}, {card.bytes / 2**30:.1f} GiB, driver for CUDA {card.cuda}"
    )


def _detector(system: System) -> str:
    from rtface.sources.demo import portrait

    image = portrait()
    system.detector.detect(image)
    started = time.perf_counter()
    found = len(system.detector.detect(image))
    took = (time.perf_counter() - started) * 1e3
    if found < 6:
        raise RtfaceError(f"{system.config.detector} found {found} of 6 faces in the test photo")
    height, width = image.shape[:2]
    return f"{system.config.detector}: {found} of 6 faces of the test photo in {took:.0f} ms at {width}x{height}"


def _embedder(system: System) -> str:
    import numpy as np

    from rtface.pipeline.throughput import faces_a_second
    from rtface.sources.demo import portrait

    faces = system.faces(portrait())
    vectors = np.stack([face.embedding for face in faces])
    distances = (2 - 2 * vectors @ vectors.T)[np.triu_indices(len(faces), 1)]
    spec = system.embedder_spec
    limit = spec.limits[VERIFY_FAR]
    if (distances <= limit).any():
        raise RtfaceError(f"{spec.name} takes different people of the test photo for one: rtface models verify")
    rates = faces_a_second(system.embedder, np.stack([face.crop for face in faces]), seconds=0.5)
    told = ", ".join(f"{rate:.0f} at batch {batch}" for batch, rate in rates.items())
    return (
        f"{spec.name}:{spec.fingerprint} on {system.embedder.backend}: {told} faces a second, "
        f"strangers at {distances.min():.2f} and more, limit {limit:.2f}"
    )


def _gallery(system: System) -> str:
    place = system.config.gallery
    if no_gallery_yet(system.config):
        return f"none yet; rtface enroll NAME DIR makes it: {place}"
    with system.open_gallery() as gallery:
        problems = gallery.check()
        if problems:
            raise RtfaceError("; ".join(problems))
        return f"{len(gallery.people())} people, {len(gallery)} rows, whole: {place}"


def _window() -> str:
    from rtface.sinks.window import unavailable

    return unavailable() or "a display is there"


def _print(findings: list[Finding], verdict: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_header=False)
    for finding in findings:
        mark = {True: "[green]ok[/green]", False: "[red]FAILS[/red]", None: ""}[finding.ok]
        table.add_row(finding.subject, mark, escape(finding.detail))
    console = Console()
    console.print(table)
    console.print(verdict, style="bold")
