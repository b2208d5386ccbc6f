"""A transcription broken off and begun again: with a tiny random model, and with real weights on a long recording."""

import json
from dataclasses import replace

import numpy as np
import pytest

from asr.audio import Waveform, load_audio
from asr.decoding import DecodingOptions, DecodingResult
from asr.decoding.types import BeamSearch, Greedy, Sampling, TokenTime
from asr.features import SAMPLE_RATE
from asr.language_timeline import LanguageWindow
from asr.memo import WindowAnswers
from asr.options import Plan, TranscribeOptions
from asr.prompt import TaskPrompt
from asr.transcriber import Transcriber
from asr.transcript import Timing, Transcript
from asr.walk import Window


class BrokenOffError(Exception):
    pass


class Memo(dict[str, str]):
    """Takes as many answers as it is allowed to."""

    def __init__(self, limit: int = 10**6) -> None:
        super().__init__()
        self.limit = limit
        self.n_new = 0

    def put(self, key: str, payload: str) -> None:
        if self.n_new == self.limit:
            raise BrokenOffError
        self.n_new += 1
        self[key] = payload


WINDOW = Window(
    walk=1, seek=0, n_frames=3000, padded_to=3000, prompt=TaskPrompt(language="en"), options=DecodingOptions()
)
RESULT = DecodingResult(
    tokens=(50364, 7, 50464),
    text=" Wörter\u2028",
    language="en",
    language_probs={"en": 0.1 + 0.2},
    avg_logprob=-float("inf"),
    no_speech_prob=1e-17 / 3,
    compression_ratio=2 / 3,
    temperature=0.0,
    token_times=(TokenTime(start=0.02, end=1 / 3, probability=np.nextafter(1.0, 0)),),
)


def test_an_answer_comes_back_as_it_was():
    memo = Memo()
    WindowAnswers(memo, model="m", channel=0).keep(WINDOW, RESULT)
    assert WindowAnswers(memo, model="m", channel=0).recall(replace(WINDOW, walk=9)) == RESULT
    heard = LanguageWindow(seek=0, n_frames=100)
    WindowAnswers(memo, model="m", channel=0).keep(heard, {"de": 1 / 3, "en": 2 / 3})
    assert WindowAnswers(memo, model="m", channel=0).recall(heard) == {"de": 1 / 3, "en": 2 / 3}


def test_another_question_has_another_answer():
    others = [
        replace(WINDOW, seek=2),
        replace(WINDOW, n_frames=2998),
        replace(WINDOW, padded_to=1200),
        replace(WINDOW, prompt=TaskPrompt(language="de")),
        replace(WINDOW, prompt=TaskPrompt(language="en", context=(1,))),
        replace(WINDOW, options=DecodingOptions(strategy=BeamSearch())),
        replace(WINDOW, options=DecodingOptions(strategy=Sampling(temperature=0.2))),
        replace(WINDOW, options=DecodingOptions(strategy=Sampling(temperature=0.2, seed=1))),
        replace(WINDOW, options=DecodingOptions(strategy=Greedy(), token_times=True)),
    ]
    memo = Memo()
    for each in others:
        WindowAnswers(memo, model="m", channel=0).keep(each, RESULT)
    assert len(memo) == len(others)
    for model, channel in (("m", 0), ("n", 0), ("m", 1)):
        assert WindowAnswers(memo, model=model, channel=channel).recall(WINDOW) is None


def test_without_a_memo_nothing_is_kept():
    answers = WindowAnswers(None, model="m", channel=0)
    answers.keep(WINDOW, RESULT)
    assert answers.recall(WINDOW) is None


# --- real weights ---


@pytest.fixture(scope="module")
def long_recording(shared) -> Waveform:
    """Clips in several languages and pauses between them, a little over a minute."""
    rows = [json.loads(line) for line in (shared / "data" / "manifest.jsonl").read_text().splitlines()]
    chosen = [row for row in rows if row.get("language") in {"en", "de", "fr"} and 3 < row.get("duration", 0) < 12][:10]
    pause = np.zeros(SAMPLE_RATE, np.float32)
    parts = [part for row in chosen for part in (load_audio(shared / "data" / row["path"]).samples, pause)]
    return Waveform(samples=np.concatenate(parts))


def as_bytes(transcript: Transcript) -> bytes:
    return repr(replace(transcript, timing=Timing())).encode()


def tokens(transcript: Transcript) -> list[tuple[int, ...]]:
    return [segment.tokens for segment in transcript.segments]


@pytest.mark.weights
@pytest.mark.usefixtures("base")  # skips without weights; it computes in float32, this as the service does
@pytest.mark.parametrize(
    "options",
    [
        TranscribeOptions(beam_size=1, temperatures=(0.0, 0.4), best_of=2, seed=7, word_timestamps=True),
        TranscribeOptions(beam_size=1, temperatures=(0.0,), plan=Plan.SEQUENTIAL, language="en"),
    ],
    ids=["hybrid", "sequential"],
)
def test_a_transcription_broken_off_at_several_windows_says_the_same_to_the_byte(long_recording, options):
    transcriber = Transcriber.load("base")
    whole = Memo()
    expected = transcriber.transcribe(long_recording, options, memo=whole)
    memo, n_breaks = Memo(), 0
    while True:
        memo.limit, memo.n_new = max(1, len(whole) // 4), 0
        try:
            transcript = transcriber.transcribe(long_recording, options, memo=memo)
            break
        except BrokenOffError:
            n_breaks += 1
    assert n_breaks >= 2
    assert tokens(transcript) == tokens(expected)
    if transcriber.precision == "int8":  # in floating point the last bits depend on which windows are decoded together
        assert as_bytes(transcript) == as_bytes(expected)
    memo.limit, memo.n_new = 0, 0  # nothing new may be asked
    assert as_bytes(transcriber.transcribe(long_recording, options, memo=memo)) == as_bytes(transcript)
