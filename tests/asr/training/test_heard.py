import numpy as np
import pytest
from shard_making import fields_of

from asr.audio import Waveform
from asr.features import SAMPLE_RATE
from asr.model import ModelDimensions
from asr.options import AudioContext
from asr.shards import ShardExample
from asr.training.examples import ExampleMaker
from asr.training.options import Augmentation

DIMS = ModelDimensions(80, 1500, 64, 1, 1, 2000, 448, 64, 1, 1)


@pytest.mark.parametrize(
    ("context", "n_frames"),
    [(AudioContext.EXACT, 3000), (AudioContext.AUTO, 1200), (AudioContext.FIT, 202)],
    ids=lambda value: f"{value}",
)
def test_a_short_example_is_followed_by_as_much_silence_as_was_asked_for(byte_tokenizer, context, n_frames):
    maker = ExampleMaker(
        byte_tokenizer, DIMS, seed=0, context=context, augmentation=Augmentation(), bpe_dropout=None
    )  # fmt: skip
    samples = np.zeros(round(2.01 * SAMPLE_RATE), np.float32)
    example = ShardExample(key="a", waveform=Waveform(samples), fields=fields_of("One.", 2.01))
    assert maker.make(example, epoch=0).mel_FT.shape == (80, n_frames)
