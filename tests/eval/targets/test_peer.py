import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.options import TranscribeOptions
from asr.tasks import Task
from asr.transcript import Word
from eval.errors import ClipError, TargetUnavailableError
from eval.targets import PeerTarget

SCRIPT = """
import json, sys
print(json.dumps({"versions": {"fake": "1.0"}}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request["language"] == "fr":
        answer = {"error": "IndexError: 7"}
    elif request["language"] == "xx":
        sys.exit("out of memory")
    else:
        n_bytes = len(open(request["samples"], "rb").read())
        answer = {"text": json.dumps([n_bytes, request["task"]]), "language": request["language"] or "en",
                  "words": [[" hi", 0.1, 0.2, 0.9]] if request["words"] else []}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "clip.wav", np.zeros(1_600), 16_000)
    return tmp_path / "clip.wav"


@pytest.fixture
def start(tmp_path: Path):
    def make(script: str = SCRIPT) -> PeerTarget:
        (tmp_path / "peer.py").write_text(script)
        return PeerTarget("fake", [sys.executable, str(tmp_path / "peer.py")], model="base", model_hash="d0")

    return make


def test_a_peer_answers_clip_after_clip(start, speech: Path) -> None:
    target = start()
    described = target.describe()
    assert (described["target"], described["model"], described["model_hash"]) == ("fake", "base", "d0")
    assert described["versions"]["fake"] == "1.0"
    reply = target.transcribe(speech, TranscribeOptions())
    assert json.loads(reply.text) == [128 + 4 * 1_600, "transcribe"]
    assert (reply.language, reply.duration, reply.words) == ("en", 0.1, None)
    told = target.transcribe(speech, TranscribeOptions(language="de", task=Task.TRANSLATE, word_timestamps=True))
    assert (json.loads(told.text)[1], told.language) == ("translate", "de")
    assert told.words == (Word(word=" hi", start=0.1, end=0.2, probability=0.9),)


def test_one_clips_failure_is_its_own(start, speech: Path, tmp_path: Path) -> None:
    target = start()
    with pytest.raises(ClipError, match="IndexError: 7"):
        target.transcribe(speech, TranscribeOptions(language="fr"))
    (tmp_path / "text.wav").write_text("no audio")
    for path, code in ((tmp_path / "text.wav", "unsupported_media"), (tmp_path / "none.wav", "unreadable_file")):
        with pytest.raises(ClipError) as caught:
            target.transcribe(path, TranscribeOptions())
        assert caught.value.code.startswith(code[:10])
    assert target.transcribe(speech, TranscribeOptions()).language == "en"


def test_a_peer_that_ends_ends_the_run_and_says_what_it_wrote(start, speech: Path) -> None:
    with pytest.raises(TargetUnavailableError, match="ended with status 3: no such module; correct --peer"):
        start("import sys; sys.stderr.write('no such module'); sys.exit(3)")
    target = start(SCRIPT.replace('request["language"] == "xx"', "True"))
    with pytest.raises(TargetUnavailableError, match="out of memory"):
        target.transcribe(speech, TranscribeOptions())
    with pytest.raises(TargetUnavailableError, match="out of memory"):
        target.transcribe(speech, TranscribeOptions())


def test_an_interpreter_that_is_not_there_is_named() -> None:
    with pytest.raises(TargetUnavailableError, match="--peer fake: no-python cannot be run"):
        PeerTarget("fake", ["no-python"], model="base", model_hash=None)


def test_our_options_are_refused_and_words_are_not(start) -> None:
    target = start()
    assert target.settings(TranscribeOptions(word_timestamps=True, seed=0)) == {"word_timestamps": True}
    with pytest.raises(TargetUnavailableError, match="got vad, beam_size; leave them out"):
        target.settings(TranscribeOptions(beam_size=1, vad=False))
    with pytest.raises(TargetUnavailableError, match="asked for text"):
        target.detect_language(Path("clip.wav"))
