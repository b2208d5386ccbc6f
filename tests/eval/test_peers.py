from pathlib import Path

import pytest

from eval import engines
from eval.errors import EvaluationError, TargetUnavailableError
from eval.peers import open_peer, peer_model, split_peer


def test_a_peer_is_a_name_and_an_interpreter() -> None:
    assert split_peer("faster-whisper=peers/bin/python") == ("faster-whisper", Path("peers/bin/python"))
    with pytest.raises(EvaluationError, match="expected NAME=PYTHON"):
        split_peer("faster-whisper")


def test_unknown_peers_and_models_are_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AURICLE_MODEL_DIR", str(tmp_path))
    with pytest.raises(TargetUnavailableError, match="got 'kaldi', expected openai-whisper, faster-whisper, faster"):
        open_peer("kaldi", Path("python"), "base")
    with pytest.raises(TargetUnavailableError, match="--model base: model 'base' is not on this machine"):
        open_peer("faster-whisper", Path("python"), "base")


def test_every_peer_says_which_packages_it_is() -> None:
    assert all(packages for _, packages in engines.PEERS.values())


@pytest.mark.weights
def test_weights_are_exported_once(tmp_path, monkeypatch) -> None:
    import torch

    from asr.checkpoint import ModelStore

    published = ModelStore().resolve("tiny.en")
    monkeypatch.setenv("AURICLE_MODEL_DIR", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.en").symlink_to(published)
    path = Path(peer_model("openai-whisper", "tiny.en"))
    assert path.parent == tmp_path / "peers"
    exported = torch.load(path)
    assert exported["dims"]["n_vocab"] == 51864
    assert exported["model_state_dict"]["decoder.token_embedding.weight"].dtype == torch.float32
    written_at = path.stat().st_mtime_ns
    assert Path(peer_model("openai-whisper", "tiny.en")).stat().st_mtime_ns == written_at
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert peer_model("faster-whisper", "tiny.en") == str(tmp_path / "models" / "tiny.en")


@pytest.mark.weights
def test_a_huggingface_folder_reads_back_as_the_same_model(tmp_path, monkeypatch) -> None:
    import torch

    from asr.checkpoint import ModelStore, read_checkpoint

    published = ModelStore().resolve("tiny.en")
    monkeypatch.setenv("AURICLE_MODEL_DIR", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.en").symlink_to(published)
    folder = Path(peer_model("transformers", "tiny.en"))
    ours, theirs = read_checkpoint(published), read_checkpoint(folder)
    assert theirs.dims == ours.dims
    assert theirs.alignment_heads == ours.alignment_heads
    assert all(torch.equal(theirs.state_dict[name], tensor.float()) for name, tensor in ours.state_dict.items())
    with pytest.raises(EvaluationError, match=f"make it with optimum-cli export openvino --model {folder}"):
        peer_model("openvino-int8", "tiny.en")
