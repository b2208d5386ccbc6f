"""Audio and order: what a model hears of an example, what is varied, and which examples an update has."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from shard_making import fields_of, write_shard

from asr.audio import SAMPLE_RATE, Waveform
from asr.errors import ShardError, TrainingError
from asr.features import N_FRAMES, LogMel
from asr.model import ModelDimensions
from asr.options import AudioContext
from asr.shards import ShardExample
from asr.training.augmentation import NoiseFolder, at_speed, draw_speed, spec_augment
from asr.training.bpe_dropout import BpeDropout
from asr.training.examples import ExampleMaker, TrainingExample
from asr.training.loader import BatchPlan, Loader, collate
from asr.training.options import Augmentation
from asr.training.shard_index import ShardIndex, find_shards
from asr.training.targets import IGNORED

DIMS = ModelDimensions(80, 1500, 32, 1, 1, 1864, 448, 32, 1, 1)


def drawn_from(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 (a test)


def speech(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)


def example_of(seconds: float, **changes) -> ShardExample:
    return ShardExample(key="k", waveform=Waveform(samples=speech(seconds)), fields=fields_of("ab", seconds, **changes))


@pytest.fixture
def maker(byte_tokenizer, bytes_path):
    def build(*, context=AudioContext.EXACT, seed=0, **augmentation) -> ExampleMaker:
        return ExampleMaker(
            byte_tokenizer, DIMS, seed=seed, context=context, augmentation=Augmentation(**augmentation),
            bpe_dropout=BpeDropout(bytes_path) if augmentation.get("bpe_dropout") else None,
        )  # fmt: skip

    return build


# --- audio ---


def test_a_short_example_is_heard_as_inference_hears_it(maker):
    mel = LogMel(speech(2.5), n_mels=80, device=torch.device("cpu"))
    exact = maker().make(example_of(2.5), 0).mel_FT
    assert torch.equal(exact, torch.nn.functional.pad(mel.window(0, 250), (0, N_FRAMES - 250)))
    auto = maker(context=AudioContext.AUTO).make(example_of(2.5), 0).mel_FT
    assert torch.equal(auto, mel.followed_by_silence(0, 250, 1200))


@pytest.mark.parametrize("varied", [{}, {"spec_augment": True}])
def test_a_teacher_hears_the_same_with_all_thirty_seconds(maker, varied):
    taught = maker(context=AudioContext.FIT, **varied).make(example_of(2.51), 0, has_teacher=True)
    assert (taught.mel_FT.shape, taught.full_FT.shape) == ((80, 252), (80, N_FRAMES))
    assert torch.equal(taught.full_FT[:, :251], taught.mel_FT[:, :251])
    assert not taught.full_FT[:, 251:].any()
    alone = maker(context=AudioContext.FIT, **varied).make(example_of(2.51), 0)
    assert torch.equal(alone.mel_FT, taught.mel_FT)
    assert alone.full_FT is None


@pytest.mark.parametrize(("use_timestamps", "n_heard"), [(True, 300), (False, 200)])
def test_without_times_a_cue_that_has_only_begun_is_cut_off(maker, use_timestamps, n_heard):
    example = example_of(3.0, cues=[(0.0, 2.0, "ab")], partial_start=2.0, use_timestamps=use_timestamps)
    mel = maker().make(example, 0).mel_FT
    assert mel[:, n_heard - 1].any()
    assert not mel[:, n_heard:].any()


def test_an_example_is_drawn_from_seed_epoch_and_key(maker, noises):
    varied = {"spec_augment": True, "speed": True, "noise": noises, "bpe_dropout": 0.5}

    def mel(seed: int, epoch: int) -> torch.Tensor:
        return maker(seed=seed, **varied).make(example_of(4.0), epoch).mel_FT

    assert torch.equal(mel(0, 0), mel(0, 0))
    assert not torch.equal(mel(0, 0), mel(0, 1))
    assert not torch.equal(mel(0, 0), mel(1, 0))


def test_played_faster_is_shorter_and_higher():
    clock = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 1000 * clock).astype(np.float32)
    fast = at_speed(tone, 1.1)
    assert len(fast) == pytest.approx(SAMPLE_RATE / 1.1, abs=2)
    assert np.abs(np.fft.rfft(fast)).argmax() * SAMPLE_RATE / len(fast) == pytest.approx(1100, abs=2)
    assert at_speed(tone, 1.0) is tone


def test_nothing_is_played_so_slowly_that_it_leaves_the_window():
    drawn = {draw_speed(drawn_from(seed), duration=29.0, longest=30) for seed in range(50)}
    assert drawn == {1.0, 1.1}
    assert {draw_speed(drawn_from(seed), duration=3.0, longest=30) for seed in range(50)} == {0.9, 1.0, 1.1}


def test_noise_is_added_at_the_ratio_that_was_drawn(noises):
    samples = speech(1.0)
    for seed in range(5):
        added = NoiseFolder(noises).add(samples, drawn_from(seed)) - samples
        ratio = 10 * np.log10((samples**2).mean() / (added**2).mean())
        assert 4.9 < ratio < 20.1
    silence = np.zeros(1000, np.float32)
    assert NoiseFolder(noises).add(silence, drawn_from(0)) is silence


def test_a_folder_without_noise(tmp_path):
    with pytest.raises(TrainingError, match="noise: no file in"):
        NoiseFolder(tmp_path)


def test_spec_augment_masks_no_more_than_its_policy_and_leaves_the_padding():
    mel = torch.rand(80, 3000) + 1
    mel[:, 500:] = 0
    widths = set()
    for seed in range(30):
        changed = spec_augment(mel, 500, drawn_from(seed))
        assert changed.shape == mel.shape
        assert torch.equal(changed[:, 500:], mel[:, 500:])
        is_flat_F = changed[:, :500].std(dim=1) < 1e-6
        is_flat_T = changed[:, :500].std(dim=0) < 1e-6
        assert is_flat_F.sum() <= 27
        assert is_flat_T.sum() <= 100
        widths.add((int(is_flat_F.sum()), int(is_flat_T.sum())))
    assert len(widths) > 20


# --- order ---


class Numbers:
    """Examples that are their own numbers."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, number: int) -> int:
        return number


def row(number: int, epoch: int) -> TrainingExample:
    return TrainingExample(
        key=f"{epoch}:{number}", mel_FT=torch.zeros(1, 4), tokens=(1,), targets=(2,), duration=1.0, is_too_long=False
    )


def loader_of(n: int, **plan) -> Loader:
    defaults = {"batch": 4, "micro_batch": 2, "seed": 0}
    return Loader(Numbers(n), row, BatchPlan(**defaults | plan), pad=9)


def keys(loader: Loader, n_updates: int) -> list[list[str]]:
    updates = [[key for batch in loader.next_update() for key in batch.keys] for _ in range(n_updates)]
    loader.close()
    return updates


def test_every_epoch_has_every_example_once_in_another_order():
    told = [key for update in keys(loader_of(10), 5) for key in update]
    assert sorted(told) == sorted(f"{epoch}:{number}" for epoch in range(2) for number in range(10))
    first, second = ([key.split(":")[1] for key in told if key.startswith(f"{epoch}:")] for epoch in range(2))
    assert first != second
    assert told != [key for update in keys(loader_of(10, seed=1), 5) for key in update]


@pytest.mark.parametrize("world_size", [2, 4])
@pytest.mark.parametrize("micro_batch", [1, 3, 100])
def test_processes_share_each_update(world_size, micro_batch):
    whole = keys(loader_of(10), 6)
    shares = [
        keys(loader_of(10, rank=rank, world_size=world_size, micro_batch=micro_batch), 6) for rank in range(world_size)
    ]
    assert [[key for share in update for key in share] for update in zip(*shares, strict=True)] == whole


def test_a_loader_goes_on_from_its_state():
    loader = loader_of(10)
    loader.next_update()
    loader.next_update()
    state = loader.state_dict()
    expected = keys(loader, 4)
    other = loader_of(10, micro_batch=1)
    other.next_update()
    other.load_state_dict(state)
    assert keys(other, 4) == expected


def test_a_batch_that_does_not_divide():
    with pytest.raises(TrainingError, match="batch: got 4 examples for 3 processes, expected a multiple"):
        BatchPlan(batch=4, micro_batch=1, seed=0, world_size=3)


def test_rows_are_filled_up_where_nothing_is_learned():
    long = TrainingExample(
        key="long", mel_FT=torch.ones(2, 6), tokens=(1, 2, 3), targets=(2, 3, 4), duration=2.0, is_too_long=False
    )
    short = TrainingExample(
        key="short", mel_FT=torch.tensor([[1.0, -1.0]] * 2), tokens=(5,), targets=(6,), duration=1.0, is_too_long=True
    )
    batch = collate([long, short], pad=9)
    assert batch.tokens_BM.tolist() == [[1, 2, 3], [5, 9, 9]]
    assert batch.targets_BM.tolist() == [[2, 3, 4], [6, IGNORED, IGNORED]]
    assert batch.mel_BFT[1].tolist() == [[1.0, -1.0, -1.0, -1.0, -1.0, -1.0]] * 2
    assert (batch.keys, batch.duration, batch.n_too_long) == (("long", "short"), 3.0, 1)


# --- shards ---


def test_any_example_of_any_shard(tmp_path, tones):
    other = write_shard(tmp_path / "b.tar", [("x", speech(1.0), fields_of("hello", 1.0))])
    index = ShardIndex([other, tones])
    assert len(index) == 13
    assert (index[0].key, index[0].fields["text"], len(index[0].waveform.samples)) == ("x", "hello", SAMPLE_RATE)
    assert index[12].key == "tones-011"
    assert index.fields(0)["text"] == "hello"
    assert index.digest != ShardIndex([tones, other]).digest
    moved = tmp_path / "moved.tar"
    moved.write_bytes(tones.read_bytes())
    assert ShardIndex([moved]).digest == ShardIndex([tones]).digest


def test_some_of_the_examples_alone(tmp_path):
    rows = [
        (f"{language}-{task}", speech(1.0), fields_of("hello", 1.0, language=language, task=task))
        for language in ("de", "es", "fr")
        for task in ("transcribe", "translate")
    ]
    shard = write_shard(tmp_path / "six.tar", rows)
    index = ShardIndex([shard], only=("language=de,fr", "task=translate"))
    assert [example.key for example in index] == ["de-translate", "fr-translate"]
    assert index.audio_s == 2.0
    with pytest.raises(TrainingError, match="only: got no example with language=pt, expected FIELD=VALUES as the"):
        ShardIndex([shard], only=("task=translate", "language=pt"))


def test_folders_stand_for_their_shards(tmp_path):
    for name in ("b/2.tar", "a/1.tar", "3.tar", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    names = [path.name for path in find_shards([tmp_path])]
    assert sorted(names) == ["1.tar", "2.tar", "3.tar"]
    assert find_shards([Path(tmp_path / "3.tar")]) == [tmp_path / "3.tar"]


def test_members_out_of_turn(tmp_path, tones):
    half = tones.read_bytes()[: tones.stat().st_size // 3]
    (tmp_path / "half.tar").write_bytes(half)
    with pytest.raises(ShardError, match=r"half\.tar"):
        ShardIndex([tmp_path / "half.tar"])[3]
