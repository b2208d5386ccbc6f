"""How much a model computes, and what a device could. In: sizes. Out: floating-point operations. Knows no clock."""

from asr.model import ModelDimensions

__all__ = ["batch_flops", "peak_flops"]

# Dense products in bf16 with float32 sums, FLOP/s, from the makers' data sheets (without sparsity); by a part of the
# device's name, the first that fits.
PEAK_FLOPS = {
    "B200": 2.25e15,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
    "A10G": 70e12,
}


def peak_flops(device_name: str) -> float | None:
    """Of one device; None where it is not known."""
    return next((peak for part, peak in PEAK_FLOPS.items() if part in device_name), None)


def batch_flops(dims: ModelDimensions, n_examples: int, n_frames: int, n_tokens: int, *, encoder_learns: bool) -> float:
    """Operations of one forward and backward pass: a multiplication and its addition are two.

    Of matrix products and attention alone, as model FLOP utilization counts them; a backward pass costs twice the
    forward one, what is computed again to save memory nothing, and an encoder that is frozen its forward pass alone.
    """
    n_audio = n_frames // 2
    wide, narrow = dims.n_audio_state, dims.n_text_state
    convolutions = 3 * wide * (dims.n_mels * n_frames + wide * n_audio)
    encoder = convolutions + dims.n_audio_layer * n_audio * wide * (12 * wide + 2 * n_audio)
    audio_keys = 2 * wide * narrow * n_audio
    decoder = dims.n_text_layer * (audio_keys + n_tokens * narrow * (14 * narrow + n_tokens + 2 * n_audio))
    decoder += n_tokens * narrow * dims.n_vocab
    return 2.0 * n_examples * (encoder * (3 if encoder_learns else 1) + decoder * 3)
