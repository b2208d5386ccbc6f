"""Our weights in the files that peers read. In: a checkpoint. Out: an OpenAI ``.pt``, or a Hugging Face folder."""

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from asr.checkpoint import Checkpoint, load_model
from asr.model import sinusoids
from asr.tokenizer import Tokenizer

__all__ = ["write_huggingface", "write_openai"]

# OpenAI's parameter names to Hugging Face's, in order, applied one after the other.
RENAMES = (
    (r"\.blocks\.", ".layers."),
    (r"\.cross_attn_ln\.", ".encoder_attn_layer_norm."),
    (r"\.attn_ln\.", ".self_attn_layer_norm."),
    (r"\.mlp_ln\.", ".final_layer_norm."),
    (r"\.cross_attn\.", ".encoder_attn."),
    (r"\.attn\.", ".self_attn."),
    (r"\.mlp\.0\.", ".fc1."),
    (r"\.mlp\.2\.", ".fc2."),
    (r"\.query\.", ".q_proj."),
    (r"\.key\.", ".k_proj."),
    (r"\.value\.", ".v_proj."),
    (r"attn\.out\.", "attn.out_proj."),
    (r"^encoder\.ln_post\.", "encoder.layer_norm."),
    (r"^decoder\.ln\.", "decoder.layer_norm."),
    (r"^decoder\.token_embedding\.", "decoder.embed_tokens."),
    (r"^decoder\.positional_embedding$", "decoder.embed_positions.weight"),
)


def write_openai(checkpoint: Checkpoint, target: Path) -> None:
    """As openai-whisper reads them, in float32."""
    loaded = load_model(checkpoint, device=torch.device("cpu"), dtype=torch.float32)
    weights = dict(loaded.state_dict()) | {"encoder.positional_embedding": loaded.encoder.positional_embedding}
    dims = {name: getattr(checkpoint.dims, name) for name in checkpoint.dims.__slots__}
    torch.save({"dims": dims, "model_state_dict": weights}, target)


def write_huggingface(checkpoint: Checkpoint, folder: Path) -> None:
    """As transformers and optimum read them, in float32, with tokenizer, features and generation settings."""
    dims = checkpoint.dims
    tokenizer = Tokenizer(checkpoint.tokenizer_path, n_vocab=dims.n_vocab)
    weights = {_to_huggingface(name): tensor.float().contiguous() for name, tensor in checkpoint.state_dict.items()}
    weights["model.encoder.embed_positions.weight"] = sinusoids(dims.n_audio_ctx, dims.n_audio_state)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), tokenizer.eot)
    _write(folder / "config.json", _config(checkpoint) | ends | {"decoder_start_token_id": tokenizer.sot})
    _write(folder / "generation_config.json", _generation(checkpoint, tokenizer) | ends)
    _write(
        folder / "preprocessor_config.json",
        {
            "feature_extractor_type": "WhisperFeatureExtractor", "processor_class": "WhisperProcessor",
            "feature_size": dims.n_mels, "sampling_rate": 16_000, "hop_length": 160, "chunk_length": 30, "n_fft": 400,
            "n_samples": 480_000, "nb_max_frames": 3_000, "padding_side": "right", "padding_value": 0.0,
        },
    )  # fmt: skip
    _write_tokenizer(checkpoint.tokenizer_path, folder)


def _to_huggingface(name: str) -> str:
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    return f"model.{name}"


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    dims = checkpoint.dims
    return {
        "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "torch_dtype": "float32",
        "num_mel_bins": dims.n_mels, "max_source_positions": dims.n_audio_ctx, "d_model": dims.n_audio_state,
        "encoder_attention_heads": dims.n_audio_head, "encoder_layers": dims.n_audio_layer,
        "vocab_size": dims.n_vocab, "max_target_positions": dims.n_text_ctx,
        "decoder_attention_heads": dims.n_text_head, "decoder_layers": dims.n_text_layer,
        "encoder_ffn_dim": 4 * dims.n_audio_state, "decoder_ffn_dim": 4 * dims.n_text_state,
        "activation_function": "gelu", "is_encoder_decoder": True, "num_hidden_layers": dims.n_audio_layer,
    }  # fmt: skip


def _generation(checkpoint: Checkpoint, tokenizer: Tokenizer) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "decoder_start_token_id": tokenizer.sot, "prev_sot_token_id": tokenizer.sot_prev,
        "no_timestamps_token_id": tokenizer.no_timestamps, "is_multilingual": tokenizer.is_multilingual,
        "max_length": checkpoint.dims.n_text_ctx, "max_initial_timestamp_index": 50,
        "suppress_tokens": sorted({*tokenizer.non_speech_tokens, *tokenizer.control_tokens}),
        "begin_suppress_tokens": list(tokenizer.blank_tokens),
        "alignment_heads": [list(head) for head in checkpoint.alignment_heads],
    }  # fmt: skip
    if tokenizer.is_multilingual:
        languages = zip(tokenizer.languages, tokenizer.language_tokens, strict=True)
        settings["lang_to_id"] = {f"<|{code}|>": token for code, token in languages}
        settings["task_to_id"] = {"transcribe": tokenizer.transcribe, "translate": tokenizer.translate}
    return settings


def _write_tokenizer(source: Path, folder: Path) -> None:
    tokenizer = json.loads(source.read_text(encoding="utf-8"))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    added = {token["content"]: token for token in tokenizer["added_tokens"]}
    end = "<|endoftext|>"
    fields = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    _write(folder / "tokenizer.json", tokenizer)
    _write(folder / "vocab.json", tokenizer["model"]["vocab"])
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "WhisperTokenizer", "processor_class": "WhisperProcessor", "model_max_length": 1024,
            "errors": "replace", "bos_token": end, "eos_token": end, "unk_token": end, "pad_token": end,
            "added_tokens_decoder": {str(t["id"]): {name: t[name] for name in fields} for t in added.values()},
            "additional_special_tokens": [content for content, token in added.items() if token["special"]],
        },
    )  # fmt: skip


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
