"""Two processes learn what one learns: DDP and FSDP over gloo, each with half of every update."""

import json
import socket
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from asr.cli import app

IN_TURNS = (sys.executable, str(Path(__file__).with_name("train_in_turns.py")))


def free_ports(n: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def runs(tmp_path_factory, bytes_path, tones, start_auricle) -> Path:
    """Folders one, ddp and fsdp. Adam divides by the gradient's size, which float noise is as good as any: so eased."""
    folder = tmp_path_factory.mktemp("runs")
    recipe = (
        tones, "--preset", "pico", "--tokenizer", bytes_path, "--updates", 3, "--batch", 4, "--context", "auto",
        "--peak-lr", "5e-4",
    )  # fmt: skip
    alone = start_auricle("train", *recipe, "--out", folder / "one")
    ports = free_ports(2)
    together = [start_auricle(rank, *ports, folder, *recipe, launcher=IN_TURNS) for rank in range(2)]
    for process in (alone, *together):
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said
    return folder


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_are_one(runs, parallel):
    one, two = (
        [json.loads(line) for line in (runs / name / "losses.jsonl").read_text().splitlines()]
        for name in ("one", parallel)
    )
    for alone, together in zip(one, two, strict=True):
        assert together["n_targets"] == alone["n_targets"]
        assert together["loss"] == pytest.approx(alone["loss"], rel=1e-6)
        assert together["grad_norm"] == pytest.approx(alone["grad_norm"], rel=1e-5)
    weights, shared = (load_file(runs / name / "model/model.safetensors") for name in ("one", parallel))
    for name, tensor in weights.items():
        torch.testing.assert_close(shared[name], tensor, atol=1e-6, rtol=0)


def test_one_process_goes_on_with_what_two_have_left(runs, bytes_path, tones):
    """Their checkpoint is anybody's: the run is at its end, so that it is loaded and exported anew."""
    before = load_file(runs / "fsdp/model/model.safetensors")
    (runs / "fsdp/model/model.safetensors").unlink()
    arguments = (
        "train", tones, "--preset", "pico", "--tokenizer", bytes_path, "--updates", 3, "--batch", 4,
        "--context", "auto", "--peak-lr", "5e-4", "--out", runs / "fsdp", "--resume",
    )  # fmt: skip
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 0, result.stderr
    after = load_file(runs / "fsdp/model/model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
