"""The command with a fake transcriber: what goes where, and what happens when something fails."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
import typer
from typer.testing import CliRunner, Result

from asr.checkpoint import Checkpoint
from asr.cli import app
from asr.engine.loading import load_engine
from asr.errors import CorruptAudioError
from asr.features import SAMPLE_RATE
from asr.formats import FORMATS, Layout
from asr.options import DEFAULT_TEMPERATURES, AudioContext, Channels, Plan, TranscribeOptions
from asr.tasks import Task
from asr.tokenizer import Tokenizer
from asr.transcriber import Progress, Transcriber
from asr.transcript import LanguageDetection, LanguageSpan, Segment, Suppressed, Timing, Transcript

OPTION_FIELDS = TranscribeOptions.__dataclass_fields__


def transcript_of(file: Path, options: TranscribeOptions) -> Transcript:
    segment = Segment(
        id=0, seek=0, start=0.0, end=1.5, text=f" Words of {file.name}.", tokens=(1,), temperature=0.0,
        avg_logprob=-0.1, compression_ratio=1.0, no_speech_prob=0.0,
    )  # fmt: skip
    warnings = ("the file was cut",) if "cut" in file.name else ()
    return Transcript(
        task=options.task, language=options.language or "en", duration=2.0, segments=(segment,), warnings=warnings,
        timing=Timing(total=0.5),
    )  # fmt: skip


class FakeTranscriber:
    def __init__(self) -> None:
        self.loaded: list[tuple[str, str, str]] = []
        self.options: list[TranscribeOptions] = []
        self.detections: list[tuple[tuple[str, ...], float]] = []
        self.found: dict[str, object] = {}

    def transcribe(self, audio: Path, options: TranscribeOptions, *, on_progress) -> Transcript:
        audio.read_bytes()
        if "corrupt" in audio.name:
            raise CorruptAudioError("no frame can be decoded")
        self.options.append(options)
        on_progress(Progress(done=2.0, duration=2.0))
        return replace(transcript_of(audio, options), **self.found)

    def detect_language(
        self, audio: Path, *, languages: tuple[str, ...], language_threshold: float
    ) -> LanguageDetection:
        audio.read_bytes()
        if "corrupt" in audio.name:
            raise CorruptAudioError("no frame can be decoded")
        self.detections.append((languages, language_threshold))
        probabilities = {"en": 0.3, "de": 0.62, "fr": 0.03, "nl": 0.05}
        return LanguageDetection(language="de" if language_threshold <= 0.62 else None, language_probs=probabilities)


@pytest.fixture
def fake(monkeypatch) -> FakeTranscriber:
    transcriber = FakeTranscriber()

    def load(model: str, *, device: str, quantization: str) -> FakeTranscriber:
        transcriber.loaded.append((model, device, quantization))
        return transcriber

    monkeypatch.setattr(Transcriber, "load", load)
    return transcriber


@pytest.fixture
def store(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("AURICLE_MODEL_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def recording(tmp_path) -> Path:
    path = tmp_path / "talk.wav"
    path.touch()
    return path


def test_text_on_stdout_and_the_rest_on_stderr(fake, recording):
    result = invoke("transcribe", recording)
    assert result.exit_code == 0
    assert result.stdout == "Words of talk.wav.\n"
    assert "2.0 s in en, 4.0 × real time" in result.stderr
    assert fake.loaded == [("base", "auto", "auto")]


@pytest.mark.parametrize("format_", FORMATS)
def test_formats(fake, recording, format_):
    result = invoke("transcribe", recording, "--format", format_)
    assert result.exit_code == 0
    assert "Words of talk.wav." in result.stdout
    assert ("-->" in result.stdout) == (format_ in ("srt", "vtt"))
    if format_ == "json":
        assert json.loads(result.stdout)["segments"][0]["end"] == 1.5


def test_warnings_go_to_stderr(fake, tmp_path):
    (tmp_path / "cut.wav").touch()
    result = invoke("transcribe", tmp_path / "cut.wav")
    assert result.exit_code == 0
    assert "the file was cut" in result.stderr
    assert "the file was cut" not in result.stdout


def test_every_option_arrives(fake, recording):
    result = invoke(
        "transcribe", recording, "--model", "small", "--device", "cpu", "--quantization", "none",
        "--task", "translate", "--language", "German",
        "--prompt", "Names: Ada", "--beam-size", 2, "--patience", 2, "--best-of", 3, "--temperature", "0,0.4",
        "--seed", 7, "--no-timestamps", "--no-condition-on-previous-text", "--carry-prompt",
        "--languages", "de,French", "--languages", "it", "--language-threshold", 0.3, "--hotwords", '["Smith, Ada"]',
        "--hotwords", "Auricle, Whisper", "--clip-timestamps", "10-20.5,60-", "--channels", "split", "--no-vad",
        "--vad-threshold", 0.4, "--suppress-tokens", "-1,50", "--plan", "parallel", "--length-penalty", 0.6,
        "--context", "exact",
        "--compression-ratio-threshold", "none", "--logprob-threshold", -0.5, "--no-speech-threshold", 0.7,
        "--max-initial-timestamp", 2,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert fake.loaded == [("small", "cpu", "none")]
    assert fake.options == [
        TranscribeOptions(
            task=Task.TRANSLATE, language="de", timestamps=False, prompt="Names: Ada", beam_size=2, patience=2.0,
            best_of=3, temperatures=(0.0, 0.4), seed=7, condition_on_previous_text=False, carry_prompt=True,
            languages=("de", "fr", "it"), language_threshold=0.3, hotwords=("Smith, Ada", "Auricle", "Whisper"),
            clip_timestamps=((10.0, 20.5), (60.0, None)), channels=Channels.SPLIT, vad=False, vad_threshold=0.4,
            suppress_tokens=(-1, 50), plan=Plan.PARALLEL, context=AudioContext.EXACT, length_penalty=0.6,
            compression_ratio_threshold=None,
            logprob_threshold=-0.5, no_speech_threshold=0.7, max_initial_timestamp_s=2.0,
        )
    ]  # fmt: skip
    default = TranscribeOptions()
    same = [name for name in OPTION_FIELDS if getattr(fake.options[0], name) == getattr(default, name)]
    assert same == ["word_timestamps"]  # does not go with --no-timestamps; has its own test


def test_word_times_arrive(fake, recording):
    assert invoke("transcribe", recording, "--word-timestamps").exit_code == 0
    assert fake.options == [TranscribeOptions(word_timestamps=True)]


def test_nothing_is_suppressed_on_request(fake, recording):
    assert invoke("transcribe", recording, "--suppress-tokens", "none").exit_code == 0
    assert fake.options[0].suppress_tokens == ()


def test_the_layout_arrives(fake, recording):
    limits = ("--max-words-per-line", 1, "--max-line-count", 2)
    result = invoke("transcribe", recording, "--format", "srt", *limits)
    assert result.stdout.splitlines()[2:4] == ["Words", "of"]
    assert result.stdout.count("-->") == 2
    assert invoke("transcribe", recording, "--max-line-width", 8).stdout == "Words of\ntalk.wav.\n"


def test_what_the_text_does_not_show_is_said(fake, recording):
    assert "left out" not in invoke("transcribe", recording).stderr

    def removed(reason: str) -> Suppressed:
        return Suppressed(
            start=0.0, end=1.0, text="Thanks!", reason=reason, avg_logprob=-1.0, compression_ratio=1.0,
            no_speech_prob=0.9,
        )  # fmt: skip

    fake.found = {
        "suppressed": (removed("loop"), removed("no_voice"), removed("no_voice")),
        "languages": tuple(
            LanguageSpan(start=0.0, end=1.0, language=code, probability=0.9) for code in ("en", "de", "en")
        ),
    }
    result = invoke("transcribe", recording)
    assert result.stdout == "Words of talk.wav.\n"
    said = "talk.wav: text left out: 2 × no_voice, 1 × loop (--format json shows it); languages: English, German"
    assert said in result.stderr


# --- detect-language ---


def test_the_best_languages_are_named(fake, recording):
    result = invoke("detect-language", recording, "--languages", "de,en", "--languages", "nl", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{recording}: German (de) 62.0%, English (en) 30.0%, Dutch (nl) 5.0%\n"
    assert fake.detections == [(("de", "en", "nl"), 0.0)]
    assert fake.loaded == [("base", "cpu", "auto")]


def test_no_language_is_an_answer(fake, recording):
    result = invoke("detect-language", recording, "--language-threshold", 0.9)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{recording}: no language reaches 90%; the best: German (de) 62.0%, ")


def test_a_recording_without_a_language_lets_the_others_go_on(fake, recording, tmp_path):
    (tmp_path / "corrupt.wav").touch()
    result = invoke("detect-language", tmp_path / "corrupt.wav", recording)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{recording}: German")
    assert "corrupt.wav: no frame can be decoded" in result.stderr


def test_a_bad_language_list_loads_nothing(fake, recording):
    result = invoke("detect-language", recording, "--languages", "de,klingon")
    assert result.exit_code == 2
    assert "'klingon'" in result.stderr
    assert fake.loaded == []


def test_the_default_options_are_the_library_s(fake, recording):
    assert invoke("transcribe", recording).exit_code == 0
    assert fake.options == [TranscribeOptions()]
    assert fake.options[0].temperatures == DEFAULT_TEMPERATURES


def test_a_file_that_fails_lets_the_others_go_on(fake, tmp_path):
    names = ["a.wav", "corrupt.wav", "missing.wav", "b.wav"]
    for name in names:
        if "missing" not in name:
            (tmp_path / name).touch()
    result = invoke("transcribe", *(tmp_path / name for name in names))
    assert result.exit_code == 1
    assert result.stdout == "Words of a.wav.\nWords of b.wav.\n"
    errors = result.stderr
    assert "corrupt.wav: no frame can be decoded" in errors
    assert "missing.wav" in errors
    assert "Traceback" not in errors


def test_output_files(fake, recording, tmp_path):
    result = invoke("transcribe", recording, "--output-dir", tmp_path / "new" / "out", "--format", "srt")
    assert (result.exit_code, result.stdout) == (0, "")
    assert [path.name for path in (tmp_path / "new" / "out").iterdir()] == ["talk.srt"]
    assert "Words of talk.wav." in (tmp_path / "new" / "out" / "talk.srt").read_text()


def test_recordings_of_one_stem_get_two_files(fake, tmp_path):
    files = [tmp_path / "talk.wav", tmp_path / "talk.mp3"]
    for file in files:
        file.touch()
    assert invoke("transcribe", *files, "--output-dir", tmp_path / "out").exit_code == 0
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
        "talk.wav.txt": "Words of talk.wav.\n",
        "talk.mp3.txt": "Words of talk.mp3.\n",
    }


@pytest.mark.parametrize("command", ["transcribe", "detect-language"])
def test_no_model_is_loaded_for_files_that_are_not_there(fake, tmp_path, command):
    result = invoke(command, tmp_path / "a.wav", tmp_path / "b.wav")
    assert result.exit_code == 1
    assert "b.wav: no such file" in result.stderr
    assert fake.loaded == []


def test_recordings_of_one_name_are_refused_before_anything_is_written(fake, tmp_path):
    files = [tmp_path / folder / "talk.wav" for folder in ("a", "b")]
    result = invoke("transcribe", *files, "--output-dir", tmp_path / "out")
    assert result.exit_code == 2
    assert "--output-dir: two recordings have the same file name" in result.stderr
    assert fake.loaded == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "docx"), "--format: got 'docx', expected one of txt"),
        (("--temperature", "warm"), "--temperature: got 'warm', expected a number"),
        (("--temperature", "3"), "--temperature: got 3.0, expected 0 to 2"),
        (("--beam-size", "0"), "--beam-size: got 0, expected 1 to 32"),
        (("--language", "klingon"), "--language: got 'klingon'"),
        (("--languages", "de,klingon"), "'klingon'"),
        (("--clip-timestamps", "noon"), "--clip-timestamps: got 'noon', expected seconds such as 10-20.5,60-"),
        (("--clip-timestamps", "20-10"), "--clip-timestamps: got 20 to 10 s"),
        (("--logprob-threshold", "low"), "--logprob-threshold: got 'low', expected a number or none"),
        (("--no-speech-threshold", "2"), "--no-speech-threshold: got 2.0, expected 0 to 1"),
        (("--suppress-tokens", "♪"), "--suppress-tokens: got '♪', expected whole numbers"),
        (("--max-initial-timestamp", "31"), "--max-initial-timestamp: got 31"),
        (("--vad-threshold", "0"), "--vad-threshold: got 0"),
        (("--carry-prompt",), "--carry-prompt: needs a prompt"),
        (("--word-timestamps", "--no-timestamps"), "--word-timestamps: needs timestamps"),
        (("--format", "srt", "--max-line-width", "0"), "--max-line-width: got 0, expected at least 1"),
        (("--format", "srt", "--max-line-count", "2"), "--max-line-count: needs max_line_width"),
        (("--format", "json", "--max-line-width", "42"), "--max-line-width: has no meaning in json"),
    ],
)
def test_a_bad_option_is_one_line_and_loads_nothing(fake, recording, arguments, message):
    result = invoke("transcribe", recording, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert fake.loaded == []


@pytest.mark.parametrize(("option", "choice"), [("--task", "translate"), ("--device", "cuda")])
def test_an_unknown_choice_is_refused_with_the_choices(fake, recording, option, choice):
    result = invoke("transcribe", recording, option, "sing")
    assert result.exit_code == 2
    assert choice in result.stderr
    assert fake.loaded == []


def test_a_model_that_is_not_here(store, recording):
    result = invoke("transcribe", recording, "--model", "small")
    assert result.exit_code == 1
    assert "`auricle models pull small`" in result.stderr


def commands() -> dict[str, typer.core.TyperCommand]:
    group = typer.main.get_command(app)
    models = group.commands["models"].commands
    alone = {name: command for name, command in group.commands.items() if name != "models"}
    return alone | {f"models {name}": models[name] for name in models}


COMMANDS = [
    "transcribe", "detect-language", "models list", "models pull", "models verify", "models convert",
    "train", "export", "train-tokenizer",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_mentions_every_option(command):
    result = invoke(*command.split(), "--help")
    assert result.exit_code == 0
    options = [option for param in commands()[command].params for option in param.opts if option.startswith("--")]
    assert all(option in result.stdout for option in options)
    assert len(options) >= (14 if command == "transcribe" else 0)


def test_the_list_of_commands_is_tested_whole():
    assert set(commands()) == set(COMMANDS)


def test_every_option_of_the_library_is_an_option_here():
    params = {param.name for param in commands()["transcribe"].params}
    renamed = {"temperatures": "temperature", "max_initial_timestamp_s": "max_initial_timestamp"}
    assert {renamed.get(name, name) for name in OPTION_FIELDS} <= params
    assert set(Layout.__dataclass_fields__) <= params


# --- a real transcriber with a tiny random model ---


@pytest.fixture
def tiny(monkeypatch, tiny_model, tokenizer_path) -> None:
    checkpoint = Checkpoint(
        dims=tiny_model.dims, state_dict=tiny_model.state_dict(), tokenizer_path=tokenizer_path,
        alignment_heads=((1, 0), (1, 1)), source_sha256="0" * 64,
    )  # fmt: skip
    tokenizer = Tokenizer(tokenizer_path, n_vocab=tiny_model.dims.n_vocab)
    engine = load_engine(checkpoint, tokenizer, device="cpu", quantization="none")
    transcriber = Transcriber(checkpoint, engine, name="tiny")
    monkeypatch.setattr(Transcriber, "load", lambda *_, **__: transcriber)


@pytest.fixture
def call(tmp_path) -> Path:
    path = tmp_path / "call.wav"
    noise = np.random.default_rng(0).normal(0, 3000, (3 * SAMPLE_RATE, 2)).astype(np.int16)
    scipy.io.wavfile.write(path, SAMPLE_RATE, noise)
    return path


def test_the_library_takes_what_the_command_says(tiny, call):
    result = invoke(
        "transcribe", call, "--format", "json", "--channels", "split", "--word-timestamps", "--no-vad", "--seed", 0,
        "--temperature", 0, "--beam-size", 1, "--compression-ratio-threshold", "none", "--logprob-threshold", "none",
        "--no-speech-threshold", "none", "--languages", "de,en", "--clip-timestamps", "0.5-2", "--hotwords", "Ada",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["language"] in {"de", "en"}
    assert {segment["channel"] for segment in found["segments"]} == {0, 1}
    assert all(0.5 <= segment["start"] <= segment["end"] <= 2 for segment in found["segments"])
    assert all(segment["words"] for segment in found["segments"])


def test_the_library_detects_what_the_command_says(tiny, call):
    result = invoke("detect-language", call, "--languages", "de,en", "--language-threshold", 1)
    assert result.exit_code == 0, result.stderr
    assert re.search(
        r"no language reaches 100%; the best: (German|English) \(..\) [\d.]+%, (German|English)", result.stdout
    )


# --- models ---


def test_list(store):
    (store / "mine").mkdir(parents=True)
    (store / "mine" / "SHA256SUMS").touch()
    result = invoke("models", "list")
    assert result.exit_code == 0
    lines = dict(line.split() for line in result.stdout.splitlines())
    assert lines["mine"] == "here"
    assert lines["base"] == "–"
    assert str(store) in result.stderr.replace("\n", "")


def test_verify(store):
    (store / "mine").mkdir(parents=True)
    (store / "mine" / "weights").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (store / "mine" / "SHA256SUMS").write_text(f"{digest}  weights\n")
    result = invoke("models", "verify", "mine")
    assert (result.exit_code, result.stdout) == (0, f"{digest}  weights: OK\n")
    (store / "mine" / "weights").write_bytes(b"abd")
    result = invoke("models", "verify", "mine")
    assert result.exit_code == 1
    assert digest in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("verify", "base"), "`auricle models pull base`"),
        (("pull", "tinyish"), "expected owner/name or one of"),
        (("convert", "/no/such/folder", "mine"), "no such file or folder"),
    ],
)
def test_errors_of_models_are_one_line(store, arguments, message):
    result = invoke("models", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_pull_offline(store, monkeypatch):
    monkeypatch.setenv("AURICLE_OFFLINE", "1")
    result = invoke("models", "pull", "base")
    assert result.exit_code == 1
    assert "AURICLE_OFFLINE forbids" in result.stderr


def test_convert_of_an_unknown_pickle_asks_for_its_digest(store, tmp_path):
    (tmp_path / "mine.pt").write_bytes(b"pickle")
    result = invoke("models", "convert", tmp_path / "mine.pt", "mine")
    assert result.exit_code == 1
    assert "--sha256 DIGEST" in result.stderr
    assert list(store.iterdir()) == []
