"""Is a running Auricle fit to serve? In: its address, a recording, a finished run. Out: ``Check`` by ``Check``.

Asks what a client could ask and judges the answers by the service's own promises. Knows no terminal.
"""

import html
import io
import json
import os
import re
import time
import wave
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from asr.audio import SAMPLE_RATE
from eval.corpora import Corpus
from eval.errors import ClipError, TargetUnavailableError
from eval.hypotheses import StoredRun
from eval.report.document import counted
from eval.scoring.types import TranscriptionScores
from eval.targets.http import HttpService, json_object

__all__ = [
    "Check",
    "CorpusVerdict",
    "Latency",
    "Recording",
    "check_corpus",
    "check_protocol",
    "made_recording",
    "recording_of",
]

NEXT_STEP = "Start the service (`auricle-serve`), or correct the address."
CONNECT_PAUSE_S = 1.0
MADE_DURATION_S = 2
EXCERPT_CHARACTERS = 120
DECODING = {"temperature": "0", "seed": "0"}  # the same text each time, so that the formats can be compared
ERROR_FIELDS = {"message", "type", "param", "code", "request_id"}
VERBOSE_FIELDS = {"text", "language", "duration", "segments", "timing", "request_id", "model", "model_hash"}
CUE = re.compile(r"^(?:\d+\n)?\d{2,}:\d{2}:\d{2}[,.]\d{3} --> \d{2,}:\d{2}:\d{2}[,.]\d{3}$", re.MULTILINE)
ARROW = re.compile("--+>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One promise, held or not."""

    name: str
    expected: str
    got: str
    passed: bool
    seconds: float | None = None
    """Wall clock of the check; None where it judges what others measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A file as it goes into a form."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Quantiles of the seconds from request to text, over the clips that did not fail."""

    n: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusVerdict:
    """What a corpus says about the service."""

    checks: tuple[Check, ...]
    scores: TranscriptionScores
    latency: Latency | None
    """None when every clip failed."""
    failures: Mapping[str, Sequence[str]]
    """Error code → ids of the clips."""


def made_recording() -> Recording:
    """A tone in noise, for a service that is judged without a corpus."""
    times = np.arange(MADE_DURATION_S * SAMPLE_RATE) / SAMPLE_RATE
    samples = 0.3 * np.sin(2 * np.pi * 440 * times) + 0.03 * np.random.default_rng(0).standard_normal(len(times))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes((samples * 32767).astype("<i2").tobytes())
    return Recording(name="tone.wav", data=file.getvalue())


def recording_of(corpus: Corpus) -> Recording:
    """The shortest clip in which something is said, or what ``made_recording`` makes where no clip can be read."""
    spoken = [clip for clip in corpus.utterances if clip.text and os.access(clip.path, os.R_OK)]
    if not spoken:
        return made_recording()
    path = min(spoken, key=lambda clip: clip.duration or np.inf).path
    return Recording(name=path.name, data=path.read_bytes())


def check_protocol(
    url: str,
    recording: Recording,
    *,
    model: str | None = None,
    wait_s: float,
    transport: httpx.BaseTransport | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Check]:
    """Ask for everything once. A service that is not there, not ready or nameless is asked nothing more.

    ``wait_s``: how long it may take to answer and to load its model. Raises TargetUnavailableError for no address.
    """
    service = HttpService(url, next_step=NEXT_STEP, patience_s=wait_s, transport=transport, sleep=sleep)
    probe = _Probe(service, recording, model)
    for name, expected, ask in (
        ("alive", f"/healthz says ok within {wait_s:g} s", lambda: probe.alive(wait_s, sleep)),
        ("ready", f"/readyz says ready within {wait_s:g} s", probe.ready),
        ("model", f"/models has {model or 'a model'} with hash and languages", probe.names_model),
    ):
        check = _judged(name, expected, ask)
        yield check
        if not check.passed:
            return
    for name, expected, ask in probe.refusals() + probe.answers():
        yield _judged(name, expected, ask)


def check_corpus(run: StoredRun, scores: TranscriptionScores, *, fail_above: float | None) -> CorpusVerdict:
    """Judge a finished run through the service; ``fail_above`` is a fraction, None: any error rate will do."""
    hypotheses = run.hypotheses.values()
    failures: dict[str, list[str]] = {}
    for hypothesis in hypotheses:
        if hypothesis.error is not None:
            failures.setdefault(hypothesis.error["code"], []).append(hypothesis.id)
    failed = [f"{len(ids)} × {code} ({ids[0]})" for code, ids in sorted(failures.items())]
    checks = [
        Check(
            name="corpus answered",
            expected=f"{counted(len(run.references), 'clip')}, none failed",
            got=", ".join([counted(len(hypotheses), "clip"), *(failed or ["none failed"])]),
            passed=len(hypotheses) == len(run.references) and not failures,
        )
    ]
    if fail_above is not None:
        rate = scores.overall.counts.rate
        checks.append(
            Check(
                name="error rate",
                expected=f"at most {100 * fail_above:.2f} %",
                got="no reference words" if rate is None else f"{100 * rate:.2f} %",
                passed=rate is not None and rate <= fail_above,
            )
        )
    seconds = [hypothesis.seconds for hypothesis in hypotheses if hypothesis.error is None]
    return CorpusVerdict(checks=tuple(checks), scores=scores, latency=_latency(seconds), failures=failures)


def _latency(seconds: list[float]) -> Latency | None:
    if not seconds:
        return None
    p50, p95, p99 = (float(value) for value in np.percentile(seconds, [50, 95, 99]))
    return Latency(n=len(seconds), p50=p50, p95=p95, p99=p99)


Judgement = tuple[bool, str]
"""Whether it is as promised, and what was got."""
Question = tuple[str, str, Callable[[], Judgement]]
"""Name of the check, what is expected, and how to ask."""


def _judged(name: str, expected: str, ask: Callable[[], Judgement]) -> Check:
    started = time.perf_counter()
    try:
        passed, got = ask()
    except (httpx.HTTPError, TargetUnavailableError, ClipError, LookupError, TypeError, ValueError) as error:
        # The last three: fields that are missing, or of another kind than promised.
        passed, got = False, f"{type(error).__name__}: {error}"
    return Check(name=name, expected=expected, got=got, passed=passed, seconds=time.perf_counter() - started)


class _Probe:
    """Asks one service; remembers the text of the first transcript, which the others are held against."""

    def __init__(self, service: HttpService, recording: Recording, model: str | None) -> None:
        self._service = service
        self._recording = recording
        self._model = model
        self._languages: frozenset[str] = frozenset()
        self._text: str | None = None

    def alive(self, wait_s: float, sleep: Callable[[float], None]) -> Judgement:
        waited_s = 0.0
        while True:
            started = time.perf_counter()
            try:
                body = json_object(self._service.get("/healthz"))
            except TargetUnavailableError as error:
                waited_s += time.perf_counter() - started
                is_there = not isinstance(error.__cause__, httpx.RequestError)  # and was busy for all the time it had
                if is_there or waited_s >= wait_s:
                    raise
                pause_s = min(CONNECT_PAUSE_S, wait_s - waited_s)
                sleep(pause_s)
                waited_s += pause_s
            else:
                return body.get("status") == "ok", _excerpt(body)

    def ready(self) -> Judgement:
        body = json_object(self._service.get("/readyz"))
        return body.get("status") == "ready", _excerpt(body)

    def names_model(self) -> Judgement:
        body = json_object(self._service.get("/models"))
        models = [model for model in body.get("models") or () if isinstance(model, dict)]
        for model in models:
            if self._model in {None, model.get("name")} and model.get("hash") and model.get("languages"):
                self._languages = frozenset(model["languages"])
                return True, f"{model['name']}, {str(model['hash'])[:12]}, {len(self._languages)} languages"
        return False, _excerpt(body)

    def refusals(self) -> list[Question]:
        empty = Recording(name="empty.wav", data=b"")
        no_audio = Recording(name="letter.wav", data=b"Dear Sir or Madam,\n" * 100)
        return [
            ("empty file", "400 and an error body", lambda: self._refused({400}, upload=empty)),
            ("not audio", "415 or 422 and an error body", lambda: self._refused({415, 422}, upload=no_audio)),
            (
                "unknown option",
                "400 that names no_such_option",
                lambda: self._refused({400}, fields={"no_such_option": "1"}, param="no_such_option"),
            ),
            (
                "wrong value",
                "400 that names beam_size",
                lambda: self._refused({400}, fields={"beam_size": "0"}, param="beam_size"),
            ),
            (
                "unknown model",
                "404 that names model",
                lambda: self._refused({404}, fields={"model": "no-such-model"}, param="model"),
            ),
        ]

    def answers(self) -> list[Question]:
        same = "the same text"
        return [
            ("verbose_json", "text, segments, language, duration, timing, model_hash", self._verbose),
            ("json", same, lambda: self._same_text("json", lambda body: str(json_object(body)["text"]))),
            ("text", same, lambda: self._same_text("text", lambda body: body.text)),
            ("srt", f"{same} in cues", lambda: self._same_text("srt", lambda body: CUE.sub("", body.text))),
            ("vtt", f"WEBVTT and {same} in cues", lambda: self._same_text("vtt", _vtt_text)),
            ("stream", f"segments, then done with {same}", self._stream),
            ("detect-language", "a language of the model", self._detect),
        ]

    def _post(
        self, fields: Mapping[str, str], *, upload: Recording | None = None, route: str = "/transcribe"
    ) -> httpx.Response:
        recording = upload or self._recording
        model = {} if self._model is None else {"model": self._model}
        return self._service.upload(route, {**model, **fields}, recording.name, io.BytesIO(recording.data))

    def _refused(
        self,
        statuses: set[int],
        *,
        fields: Mapping[str, str] | None = None,
        upload: Recording | None = None,
        param: str | None = None,
    ) -> Judgement:
        response = self._post(fields or {}, upload=upload)
        error = _error_body(response)
        if missing := sorted(name for name in ERROR_FIELDS if name not in error):
            return False, f"{response.status_code} without {', '.join(missing)}: {_excerpt(response.text)}"
        got = f"{response.status_code} {error['code']}: {_excerpt(error['message'])}"
        return response.status_code in statuses and param in (None, error["param"]), got

    def _verbose(self) -> Judgement:
        body = json_object(self._post({"response_format": "verbose_json", **DECODING}))
        if missing := sorted(VERBOSE_FIELDS - body.keys()):
            return False, f"no {', '.join(missing)}"
        self._text = str(body["text"])
        return True, f"{counted(len(body['segments']), 'segment')} in {body['language']}: {_excerpt(self._text)}"

    def _same_text(self, response_format: str, text_of: Callable[[httpx.Response], str]) -> Judgement:
        response = self._post({"response_format": response_format, **DECODING})
        if not response.is_success:
            return False, f"{response.status_code} {_excerpt(response.text)}"
        try:
            text = text_of(response)
        except (KeyError, ValueError) as error:
            return False, f"{error}: {_excerpt(response.text)}"
        return self._is_same(text), _excerpt(text)

    def _stream(self) -> Judgement:
        response = self._post({"response_format": "json", "stream": "true", **DECODING})
        events = _events(response.text)
        kinds = [kind for kind, _ in events]
        got = ", ".join(f"{n} × {kind}" for kind, n in Counter(kinds).items()) or _excerpt(response.text)
        if not kinds or kinds[-1] != "done" or set(kinds[:-1]) - {"segment"}:
            return False, got
        try:
            return self._is_same(str(json.loads(events[-1][1])["text"])), got
        except (ValueError, KeyError, TypeError):
            return False, f"{got}; done has {_excerpt(events[-1][1])}"

    def _detect(self) -> Judgement:
        language = json_object(self._post({}, route="/detect-language")).get("language")
        return language in self._languages, str(language)

    def _is_same(self, text: str) -> bool:
        return self._text is not None and _comparable(text) == _comparable(self._text)


def _comparable(text: str) -> str:
    # Each format breaks lines where it likes, and cues cannot hold the arrow of their own times.
    return ARROW.sub("->", "".join(text.split()))


def _error_body(response: httpx.Response) -> dict[str, Any]:
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}


def _vtt_text(response: httpx.Response) -> str:
    header, _, cues = response.text.partition("\n")
    if header.strip() != "WEBVTT":
        raise ValueError("no WEBVTT in the first line")
    return html.unescape(CUE.sub("", cues))


def _events(body: str) -> list[tuple[str, str]]:
    """Server-sent events as kind and data."""
    events = []
    for block in filter(str.strip, body.split("\n\n")):
        lines = block.splitlines()
        kind = "".join(line.removeprefix("event: ") for line in lines if line.startswith("event: "))
        events.append((kind, "\n".join(line.removeprefix("data: ") for line in lines if line.startswith("data: "))))
    return events


def _excerpt(value: object) -> str:
    text = " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).split())
    return text if len(text) <= EXCERPT_CHARACTERS else f"{text[: EXCERPT_CHARACTERS - 1]}…"
