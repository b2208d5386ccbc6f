"""A model that learns to hear short clips bare has its own hidden states with 30 s as the goal."""

import copy
from dataclasses import replace

import pytest
import torch

from asr.errors import TrainingError
from asr.model import ModelDimensions, Whisper
from asr.training.full_context import FullContext
from asr.training.loader import Batch
from asr.training.objective import TeacherForced
from asr.training.optimization import make_optimizer
from asr.training.remembering import FeatureMemory
from asr.training.targets import IGNORED

DIMS = ModelDimensions(80, 30, 32, 2, 2, 50, 16, 32, 2, 3)


@pytest.fixture
def model(random_model) -> Whisper:
    return copy.deepcopy(random_model(DIMS, std=0.2)).requires_grad_(True)


def batch_of(*n_frames: int) -> Batch:
    generator = torch.Generator().manual_seed(1)
    n = len(n_frames)
    tokens = torch.randint(0, 50, (n, 8), generator=generator)
    targets = torch.randint(0, 50, (n, 8), generator=generator)
    targets[0, :3] = IGNORED
    targets[-1, 5:] = IGNORED
    mel = torch.randn(n, 80, 60, generator=generator)
    return Batch(
        keys=tuple("abc"[:n]), mel_BFT=mel[:, :, : max(n_frames)], tokens_BM=tokens, targets_BM=targets, duration=1.0,
        n_too_long=0, n_frames=n_frames, full_BFT=mel,
    )  # fmt: skip


def full_context(model: Whisper, *, max_bytes: int = 1 << 20) -> FullContext:
    memory = FeatureMemory(max_bytes)
    return FullContext(model, teacher=copy.deepcopy(model), memory=memory, stochastic_depth=0.0, recompute=False)


def test_who_hears_all_has_nothing_to_learn(model):
    objective = full_context(model)
    assert objective(batch_of(60, 60)) == 0
    assert objective(batch_of(60, 20)) > 0


def test_the_distance_is_a_share_of_the_teachers_states(model):
    batch = batch_of(20)
    objective = full_context(model)
    plain = TeacherForced(model)
    wanted = plain.read_layers(plain.encode(batch.full_BFT), batch.tokens_BM)
    found = plain.read_layers(plain.encode(batch.mel_BFT), batch.tokens_BM)
    shares = [((f - w) ** 2).sum(-1) / (w**2).sum(-1) for w, f in zip(wanted, found, strict=True)]
    is_learned = batch.targets_BM[0] != IGNORED
    torch.testing.assert_close(objective(batch), sum(shares)[0, is_learned].sum() / len(shares))
    assert objective.count(batch) == is_learned.sum()


def test_a_row_counts_alike_in_any_company(model):
    whole = batch_of(20, 34, 60)
    apart = 0.0
    for row in range(3):
        apart += full_context(model)(
            Batch(
                keys=(whole.keys[row],), mel_BFT=whole.mel_BFT[row : row + 1], tokens_BM=whole.tokens_BM[row : row + 1],
                targets_BM=whole.targets_BM[row : row + 1], duration=1.0, n_too_long=0,
                n_frames=whole.n_frames[row : row + 1], full_BFT=whole.full_BFT[row : row + 1],
            )
        ).item()  # fmt: skip
    assert full_context(model)(whole).item() == pytest.approx(apart, rel=1e-5)


def test_it_comes_nearer_and_the_teacher_stays(model):
    losses = {}
    for max_bytes in (0, 1 << 20):
        objective, batch = full_context(copy.deepcopy(model), max_bytes=max_bytes), batch_of(20, 34)
        teacher = objective._teacher._model
        before = copy.deepcopy(teacher.state_dict())
        optimizer = make_optimizer(objective)
        losses[max_bytes] = [learn(objective, batch, optimizer) for _ in range(30)]
        assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
        assert not any(parameter.requires_grad for parameter in teacher.parameters())
        assert {name.split(".")[0] for name in objective.state_dict()} == {"whisper"}
    assert losses[1 << 20] == losses[0]  # whether what the teacher has heard is kept or not
    assert losses[0][-1] < losses[0][0] / 2


def learn(objective: FullContext, batch: Batch, optimizer: torch.optim.Optimizer) -> float:
    for group in optimizer.param_groups:
        group["lr"] = 3e-3
    loss = objective(batch)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def test_a_batch_without_what_the_teacher_hears_is_an_error(model):
    with pytest.raises(TrainingError, match="the examples a: got none of them with 30 s"):
        full_context(model)(replace(batch_of(20), full_BFT=None))
