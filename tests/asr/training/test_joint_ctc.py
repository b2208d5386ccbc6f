"""The CTC loss beside the next token: what it counts, and for whom."""

import copy

import pytest
import torch

from asr.errors import InvalidOptionError
from asr.model import Whisper
from asr.training.building import begin
from asr.training.joint_ctc import JointCtc
from asr.training.loader import Batch
from asr.training.objective import TeacherForced
from asr.training.options import FromScratch, Goal, Parts, Recipe
from asr.training.targets import IGNORED

N_POSITIONS = 6


@pytest.fixture(scope="module")
def beginning(bytes_path):
    return begin(FromScratch(preset="pico", tokenizer=str(bytes_path)), seed=0)


@pytest.fixture
def whisper(beginning) -> Whisper:
    return copy.deepcopy(beginning.whisper)


def recipe(**changes) -> Recipe:
    start = FromScratch(preset="pico", tokenizer="")
    return Recipe(**{"start": start, "updates": 2, "peak_lr": 1e-3, "warmup": 0, "ctc_weight": 0.3} | changes)


def batch_of(tokenizer, *rows: tuple[int, list[int]]) -> Batch:
    """Rows are (task token, text tokens)."""
    read, said = [], []
    for task, text in rows:
        start = [tokenizer.sot, tokenizer.language_token("de"), task, tokenizer.no_timestamps]
        whole = [*start, *text, tokenizer.eot]
        read.append(torch.tensor(whole[:-1]))
        said.append(torch.tensor(whole[1:]))
    mel = torch.randn(len(rows), 80, 2 * N_POSITIONS, generator=torch.Generator().manual_seed(1))
    return Batch(
        keys=tuple(map(str, range(len(rows)))), mel_BFT=mel, duration=1.0, n_too_long=0,
        tokens_BM=torch.nn.utils.rnn.pad_sequence(read, batch_first=True, padding_value=tokenizer.eot),
        targets_BM=torch.nn.utils.rnn.pad_sequence(said, batch_first=True, padding_value=IGNORED),
    )  # fmt: skip


def test_it_is_the_sum_over_all_ways_to_say_the_text_in_time(whisper, beginning):
    tokenizer = beginning.tokenizer
    objective = JointCtc(whisper, tokenizer, recipe())
    batch = batch_of(tokenizer, (tokenizer.transcribe, [65]), (tokenizer.transcribe, []), (tokenizer.translate, [66]))
    features = objective.encode(batch.mel_BFT)
    probs = objective.head(features).softmax(dim=-1)
    blank, letter = probs[0, :, tokenizer.eot], probs[0, :, 65]
    spans = [(i, j) for i in range(N_POSITIONS) for j in range(i + 1, N_POSITIONS + 1)]
    one_letter = sum(blank[:i].prod() * letter[i:j].prod() * blank[j:].prod() for i, j in spans)
    nothing = probs[1, :, tokenizer.eot].prod()
    expected = -(one_letter.log() + nothing.log())  # and nothing of the translation
    torch.testing.assert_close(objective.ctc(features, batch), expected)
    both = 0.7 * TeacherForced(whisper)(batch) + 0.3 * expected
    torch.testing.assert_close(objective(batch), both)


def test_translations_alone_teach_the_decoder_alone(whisper, beginning):
    tokenizer = beginning.tokenizer
    objective = JointCtc(whisper, tokenizer, recipe())
    objective(batch_of(tokenizer, (tokenizer.translate, [65, 66]))).backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())  # as processes expect of each other
    assert not objective.head.weight.grad.any()
    assert whisper.decoder.blocks[0].attn.query.weight.grad.any()


def test_a_text_longer_than_its_audio_counts_nothing(whisper, beginning):
    tokenizer = beginning.tokenizer
    objective = JointCtc(whisper, tokenizer, recipe())
    batch = batch_of(tokenizer, (tokenizer.transcribe, [65] * N_POSITIONS))  # equal letters need blanks between them
    assert objective.ctc(objective.encode(batch.mel_BFT), batch) == 0


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"parts": Parts.DECODER}, "ctc_weight: got 0.3 where the decoder alone learns"),
        ({"objective": Goal.FULL_CONTEXT}, "ctc_weight: got 0.3 with the objective full-context; it stands beside"),
    ],
)
def test_where_it_is_of_no_use(changes, complaint):
    with pytest.raises(InvalidOptionError, match=complaint):
        recipe(**changes)
