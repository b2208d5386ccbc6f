"""The front door: every plan with a tiny random model; with real weights, parity with the reference's own walk."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import scipy.io.wavfile
import torch

from asr.audio import Waveform, load_audio, map_stored, store_audio
from asr.checkpoint import Checkpoint
from asr.engine.loading import load_engine
from asr.engine.native import NativeBackend
from asr.errors import AudioError, AudioTooLongError, InvalidOptionError, UnsupportedLanguageError
from asr.features import HOP_LENGTH, SAMPLE_RATE
from asr.model import ModelDimensions
from asr.native import kernels
from asr.options import AudioContext, Channels, Plan, TranscribeOptions
from asr.quality import NO_TIME
from asr.recording import MIN_SHARED_FRAMES
from asr.tasks import Task
from asr.tokenizer import Tokenizer
from asr.transcriber import Progress, Transcriber
from asr.transcript import Segment

weights = pytest.mark.weights
FAST = TranscribeOptions(beam_size=1, temperatures=(0.0,), language="en")


# --- a tiny random model ---

TINY = TranscribeOptions(beam_size=1, temperatures=(0.0,), seed=0)
ALL_PLANS = pytest.mark.parametrize("plan", Plan)


@pytest.fixture(scope="module")
def tiny(tiny_model, tokenizer_path) -> Transcriber:
    dims: ModelDimensions = tiny_model.dims
    checkpoint = Checkpoint(
        dims=dims,
        state_dict=tiny_model.state_dict(),
        tokenizer_path=tokenizer_path,
        alignment_heads=((1, 0), (1, 1)),
        source_sha256="0" * 64,
    )
    tokenizer = Tokenizer(tokenizer_path, n_vocab=dims.n_vocab)
    engine = load_engine(checkpoint, tokenizer, device="cpu", quantization="none")
    return Transcriber(checkpoint, engine, name="tiny-random")


@pytest.fixture
def voice(monkeypatch, activity_of) -> None:
    """The speech detector hears talk in noise: 4 s of it, half a second of pause, and so on; none in silence."""

    def probabilities(_, samples: np.ndarray) -> object:
        seconds = len(samples) / SAMPLE_RATE
        talk = 0.9 if np.abs(samples).max(initial=0.0) > 0 else 0.0
        n_turns = int(seconds / 4.48)
        rest = seconds - n_turns * 4.48
        activity = activity_of(*[(4.0, talk), (0.48, 0.0)] * n_turns, (rest + 0.032, talk))
        return replace(activity, duration=seconds)

    monkeypatch.setattr("asr.vad.SpeechDetector.probabilities", probabilities)


def waveform(samples: np.ndarray) -> Waveform:
    return Waveform(samples=samples.astype(np.float32))


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32)


@ALL_PLANS
@pytest.mark.parametrize("language", ["en", None])
@pytest.mark.usefixtures("voice")
def test_noise_with_a_voice_in_every_plan(tiny, plan, language):
    options = replace(TINY, plan=plan, language=language, word_timestamps=True, hotwords=("Auricle",), prompt="A call.")
    recording = waveform(noise(40))
    heard: list[Segment] = []
    progress: list[Progress] = []
    transcript = tiny.transcribe(recording, options, on_segment=heard.append, on_progress=progress.append)
    assert transcript.segments
    assert tuple(heard) == transcript.segments
    again = tuple(tiny.stream(recording, options))
    # In other company floating-point sums round otherwise: the text is the same, its probability nearly so.
    assert [(each.start, each.end, each.tokens) for each in again] == [
        (each.start, each.end, each.tokens) for each in transcript.segments
    ]
    for one, other in zip(again, transcript.segments, strict=True):
        assert one.avg_logprob == pytest.approx(other.avg_logprob, abs=1e-4)
    assert [segment.id for segment in heard] == list(range(len(heard)))
    assert [segment.start for segment in heard] == sorted(segment.start for segment in heard)
    for segment in heard:
        assert 0 <= segment.start <= segment.end <= 40
        assert segment.quality.attempts
        assert "".join(word.word for word in segment.words) == segment.text
        assert segment.language == (language or transcript.languages[0].language)
    assert bool(transcript.languages) == bool(transcript.language_probs) == (language is None)
    assert [each.done for each in progress] == sorted(each.done for each in progress)
    assert progress[-1] == Progress(done=40, duration=40)


@ALL_PLANS
@pytest.mark.parametrize("seconds", [0.2, 31.0])
@pytest.mark.usefixtures("voice")
def test_nothing_is_decoded_in_silence(tiny, plan, seconds):
    transcript = tiny.transcribe(waveform(np.zeros(int(seconds * SAMPLE_RATE))), replace(TINY, plan=plan))
    assert (transcript.segments, transcript.suppressed, transcript.languages, transcript.text) == ((), (), (), "")
    assert transcript.timing.decode == 0


@ALL_PLANS
@pytest.mark.usefixtures("voice")
def test_without_voice_detection_silence_is_decoded(tiny, plan):
    options = replace(TINY, plan=plan, vad=False, language="en", no_speech_threshold=None)
    transcript = tiny.transcribe(waveform(np.zeros(5 * SAMPLE_RATE)), options)
    assert transcript.segments
    assert {each.reason for each in transcript.suppressed} <= {NO_TIME}


@ALL_PLANS
@pytest.mark.usefixtures("voice")
def test_channels_are_merged_by_time(tiny, tmp_path, plan):
    both = np.stack([noise(12, 1), noise(12, 2)], axis=1)
    both[: 6 * SAMPLE_RATE, 1] = 0.0
    scipy.io.wavfile.write(tmp_path / "call.wav", SAMPLE_RATE, both)
    options = replace(TINY, plan=plan, language="en", channels=Channels.SPLIT)
    transcript = tiny.transcribe(tmp_path / "call.wav", options)
    assert {segment.channel for segment in transcript.segments} == {0, 1}
    assert [segment.start for segment in transcript.segments] == sorted(each.start for each in transcript.segments)
    assert [segment.id for segment in transcript.segments] == list(range(len(transcript.segments)))
    assert tuple(tiny.stream(tmp_path / "call.wav", options)) == transcript.segments


@pytest.mark.usefixtures("voice")
def test_progress_of_channels_is_that_of_the_slowest(tiny, tmp_path):
    both = np.stack([noise(12, 1), noise(12, 2)], axis=1)
    scipy.io.wavfile.write(tmp_path / "call.wav", SAMPLE_RATE, both)
    options = replace(TINY, language="en", channels=Channels.SPLIT)
    progress: list[Progress] = []
    tiny.transcribe(tmp_path / "call.wav", options, on_progress=progress.append)
    assert [each.done for each in progress] == sorted(each.done for each in progress)
    assert (progress[0].done, progress[-1]) == (0, Progress(done=12, duration=12))


@pytest.mark.usefixtures("voice")
def test_every_channel_has_its_languages(tiny, tmp_path):
    both = np.stack([noise(12, 1), noise(12, 2)], axis=1)
    scipy.io.wavfile.write(tmp_path / "call.wav", SAMPLE_RATE, both)
    transcript = tiny.transcribe(tmp_path / "call.wav", replace(TINY, channels=Channels.SPLIT))
    assert {span.channel for span in transcript.languages} == {0, 1}
    mixed = tiny.transcribe(tmp_path / "call.wav", TINY)
    assert {span.channel for span in mixed.languages} == {None}


def test_a_waveform_has_no_channels_to_split(tiny):
    with pytest.raises(InvalidOptionError, match="channels"):
        tiny.transcribe(waveform(noise(1)), replace(TINY, channels=Channels.SPLIT))


@pytest.mark.usefixtures("voice")
def test_waveforms_of_channels_are_heard_as_their_file(tiny, tmp_path):
    both = np.stack([noise(3, 1), noise(3, 2)], axis=1)
    scipy.io.wavfile.write(tmp_path / "call.wav", SAMPLE_RATE, both)
    options = replace(TINY, language="en", channels=Channels.SPLIT)
    expected = tiny.transcribe(tmp_path / "call.wav", options)
    with (tmp_path / "call.wav").open("rb") as source, (tmp_path / "samples").open("wb") as file:
        stored = store_audio(source, file, "each")
    channels = map_stored(tmp_path / "samples", n_channels=stored.n_channels)
    assert tiny.transcribe(channels, options).segments == expected.segments
    mixed = replace(options, channels=Channels.MIX)
    assert tiny.transcribe(channels[:1], mixed).segments == tiny.transcribe(channels[0], mixed).segments


@pytest.mark.parametrize(
    ("channels", "lengths", "message"),
    [
        (Channels.MIX, (1.0, 1.0), "2 waveforms"),
        (Channels.SPLIT, (1.0, 0.5), "1.000 s, 0.500 s"),
        (Channels.SPLIT, (), "no channel"),
    ],
)
def test_waveforms_that_are_no_channels_of_one_recording(tiny, channels, lengths, message):
    waveforms = [waveform(noise(length)) for length in lengths]
    with pytest.raises(InvalidOptionError, match=message):
        tiny.transcribe(waveforms, replace(TINY, channels=channels))


@pytest.mark.usefixtures("voice")
def test_segments_of_a_mix_have_no_channel(tiny):
    transcript = tiny.transcribe(waveform(noise(5)), replace(TINY, language="en"))
    assert {segment.channel for segment in transcript.segments} == {None}


@pytest.mark.usefixtures("voice")
def test_only_clips_are_transcribed(tiny):
    options = replace(TINY, language="en", clip_timestamps=((2.0, 4.0), (6.0, 7.5)))
    transcript = tiny.transcribe(waveform(noise(10)), options)
    assert transcript.segments
    for segment in transcript.segments:
        assert any(low <= segment.start <= segment.end <= high for low, high in ((2.0, 4.0), (6.0, 7.5)))


@pytest.mark.parametrize("token", [51865, 10**6])
def test_tokens_beyond_the_vocabulary_are_refused(tiny, token):
    with pytest.raises(InvalidOptionError, match=f"suppress_tokens: got {token}, this model has 51865") as caught:
        tiny.transcribe(waveform(noise(1)), replace(TINY, suppress_tokens=(token,)))
    assert caught.value.param == "suppress_tokens"


def test_a_model_that_was_not_trained_for_bare_windows_is_not_asked_to_hear_them(tiny):
    with pytest.raises(InvalidOptionError, match="context: got 'fit', but this model was never trained to hear"):
        tiny.transcribe(waveform(noise(1)), replace(TINY, context=AudioContext.FIT))
    with pytest.raises(InvalidOptionError, match="context: got 'fit'"):
        tiny.detect_language(waveform(noise(1)), context=AudioContext.FIT)


@pytest.mark.usefixtures("voice")
def test_suppressed_tokens_never_appear(tiny):
    def tokens(*suppressed: int) -> set[int]:
        options = replace(TINY, language="en", suppress_tokens=suppressed, logprob_threshold=None)
        return {token for segment in tiny.stream(waveform(noise(4)), options) for token in segment.tokens}

    frequent = max(token for token in tokens() if token < tiny.tokenizer.eot)
    assert frequent not in tokens(frequent)


@pytest.mark.parametrize("seconds", [3, 70])
@pytest.mark.usefixtures("voice")
def test_detected_languages_are_allowed_ones(tiny, seconds):
    recording = waveform(noise(seconds))
    everything = tiny.detect_language(recording)
    assert everything.language in tiny.languages
    assert sum(everything.language_probs.values()) == pytest.approx(1, abs=1e-4)
    detection = tiny.detect_language(recording, languages=("German", "fr"))
    assert set(detection.language_probs) == {"de", "fr"}
    assert sum(detection.language_probs.values()) == pytest.approx(1)
    best = max(detection.language_probs, key=detection.language_probs.__getitem__)
    assert detection.language == best
    assert tiny.detect_language(recording, languages=("German", "fr"), language_threshold=1.0).language is None
    assert tiny.detect_language(recording, languages=("de",)).language_probs == {"de": 1.0}


@pytest.mark.usefixtures("voice")
def test_a_language_is_detected_in_silence_too(tiny):
    detection = tiny.detect_language(waveform(np.zeros(SAMPLE_RATE)), languages=("de", "fr"))
    assert detection.language in {"de", "fr"}


@pytest.mark.usefixtures("voice")
def test_an_unclear_language_is_a_warning(tiny):
    transcript = tiny.transcribe(waveform(noise(5)), replace(TINY, language_threshold=1.0, languages=("de", "fr")))
    assert "the language is uncertain" in transcript.warnings[-1]
    assert transcript.language in {"de", "fr"}


# --- real weights ---


@pytest.fixture(scope="module")
def jfk(shared) -> Waveform:
    return load_audio(shared / "golden" / "audio" / "jfk-jfk.flac")


@weights
@pytest.mark.parametrize(("name", "beam_size"), [("greedy", 1), ("beam5", 5)])
def test_the_sequential_plan_equals_the_reference(base, shared, name, beam_size):
    """Token for token, over all five minutes. ``GOLDEN=full`` (``make parity``) takes beam 5 too, a minute's work."""
    if beam_size > 1 and os.environ.get("GOLDEN") != "full":
        pytest.skip("`make parity` runs it; five beams are compared on golden clips too")
    golden = json.loads((shared / "golden" / "longform.json").read_text())
    options = TranscribeOptions(
        beam_size=beam_size, language=golden["language"], plan=Plan.SEQUENTIAL, context=AudioContext.EXACT
    )
    transcript = base.transcribe(shared / "golden" / golden["audio"], options)
    assert len(transcript.segments) > 50
    assert transcript.suppressed == ()
    for mine, theirs in zip(transcript.segments, golden[name], strict=True):
        assert (mine.seek, mine.text, list(mine.tokens)) == (theirs["seek"], theirs["text"], theirs["tokens"])
        assert (mine.start, mine.end) == pytest.approx((theirs["start"], theirs["end"]), abs=1e-6)


@weights
def test_languages_are_heard_as_by_the_reference(base, shared):
    """Short clips too: what stands after them decides between neighbours."""
    lines = (shared / "golden" / "base.jsonl").read_text(encoding="utf-8").splitlines()[::8]
    clips = [clip for clip in map(json.loads, lines) if clip["n_samples"] < MIN_SHARED_FRAMES * HOP_LENGTH]
    assert len(clips) > 10
    for clip in clips:
        audio = shared / "golden" / clip["audio"]
        found = base.detect_language(audio, context=AudioContext.EXACT).language_probs
        expected = clip["language_probs"]
        assert {code: found[code] for code in expected} == pytest.approx(expected, abs=1e-3), clip["id"]


@weights
@pytest.mark.parametrize(("context", "heard"), [("auto", [1950]), ("exact", [3000, 3000])])
def test_a_short_clip_is_encoded_once_for_its_language_and_its_text(base, jfk, monkeypatch, context, heard):
    encode, frames = base.engine._backend.encode, []

    def listen(mels):
        frames.extend(mel.shape[-1] for mel in mels)
        return encode(mels)

    monkeypatch.setattr(base.engine._backend, "encode", listen)
    transcript = base.transcribe(jfk, TranscribeOptions(beam_size=1, context=AudioContext(context)))
    assert (transcript.language, frames) == ("en", heard)


@weights
def test_a_file_a_waveform_and_a_stream_say_the_same(tiny_en, shared, jfk):
    path = shared / "golden" / "audio" / "jfk-jfk.flac"
    heard: list[Segment] = []
    progress: list[Progress] = []
    transcript = tiny_en.transcribe(path, FAST, on_segment=heard.append, on_progress=progress.append)
    assert "ask not what your country can do for you" in transcript.text.lower()
    assert tuple(heard) == transcript.segments
    assert tuple(tiny_en.stream(jfk, FAST)) == transcript.segments
    assert tiny_en.transcribe(jfk, FAST).segments == transcript.segments
    assert transcript.duration == jfk.duration == 11.0
    assert progress[-1] == Progress(done=11.0, duration=11.0)
    assert (transcript.language, transcript.language_probs, transcript.task) == ("en", {}, Task.TRANSCRIBE)
    timing = transcript.timing
    assert 0 < timing.encode < timing.total
    assert 0 < timing.decode < timing.total
    assert timing.decode_audio + timing.encode + timing.decode <= timing.total


@weights
def test_warnings_pass_through(tiny_en, jfk):
    short = replace(jfk, samples=jfk.samples[:16_000], warnings=("the file was cut",))
    assert tiny_en.transcribe(short, FAST).warnings == ("the file was cut",)


@weights
@pytest.mark.parametrize(
    ("options", "error"),
    [
        (TranscribeOptions(language="de"), UnsupportedLanguageError),
        (TranscribeOptions(task=Task.TRANSLATE), InvalidOptionError),
    ],
)
def test_an_english_only_model_refuses_the_rest_before_it_opens_the_file(tiny_en, tmp_path, options, error):
    missing = tmp_path / "missing.wav"
    with pytest.raises(error, match="English-only"):
        tiny_en.transcribe(missing, options)
    with pytest.raises(error, match="English-only"):
        next(tiny_en.stream(missing, options))


@weights
def test_unusable_audio(tiny_en, tmp_path, shared):
    (tmp_path / "text.wav").write_text("not audio, but long enough to look at")
    with pytest.raises(AudioError):
        tiny_en.transcribe(tmp_path / "text.wav")
    with pytest.raises(AudioTooLongError):
        tiny_en.transcribe(shared / "golden" / "audio" / "jfk-jfk.flac", max_duration_s=5)


@weights
def test_languages(base, tiny_en):
    assert tiny_en.languages == ("en",)
    assert len(base.languages) == 99


@weights
def test_detect_language(base, tiny_en, jfk):
    detection = base.detect_language(jfk)
    assert detection.language == "en"
    assert detection.language_probs["en"] > 0.9
    assert sum(detection.language_probs.values()) == pytest.approx(1, abs=1e-4)
    assert tiny_en.detect_language(jfk).language_probs == {"en": 1.0}


@weights
def test_device_and_dtype_are_decided_at_load(tiny_en):
    assert tiny_en.engine.device.type == "cpu"
    assert tiny_en.engine._backend.model.dtype == torch.float32
    half = Transcriber.load("tiny.en", device="cpu", dtype="bfloat16")
    assert half.engine._backend.model.dtype == torch.bfloat16
    fast = Transcriber.load("tiny.en", device="cpu")
    assert isinstance(fast.engine._backend, NativeBackend) == (kernels() is not None)
    for transcriber in (half, fast):
        assert transcriber.model_hash == tiny_en.model_hash
        assert transcriber.model_name == "tiny.en"
