"""Which language is spoken (Whisper 2.3): the first step of the decoder. In: audio features. Out: probabilities.

Knows no text and no search.
"""

import torch
from torch import Tensor

from asr.model import Whisper
from asr.tokenizer import Tokenizer

__all__ = ["language_probabilities"]


@torch.inference_mode()
def language_probabilities(model: Whisper, tokenizer: Tokenizer, audio_features_RSC: Tensor) -> list[dict[str, float]]:
    """Each window's probability of every language, all other tokens left out; sums to 1.

    An English-only model answers English, since it knows nothing else.
    """
    n_windows = audio_features_RSC.shape[0]
    if not tokenizer.is_multilingual:
        return [{"en": 1.0} for _ in range(n_windows)]
    cache = model.decoder.new_cache(audio_features_RSC, n_padding=[0] * n_windows)
    start = torch.full((n_windows, 1), tokenizer.sot, device=audio_features_RSC.device)
    logits_RV = model.decoder.logits(model.decoder(start, cache)[:, -1])
    probabilities = logits_RV[:, list(tokenizer.language_tokens)].softmax(dim=-1).tolist()
    return [dict(zip(tokenizer.languages, row, strict=True)) for row in probabilities]
