"""Teacher forcing is the decoder that transcribes; what is frozen, dropped or adapted is as it should be."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from asr.checkpoint import ModelStore, load_model, read_checkpoint
from asr.engine.backend import Part
from asr.engine.torch_backend import TorchBackend
from asr.errors import UnknownModelError
from asr.model import ModelDimensions, Whisper
from asr.training.building import set_learning
from asr.training.loader import Batch
from asr.training.lora import LoraLinear, adapt, merged
from asr.training.objective import TeacherForced
from asr.training.optimization import learning_rate, make_optimizer
from asr.training.options import FromCheckpoint, Parts, Recipe
from asr.training.remembering import FeatureMemory
from asr.training.targets import IGNORED
from asr.training.throughput import batch_flops, peak_flops

DIMS = ModelDimensions(80, 30, 32, 2, 2, 50, 16, 32, 2, 3)


@pytest.fixture
def model(random_model) -> Whisper:
    return copy.deepcopy(random_model(DIMS, std=0.2)).requires_grad_(True)


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 50, (3, 8), generator=generator)
    targets = torch.randint(0, 50, (3, 8), generator=generator)
    targets[0, :3] = IGNORED
    targets[2, 5:] = IGNORED
    mel = torch.randn(3, 80, 60, generator=generator)
    return Batch(keys=("a", "b", "c"), mel_BFT=mel, tokens_BM=tokens, targets_BM=targets, duration=1.0, n_too_long=0)


def recipe(**changes) -> Recipe:
    return Recipe(**{"start": FromCheckpoint(model="x"), "updates": 10, "peak_lr": 1e-3, "warmup": 2} | changes)


def step_by_step(whisper: Whisper, mel_FT: torch.Tensor, tokens: list[int]) -> np.ndarray:
    """Logits after each token, as the engine decodes: one token at a time."""
    backend = TorchBackend(whisper, ())
    window, rows = backend.encode([mel_FT])[0], backend.take_rows(1)
    found = []
    for position, token in enumerate(tokens):
        part = Part(window=window, rows=rows, tokens=[[token]], position=position, sources=None, wanted=[(0, 0)])
        found.append(backend.logits(backend.extend([part]), 0))
    return np.stack(found)


@torch.no_grad()
def test_teacher_forcing_says_what_decoding_says(model, batch):
    objective = TeacherForced(model).eval()
    logits = model.decoder.logits(
        objective.read(objective.encode(batch.mel_BFT), batch.tokens_BM).flatten(0, 1)
    ).unflatten(0, (3, 8))
    for row in range(3):
        expected = step_by_step(model, batch.mel_BFT[row], batch.tokens_BM[row].tolist())
        np.testing.assert_allclose(logits[row].numpy(), expected, atol=2e-5, rtol=2e-5)


@pytest.mark.weights
@torch.no_grad()
def test_teacher_forcing_says_what_decoding_says_with_real_weights():
    try:
        checkpoint = read_checkpoint(ModelStore().resolve("base"))
    except UnknownModelError as error:
        pytest.skip(str(error))
    whisper = load_model(checkpoint, device=torch.device("cpu"), dtype=torch.float32)
    mel = torch.randn(80, 3000, generator=torch.Generator().manual_seed(0)) * 0.3
    tokens = [50258, 50259, 50359, 50364, 440, 3404, 13, 50414]
    objective = TeacherForced(whisper).eval()
    logits = whisper.decoder.logits(objective.read(objective.encode(mel[None]), torch.tensor([tokens]))[0])
    np.testing.assert_allclose(logits.numpy(), step_by_step(whisper, mel, tokens), atol=2e-3, rtol=1e-4)


def test_the_loss_is_the_mean_surprise_at_what_is_learned(model, batch):
    objective = TeacherForced(model)
    hidden = objective.read(objective.encode(batch.mel_BFT), batch.tokens_BM)
    log_probs = model.decoder.logits(hidden.flatten(0, 1)).log_softmax(dim=1).unflatten(0, (3, 8))
    learned = [(b, m) for b in range(3) for m in range(8) if batch.targets_BM[b, m] != IGNORED]
    expected = -sum(log_probs[b, m, batch.targets_BM[b, m]] for b, m in learned)
    assert objective.count(batch) == len(learned) == 18
    torch.testing.assert_close(objective(batch), expected)


def test_a_batch_of_nothing_to_learn_has_no_loss_and_gradients_all_the_same(model, batch):
    batch.targets_BM.fill_(IGNORED)
    loss = TeacherForced(model)(batch)
    loss.backward()
    assert loss == 0
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in model.parameters())


def test_recomputing_activations_changes_nothing(model, batch):
    gradients = []
    for recompute in (False, True):
        model.zero_grad()
        TeacherForced(model, recompute=recompute)(batch).backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for plain, again in zip(*gradients, strict=True):
        assert torch.equal(plain, again)


def test_stochastic_depth_skips_blocks_in_training_alone(model, batch):
    plain, dropping = TeacherForced(model), TeacherForced(model, stochastic_depth=0.5)
    assert torch.equal(plain.encode(batch.mel_BFT), dropping.eval().encode(batch.mel_BFT))
    dropping.train()
    torch.manual_seed(0)
    one = dropping.encode(batch.mel_BFT)
    torch.manual_seed(0)
    assert torch.equal(one, dropping.encode(batch.mel_BFT))
    assert not torch.equal(one, dropping.encode(batch.mel_BFT))
    # In the mean over many draws each block's share is what it is without.
    block = model.encoder.blocks[0]
    before = model.encoder.embed(batch.mel_BFT)
    after = block(before)
    with torch.no_grad():
        mean = sum(dropping._dropped(after, before, 3) for _ in range(2000)) / 2000
    torch.testing.assert_close(mean, after, atol=0.1 * (after - before).abs().max().item(), rtol=0)


@pytest.mark.parametrize(("parts", "moved"), [(Parts.ALL, {"encoder", "decoder"}), (Parts.DECODER, {"decoder"}),
                                              (Parts.ENCODER, {"encoder"})])  # fmt: skip
@pytest.mark.parametrize("lora", [0, 4])
def test_what_is_chosen_learns_and_the_rest_stays(model, batch, parts, moved, lora):
    before = copy.deepcopy(model.state_dict())
    chosen = recipe(parts=parts, lora=lora)
    set_learning(model, chosen)
    objective = TeacherForced(model)
    optimizer = make_optimizer(objective)
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    for _ in range(2):  # of an adapter, A learns from the second update on
        objective(batch).backward()
        optimizer.step()
        optimizer.zero_grad()
    changed = {name for name, tensor in merged(model.state_dict()).items() if not torch.equal(tensor, before[name])}
    assert {name.split(".")[0] for name in changed} == moved
    if lora:
        assert all(".attn." in name or ".cross_attn." in name or ".mlp." in name for name in changed)
        assert all(name.endswith("weight") for name in changed)


def test_merged_adapters_compute_the_same(model, batch):
    adapt(model, 4)
    assert sum(isinstance(module, LoraLinear) for module in model.modules()) == 2 * 6 + 3 * 10
    objective = TeacherForced(model)
    for name, parameter in model.named_parameters():
        if name.endswith("lora_b"):
            torch.nn.init.normal_(parameter, std=0.1)
    plain = Whisper(DIMS)
    plain.load_state_dict(merged(model.state_dict()))
    torch.testing.assert_close(TeacherForced(plain)(batch), objective(batch))


def test_matrices_decay_and_vectors_do_not(model):
    decaying, still = make_optimizer(TeacherForced(model)).param_groups
    assert (decaying["weight_decay"], still["weight_decay"]) == (0.1, 0.0)
    assert all(parameter.ndim >= 2 for parameter in decaying["params"])
    assert all(parameter.ndim == 1 for parameter in still["params"])
    assert (decaying["betas"], decaying["eps"]) == ((0.9, 0.98), 1e-6)
    assert sum(len(group["params"]) for group in (decaying, still)) == len(list(model.parameters()))


def test_the_learning_rate_rises_and_falls_on_lines():
    rates = [learning_rate(recipe(updates=10, warmup=4, peak_lr=8.0), update) for update in range(10)]
    assert rates == pytest.approx([2, 4, 6, 8, 8, 40 / 6, 32 / 6, 24 / 6, 16 / 6, 8 / 6])
    assert learning_rate(recipe(updates=4, warmup=0, peak_lr=8.0), 0) == 8.0


@pytest.mark.parametrize("encoder_learns", [True, False])
def test_operations_are_those_that_torch_counts(model, batch, encoder_learns):
    model.encoder.requires_grad_(encoder_learns)
    batch.targets_BM.clamp_(min=0)
    # In the plain kernel, whose products torch counts; ours are more by the Mel's gradient, which nobody needs.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        TeacherForced(model)(batch).backward()
    counted = counter.get_total_flops()
    ours = batch_flops(DIMS, 3, 60, 8, encoder_learns=encoder_learns)
    assert ours == pytest.approx(counted, rel=0.1)


def test_peaks_of_known_devices():
    assert peak_flops("NVIDIA H200") == 989e12
    assert peak_flops("NVIDIA H100 PCIe") == 756e12
    assert peak_flops("CPU") is None


def test_a_frozen_encoder_hears_a_window_once(model, batch):
    set_learning(model, recipe(parts=Parts.DECODER))
    plain, remembering = TeacherForced(model), TeacherForced(model, memory=FeatureMemory())
    heard = []
    model.encoder.ln_post.register_forward_hook(lambda _module, _args, out: heard.append(len(out)))
    for _ in range(2):
        torch.testing.assert_close(remembering(batch), plain(batch))
    assert heard == [1, 1, 1, 3, 3]
    louder = replace(batch, mel_BFT=torch.cat([batch.mel_BFT[:2], batch.mel_BFT[2:] + 0.1]))
    torch.testing.assert_close(remembering(louder), plain(louder))
    assert heard[5:] == [1, 3]


def test_what_was_heard_has_no_part_in_the_sums_of_other_windows(model, batch):
    set_learning(model, recipe(parts=Parts.DECODER))
    first, again = (TeacherForced(model, memory=FeatureMemory()) for _ in range(2))
    first.encode(batch.mel_BFT[1:])
    assert torch.equal(first.encode(batch.mel_BFT), again.encode(batch.mel_BFT))


def test_a_memory_that_is_full_hears_again(model, batch):
    set_learning(model, recipe(parts=Parts.DECODER))
    two_windows = 2 * 30 * 32 * 4
    remembering = TeacherForced(model, memory=FeatureMemory(two_windows))
    heard = []
    model.encoder.ln_post.register_forward_hook(lambda _module, _args, out: heard.append(len(out)))
    for _ in range(2):
        remembering(batch)
    assert heard == [1, 1, 1, 1]


def test_an_encoder_that_learns_keeps_nothing(model, batch):
    remembering = TeacherForced(model, memory=FeatureMemory())
    remembering(batch).backward()
    assert model.encoder.blocks[0].attn.query.weight.grad.abs().sum() > 0
