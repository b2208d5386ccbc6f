"""Voice activity by Silero VAD. In: samples at 16 kHz. Out: the probability of speech of every 32 ms.

The network is Silero's, 310,000 weights from its wheel; the walk is ours. Only its LSTM looks back, so frames are
encoded in blocks and the LSTM runs over a block in one call: equal to frame by frame to 1e-4 and 13 times as fast, an
hour in 2.5 s on one core.
Knows no Whisper model. The package ``silero_vad`` itself is never imported: that would set torch's thread count.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from asr.errors import CheckpointError
from asr.features import SAMPLE_RATE
from asr.voice_activity import FRAME_S, VoiceActivity

__all__ = ["SpeechDetector"]

FRAME_SAMPLES = round(FRAME_S * SAMPLE_RATE)  # 512
CONTEXT_SAMPLES = 64  # of the frame before, which every frame is shown with
REFLECTED_SAMPLES = 64  # at its end
N_FFT, HOP_LENGTH = 256, 128
N_BINS = N_FFT // 2 + 1
FAINT_DBFS, HEARD_DBFS = -35.0, -20.0  # RMS of the loudest second near by: below the first it is brought to the second
MAX_GAIN_DB = 50.0  # more would make dither loud
BLOCK_FRAMES = 1_024  # 33 s: large enough to be fast, small enough to stay in the cache


class _Network(nn.Module):
    """Silero VAD 6 at 16 kHz.

    B: frames, S: samples of a frame with its context (576), T: steps of a frame's own spectrogram (4).
    """

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * N_BINS, N_FFT, stride=HOP_LENGTH, bias=False)
        self.conv1 = nn.Conv1d(N_BINS, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm = nn.LSTM(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, frames_BS: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Probabilities (B,) of consecutive frames, and the state after them; the state before is None at the start."""
        padded_BS = functional.pad(frames_BS.unsqueeze(1), (0, REFLECTED_SAMPLES), "reflect")
        real_BFT, imaginary_BFT = self.stft_conv(padded_BS).split(N_BINS, dim=1)
        x = torch.hypot(real_BFT, imaginary_BFT)
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x).relu()
        hidden, state = self.lstm(x.squeeze(-1), state)
        return self.final_conv(hidden.relu().unsqueeze(-1)).sigmoid().flatten(), state


class SpeechDetector:
    """Tells speech from everything else, on the CPU. Holds weights only: one may serve several threads."""

    def __init__(self) -> None:
        self._network = _Network()
        self._network.load_state_dict(_weights(_model_path()))
        self._network.eval().requires_grad_(False)

    def probabilities(
        self, samples: NDArray[np.float32], *, on_block: Callable[[], None] = lambda: None
    ) -> VoiceActivity:
        """Walk a recording of any length, (n_samples,) at 16 kHz; of a memory map, one block at a time is read.

        The last frame is filled up with silence; a recording without samples has no frames. Faint parts are heard
        louder, since the network does not know quiet speech: of clips at -60 dBFS it misses one in six. ``on_block`` is
        called before every half minute; what it raises ends the walk.
        """
        n_frames = -(-len(samples) // FRAME_SAMPLES)
        probabilities = np.zeros(n_frames, np.float32)
        gains_B = torch.from_numpy(_gains(samples, n_frames)) if n_frames else torch.zeros(0)
        state = None
        with torch.inference_mode():
            for first in range(0, n_frames, BLOCK_FRAMES):
                on_block()
                frames_BS = _frames(samples, first, min(BLOCK_FRAMES, n_frames - first))
                frames_BS = frames_BS * gains_B[first : first + len(frames_BS), None]
                block, state = self._network(frames_BS, state)
                probabilities[first : first + len(block)] = block.numpy()
        return VoiceActivity(probabilities=probabilities, duration=len(samples) / SAMPLE_RATE)


def _gains(samples: NDArray[np.float32], n_frames: int) -> NDArray[np.float32]:
    """By how much each frame is amplified, (n_frames,): 1 where anything near it is loud enough."""
    seconds = range(0, len(samples), SAMPLE_RATE)
    power = np.array([np.mean(np.square(samples[at : at + SAMPLE_RATE])) for at in seconds])
    loudest = np.maximum(power, np.maximum(np.append(power[1:], 0.0), np.insert(power[:-1], 0, 0.0)))
    level_db = 10 * np.log10(np.maximum(loudest, 1e-12))
    gain_db = np.where(level_db < FAINT_DBFS, np.minimum(HEARD_DBFS - level_db, MAX_GAIN_DB), 0.0)
    frames_s = (np.arange(n_frames) + 0.5) * FRAME_S
    gains: NDArray[np.float32] = 10 ** (np.interp(frames_s, np.arange(len(power)) + 0.5, gain_db) / 20)
    return gains.astype(np.float32)


def _frames(samples: NDArray[np.float32], first: int, n_frames: int) -> Tensor:
    """(n_frames, 576): each frame after the end of the one before; silence before the first and after the last."""
    start = first * FRAME_SAMPLES - CONTEXT_SAMPLES
    block = np.zeros(CONTEXT_SAMPLES + n_frames * FRAME_SAMPLES, np.float32)
    content = samples[max(start, 0) : start + len(block)]
    offset = max(-start, 0)
    block[offset : offset + len(content)] = content
    return torch.from_numpy(block).unfold(0, CONTEXT_SAMPLES + FRAME_SAMPLES, FRAME_SAMPLES)


def _weights(path: Path) -> dict[str, Tensor]:
    """The weights under the names of ``_Network``. Of its TorchScript file: the safetensors beside it are older."""
    script = torch.jit.load(str(path), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    names = {"stft_conv.weight": "stft.forward_basis_buffer"}
    for kind in ("weight", "bias"):
        names |= {f"conv{i + 1}.{kind}": f"encoder.{i}.reparam_conv.{kind}" for i in range(4)}
        names |= {f"lstm.{kind}_{gate}_l0": f"decoder.rnn.{kind}_{gate}" for gate in ("ih", "hh")}
        names[f"final_conv.{kind}"] = f"decoder.decoder.2.{kind}"
    return {ours: script[f"_model.{theirs}"] for ours, theirs in names.items()}


def _model_path() -> Path:
    spec = find_spec("silero_vad")  # finds the package without running it
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0]) / "data" / "silero_vad.jit" if folders else Path("silero_vad.jit")
    if not path.is_file():
        raise CheckpointError(f"got no Silero VAD at {path}, expected the file of its wheel; install silero-vad again")
    return path
