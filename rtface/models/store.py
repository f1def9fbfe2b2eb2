"""Built graphs on disk: made once from verified weights, each model in its own folder with a manifest."""

from __future__ import annotations

import hashlib
import importlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from rtface.errors import ConfigError, ModelUnavailable
from rtface.models import catalogue
from rtface.models.fetch import Fetcher, Report, silent
from rtface.models.files import beside, sha256_of
from rtface.models.spec import BUILDERS, CUTTER, RECIPES, CropSpec, ModelSpec, Precision

if TYPE_CHECKING:
    import onnx


class Status(StrEnum):
    """What is on disk of a model: nothing, its weights, graphs of an older builder or other weights, or all of it."""

    ABSENT = "absent"
    WEIGHTS = "weights"
    STALE = "stale"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class BuiltGraph:
    """A graph on disk."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was built, and from what."""

    fingerprint: str
    builder: str
    revision: int
    weights: dict[str, str]
    graphs: dict[str, BuiltGraph]
    build_seconds: float
    recipe: str = ""
    """What besides weights and builder decided: how the precision is made, and in 8 bits the ranges."""
    measured: Mapping[str, object] = field(default_factory=dict)
    """What this precision gains and costs, as models.toml has it; nothing where nobody has measured."""


class ModelStore:
    """Models under ``engines_dir``: ``weights/`` as fetched, ``<model>/`` as built, with a manifest a precision."""

    def __init__(self, engines_dir: Path, *, report: Report | None = None, offline: bool = False) -> None:
        self.engines_dir = engines_dir
        self.models = catalogue.load(engines_dir)
        self._report = report or silent
        self._offline = offline

    def spec(self, name: str) -> ModelSpec:
        """What the catalogue says of a model.

        Raises:
            UnknownModel: it says nothing.
        """
        return catalogue.find(self.models, name)

    def graphs(self, name: str, precision: Precision = Precision.FP32) -> dict[str, Path]:
        """The model's graphs by name, fetched and built if they are not there yet.

        Raises:
            UnknownModel, ModelUnavailable, ModelBroken: as the names say.
            ConfigError: the model is not to be had in this precision.
        """
        spec = self._spec(name, precision)
        manifest = self._current(spec, precision)
        if manifest is None:
            manifest = self._make(spec, precision, again=False)
        return self._paths(spec, manifest)

    def in_frame(self, name: str, precision: Precision = Precision.FP32) -> dict[str, Path]:
        """As ``graphs``, of an embedder that cuts its faces out itself (``models.cropping``).

        Raises:
            ConfigError: the model wants no crops.
        """
        spec = self.spec(name)
        if spec.crop is None:
            raise ConfigError(f"The model {name} takes no crops, so its network cannot cut them out.")
        (plain,) = self.graphs(name, precision).values()
        manifest = self._current(spec, precision)
        assert manifest is not None, "it has just been made"
        facts = f"{CUTTER} {manifest.graphs[name].sha256} {spec.crop}"
        stem = f"{plain.stem}.in-frame"
        path = plain.with_name(f"{stem}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}.onnx")
        if not path.is_file():
            for old in plain.parent.glob(f"{stem}-*.onnx"):
                old.unlink(missing_ok=True)
            self._write_in_frame(path, plain, spec.crop)
        return {name: path}

    def _write_in_frame(self, path: Path, plain: Path, crop: CropSpec) -> None:
        import onnx

        from rtface.models.cropping import with_crops

        self._report(label := f"Building {path.stem}", 0, 1)
        with beside(path) as partial:
            partial.write_bytes(with_crops(onnx.load(plain), crop).SerializeToString(deterministic=True))
        self._report(label, 1, 1)

    def fetch(self, name: str, precision: Precision = Precision.FP32, *, force: bool = False) -> dict[str, Path]:
        """As ``graphs``; with ``force`` weights and graphs are made anew even when they are there."""
        if not force:
            return self.graphs(name, precision)
        spec = self._spec(name, precision)
        return self._paths(spec, self._make(spec, precision, again=True))

    def status(self, name: str, precision: Precision = Precision.FP32) -> Status:
        """What is on disk, without fetching, building or reading it through."""
        spec = self.spec(name)
        if self._current(spec, precision) is not None:
            return Status.READY
        if self._manifest(spec, precision) is not None:
            return Status.STALE
        weights = all((self._weights_dir / weight.file).is_file() for weight in spec.weights)
        return Status.WEIGHTS if weights else Status.ABSENT

    def verify(self, name: str) -> list[str]:
        """Reads every file of a model through; a sentence for each that is not as it was made, [] if all is well.

        Of its precisions those that have been built are looked at.
        """
        spec = self.spec(name)
        built = [
            (precision, manifest)
            for precision in spec.precisions
            if (manifest := self._manifest(spec, precision)) is not None
        ]
        if not built:
            return [f"{name} is not built yet; rtface models fetch {name} does it."]
        complaints = []
        for precision, manifest in built:
            complaints += self._complaints(spec, precision, manifest)
        cure = f"rtface models fetch {name} --force makes it anew."
        for weight in spec.weights:
            path = self._weights_dir / weight.file
            if path.is_file() and sha256_of(path) != weight.sha256:
                complaints.append(f"{path} has been changed or damaged; {cure}")
        return complaints

    def _complaints(self, spec: ModelSpec, precision: Precision, manifest: Manifest) -> list[str]:
        name = spec.name
        which = f" --set precision={precision}" if len(spec.precisions) > 1 else ""
        cure = f"rtface models fetch {name} --force{which} makes it anew."
        complaints = []
        if not _fresh(spec, precision, manifest):
            complaints.append(f"{name} was built from other weights or by an older rtface; {cure}")
        for graph in manifest.graphs.values():
            path = self._folder(spec) / graph.file
            if not path.is_file():
                complaints.append(f"{path} is missing; {cure}")
            elif sha256_of(path) != graph.sha256:
                complaints.append(f"{path} has been changed or damaged; {cure}")
        return complaints

    def manifest(self, name: str, precision: Precision = Precision.FP32) -> Manifest | None:
        """What was built, or None when nothing is or the manifest cannot be read."""
        return self._manifest(self.spec(name), precision)

    def _spec(self, name: str, precision: Precision) -> ModelSpec:
        """As ``spec``, with the precision checked."""
        spec = self.spec(name)
        if precision not in spec.precisions:
            able = sorted(other.name for other in self.models.values() if precision in other.precisions)
            raise ConfigError(
                f"The model {name} is not to be had in {precision}, only in {', '.join(spec.precisions)}. "
                f"Models that are: {', '.join(able) or 'none'}. Use one of them, or --set precision=fp32."
            )
        return spec

    @property
    def _weights_dir(self) -> Path:
        return self.engines_dir / "weights"

    def _folder(self, spec: ModelSpec) -> Path:
        return self.engines_dir / spec.name

    def _paths(self, spec: ModelSpec, manifest: Manifest) -> dict[str, Path]:
        return {name: self._folder(spec) / graph.file for name, graph in manifest.graphs.items()}

    def _manifest_file(self, spec: ModelSpec, precision: Precision) -> Path:
        return self._folder(spec) / f"manifest{_suffix(precision)}.json"

    def _current(self, spec: ModelSpec, precision: Precision) -> Manifest | None:
        """The manifest, if it is of this builder and these weights and its files are there at full length."""
        manifest = self._manifest(spec, precision)
        if manifest is None or not _fresh(spec, precision, manifest):
            return None
        for graph in manifest.graphs.values():
            path = self._folder(spec) / graph.file
            if not path.is_file() or path.stat().st_size != graph.bytes:
                return None
        return manifest

    def _manifest(self, spec: ModelSpec, precision: Precision) -> Manifest | None:
        try:
            found = json.loads(self._manifest_file(spec, precision).read_text(encoding="utf-8"))
            graphs = {str(name): BuiltGraph(**graph) for name, graph in found.pop("graphs").items()}
            manifest = Manifest(graphs=graphs, **found)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return manifest if manifest.graphs else None

    def _make(self, spec: ModelSpec, precision: Precision, *, again: bool) -> Manifest:
        try:
            with Fetcher(self._weights_dir, report=self._report, offline=self._offline) as fetcher:
                weights = {weight.file: fetcher.get(weight, again=again) for weight in spec.weights}
            label = f"Building {spec.name}{_suffix(precision)}"
            self._report(label, 0, 1)
            started = time.perf_counter()
            manifest = self._write(spec, precision, _build(spec, precision, weights), started)
            self._report(label, 1, 1)
        except ModelUnavailable:
            raise
        except OSError as error:
            raise ModelUnavailable(
                f"The model {spec.name} cannot be written into {self.engines_dir}: {error}. "
                "Make room or permit writing there, or name another folder with --set engines_dir=DIR."
            ) from error
        return manifest

    def _write(
        self, spec: ModelSpec, precision: Precision, models: Mapping[str, onnx.ModelProto], started: float
    ) -> Manifest:
        folder = self._folder(spec)
        folder.mkdir(parents=True, exist_ok=True)
        graphs = {}
        for name, model in models.items():
            # Deterministic, so that two processes that build at once write the same bytes.
            content = model.SerializeToString(deterministic=True)
            path = folder / f"{name}{_suffix(precision)}.onnx"
            with beside(path) as partial:
                partial.write_bytes(content)
            graphs[name] = BuiltGraph(path.name, hashlib.sha256(content).hexdigest(), len(content))
        seconds = round(time.perf_counter() - started, 3)
        revision, recipe = BUILDERS[spec.builder].graph, _recipe(spec, precision)
        measured = _measured(spec, precision)
        manifest = Manifest(spec.fingerprint, spec.builder, revision, _digests(spec), graphs, seconds, recipe, measured)
        with beside(self._manifest_file(spec, precision)) as partial:
            partial.write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
        return manifest


def _suffix(precision: Precision) -> str:
    """What the files of a precision have in their names."""
    return "" if precision is Precision.FP32 else f".{precision}"


def _recipe(spec: ModelSpec, precision: Precision) -> str:
    """12 hex digits that change with whatever turns the float graph into this precision; nothing for float32."""
    if precision is Precision.FP32:
        return ""
    ranges = sorted(spec.ranges.items()) if precision in (Precision.INT8, Precision.INT8_SIGNED) else []
    facts = f"{RECIPES[precision]} {ranges}"
    return hashlib.sha256(facts.encode()).hexdigest()[:12]


def _fresh(spec: ModelSpec, precision: Precision, manifest: Manifest) -> bool:
    """Whether what was built is what would be built now; the fingerprint stands for weights, input and crop."""
    now = (spec.fingerprint, BUILDERS[spec.builder].graph, _recipe(spec, precision))
    return (manifest.fingerprint, manifest.revision, manifest.recipe) == now


def _digests(spec: ModelSpec) -> dict[str, str]:
    return {weight.file: weight.sha256 for weight in spec.weights}


def _measured(spec: ModelSpec, precision: Precision) -> Mapping[str, object]:
    figures = spec.measured.get(precision, {})
    return figures if isinstance(figures, Mapping) else {}


def _build(spec: ModelSpec, precision: Precision, weights: Mapping[str, Path]) -> Mapping[str, onnx.ModelProto]:
    """Runs ``build`` of the module of ``rtface.models`` that the model names, and makes its precision of the result."""
    module = importlib.import_module(f"rtface.models.{spec.builder}")
    models: Mapping[str, onnx.ModelProto] = module.build(weights, spec)
    return {name: converted(model, spec, precision) for name, model in models.items()}


def converted(model: onnx.ModelProto, spec: ModelSpec, precision: Precision) -> onnx.ModelProto:
    """A float32 graph of a model in another precision.

    Raises:
        ModelBroken: the ranges do not fit the graph, or it has what is not to be had in this precision.
    """
    match precision:
        case Precision.FP32:
            return model
        case Precision.FP16:
            from rtface.models.half import halve

            return halve(model)
        case Precision.INT8:
            from rtface.models.quantize import quantize

            return quantize(model, spec.ranges)
        case Precision.INT8_SIGNED:
            from rtface.models.signed import quantize_signed

            return quantize_signed(model, spec.ranges)
