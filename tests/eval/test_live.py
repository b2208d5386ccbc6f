"""Live transcription measured: delays by hand, and a recording played into a socket that answers from a script."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner
from websockets.sync.server import Server, ServerConnection, serve

from eval.cli import app
from eval.corpora import Corpus, Utterance
from eval.errors import EvaluationError, TargetUnavailableError
from eval.live import LivePlan, as_json, as_markdown, groups, measure_live, word_delays
from eval.live_client import LiveEvent, Playback, play, stream_url

SECOND = 16_000
Script = Callable[[ServerConnection], None]


def word(text: str, start: float, end: float) -> dict[str, Any]:
    return {"word": f" {text}", "start": start, "end": end, "probability": 0.9}


def event(at: float, kind: str, *words: dict[str, Any]) -> LiveEvent:
    return LiveEvent(at=at, body={"type": kind, "words": list(words)})


def test_a_words_delay_runs_from_the_moment_its_end_was_sent():
    playback = Playback(
        sent_at=tuple(0.1 * (piece + 1) for piece in range(20)),
        events=(
            event(0.7, "partial", word("Hello", 0.1, 0.4)),
            event(1.2, "partial", word("hello", 0.1, 0.4), word("their", 0.5, 0.9)),
            event(1.9, "final", word("Hello,", 0.1, 0.4), word("there", 0.5, 0.95)),
            LiveEvent(at=2.0, body={"type": "done"}),
        ),
    )
    partial_s, final_s = word_delays(playback)
    assert partial_s == pytest.approx((0.3, 0.9))  # "there" was first shown when it was final
    assert final_s == pytest.approx((1.5, 0.9))


def test_a_word_that_is_said_again_is_another_word():
    playback = Playback(
        sent_at=tuple(0.1 * (piece + 1) for piece in range(50)),
        events=(
            event(1.0, "partial", word("no", 0.1, 0.5)),
            event(4.8, "final", word("no", 0.1, 0.5), word("no", 4.0, 4.5)),
        ),
    )
    assert word_delays(playback)[0] == pytest.approx((0.5, 0.3))


def test_the_address_of_the_socket_is_beside_the_services():
    assert stream_url("https://example.org/auricle/", {"a": "b c"}) == "wss://example.org/auricle/stream?a=b+c"
    with pytest.raises(TargetUnavailableError, match="expected http"):
        stream_url("example.org", {})


def answer(socket: ServerConnection) -> None:
    """Shows its sound's length after half a second, and says it at the end."""
    n_bytes = 0
    while isinstance(message := socket.recv(), bytes):
        n_bytes += len(message)
        if n_bytes == SECOND:
            socket.send(json.dumps({"type": "partial", "text": " one", "words": [word("one", 0.0, 0.3)]}))
    socket.send(json.dumps({"type": "final", "text": " one", "words": [word("one", 0.0, 0.3)]}))
    socket.send(json.dumps({"type": "done", "text": "one", "duration": n_bytes / 2 / SECOND}))


def refuse(socket: ServerConnection) -> None:
    socket.recv()
    socket.send(json.dumps({"type": "error", "error": {"code": "worker_died", "message": "It died."}}))
    socket.close(1011)


@pytest.fixture
def service() -> Iterator[Callable[[Script], str]]:
    servers: list[Server] = []

    def start(script: Script) -> str:
        server = serve(script, "127.0.0.1", 0)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.socket.getsockname()[1]}"

    yield start
    for server in servers:
        server.shutdown()


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    clips = []
    for name, language in (("one", "en"), ("eins", "de")):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, np.zeros(SECOND), SECOND)
        clips.append(Utterance(id=name, path=path, text=name, language=language, duration=1.0))
    return Corpus(name="numbers", sha256="0", utterances=tuple(clips))


def test_a_recording_is_played_at_the_pace_at_which_it_was_spoken(service):
    began = time.perf_counter()
    playback = asyncio.run(play(stream_url(service(answer), {}), np.zeros(SECOND, np.float32)))
    assert time.perf_counter() - began >= 1.0
    assert len(playback.sent_at) == 10
    assert playback.sent_at[4] == pytest.approx(0.5, abs=0.2)
    assert [each.body["type"] for each in playback.events] == ["partial", "final", "done"]
    assert playback.events[0].at < 0.95


def test_live_and_offline_text_are_held_against_the_reference_and_each_other(service, corpus, fake_target):
    plan = LivePlan(url=service(answer), corpus=corpus, n_streams=2, silence_s=0.5, fields={"step_s": "0.5"})
    began = time.perf_counter()
    clips = measure_live(plan, fake_target({"one": "one", "eins": "zwei"}))
    assert time.perf_counter() - began < 2.9  # side by side
    assert [clip.duration for clip in clips] == [1.0, 1.0]
    german, english, everything = groups(clips)
    assert (german.name, english.name, everything.name) == ("de", "en", "all")
    assert (english.errors.n_errors, english.offline_errors.n_errors, english.differences.n_errors) == (0, 0, 0)
    assert (german.errors.n_errors, german.offline_errors.n_errors, german.differences.n_errors) == (1, 1, 1)
    assert everything.n_words == 2
    assert 0 <= everything.partial_s[0] < everything.final_s[0]
    assert as_markdown(clips).count("\n") == 5
    assert json.loads(json.dumps(as_json(plan, {"model": "base"}, clips)))["groups"][2]["n_words"] == 2


def test_a_stream_that_fails_has_lost_its_text(service, corpus, fake_target):
    clips = measure_live(LivePlan(url=service(refuse), corpus=corpus, fields={}), fake_target({"one": "one"}))
    assert {clip.failure for clip in clips} == {"/stream: It died."}
    assert groups(clips)[-1].errors.deletions == 2
    assert "2 (2 failed)" in as_markdown(clips)


def test_nobody_there_ends_the_measurement(corpus, fake_target):
    with pytest.raises(TargetUnavailableError, match="Start the service"):
        measure_live(LivePlan(url="http://127.0.0.1:9", corpus=corpus, fields={}), fake_target({}))
    with pytest.raises(EvaluationError, match="no clip"):
        measure_live(
            LivePlan(url="http://x", corpus=Corpus(name="", sha256="", utterances=()), fields={}), fake_target({})
        )


@pytest.mark.parametrize("field", ["step_s", "timestamps=word", "=1"])
def test_a_field_of_the_measurement_is_refused(field):
    done = CliRunner().invoke(app, ["live", "http://localhost", "x.jsonl", "--field", field])
    assert done.exit_code == 2
