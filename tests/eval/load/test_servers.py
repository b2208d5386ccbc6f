import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from eval.errors import EvaluationError, TargetUnavailableError
from eval.load.servers import MemoryWatch, Server, openai_server, our_server, peer_server
from eval.load.types import ServerSpec

GRANDCHILD = "import time; x = bytearray(80 << 20); time.sleep(1)"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GRANDCHILD!r}])"


def started(url_name: str = "http.server") -> ServerSpec:
    def command(port: int, _: Path) -> list[str]:
        return [sys.executable, "-m", url_name, str(port), "--bind", "127.0.0.1"]

    spec = openai_server("little", "http://127.0.0.1")
    return replace(spec, url=None, command=command)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_is_started_renewed_and_ended():
    with Server(started()) as server:
        first = server.pid
        assert first is not None
        server.renew()
        second = server.pid
        assert second is not None
        assert not is_alive(first)
        assert is_alive(second)
        assert server.url.startswith("http://127.0.0.1:")
    assert not is_alive(second)


def test_a_server_that_ends_says_why():
    with pytest.raises(TargetUnavailableError, match=r"little ended with status 1 before it served: .*no_such_module"):
        Server(started("no_such_module")).__enter__()


def test_an_interpreter_that_is_not_there_is_named(tmp_path):
    spec = peer_server("faster-whisper-server", tmp_path / "python", model="base", beam_size=1)
    with pytest.raises(TargetUnavailableError, match="python cannot be run: No such file"):
        Server(spec).__enter__()


def test_nobody_at_the_address(monkeypatch):
    with pytest.raises(TargetUnavailableError, match=r"http://127.0.0.1:1: no answer .* Start the server, or correct"):
        Server(our_server("http://127.0.0.1:1", model="base", beam_size=1)).__enter__()


def test_no_address():
    with pytest.raises(TargetUnavailableError, match="got 'localhost', expected http://host:port"):
        Server(our_server("localhost", model="base", beam_size=1)).__enter__()


def test_another_server_at_the_address():
    with Server(started()) as little:
        spec = our_server(little.url, model="base", beam_size=1)
        with pytest.raises(TargetUnavailableError, match="got 404 for /readyz, expected 200 from auricle"):
            Server(spec).__enter__()


def test_a_running_server_is_left_alone(url):
    with Server(our_server(url, model="base", beam_size=1)) as server:
        server.renew()
        assert (server.pid, server.url) == (None, url)


def test_a_peer_is_told_model_threads_and_beams(tmp_path):
    spec = peer_server("faster-whisper-server-2-workers", Path("python"), model="/models/base", beam_size=5)
    assert spec.command is not None
    told = spec.command(8001, tmp_path)
    assert told[-2:] == ["--workers", "2"]
    served = json.loads(Path(told[told.index("--config") + 1]).read_text())["models"][0]
    assert (served["path"], served["batch_size"]) == ("/models/base", 1)
    assert served["model_options"]["cpu_threads"] == max(1, (os.cpu_count() or 1) // 2)
    assert served["transcribe_options"] == {"beam_size": 5}


def test_unknown_peers_are_refused():
    with pytest.raises(EvaluationError, match="--peer: got 'kaldi', expected one of faster-whisper-server"):
        peer_server("kaldi", Path("python"), model="base", beam_size=1)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_is_that_of_all_processes():
    import subprocess

    with subprocess.Popen([sys.executable, "-c", CHILD]) as parent, MemoryWatch(parent.pid) as memory:
        deadline = time.monotonic() + 10
        while (memory.peak_mb or 0) < 80 and time.monotonic() < deadline:
            time.sleep(0.02)
    assert memory.peak_mb is not None
    assert 80 < memory.peak_mb < 300


def test_there_is_no_memory_of_a_server_elsewhere():
    with MemoryWatch(None) as memory:
        pass
    assert memory.peak_mb is None
