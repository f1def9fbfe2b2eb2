"""Real faces beside the checkout, and the default models; what is absent is skipped by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from rtface.config import load_config
from rtface.errors import ModelUnavailable
from rtface.system import System

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(*parts: str) -> Path:
    """A file or folder of ``../shared``; skips the test when it is not there."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs ../shared/{'/'.join(parts)}")
    return path


def system(gallery: Path, settings: Mapping[str, object] | None = None) -> System:
    """A system of the shipped defaults on its own gallery; skips when a model is neither here nor to be had."""
    places = {"gallery": gallery, "offline": not os.environ.get("CI")}
    config = load_config(None, {**places, **(settings or {})})
    made = System(config)
    try:
        _ = made.detector, made.embedder
    except ModelUnavailable as error:
        pytest.skip(f"needs the models of `rtface models fetch`: {error}")
    return made
