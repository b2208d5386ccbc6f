"""The command as a person runs it, and what its process must not load."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from server.cli import app
from server.settings import Settings
from server.settings_page import PURPOSES, misspelt

ROOT = Path(__file__).parents[2]

IMPORT_EVERYTHING = """
import sys
import server.app, server.cli
from server.settings import Settings
server.app.create_app(Settings())
print(sorted(name for name in ("torch", "torchaudio", "librosa", "av", "soundfile", "eval.wer") if name in sys.modules))
"""


def test_the_api_process_imports_no_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_help_lists_every_setting_with_default_description_and_example_in_80_columns() -> None:
    shown = CliRunner().invoke(app, ["--help"], terminal_width=80).output
    assert max(len(line) for line in shown.splitlines()) <= 80
    words = " ".join(shown.split())
    for name, field in Settings.model_fields.items():
        variable = f"AURICLE_{name.upper()}"
        assert f"{variable} [default: " in words
        assert field.description
        assert field.description in words
        assert f"Example: {variable}=" in words


def test_every_setting_has_one_purpose_and_examples_that_are_accepted() -> None:
    named = [name for fields in PURPOSES.values() for name in fields]
    assert sorted(named) == sorted(Settings.model_fields)
    for fields in PURPOSES.values():
        for name, examples in fields.items():
            assert examples, name
            for example in examples:
                Settings(**({"api_keys_file": "keys.json"} | {name: example}))


def test_the_settings_page_is_what_the_settings_are() -> None:
    page = CliRunner().invoke(app, ["settings"]).output
    assert (ROOT / "docs" / "settings.md").read_text() == page, "make settings writes it anew"


def test_every_variable_that_any_room_reads_is_known() -> None:
    read = re.compile(r"[\"'](AURICLE_[A-Z_]+)[\"']")
    sources = [path for room in ("asr", "eval", "server", "tests") for path in (ROOT / room).rglob("*.py")]
    named = {name for path in sources for name in read.findall(path.read_text()) if path != Path(__file__)}
    assert {"AURICLE_MODEL_DIR", "AURICLE_OFFLINE", "AURICLE_SHARED_DIR"} <= named
    assert misspelt(named) == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("AURICLE_PROT", "AURICLE_PROT: not a setting; did you mean AURICLE_PORT?"),
        ("AURICLE_MAX_QUEUED_REQUEST", "did you mean AURICLE_MAX_QUEUED_REQUESTS?"),
        ("AURICLE_MODELDIR", "did you mean AURICLE_MODEL_DIR?"),
        ("auricle_prot", "auricle_prot: not a setting; did you mean AURICLE_PORT?"),
        ("AURICLE_XYZZY", "AURICLE_XYZZY: not a setting; `auricle-serve --help` lists them"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    monkeypatch.setenv(name, "1")
    done = CliRunner().invoke(app, [])
    assert done.exit_code == 2
    assert told in done.stderr


def test_a_model_that_is_not_there_ends_the_command_at_once(tmp_path: Path) -> None:
    for model in ("no-such-model", str(tmp_path / "nowhere")):
        done = CliRunner().invoke(app, ["--model", model])
        assert done.exit_code == 2
        assert f"model: got {model!r}, expected a path or a model on this machine" in done.stderr


def test_a_key_file_that_is_not_there_ends_the_command_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURICLE_API_KEYS_FILE", str(tmp_path / "keys.json"))
    done = CliRunner().invoke(app, ["--model", str(tmp_path)])
    assert done.exit_code == 2
    assert "keys.json: No such file" in done.stderr


def test_metrics_cannot_ask_for_keys_that_there_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURICLE_METRICS_REQUIRE_KEY", "true")
    done = CliRunner().invoke(app, [])
    assert done.exit_code == 2
    assert "AURICLE_METRICS_REQUIRE_KEY" in done.stderr
    assert "needs AURICLE_API_KEYS_FILE" in done.stderr


def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURICLE_MAX_UPLOAD_BYTES", "lots")
    done = CliRunner().invoke(app, [])
    assert done.exit_code == 2
    assert "AURICLE_MAX_UPLOAD_BYTES: got 'lots'" in done.output


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURICLE_PORT", "9000")
    monkeypatch.setenv("AURICLE_MAX_DURATION_S", "60")
    assert (Settings().port, Settings().max_duration_s) == (9000, 60.0)
    assert Settings(port=9001).port == 9001


def test_a_model_that_cannot_be_loaded_is_told_and_sigterm_ends_the_service(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    model = tmp_path / "no-model-inside"
    model.mkdir()
    command = [sys.executable, "-m", "server.cli", "--port", str(port), "--model", str(model)]
    with (
        subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"AURICLE_SPOOL_DIR": str(tmp_path)}, stderr=subprocess.PIPE, text=True
        ) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        try:
            code = ""
            deadline = time.monotonic() + 60
            while code != "load_failed":
                assert time.monotonic() < deadline
                time.sleep(0.1)
                try:
                    answer = client.get("/readyz")
                except httpx.ConnectError:
                    continue
                assert answer.status_code == 503
                code = answer.json()["error"]["code"]
            assert client.get("/healthz").status_code == 200
            assert str(tmp_path) not in answer.text
        finally:
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=20)
    assert time.monotonic() - began < 8
    assert "could not be loaded" in log
    assert list(tmp_path.iterdir()) == [model]
    lines = [json.loads(line) for line in log.splitlines()]  # not a terminal: JSON, uvicorn's lines too
    assert {"auricle.requests", "auricle.workers", "uvicorn.error"} <= {line["logger"] for line in lines}
