"""Reader of Hugging Face Whisper folders. In: ``config.json`` and safetensors. Out: ``Checkpoint``. Knows no hub."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from asr.checkpoint.types import Checkpoint, check_parameters, read_alignment_heads, read_json_object, sha256_of
from asr.errors import CheckpointError
from asr.model import ModelDimensions

__all__ = ["read_huggingface"]

# In order, applied one after the other to a name without its leading "model.".
RENAMES = (
    (r"\.layers\.", ".blocks."),
    (r"\.self_attn\.", ".attn."),
    (r"\.encoder_attn\.", ".cross_attn."),
    (r"\.(q|k|v)_proj\.", lambda m: {"q": ".query.", "k": ".key.", "v": ".value."}[m[1]]),
    (r"\.out_proj\.", ".out."),
    (r"\.self_attn_layer_norm\.", ".attn_ln."),
    (r"\.encoder_attn_layer_norm\.", ".cross_attn_ln."),
    (r"\.final_layer_norm\.", ".mlp_ln."),
    (r"\.fc1\.", ".mlp.0."),
    (r"\.fc2\.", ".mlp.2."),
    (r"^encoder\.layer_norm\.", "encoder.ln_post."),
    (r"^decoder\.layer_norm\.", "decoder.ln."),
    (r"^decoder\.embed_tokens\.", "decoder.token_embedding."),
    (r"^decoder\.embed_positions\.weight$", "decoder.positional_embedding"),
)
RECOMPUTED = "encoder.embed_positions.weight"
TIED = "proj_out.weight"  # the token embedding once more


def _to_openai(name: str) -> str:
    name = name.removeprefix("model.")
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _dimensions(config: dict[str, Any]) -> ModelDimensions:
    try:
        return ModelDimensions(
            config["num_mel_bins"], config["max_source_positions"], config["d_model"],
            config["encoder_attention_heads"], config["encoder_layers"],
            config["vocab_size"], config["max_target_positions"], config["d_model"],
            config["decoder_attention_heads"], config["decoder_layers"],
        )  # fmt: skip
    except KeyError as error:
        raise CheckpointError(f"config.json: no {error}; this is not a Whisper configuration") from error


def _weight_files(folder: Path) -> list[Path]:
    single = folder / "model.safetensors"
    if single.exists():
        return [single]
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        raise CheckpointError(f"{folder.name}: no model.safetensors; pickled pytorch_model.bin files are not read")
    weight_map = read_json_object(index).get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    # A name with a folder in it could point anywhere on this machine.
    if not names or any(not isinstance(name, str) or Path(name).name != name for name in names):
        raise CheckpointError(f"{index.name}: weight_map has to name files in the same folder, got {names[:3]}")
    return [folder / name for name in sorted(set(names))]


def read_huggingface(folder: Path) -> Checkpoint:
    """Read a folder with ``config.json``, safetensors (one file or shards) and ``tokenizer.json``.

    Raises CheckpointError.
    """
    dims = _dimensions(read_json_object(folder / "config.json"))
    state_dict: dict[str, Tensor] = {}
    files = _weight_files(folder)
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 (not a mapping: it has keys() alone)
                    state_dict[_to_openai(name)] = file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path.name}: not a safetensors file: {error}") from error
    state_dict.pop(RECOMPUTED, None)
    state_dict.pop(TIED, None)
    check_parameters(state_dict, dims, folder.name)
    digests = [sha256_of(path) for path in files]
    return Checkpoint(
        dims=dims,
        state_dict=state_dict,
        tokenizer_path=folder / "tokenizer.json",
        alignment_heads=read_alignment_heads(folder / "generation_config.json"),
        source_sha256=digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest(),
    )
