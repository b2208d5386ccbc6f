"""The command as a person runs it, and what its process must not load."""

import os
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


def test_help_lists_every_setting_with_default_and_description() -> None:
    shown = CliRunner().invoke(app, ["--help"], terminal_width=200).output
    for name, field in Settings.model_fields.items():
        default = "unset" if field.default is None else field.default
        assert f"AURICLE_{name.upper()}  [default: {default}]" in shown
        assert field.description
        assert field.description in shown


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


def test_a_missing_model_is_told_and_sigterm_ends_the_service(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "server.cli", "--port", str(port), "--model", str(tmp_path / "no-such-model")]
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
    assert list(tmp_path.iterdir()) == []
