"""Settings: config.toml, then the environment, then ``--set``; the last one wins. One checked, frozen ``Config``."""

from __future__ import annotations

import difflib
import logging
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf, PlainSerializer, ValidationError

from rtface.errors import ConfigError
from rtface.server_url import ServerUrl

log = logging.getLogger(__name__)

PREFIX = "RTFACE_"


def checkout() -> Path | None:
    """The project's folder when rtface runs from one, else None (installed from a wheel)."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "setup.py").is_file() and (root / "engines" / "models.toml").is_file() else None


def _default_engines_dir() -> Path:
    root = checkout()
    return root / "engines" if root else platformdirs.user_data_path("rtface") / "engines"


def _default_gallery() -> Path:
    root = checkout()
    return root / "enroll" / "gallery.db" if root else platformdirs.user_data_path("rtface") / "gallery.db"


def _address(value: object) -> object:
    return ServerUrl(value) if isinstance(value, str) and ServerUrl.fits(value) else value


Server = Annotated[InstanceOf[ServerUrl], PlainSerializer(str)]
"""Whoever writes settings down does so without the password."""


class Config(BaseModel):
    """Every setting, with its range. config.toml says what each is for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    detector: str = "yunet"
    embedder: str = "facenet"
    backend: str = "auto"
    precision: Literal["auto", "fp32", "fp16", "int8", "int8-signed"] = "auto"
    crop_in_graph: bool = False
    threads: int = Field(default=0, ge=0, le=256)
    engines_dir: Path = Field(default_factory=_default_engines_dir)
    offline: bool = False

    min_score: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = "auto"
    min_face_px: int = Field(default=20, ge=8, le=2000)
    full_look_s: float = Field(default=1.0, ge=0, le=3600)
    new_face_s: float = Field(default=0.1, ge=0, le=60)

    gallery: Annotated[Path | Server, BeforeValidator(_address)] = Field(default_factory=_default_gallery)
    gallery_key: str = ""
    index: Literal["auto", "exact", "hnsw", "database"] = "auto"
    recall: float = Field(default=0.999, gt=0, lt=1)
    k: int = Field(default=5, ge=1, le=100)
    max_distance: Annotated[float, Field(ge=0, le=4)] | Literal["auto"] = "auto"
    false_identification_rate: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] = "auto"
    false_name_rate: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] = "auto"
    min_share: float = Field(default=0.3, ge=0, lt=1)
    min_margin: Annotated[float, Field(ge=0, le=4)] | Literal["auto"] = "auto"
    min_votes: int = Field(default=3, ge=1, le=100)
    min_quality: float = Field(default=0.25, ge=0, le=1)

    patience_s: float = Field(default=1.0, gt=0, le=60)
    confirm_s: float = Field(default=2.0, gt=0, le=3600)

    enroll_min_face_px: int = Field(default=48, ge=8, le=2000)
    enroll_min_quality: float = Field(default=0.4, ge=0, le=1)
    keep_crops: bool = False


def _file_settings(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as stream:
            found = tomllib.load(stream)
    except FileNotFoundError:
        raise ConfigError(f"The settings file {path} does not exist. Leave --config out to use the defaults.") from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The settings file {path} cannot be read: {error}") from None
    for key in ("engines_dir", "gallery"):
        if isinstance(found.get(key), str) and not ServerUrl.fits(str(found[key])):
            found[key] = path.parent / Path(str(found[key])).expanduser()
    kind, _, place = str(found.get("gallery_key", "")).partition(":")
    if kind == "file":
        found["gallery_key"] = f"file:{path.parent / Path(place).expanduser()}"
    return found


def _refuse_unknown(settings: Mapping[str, object], origin: str) -> None:
    for key in settings:
        if key not in Config.model_fields:
            close = difflib.get_close_matches(key, Config.model_fields, 1)
            hint = f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(Config.model_fields)}."
            raise ConfigError(f"There is no setting {key!r} ({origin}).{hint}")


def _warn_of_misspelt(environment: Mapping[str, str]) -> None:
    """Other programs may have variables that begin like ours; only what is nearly a setting is told."""
    known = [PREFIX + key.upper() for key in (*Config.model_fields, "config")]
    for name in environment:
        close = difflib.get_close_matches(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], 1)
        if name.startswith(PREFIX) and name not in known and close:
            log.warning("%s in the environment is no setting. Did you mean %s%s?", name, PREFIX, close[0])


def _sentence(error: ValidationError, origins: Mapping[str, str]) -> str:
    first = error.errors()[0]
    key = str(first["loc"][0])
    allowed = first["msg"].removeprefix("Input ")
    return f"The setting {key} = {first['input']!r} ({origins.get(key, 'default')}) is not possible: it {allowed}."


def parse_flags(flags: tuple[str, ...]) -> dict[str, str]:
    """``("k=7", ...)`` to a mapping.

    Raises:
        ConfigError: a flag without ``=``.
    """
    settings = {}
    for flag in flags:
        key, equals, value = flag.partition("=")
        if not equals:
            raise ConfigError(f"--set wants key=value, not {flag!r}; for example --set k=7.")
        settings[key.strip()] = value.strip()
    return settings


def load_config(
    file: Path | None = None,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """The settings in force.

    Args:
        file: a config.toml; without one the checkout's, else the one in the user's configuration folder, if any.
        flags: settings given on the command line or by a program; they win.
        environment: ``RTFACE_KEY`` overrides the file.

    Raises:
        ConfigError: unknown key (with a suggestion) or a value out of range, saying where it came from.
    """
    root = checkout()
    usual = (root or platformdirs.user_config_path("rtface")) / "config.toml"
    path = file or (Path(environment[PREFIX + "CONFIG"]) if PREFIX + "CONFIG" in environment else None)
    from_file = _file_settings(path or usual) if path or usual.is_file() else {}
    known_variables = {PREFIX + key.upper(): key for key in Config.model_fields}
    from_environment = {known_variables[name]: value for name, value in environment.items() if name in known_variables}
    _warn_of_misspelt(environment)
    origins: dict[str, str] = {}
    merged: dict[str, object] = {}
    for origin, settings in (
        (str(path or usual), from_file),
        ("environment", from_environment),
        ("--set", flags or {}),
    ):
        _refuse_unknown(settings, origin)
        merged |= settings
        origins |= dict.fromkeys(settings, origin)
    try:
        config = Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_sentence(error, origins)) from None
    gallery = config.gallery.expanduser() if isinstance(config.gallery, Path) else config.gallery
    return config.model_copy(update={"engines_dir": config.engines_dir.expanduser(), "gallery": gallery})
