"""Raw samples as they come."""

import numpy as np
import pytest

from asr.audio import Waveform
from asr.errors import AuricleError
from asr.pcm import PcmReader


def test_samples_at_16_khz_come_out_exactly():
    pcm = np.array([-32768, -1, 0, 1, 32767], "<i2")
    assert np.array_equal(PcmReader(16_000).read(pcm.tobytes()), pcm.astype(np.float32) / 32768)
    assert len(PcmReader(16_000).read(b"", is_last=True)) == 0


@pytest.mark.parametrize("n_piece", [2, 480, 24_000])
def test_24_khz_in_pieces_is_what_it_is_at_once(n_piece):
    times = np.arange(12_000) / 24_000
    pcm = (20_000 * np.sin(2 * np.pi * 440 * times)).astype("<i2")
    reader = PcmReader(24_000)
    pieces = [reader.read(pcm[i : i + n_piece].tobytes()) for i in range(0, len(pcm), n_piece)]
    samples = np.concatenate([*pieces, reader.read(b"", is_last=True)])
    expected = Waveform.from_samples(pcm, 24_000).samples
    assert len(samples) == len(expected) == 8_000
    assert np.abs(samples - expected).max() < 1e-4
    assert samples.dtype == np.float32


def test_half_a_sample_is_refused():
    with pytest.raises(AuricleError, match="3 bytes"):
        PcmReader(16_000).read(b"abc")
