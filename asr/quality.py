"""What speaks for and against decoded text. In: tokens, text, probabilities, voice activity. Out: flags and verdicts.

Pure functions with a table of cases each: knows no model and no audio. Nothing here changes text; what a verdict
names is moved to ``Transcript.suppressed`` with its reason by the walk.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from asr.decoding.types import DecodingResult
from asr.options import TranscribeOptions
from asr.transcript import Segment

__all__ = [
    "LOOP",
    "LOST_SPEECH",
    "LOW_PROBABILITY",
    "NO_SPEECH",
    "NO_TIME",
    "NO_VOICE",
    "PHANTOM",
    "TOO_DENSE",
    "VoiceEvidence",
    "failures",
    "is_phantom",
    "is_silence",
    "plain_text",
    "segment_flags",
    "suppression_reason",
    "too_dense",
]

LOOP = "loop"  # the text repeats itself
LOW_PROBABILITY = "low_probability"  # the model was guessing
NO_SPEECH = "no_speech"  # the model says that nobody speaks
NO_VOICE = "no_voice"  # voice activity says that nobody speaks
TOO_DENSE = "too_dense"  # more text than anyone can say in the time
PHANTOM = "phantom_phrase"  # what models write over silence, where the voice activity agrees
NO_TIME = "no_time"  # the model gave the text no length, or a time after the recording's end
LOST_SPEECH = "lost_speech"  # somebody speaks where there is no text

MAX_LETTERS_PER_SECOND = 35.0  # the fastest speakers reach 25 in any alphabet
IDEOGRAM_LETTERS = 3.0  # what one Chinese character or Japanese kana takes to say, in letters
DENSITY_SLACK_S = 0.5  # predicted times are that rough
FAINT_VOICE = 0.15  # below this probability of speech there is no voice; see docs/results.md
CONFIDENT_LOGPROB = -0.6  # text over a faint voice is kept from here on

# What Whisper writes over silence and music, learned from captions; normalized by ``plain_text``.
PHANTOM_PHRASES = frozenset({
    "you", "thank you", "thank you very much", "thank you so much", "thanks for watching", "thank you for watching",
    "thank you so much for watching", "thanks", "bye", "bye bye", "please subscribe", "subscribe",
    "please subscribe to my channel", "like and subscribe", "see you next time", "see you in the next video",
    "ill see you next time", "ill see you in the next video", "dont forget to like and subscribe",
    "subtitles by the amaraorg community", "transcription by castingwords", "the end", "so", "oh", "okay", "music",
    "applause", "silence", "to be continued", "well be right back", "i dont know", "i love you",
    "sous-titres réalisés par la communauté damaraorg", "sous-titrage st 501", "merci",
    "merci davoir regardé cette vidéo",
    "untertitel der amaraorg-community", "untertitel im auftrag des zdf für funk 2017", "vielen dank",
    "untertitelung des zdf 2020", "vielen dank fürs zuschauen", "danke fürs zuschauen", "bis zum nächsten mal",
    "subtítulos realizados por la comunidad de amaraorg", "subtítulos por la comunidad de amaraorg", "gracias",
    "gracias por ver el video", "suscríbete al canal", "sottotitoli creati dalla comunità amaraorg",
    "sottotitoli e revisione a cura di qtss", "grazie", "legendas pela comunidade amaraorg", "obrigado", "obrigada",
    "ondertiteling door de amaraorg gemeenschap", "ondertitels ingediend door de amaraorg gemeenschap",
    "napisy stworzone przez społeczność amaraorg", "dziękuję", "субтитры сделал dimatorzok", "продолжение следует",
    "редактор субтитров асемкин корректор аегорова", "спасибо за просмотр", "спасибо", "дякую за перегляд",
    "altyazı mk", "izlediğiniz için teşekkür ederim", "ご視聴ありがとうございました", "ありがとうございました",
    "字幕由amaraorg社区提供",
    "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目", "谢谢观看", "謝謝觀看", "謝謝", "谢谢",
    "시청해주셔서 감사합니다", "감사합니다",
    "mbc 뉴스 이덕영입니다", "اشتركوا في القناة", "ترجمة نانسي قنقر", "شكرا",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceEvidence:
    """What voice activity says about a stretch of text."""

    max_probability: float
    speech_s: float
    """Seconds in which speech is more likely than the caller's threshold."""


def failures(result: DecodingResult, options: TranscribeOptions, duration: float) -> tuple[str, ...]:
    """Why the result of a window of ``duration`` seconds is not good enough (Whisper 4.5); empty when it passes.

    Beyond the paper: text that nobody can say in the window. In a short one, what was said before is easily said again.
    """
    found = []
    limit = options.compression_ratio_threshold
    if limit is not None and result.compression_ratio > limit:
        found.append(LOOP)
    if options.logprob_threshold is not None and result.avg_logprob < options.logprob_threshold:
        found.append(LOW_PROBABILITY)
    if too_dense(result.text, duration):
        found.append(TOO_DENSE)
    return tuple(found)


def is_silence(result: DecodingResult, options: TranscribeOptions) -> bool:
    """Whether the model says that nobody speaks, and is not sure of its text either (Whisper 4.5)."""
    threshold = options.no_speech_threshold
    if threshold is None or result.no_speech_prob <= threshold:
        return False
    return options.logprob_threshold is None or result.avg_logprob < options.logprob_threshold


def too_dense(text: str, duration: float) -> bool:
    """Whether nobody can say ``text`` in ``duration`` seconds."""
    letters = sum(_effort(char) for char in text if char.isalnum())
    return letters > MAX_LETTERS_PER_SECOND * (duration + DENSITY_SLACK_S)


def segment_flags(segment: Segment, voice: VoiceEvidence | None, options: TranscribeOptions) -> tuple[str, ...]:
    """What speaks against one segment, its window's failures apart."""
    found = []
    if options.no_speech_threshold is not None and segment.no_speech_prob > options.no_speech_threshold:
        found.append(NO_SPEECH)
    if voice is not None and voice.max_probability < options.vad_threshold:
        found.append(NO_VOICE)
    heard_s = sum(word.end - word.start for word in segment.words) if segment.words else segment.end - segment.start
    if too_dense(segment.text, heard_s):
        found.append(TOO_DENSE)
    if is_phantom(segment.text):
        found.append(PHANTOM)
    return tuple(found)


def is_phantom(text: str) -> bool:
    """Whether ``text`` is what models write over silence, or has nothing that can be said: a lone full stop."""
    left = plain_text(text).split()
    while left:
        # Phrases that follow on each other, "thank you for watching and see you next time", are as hollow as one.
        n = next((n for n in range(len(left), 0, -1) if " ".join(left[:n]) in PHANTOM_PHRASES), 0)
        if not n:
            return False
        left = left[n:]
        if left[1:] and left[0] == "and":
            left = left[1:]
    return True


def suppression_reason(segment: Segment, flags: Sequence[str], voice: VoiceEvidence | None) -> str | None:
    """Why a segment is left out; None: it stays, with its flags.

    What the model wrote where someone speaks stays, however doubtful, but for what the model itself does not take for
    speech and is a phantom phrase, or has not the time to be said: music and clatter are a voice at times.
    """
    if voice is None:
        return None
    is_unsure = segment.avg_logprob < CONFIDENT_LOGPROB
    if PHANTOM in flags and (NO_VOICE in flags or (NO_SPEECH in flags and is_unsure)):
        return PHANTOM
    if {NO_SPEECH, TOO_DENSE} <= set(flags) and is_unsure:
        return TOO_DENSE
    if NO_VOICE not in flags:
        return None
    doubtful = is_unsure or NO_SPEECH in flags or TOO_DENSE in flags
    return NO_VOICE if doubtful or voice.max_probability < FAINT_VOICE else None


def _effort(char: str) -> float:
    return IDEOGRAM_LETTERS if unicodedata.east_asian_width(char) in "WF" else 1.0


def plain_text(text: str) -> str:
    """Letters and digits of ``text`` in lower case, with single spaces, and hyphens inside words."""
    kept = "".join(char for char in text.lower() if char.isalnum() or char in " -")
    return " ".join(kept.split()).strip("- ")
