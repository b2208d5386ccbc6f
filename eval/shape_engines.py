"""One engine over a model's shape with random weights: a script that others run. In: one JSON argument. Out: JSON.

    python shape_engines.py ENGINE '{"dims": {…}, "device": "cuda", "windows": 8, "tokens": 100, "beam_size": 1,
                                     "runs": 3, "tokenizer": "tokenizer.json"}'

What a step costs does not depend on what the weights say, as long as all decode as many tokens: the end token is
forbidden and the length forced. Random weights need no download, so a shape can be timed wherever there is a device.
float16 on a GPU, float32 on a CPU. Imports nothing but the standard library until it knows which engine it is; each
lives in an interpreter of its own. Knows nothing of the other engines' results.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Task = dict[str, Any]
Run = Callable[[Any, int], list[int]]  # (windows, n_mels, 3000) float32 on the CPU, tokens → tokens of each
OURS = "auricle"
SEED = 0
STD = 0.02  # of the weights, as models are initialized
N_FRAMES = 3000
EOT = 50257  # of every multilingual model


def _auricle(task: Task) -> Run:
    import torch

    from asr.checkpoint import Checkpoint
    from asr.decoding import BeamSearch, DecodeRequest, DecodingOptions, Greedy
    from asr.engine.loading import load_engine
    from asr.model import ModelDimensions, Whisper
    from asr.options import Quantization
    from asr.prompt import TaskPrompt
    from asr.tokenizer import Tokenizer

    dims = ModelDimensions(**task["dims"])
    weights = {name: torch.empty_like(each).normal_(std=STD) for name, each in Whisper(dims).state_dict().items()}
    path = Path(task["tokenizer"])
    checkpoint = Checkpoint(dims=dims, state_dict=weights, tokenizer_path=path, source_sha256="")
    tokenizer = Tokenizer(path, n_vocab=dims.n_vocab)
    is_cuda = task["device"] == "cuda"
    engine = load_engine(
        checkpoint,
        tokenizer,
        device=task["device"],
        dtype="float16" if is_cuda else "float32",
        quantization=Quantization.NONE,
    )
    strategy = Greedy() if task["beam_size"] == 1 else BeamSearch(beam_size=task["beam_size"])
    prompt = TaskPrompt(language="en", timestamps=False)

    def run(mels: Any, n_tokens: int) -> list[int]:
        options = DecodingOptions(strategy=strategy, max_tokens=n_tokens, suppress_tokens=(tokenizer.eot,))
        requests = [DecodeRequest(mel=mel, prompt=prompt, options=options) for mel in mels.to(engine.device)]
        return [len(result.tokens) for result in engine.decode(requests)]

    return run


def _openai_whisper(task: Task) -> Run:
    """Its weights stay in float32 and are converted as they are used, as when it has loaded a model."""
    import whisper

    model = whisper.model.Whisper(whisper.model.ModelDimensions(**task["dims"])).to(task["device"]).eval()
    beams = {} if task["beam_size"] == 1 else {"beam_size": task["beam_size"]}
    settings = {"language": "en", "without_timestamps": True, "suppress_tokens": [EOT], **beams}

    def run(mels: Any, n_tokens: int) -> list[int]:
        options = whisper.DecodingOptions(sample_len=n_tokens, fp16=task["device"] == "cuda", **settings)
        # Its beams cannot be decoded in a batch: they ask for keys of the audio that it has once a window.
        batches = mels.to(task["device"]).split(1 if beams else len(mels))
        return [len(each.tokens) for batch in batches for each in model.decode(batch, options)]

    return run


def _transformers(task: Task) -> Run:
    import torch
    from transformers import (  # type: ignore[import-not-found]  # only where the peer is installed
        WhisperConfig,
        WhisperForConditionalGeneration,
    )

    dims, dtype = task["dims"], torch.float16 if task["device"] == "cuda" else torch.float32
    config = WhisperConfig(
        vocab_size=dims["n_vocab"], num_mel_bins=dims["n_mels"], d_model=dims["n_audio_state"],
        max_source_positions=dims["n_audio_ctx"], max_target_positions=dims["n_text_ctx"],
        encoder_layers=dims["n_audio_layer"], encoder_attention_heads=dims["n_audio_head"],
        encoder_ffn_dim=4 * dims["n_audio_state"], decoder_layers=dims["n_text_layer"],
        decoder_attention_heads=dims["n_text_head"], decoder_ffn_dim=4 * dims["n_text_state"],
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config).to(task["device"], dtype).eval()

    def run(mels: Any, n_tokens: int) -> list[int]:
        features, length = mels.to(task["device"], dtype), {"min_new_tokens": n_tokens, "max_new_tokens": n_tokens}
        decoded = model.generate(features, num_beams=task["beam_size"], do_sample=False, **length)
        return [decoded.shape[1]] * len(mels)

    return run


LOADERS: dict[str, Callable[[Task], Run]] = {
    OURS: _auricle,
    "openai-whisper": _openai_whisper,
    "transformers": _transformers,
}


def measure(engine: str, task: Task) -> dict[str, Any]:
    """Decode to warm up, then ``runs`` times, new windows each time, whole and to a quarter of the length.

    What is between the two is steps alone: how long the encoder takes cannot be told by the clock of a host that does
    not wait for it.
    """
    import torch

    torch.manual_seed(SEED)
    run = LOADERS[engine](task)
    runs = []

    def seconds(n_tokens: int) -> tuple[float, list[int]]:
        mels = torch.randn(task["windows"], task["dims"]["n_mels"], N_FRAMES)
        started = time.perf_counter()
        said = run(mels, n_tokens)
        return time.perf_counter() - started, said

    with torch.inference_mode():
        for _ in range(task["runs"] + 1):
            whole_s, said = seconds(task["tokens"])
            quarter_s, _ = seconds(task["tokens"] // 4)
            step_s = (whole_s - quarter_s) / (task["tokens"] - task["tokens"] // 4)
            runs.append({"seconds": whole_s, "step_s": step_s, "n_tokens": said})
    is_cuda = task["device"] == "cuda"
    return {"runs": runs[1:], "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if is_cuda else None}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], json.loads(sys.argv[2]))) + "\n")
