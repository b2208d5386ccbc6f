import gzip
import io
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from asr.audio import load_audio
from eval.corpora.asterisk import read_asterisk
from eval.errors import CorpusError

ENGLISH = """\
; Core Asterisk Sounds in English

agent-loginok: Agent logged in.
beep: [this is a simple beep tone]
digits/1: one
letters/at: at [@]
pls-try-call-later: Please try your call later.
silence/1: (1 second of silence)
"""
ITALIAN = """\
\ufeff; Core Asterisk Sounds in Italian
agent-loginok: operatore connesso
beep: un suono beep
dir-welcome:
digits/1F: una
digits/1: uno
digits/1: due
"""
DOC, SOUNDS = "usr/share/doc", "usr/share/asterisk/sounds"
SPANISH_VOICE = f"{SOUNDS}/es_MX_f_Allison"
DURATION_S = 0.4


def tone(sampling_rate: int) -> np.ndarray:
    times = np.arange(round(DURATION_S * sampling_rate)) / sampling_rate
    return (8000 * np.sin(2 * np.pi * 440 * times)).astype("<i2")


def wav(sampling_rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sampling_rate)
        writer.writeframes(tone(sampling_rate).tobytes())
    return file.getvalue()


def encoded(codec: str, sampling_rate: int) -> bytes:
    """The tone as FFmpeg's encoder writes it, without a header."""
    file = io.BytesIO()
    demuxer = {"pcm_mulaw": "mulaw", "pcm_alaw": "alaw"}.get(codec, codec)
    with av.open(file, "w", format=demuxer) as container:
        stream = container.add_stream(codec, rate=sampling_rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(sampling_rate)[None], format="s16", layout="mono")
        frame.sample_rate = sampling_rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture
def root(write_files) -> Path:
    english = ("agent-loginok", "beep", "digits/1", "letters/at", "silence/1")
    italian = ("agent-loginok", "beep", "dir-welcome", "digits/1", "digits/1f", "phone", "silence/1")
    return write_files(
        {
            f"{DOC}/asterisk-core-sounds-en/core-sounds-en.txt.gz": gzip.compress(ENGLISH.encode()),
            f"{DOC}/asterisk-core-sounds-it/core-sounds-it.txt.gz": gzip.compress(ITALIAN.encode()),
            f"{DOC}/asterisk-core-sounds-es/core-sounds-es.txt": "agent-loginok: Agente conectado\n",
            **{f"{SOUNDS}/en_US_f_Allison/{name}.wav": wav(8_000) for name in english},
            **{f"{SOUNDS}/it_IT_m_Carlo/{name}.wav": wav(8_000) for name in italian},
        }
    )


@pytest.mark.parametrize("folder", [".", "usr/share"])
def test_english_prompts(root: Path, folder: str) -> None:
    corpus = read_asterisk(root / folder, languages=["en"])
    clips = {clip.id.removeprefix("asterisk-core-sounds-en/"): clip for clip in corpus.utterances}
    assert set(clips) == {"agent-loginok", "beep", "digits/1", "letters/at", "silence/1"}
    spoken = clips["agent-loginok"]
    assert (spoken.text, spoken.language, spoken.speaker) == ("Agent logged in.", "en", "en_US_f_Allison")
    assert (spoken.dataset, spoken.translation_en, spoken.kind) == ("asterisk-core-sounds-en", None, None)
    assert spoken.path.samefile(root / SOUNDS / "en_US_f_Allison/agent-loginok.wav")
    assert {(clips[name].text, clips[name].kind, clips[name].language) for name in ("beep", "silence/1")} == {
        ("", "noise", None)
    }
    assert (clips["letters/at"].text, clips["letters/at"].quality) == ("at [@]", "doubtful")


def test_english_counterparts_translate_the_other_languages(root: Path) -> None:
    clips = {clip.id.split("/", 1)[1]: clip for clip in read_asterisk(root, languages=["it"]).utterances}
    assert (clips["agent-loginok"].text, clips["agent-loginok"].translation_en) == (
        "operatore connesso",
        "Agent logged in.",
    )
    assert (clips["digits/1"].text, clips["digits/1"].quality) == ("uno", "doubtful")
    assert clips["digits/1f"].text == "una"
    assert {clips[name].text for name in ("dir-welcome", "phone")} == {None}
    for name in ("beep", "silence/1"):
        assert (clips[name].text, clips[name].kind, clips[name].translation_en) == ("", "noise", None)


def test_all_languages_whose_texts_and_recordings_are_there(root: Path) -> None:
    corpus = read_asterisk(root)
    assert corpus.name == "asterisk-core-sounds-en+it"
    assert len(corpus.utterances) == 12


def read_spanish(root: Path, cache: str = "cache") -> Path:
    (clip,) = read_asterisk(root, languages=["es"], cache=root / cache).utterances
    assert (clip.id, clip.text) == ("asterisk-core-sounds-es/agent-loginok", "Agente conectado")
    return clip.path


@pytest.mark.parametrize(
    ("suffix", "data", "sampling_rate"),
    [
        ("g722", encoded("g722", 16_000), 16_000),
        ("sln16", tone(16_000).tobytes(), 16_000),
        ("sln", tone(8_000).tobytes(), 8_000),
        ("ulaw", encoded("pcm_mulaw", 8_000), 8_000),
        ("alaw", encoded("pcm_alaw", 8_000), 8_000),
    ],
)
def test_recordings_without_a_header_are_decoded(
    root: Path, write_files, suffix: str, data: bytes, sampling_rate: int
) -> None:
    write_files({f"{SPANISH_VOICE}/agent-loginok.{suffix}": data})
    path = read_spanish(root)
    with wave.open(str(path)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, sampling_rate)
    samples = load_audio(path).samples
    assert len(samples) == pytest.approx(DURATION_S * 16_000, abs=2)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) == pytest.approx(440 * DURATION_S, abs=1)
    assert np.abs(samples).max() == pytest.approx(8000 / 32768, rel=0.2)


def test_gsm_frames_become_20_ms_each(root: Path, write_files) -> None:
    write_files({f"{SPANISH_VOICE}/agent-loginok.gsm": (b"\xd0" + bytes(32)) * 10})  # FFmpeg has no encoder
    assert load_audio(read_spanish(root)).duration == pytest.approx(0.2)


def test_a_second_opening_decodes_nothing(root: Path, write_files, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files({f"{SPANISH_VOICE}/agent-loginok.g722": encoded("g722", 16_000)})
    first = read_spanish(root)
    with monkeypatch.context() as patch:
        patch.setattr(av, "open", lambda *_, **__: pytest.fail("decoded again"))
        assert read_spanish(root) == first
    assert [path for path in (root / "cache").rglob("*") if path.is_file()] == [first]


@pytest.mark.parametrize("damage", [lambda data: data[:-2], lambda data: data[:-1] + b"\x7f", lambda _: b""])
def test_a_damaged_cache_file_is_made_anew(root: Path, write_files, damage) -> None:
    write_files({f"{SPANISH_VOICE}/agent-loginok.g722": encoded("g722", 16_000)})
    path = read_spanish(root)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert read_spanish(root).read_bytes() == whole


def test_another_recording_of_the_same_name_is_decoded(root: Path, write_files) -> None:
    write_files({f"{SPANISH_VOICE}/agent-loginok.g722": encoded("g722", 16_000)})
    first = read_spanish(root)
    write_files({f"{SPANISH_VOICE}/agent-loginok.g722": encoded("g722", 16_000)[:1600]})
    second = read_spanish(root)
    assert (load_audio(first).duration, load_audio(second).duration) == pytest.approx((DURATION_S, 0.2))


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        ({"wav": wav(16_000), "g722": encoded("g722", 16_000)}, "wav"),
        ({"wav": wav(8_000), "g722": encoded("g722", 16_000)}, "decoded"),
        ({"wav": b"RIFF", "g722": encoded("g722", 16_000)}, "decoded"),
        ({"wav": wav(8_000), "gsm": b"\xd0" * 33}, "wav"),
        ({"wav": wav(8_000), "g722": b""}, "wav"),
    ],
)
def test_the_recording_at_16_khz_is_preferred(root: Path, write_files, files: dict[str, bytes], taken: str) -> None:
    write_files({f"{SPANISH_VOICE}/agent-loginok.{suffix}": data for suffix, data in files.items()})
    path = read_spanish(root)
    assert ("wav" if path.parent.name == "es_MX_f_Allison" else "decoded") == taken


def test_an_empty_recording_was_never_made(root: Path, write_files) -> None:
    write_files({f"{SPANISH_VOICE}/agent-loginok.g722": encoded("g722", 16_000), f"{SPANISH_VOICE}/is.g722": b""})
    read_spanish(root)


@pytest.mark.parametrize("data", [b"\xd0" * 40, b"\xd0" * 10])
def test_a_recording_that_does_not_decode_is_named(root: Path, write_files, data: bytes) -> None:
    write_files({f"{SPANISH_VOICE}/agent-loginok.gsm": data})
    with pytest.raises(CorpusError, match=r"es_MX_f_Allison/agent-loginok\.gsm: .*; expected FFmpeg's gsm at 8000 Hz"):
        read_spanish(root)
    assert not list((root / "cache").rglob("*.wav"))


def test_a_write_that_fails_leaves_nothing(root: Path, write_files, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    write_files({f"{SPANISH_VOICE}/agent-loginok.g722": encoded("g722", 16_000)})
    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(CorpusError, match=r"No space left on device.*make room"):
        read_spanish(root)
    assert not [path for path in (root / "cache").rglob("*") if path.is_file()]


def test_a_cache_that_cannot_be_written_is_named(root: Path, write_files) -> None:
    write_files({f"{SPANISH_VOICE}/agent-loginok.g722": encoded("g722", 16_000), "cache": b"a file"})
    with pytest.raises(CorpusError, match=r"cache/asterisk/.*set AURICLE_MODEL_DIR"):
        read_spanish(root)


def test_a_missing_package_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no texts for fr, expected the package asterisk-core-sounds-fr"):
        read_asterisk(root, languages=["fr"])
    with pytest.raises(
        CorpusError, match=r"no recordings for es .*, expected the package asterisk-core-sounds-es-g722"
    ):
        read_asterisk(root, languages=["es"])
    with pytest.raises(CorpusError, match="expected the root of a file tree"):
        read_asterisk(tmp_path / "usr/share/doc")


def test_a_line_without_a_prompt_is_named(root: Path, write_files) -> None:
    write_files({f"{DOC}/asterisk-core-sounds-es/core-sounds-es.txt": "; Spanish\n\nAgente conectado\n"})
    write_files({f"{SOUNDS}/es_MX_f_Allison/agent-loginok.wav": wav(8_000)})
    with pytest.raises(
        CorpusError, match=r"core-sounds-es\.txt, line 3: got 'Agente conectado', expected `prompt: text`"
    ):
        read_asterisk(root, languages=["es"])


def test_a_damaged_list_is_an_error(root: Path) -> None:
    texts = root / DOC / "asterisk-core-sounds-en/core-sounds-en.txt.gz"
    data = bytearray(texts.read_bytes())
    data[12:20] = b"\xff" * 8
    texts.write_bytes(data)
    with pytest.raises(CorpusError, match=r"core-sounds-en\.txt\.gz: .*expected a list of clips"):
        read_asterisk(root, languages=["en"])
