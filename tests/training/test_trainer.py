"""The training as a whole: it learns, resumes bit for bit, saves memory without changing its gradient, ends in time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs pip install 'rtface[train]'")

import torch
from torch import nn

from rtface.errors import CheckpointBroken, TrainingCollapsed, TrainingError
from rtface.training import checkpoint as checkpoints
from rtface.training.augmentation import Augmentation
from rtface.training.batches import BatchShape
from rtface.training.collapse import CollapseWatch, spread
from rtface.training.distributed import World
from rtface.training.gradients import Gradients
from rtface.training.networks.catalogue import create
from rtface.training.networks.layers import Norm
from rtface.training.people import CropReader
from rtface.training.settings import Decay, Offline, Optimizer, Rate, Settings, parse
from rtface.training.trainer import Check, Step, Trainer
from rtface.training.triplets import Mining
from rtface.training.validation import auc, measure
from tests.training.sample import SETTINGS, reader_of

ALONE = World(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> CropReader:
    return reader_of(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> CropReader:
    return reader_of(tmp_path_factory.mktemp("others"), seed=1)


def trainer_of(
    settings: Settings, faces: CropReader, *, checks: CropReader | None = None, folder: Path | None = None
) -> Trainer:
    torch.manual_seed(settings.seed)
    network = create(settings.network, settings.embedding_size, settings.norm)
    return Trainer(settings, network, faces, world=ALONE, checks=checks, folder=folder)


def body_of(network: nn.Module) -> nn.Sequential:
    body = network.get_submodule("body")
    assert isinstance(body, nn.Sequential)
    return body


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: part.clone() for name, part in trainer.network.state_dict().items()}


CASES = {
    "as the paper": SETTINGS,
    "sgd": replace(SETTINGS, optimizer=Optimizer.SGD, weight_decay=1e-4, mining=Mining.BATCH_HARD),
    "offline": replace(SETTINGS, offline=Offline(every=3, faces=30)),
    "augmented, in pieces": replace(SETTINGS, augmentation=Augmentation(), piece=7),
    "mixed": replace(SETTINGS, mixed=True),
}


@pytest.mark.parametrize(("case", "stopped_at"), [*((case, 2) for case in CASES), ("offline", 4)])
def test_a_resumed_training_goes_on_bit_for_bit(case: str, stopped_at: int, faces: CropReader, tmp_path: Path) -> None:
    settings = CASES[case]
    whole = trainer_of(settings, faces)
    losses = [whole.step().outcome.loss for _ in range(settings.steps)]
    first = trainer_of(settings, faces, folder=tmp_path)
    for _ in range(stopped_at):
        first.step()
    first.save("last.pt")
    kept = checkpoints.load(tmp_path / "last.pt")
    assert kept.settings == settings
    second = trainer_of(kept.settings, faces)
    second.resume(kept)
    assert [second.step().outcome.loss for _ in range(settings.steps - stopped_at)] == losses[stopped_at:]
    ends = weights(whole), weights(second)
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert not torch.equal(ends[0]["embedding.weight"], weights(first)["embedding.weight"])
    for trainer in (whole, first, second):
        trainer.close()


def test_dropout_is_drawn_anew_each_step_and_the_same_when_resumed(faces: CropReader, tmp_path: Path) -> None:
    def with_dropout() -> Trainer:
        trainer = trainer_of(SETTINGS, faces, folder=tmp_path)
        body_of(trainer.network).append(nn.Dropout(0.5))
        return trainer

    first = with_dropout()
    for _ in range(3):
        first.step()
    first.save("last.pt")
    second = with_dropout()
    second.resume(checkpoints.load(tmp_path / "last.pt"))
    assert [first.step().outcome.loss for _ in range(3)] == [second.step().outcome.loss for _ in range(3)]


@pytest.mark.parametrize("piece", [1, 5, 24])
def test_pieces_give_the_gradient_of_the_whole(piece: int) -> None:
    """Exactly without batch normalisation, which sees only its piece."""
    x, people = torch.randn(24, 3, 64, 64), torch.arange(24) // 4

    def gradient(piece: int) -> list[torch.Tensor]:
        torch.manual_seed(0)
        network = create("small", 64, Norm.PAPER).double()
        made = Gradients(_Double(network), replace(SETTINGS, piece=piece), ALONE)
        outcome = made.fill(x, people, None, seed=4)
        assert outcome.triplets > 5
        return [part.grad for part in network.parameters() if part.grad is not None]

    for whole, parts in zip(gradient(0), gradient(piece), strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-7)


class _Double(nn.Module):
    """In float64, so that a difference is one of sense and not of rounding."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = self.inner(x.double())
        return rows


def test_pieces_leave_running_means_as_one_pass_does() -> None:
    x, people = torch.randn(12, 3, 64, 64), torch.arange(12) // 4
    network = create("small", 64, Norm.BATCH)
    Gradients(network, replace(SETTINGS, piece=6), ALONE).fill(x, people, None, seed=0)
    once = create("small", 64, Norm.BATCH)
    once.load_state_dict({**network.state_dict(), **{k: v for k, v in once.state_dict().items() if "running" in k}})
    with torch.no_grad():
        for part in (x[:6], x[6:]):
            once(part)
    for name, value in network.state_dict().items():
        if "running" in name:
            torch.testing.assert_close(value, once.state_dict()[name])
    assert all(layer.momentum == 0.1 for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))


def test_a_small_network_learns_made_up_people(faces: CropReader, others: CropReader, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=40, check_every=20, rate=Rate(0.05, Decay.COSINE))
    trainer = trainer_of(settings, faces, checks=others, folder=tmp_path)
    start = trainer.check()
    events = list(trainer.run())
    checks = [event for event in events if isinstance(event, Check)]
    steps = [event for event in events if isinstance(event, Step)]
    assert start is not None
    assert [check.step for check in checks] == [20, 40]
    assert len(steps) == 40
    assert steps[0].rate == 0.05
    assert steps[-1].rate < 0.001
    assert checks[-1].validation.auc > max(0.97, start.validation.auc)
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", "best.pt"}
    trainer.close()


def test_it_ends_when_val_no_longer_grows(faces: CropReader, others: CropReader) -> None:
    settings = replace(SETTINGS, steps=400, check_every=1, patience=3, rate=Rate(1e-9, Decay.CONSTANT))
    trainer = trainer_of(settings, faces, checks=others)
    checks = [event for event in trainer.run() if isinstance(event, Check)]
    assert checks[-1].last
    assert not any(check.best for check in checks[-3:])
    assert trainer.done < 400
    trainer.close()


@pytest.mark.parametrize(
    ("decay", "rates"),
    [(Decay.CONSTANT, [1, 1, 1, 1]), (Decay.STEPS, [1, 0.1, 0.01, 0.01]), (Decay.COSINE, [1, 0.5, 0.1464466, 0.0])],
)
def test_the_rate_falls_as_told(decay: Decay, rates: list[float]) -> None:
    rate = Rate(0.05, decay)
    assert [rate.at(step, 100) / 0.05 for step in (0, 50, 75, 100)] == pytest.approx(rates)
    slow = Rate(0.05, decay, warmup=4)
    assert [slow.at(step, 100) for step in range(5)] == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05])


def test_settings_survive_as_text() -> None:
    for settings in CASES.values():
        assert parse(settings.text()) == settings
    with pytest.raises(CheckpointBroken, match="another version"):
        parse('{"network": 5, "colour": "blue"}')


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 half a file"])
def test_what_is_no_checkpoint_is_told(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(CheckpointBroken, match=r"last\.pt"):
        checkpoints.load(tmp_path / "last.pt")


def test_a_checkpoint_of_another_network_is_told(faces: CropReader, tmp_path: Path) -> None:
    trainer = trainer_of(SETTINGS, faces, folder=tmp_path)
    trainer.save("last.pt")
    kept = checkpoints.load(tmp_path / "last.pt")
    kept.settings = replace(SETTINGS, embedding_size=128)
    with pytest.raises(CheckpointBroken, match="not those of small"):
        checkpoints.network_of(kept)


def test_offline_mining_that_finds_nothing_is_told(faces: CropReader) -> None:
    settings = replace(SETTINGS, offline=Offline(every=2, faces=30), margin=1e-9)
    trainer = trainer_of(settings, faces)
    with pytest.raises(TrainingError, match="--offline-faces"):
        trainer.step()


def test_spread_is_the_mean_of_all_distances() -> None:
    raw = torch.randn(9, 5, dtype=torch.float64)
    rows = torch.nn.functional.normalize(raw)
    found = spread(raw)
    assert found.distance == pytest.approx(torch.cdist(rows, rows).square().mean().item())
    assert found.length == pytest.approx(raw.norm(dim=1).mean().item())


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (torch.zeros(6, 4), r"f\(x\) = 0"),
        (torch.ones(6, 4), "apart"),
        (torch.ones(6, 4) + 1e-6 * torch.randn(6, 4), "apart"),
    ],
)
def test_a_collapsed_network_is_told_with_the_cure(raw: torch.Tensor, told: str) -> None:
    watch = CollapseWatch(patience=3)
    watch.look(1, 0.2, spread(raw))
    watch.look(2, 0.2, spread(raw))
    with pytest.raises(TrainingCollapsed, match=told) as caught:
        watch.look(3, 0.2, spread(raw))
    assert "--mining semi-hard" in str(caught.value)


def test_a_network_that_comes_apart_in_time_has_not_collapsed() -> None:
    watch = CollapseWatch(patience=3)
    for step in range(20):
        watch.look(step, 0.2, spread(torch.ones(6, 4) if step % 3 else torch.randn(6, 4)))


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_told_at_once(loss: float) -> None:
    with pytest.raises(TrainingCollapsed, match="--rate"):
        CollapseWatch().look(1, loss, spread(torch.randn(4, 4)))


def test_a_training_that_collapses_ends(faces: CropReader) -> None:
    """All weights 0 but the last bias: every face is the same point, and no triplet gives a gradient."""
    shape = BatchShape(size=4, faces=2, negatives=0)
    settings = replace(SETTINGS, steps=200, check_every=500, batch=shape, optimizer=Optimizer.SGD, norm=Norm.NONE)
    trainer = trainer_of(settings, faces)
    with torch.no_grad():
        for part in trainer.network.parameters():
            part.zero_()
        trainer.network.get_parameter("embedding.bias").fill_(1.0)
    with pytest.raises(TrainingCollapsed, match="100 steps"):
        list(trainer.run())
    trainer.close()


def test_area_under_the_roc_counts_every_pair_of_pairs() -> None:
    rng = np.random.default_rng(0)
    same, different = rng.integers(0, 12, 40) / 4, rng.integers(3, 16, 90) / 4
    counted = np.mean([1.0 if s < d else 0.5 if s == d else 0.0 for s in same for d in different])
    assert auc(same, different) == pytest.approx(float(counted))


def test_figures_are_over_all_pairs() -> None:
    rng = np.random.default_rng(1)
    owners = np.repeat(np.arange(20), 5)
    rows = rng.normal(size=(20, 16))[owners] + rng.normal(size=(100, 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    found = measure(rows, owners, far=0.01)
    pairs = [(i, j) for i in range(100) for j in range(i)]
    distances = {pair: float(np.sum((rows[pair[0]] - rows[pair[1]]) ** 2)) for pair in pairs}
    same = [distances[i, j] for i, j in pairs if owners[i] == owners[j]]
    different = sorted(distances[i, j] for i, j in pairs if owners[i] != owners[j])
    assert (found.same, found.different) == (len(same), len(different)) == (200, 4750)
    limit = different[47]  # 1 % of 4,750 is 47: the 48th may not be accepted
    assert found.val == pytest.approx(np.mean([distance < limit for distance in same]), abs=0.006)
    assert found.limits == {"1e-2": pytest.approx(limit, abs=1e-3)}
