"""Every model file format, written by hand for a tiny random model and read back.

The names of each format are written down here once more, from its description, not taken from the readers.
"""

import hashlib
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from asr.checkpoint import Checkpoint, load_model, read_checkpoint, save_checkpoint
from asr.errors import CheckpointError, DigestMismatchError, UnknownModelError
from asr.model import ModelDimensions, Whisper, sinusoids

DIMS = ModelDimensions(4, 6, 8, 2, 2, 11, 7, 8, 4, 3)
HEADS = ((1, 0), (2, 3))
CPU = torch.device("cpu")

State = dict[str, torch.Tensor]
Variables = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def state() -> State:
    """Random weights that fp16 holds exactly."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Whisper(DIMS).state_dict().items()}
    return {name: torch.randn(shape, generator=generator).half().float() for name, shape in shapes.items()}


# --- writers ---


def ct2_string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def ct2_variable(name: str, array: np.ndarray) -> bytes:
    code = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}[array.dtype.name]
    shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
    return ct2_string(name) + shape + struct.pack("<BI", code, array.nbytes) + array.tobytes()


def ct2_variables(state: State, dtype: str = "float16") -> Variables:
    def get(name: str) -> np.ndarray:
        return state[name].numpy().astype(dtype)

    def stacked(prefix: str, projections: tuple[str, ...], kind: str) -> np.ndarray:
        zero = np.zeros(8, dtype)
        parts = [
            zero if (projection, kind) == ("key", "bias") else get(f"{prefix}.{projection}.{kind}")
            for projection in projections
        ]
        return np.concatenate(parts)

    variables = {
        "encoder/num_heads": np.array(DIMS.n_audio_head, np.int16),
        "decoder/num_heads": np.array(DIMS.n_text_head, np.int16),
        "decoder/alibi": np.array(0, np.int8),
        "decoder/alignment_heads": np.array(HEADS, np.int16),
        "encoder/position_encodings/encodings": sinusoids(DIMS.n_audio_ctx, DIMS.n_audio_state).numpy().astype(dtype),
        "decoder/position_encodings/encodings": get("decoder.positional_embedding"),
        "decoder/embeddings/weight": get("decoder.token_embedding.weight"),
    }
    for kind in ("weight", "bias"):
        norm = {"weight": "gamma", "bias": "beta"}[kind]
        variables[f"encoder/conv1/{kind}"] = get(f"encoder.conv1.{kind}")
        variables[f"encoder/conv2/{kind}"] = get(f"encoder.conv2.{kind}")
        variables[f"encoder/layer_norm/{norm}"] = get(f"encoder.ln_post.{kind}")
        variables[f"decoder/layer_norm/{norm}"] = get(f"decoder.ln.{kind}")
        for part, n_layers in (("encoder", DIMS.n_audio_layer), ("decoder", DIMS.n_text_layer)):
            for i in range(n_layers):
                here, block = f"{part}/layer_{i}", f"{part}.blocks.{i}"
                variables |= {
                    f"{here}/self_attention/linear_0/{kind}": stacked(f"{block}.attn", ("query", "key", "value"), kind),
                    f"{here}/self_attention/linear_1/{kind}": get(f"{block}.attn.out.{kind}"),
                    f"{here}/self_attention/layer_norm/{norm}": get(f"{block}.attn_ln.{kind}"),
                    f"{here}/ffn/linear_0/{kind}": get(f"{block}.mlp.0.{kind}"),
                    f"{here}/ffn/linear_1/{kind}": get(f"{block}.mlp.2.{kind}"),
                    f"{here}/ffn/layer_norm/{norm}": get(f"{block}.mlp_ln.{kind}"),
                }
                if part == "decoder":
                    variables |= {
                        f"{here}/attention/linear_0/{kind}": get(f"{block}.cross_attn.query.{kind}"),
                        f"{here}/attention/linear_1/{kind}": stacked(f"{block}.cross_attn", ("key", "value"), kind),
                        f"{here}/attention/linear_2/{kind}": get(f"{block}.cross_attn.out.{kind}"),
                        f"{here}/attention/layer_norm/{norm}": get(f"{block}.cross_attn_ln.{kind}"),
                    }
    return variables


TIED = (("decoder/projection/weight", "decoder/embeddings/weight"),)


def ct2_bytes(
    variables: Variables, *, aliases: tuple[tuple[str, str], ...] = TIED, version: int = 6, spec: str = "WhisperSpec"
) -> bytes:
    head = struct.pack("<I", version) + ct2_string(spec) + struct.pack("<II", 3, len(variables))
    body = b"".join(ct2_variable(name, array) for name, array in variables.items())
    tail = b"".join(ct2_string(alias) + ct2_string(target) for alias, target in aliases)
    return head + body + struct.pack("<I", len(aliases)) + tail


def write_ct2(folder: Path, content: bytes) -> Path:
    (folder / "model.bin").write_bytes(content)
    (folder / "config.json").write_text(json.dumps({"alignment_heads": HEADS}))
    (folder / "tokenizer.json").write_text("{}")
    return folder


HF_PARTS = {
    "attn_ln": "self_attn_layer_norm", "cross_attn_ln": "encoder_attn_layer_norm", "mlp_ln": "final_layer_norm",
    "attn": "self_attn", "cross_attn": "encoder_attn", "mlp.0": "fc1", "mlp.2": "fc2",
}  # fmt: skip
HF_PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj"}
HF_TOP = {
    "encoder.ln_post": "encoder.layer_norm", "decoder.ln": "decoder.layer_norm",
    "decoder.token_embedding": "decoder.embed_tokens",
    "encoder.conv1": "encoder.conv1", "encoder.conv2": "encoder.conv2",
}  # fmt: skip
HF_CONFIG = {
    "num_mel_bins": 4, "max_source_positions": 6, "d_model": 8, "encoder_attention_heads": 2, "encoder_layers": 2,
    "vocab_size": 11, "max_target_positions": 7, "decoder_attention_heads": 4, "decoder_layers": 3,
}  # fmt: skip


def hf_name(name: str) -> str:
    if name == "decoder.positional_embedding":
        return "model.decoder.embed_positions.weight"
    stem, kind = name.rsplit(".", 1)
    if ".blocks." not in name:
        return f"model.{HF_TOP[stem]}.{kind}"
    part, _, layer, rest = stem.split(".", 3)
    if rest.split(".")[-1] in HF_PROJECTIONS:
        attention, projection = rest.split(".")
        return f"model.{part}.layers.{layer}.{HF_PARTS[attention]}.{HF_PROJECTIONS[projection]}.{kind}"
    return f"model.{part}.layers.{layer}.{HF_PARTS[rest]}.{kind}"


def write_hf(folder: Path, state: State, *, n_shards: int = 1) -> Path:
    tensors = {hf_name(name): tensor.contiguous() for name, tensor in state.items()}
    tensors["proj_out.weight"] = state["decoder.token_embedding.weight"].clone()
    tensors["model.encoder.embed_positions.weight"] = sinusoids(6, 8)
    (folder / "config.json").write_text(json.dumps(HF_CONFIG))
    (folder / "generation_config.json").write_text(json.dumps({"alignment_heads": HEADS}))
    (folder / "tokenizer.json").write_text("{}")
    if n_shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder
    names = sorted(tensors)
    shards = {f"model-{i}-of-{n_shards}.safetensors": names[i::n_shards] for i in range(n_shards)}
    for file, members in shards.items():
        save_file({name: tensors[name] for name in members}, folder / file)
    weight_map = {name: file for file, members in shards.items() for name in members}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def write_pt(path: Path, state: State) -> str:
    dims = {name: getattr(DIMS, name) for name in DIMS.__slots__}
    content = {"encoder.positional_embedding": sinusoids(6, 8), **state}
    torch.save({"dims": dims, "model_state_dict": content}, path)
    path.with_name("tokenizer.json").write_text("{}")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_equal(checkpoint: Checkpoint, state: State) -> None:
    assert checkpoint.dims == DIMS
    assert checkpoint.state_dict.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(checkpoint.state_dict[name].float(), tensor), name


# --- CTranslate2 ---


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_ctranslate2(tmp_path, state, dtype):
    content = ct2_bytes(ct2_variables(state, dtype))
    checkpoint = read_checkpoint(write_ct2(tmp_path, content))
    check_equal(checkpoint, state)
    assert checkpoint.state_dict["decoder.ln.weight"].dtype == getattr(torch, dtype)
    assert checkpoint.alignment_heads == HEADS
    assert checkpoint.tokenizer_path == tmp_path / "tokenizer.json"
    assert checkpoint.source_sha256 == hashlib.sha256(content).hexdigest()


def test_a_file_of_the_folder_may_be_named(tmp_path, state):
    write_ct2(tmp_path, ct2_bytes(ct2_variables(state)))
    check_equal(read_checkpoint(tmp_path / "model.bin"), state)


def test_a_ctranslate2_file_cut_anywhere_is_refused(tmp_path, state):
    content = ct2_bytes(ct2_variables(state))
    # All cuts of the header, of the first variables and of the tail, and every 97th between them.
    cuts = {*range(400), *range(400, len(content), 97), *range(len(content) - 120, len(content))}
    for cut in sorted(cuts):
        write_ct2(tmp_path, content[:cut])
        with pytest.raises(CheckpointError):
            read_checkpoint(tmp_path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_headers_are_an_error_or_no_matter(data, state, tmp_path_factory):
    """Whatever single byte before the first weights changes: a checkpoint or a CheckpointError, nothing else."""
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(ct2_bytes(ct2_variables(state)))
    place = data.draw(st.integers(0, 700))
    content[place] = data.draw(st.integers(0, 255))
    write_ct2(folder, bytes(content))
    try:
        checkpoint = read_checkpoint(folder)
    except CheckpointError:
        return
    assert checkpoint.state_dict.keys() == state.keys()


CLAIMS = {
    "a name of 65,535 bytes": (struct.pack("<H", 65535) + b"x", "claims 65535 bytes"),
    "rank 5": (ct2_string("x") + struct.pack("<B", 5), "rank 5"),
    "rank 255": (ct2_string("x") + b"\xff", "rank 255"),
    "a dimension of 4 thousand million": (
        ct2_string("x") + struct.pack("<BIBI", 1, 2**32 - 1, 0, 16),
        "another number",
    ),
    "a size beyond the end": (
        ct2_string("x") + struct.pack("<BIBI", 1, 2**30 - 1, 0, 2**32 - 4),
        "truncated or damaged",
    ),
    "dimensions whose product overflows": (
        ct2_string("x") + struct.pack("<B4IBI", 4, *[2**16] * 4, 0, 0),
        "another number",
    ),
    "dtype 5": (ct2_string("x") + struct.pack("<BIBI", 1, 1, 5, 2) + b"\0\0", "dtype 5"),
    "a name that is not text": (struct.pack("<H", 3) + b"\xff\xfe\0" + b"\0" * 16, "not text"),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_absurd_claims_are_refused(tmp_path, claim):
    variable, message = CLAIMS[claim]
    head = struct.pack("<I", 6) + ct2_string("WhisperSpec") + struct.pack("<II", 3, 1)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(write_ct2(tmp_path, head + variable))


def changed(name: str, change) -> object:
    def apply(variables: Variables) -> Variables:
        return variables | {name: change(variables.get(name))}

    return apply


def without(name: str):
    return lambda variables: {key: array for key, array in variables.items() if key != name}


def with_key_bias(bias: np.ndarray) -> np.ndarray:
    bias = bias.copy()
    bias[8 + 3] = 0.5  # the second third is the key's
    return bias


QKV = "decoder/layer_1/self_attention/linear_0"
CHANGES = {
    "non-zero key bias": (changed(f"{QKV}/bias", with_key_bias), "key bias"),
    "int8 weights": (changed(f"{QKV}/weight", lambda w: w.astype(np.int8)), "int8"),
    "scales": (changed(f"{QKV}/weight_scale", lambda _: np.ones(24, np.float32)), "int8"),
    "unknown variable": (
        changed("decoder/layer_0/extra/weight", lambda _: np.ones((2, 2), np.float32)),
        "unknown variable",
    ),
    "missing bias": (without("encoder/conv2/bias"), r"encoder\.conv2\.bias"),
    "missing gamma": (without("decoder/layer_2/ffn/layer_norm/gamma"), r"1 parameters missing"),
    "missing embeddings": (without("decoder/embeddings/weight"), "not a Whisper model"),
    "missing head count": (without("encoder/num_heads"), "encoder/num_heads"),
    "no heads": (changed("encoder/num_heads", lambda _: np.array(0, np.int16)), "n_audio_head"),
    "heads that do not divide": (changed("decoder/num_heads", lambda _: np.array(3, np.int16)), "multiple"),
    "rows that cannot be split": (changed(f"{QKV}/weight", lambda w: w[:-1]), "multiple of 3"),
    "wrong width": (changed("decoder/layer_0/ffn/linear_0/weight", lambda w: w[:, :-1]), "has shape"),
    "wrong rank": (changed("encoder/conv1/weight", lambda w: w[..., 0]), "conv1"),
    "heads of no size": (changed("encoder/num_heads", lambda _: np.zeros(0, np.int16)), "encoder/num_heads"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_ctranslate2_contents_that_do_not_fit_are_refused(tmp_path, state, change):
    apply, message = CHANGES[change]
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(write_ct2(tmp_path, ct2_bytes(apply(ct2_variables(state)))))


def test_another_version_is_refused(tmp_path, state):
    with pytest.raises(CheckpointError, match=r"header says \(5, 'WhisperSpec', 3\), expected \(6,"):
        read_checkpoint(write_ct2(tmp_path, ct2_bytes(ct2_variables(state), version=5)))


def test_another_model_family_is_refused(tmp_path, state):
    write_ct2(tmp_path, ct2_bytes(ct2_variables(state), spec="TransformerSpec"))
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path)


def test_an_unknown_alias_is_refused(tmp_path, state):
    aliases = (("decoder/projection/weight", "encoder/conv1/weight"),)
    with pytest.raises(CheckpointError, match="unknown alias"):
        read_checkpoint(write_ct2(tmp_path, ct2_bytes(ct2_variables(state), aliases=aliases)))


@pytest.mark.parametrize("config", ["{", "[1, 2]", '{"alignment_heads": 3}', '{"alignment_heads": [[1, 2, 3]]}'])
def test_a_damaged_config_is_refused(tmp_path, state, config):
    write_ct2(tmp_path, ct2_bytes(ct2_variables(state)))
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_checkpoint(tmp_path)


# --- Hugging Face ---


@pytest.mark.parametrize("n_shards", [1, 3])
def test_hugging_face(tmp_path, state, n_shards):
    checkpoint = read_checkpoint(write_hf(tmp_path, state, n_shards=n_shards))
    check_equal(checkpoint, state)
    assert checkpoint.alignment_heads == HEADS
    if n_shards == 1:
        assert checkpoint.source_sha256 == hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    else:
        assert len(checkpoint.source_sha256) == 64


def test_the_digest_of_shards_covers_every_shard(tmp_path, state):
    before = read_checkpoint(write_hf(tmp_path, state, n_shards=3)).source_sha256
    after = read_checkpoint(write_hf(tmp_path, state | {"decoder.ln.bias": torch.zeros(8)}, n_shards=3)).source_sha256
    assert before != after


@pytest.mark.parametrize(
    "weight_map",
    [
        {"a": "../model.safetensors"},
        {"a": "/etc/passwd"},
        {"a": "sub/model.safetensors"},
        {"a": 3, "b": "x"},
        {},
        [],
        7,
    ],
)
def test_shard_names_stay_in_the_folder(tmp_path, weight_map):
    (tmp_path / "config.json").write_text(json.dumps(HF_CONFIG))
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match="weight_map has to name files in the same folder"):
        read_checkpoint(tmp_path)


def test_a_missing_shard_is_named(tmp_path, state):
    write_hf(tmp_path, state, n_shards=3)
    (tmp_path / "model-1-of-3.safetensors").unlink()
    with pytest.raises(CheckpointError, match="model-1-of-3"):
        read_checkpoint(tmp_path)


def test_a_missing_and_an_unknown_parameter_are_named(tmp_path, state):
    renamed = {("decoder.ln.gain" if name == "decoder.ln.weight" else name): tensor for name, tensor in state.items()}
    with pytest.raises(CheckpointError, match=r"1 parameters missing \['decoder.ln.weight'\], 1 unknown"):
        read_checkpoint(write_hf(tmp_path, renamed))


def test_a_cut_safetensors_file_is_refused(tmp_path, state):
    path = write_hf(tmp_path, state) / "model.safetensors"
    content = path.read_bytes()
    for cut in (0, 4, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(CheckpointError, match="not a safetensors file"):
            read_checkpoint(tmp_path)


@pytest.mark.parametrize(("config", "message"), [("{}", "num_mel_bins"), ("[]", "JSON object"), ("{", "JSON")])
def test_a_config_of_something_else(tmp_path, state, config, message):
    write_hf(tmp_path, state)
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path)


def test_pickled_hugging_face_weights_are_not_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(HF_CONFIG))
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    with pytest.raises(CheckpointError, match=r"pickled pytorch_model\.bin files are not read"):
        read_checkpoint(tmp_path)


# --- OpenAI ---


class CreatesFile:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def write_trap(path: Path) -> tuple[str, Path]:
    sprung = path.with_name("sprung")
    path.write_bytes(pickle.dumps(CreatesFile(sprung), protocol=2))
    return hashlib.sha256(path.read_bytes()).hexdigest(), sprung


def test_the_trap_works(tmp_path):
    _, sprung = write_trap(tmp_path / "base.pt")
    pickle.loads((tmp_path / "base.pt").read_bytes())  # noqa: S301 (made above)
    assert sprung.exists()


def test_openai(tmp_path, state):
    digest = write_pt(tmp_path / "mine.pt", state)
    checkpoint = read_checkpoint(tmp_path / "mine.pt", expected_sha256=digest.upper())
    check_equal(checkpoint, state)
    assert checkpoint.source_sha256 == digest


@pytest.mark.parametrize(("name", "given"), [("base.pt", None), ("mine.pt", "0" * 64)])
def test_a_pt_with_another_digest_is_not_unpickled(tmp_path, name, given):
    digest, sprung = write_trap(tmp_path / name)
    with pytest.raises(DigestMismatchError) as caught:
        read_checkpoint(tmp_path / name, expected_sha256=given)
    expected = given or "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e"
    assert (caught.value.got, caught.value.expected) == (digest, expected)
    assert digest in str(caught.value)
    assert expected in str(caught.value)
    assert not sprung.exists()


def test_a_pt_without_a_known_digest_is_not_unpickled(tmp_path):
    _, sprung = write_trap(tmp_path / "mine.pt")
    with pytest.raises(CheckpointError, match="known digest"):
        read_checkpoint(tmp_path / "mine.pt")
    assert not sprung.exists()


def test_a_pt_with_the_right_digest_runs_no_code_either(tmp_path):
    digest, sprung = write_trap(tmp_path / "mine.pt")
    with pytest.raises(CheckpointError, match="weights alone"):
        read_checkpoint(tmp_path / "mine.pt", expected_sha256=digest)
    assert not sprung.exists()


@pytest.mark.parametrize("content", [[1], {"dims": {}}, {"dims": {"n_mels": 80}, "model_state_dict": {}}])
def test_a_pt_of_something_else(tmp_path, content):
    torch.save(content, tmp_path / "mine.pt")
    digest = hashlib.sha256((tmp_path / "mine.pt").read_bytes()).hexdigest()
    with pytest.raises(CheckpointError, match=r"expected a dictionary|dims"):
        read_checkpoint(tmp_path / "mine.pt", expected_sha256=digest)


# --- our own form, and models ---


def test_own_form_keeps_everything(tmp_path, state):
    (tmp_path / "ct2").mkdir()
    source = read_checkpoint(write_ct2(tmp_path / "ct2", ct2_bytes(ct2_variables(state))))
    save_checkpoint(source, tmp_path / "own")
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == ["model.safetensors", "tokenizer.json"]
    copy = read_checkpoint(tmp_path / "own")
    check_equal(copy, state)
    assert copy.state_dict["decoder.ln.weight"].dtype == torch.float16
    assert (copy.alignment_heads, copy.source_sha256) == (HEADS, source.source_sha256)
    assert copy.tokenizer_path == tmp_path / "own" / "tokenizer.json"


def test_own_form_needs_a_tokenizer(tmp_path, state):
    checkpoint = Checkpoint(dims=DIMS, state_dict=state, tokenizer_path=tmp_path / "none.json", source_sha256="")
    with pytest.raises(CheckpointError, match="tokenizer"):
        save_checkpoint(checkpoint, tmp_path / "own")


@pytest.mark.parametrize("dims", ["{", "[]", '{"n_mels": 80}'])
def test_a_damaged_own_header_is_refused(tmp_path, state, dims):
    metadata = {"format": "auricle-1", "dims": dims, "alignment_heads": "[]", "source_sha256": ""}
    save_file(state, tmp_path / "model.safetensors", metadata=metadata)
    with pytest.raises(CheckpointError, match="header does not describe"):
        read_checkpoint(tmp_path)


@torch.inference_mode()
def test_every_format_loads_into_the_same_model(tmp_path, state, hidden_states):
    folders = [tmp_path / name for name in ("ct2", "hf", "pt", "own")]
    for folder in folders[:3]:
        folder.mkdir()
    write_ct2(folders[0], ct2_bytes(ct2_variables(state)))
    write_hf(folders[1], state)
    digest = write_pt(folders[2] / "mine.pt", state)
    save_checkpoint(read_checkpoint(folders[0]), folders[3])
    reference = Whisper(DIMS).eval()
    reference.load_state_dict(state)
    mel = torch.randn(1, 4, 12)

    def hidden(model: Whisper) -> torch.Tensor:
        return hidden_states(model, model.encoder(mel)[0], [1, 5, 9])

    for path, sha256 in zip(
        [*folders[:2], folders[2] / "mine.pt", folders[3]], [None, None, digest, None], strict=True
    ):
        model = load_model(read_checkpoint(path, expected_sha256=sha256), device=CPU, dtype=torch.float32)
        assert not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, state[name]), (path.name, name)
        assert torch.equal(hidden(model), hidden(reference)), path.name


def test_the_model_takes_the_dtype_but_keeps_exact_positions(state, tmp_path):
    checkpoint = read_checkpoint(write_ct2(tmp_path, ct2_bytes(ct2_variables(state))))
    model = load_model(checkpoint, device=CPU, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert torch.equal(model.encoder.positional_embedding, sinusoids(6, 8))


def test_nothing_there(tmp_path):
    with pytest.raises(UnknownModelError, match="no such file or folder"):
        read_checkpoint(tmp_path / "missing")
    with pytest.raises(CheckpointError, match="no model found here"):
        read_checkpoint(tmp_path)
