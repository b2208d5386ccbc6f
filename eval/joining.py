"""Long recordings with truth. In: short clips whose text is known, and recorded noise. Out: one recording, its parts.

Clips follow one another with pauses between them as people make them, and with music or noise now and then, never over
speech. Every clip keeps its own sound: it gets one gain, of at most 6 dB, towards a common loudness. First the order
and then the layout are planned, in samples and from the seed alone; the audio is then written as it is read, so that
three hours need no more memory than one clip. Knows no model.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]

from asr.audio import SAMPLE_RATE, load_audio
from asr.errors import AuricleError
from eval.corpora import Part, Utterance
from eval.errors import CorpusError, ResultsError
from eval.noise.materials import Recording
from eval.noise.mixing import Samples, excerpt, power
from eval.normalizers import Unit, unit_for

__all__ = [
    "Joined",
    "Noise",
    "Pause",
    "Piece",
    "Speech",
    "draw_order",
    "joinable",
    "pink_noise",
    "plan_layout",
    "read_lengths",
    "write_flac",
    "write_joined",
]

PAUSE_S = (0.3, 3.0)  # drawn evenly on a logarithmic scale: most are short
LONG_PAUSE_S = (3.0, 15.0)
LONG_PAUSE_SHARE = 0.05
NOISE_S = (5.0, 20.0)
NOISE_EVERY_S = (45.0, 120.0)  # from the end of one stretch of noise to the next
OVERSHOOT = 1.02  # of the length asked for; a clip that would go further is passed over
LOUDNESS_DB = -26.0  # mean square of a whole clip, full scale being 0
MAX_GAIN_DB = 6.0
ROOM_TONE_DB = -66.0
PEAK = 0.98  # no gain goes beyond
FADE_S = 0.05  # at both ends of a stretch of noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """A clip, whole."""

    clip: Utterance
    n_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Room tone."""

    n_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A stretch of a recording of noise or music."""

    index: int
    """Of the recording."""
    n_samples: int


Piece = Speech | Pause | Noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """One recording made of several clips."""

    parts: tuple[Part, ...]
    n_samples: int

    @property
    def text(self) -> str:
        """The transcripts in order."""
        return " ".join(part.text for part in self.parts)

    @property
    def language(self) -> str | None:
        """Of all parts; None: there are several."""
        languages = {part.language for part in self.parts}
        return languages.pop() if len(languages) == 1 else None

    @property
    def most_repeated(self) -> int:
        """How often the clip is in it that is in it most often."""
        return max(Counter(part.id for part in self.parts).values())


def joinable(clips: Sequence[Utterance]) -> tuple[Utterance, ...]:
    """The clips in which something is said whose text is beyond doubt, single words apart. Raises CorpusError."""
    kept = tuple(clip for clip in clips if clip.text and not _is_single_word(clip) and not clip.quality)
    if not kept:
        message = f"got {len(clips)} clips and none to join, expected some with a text that is no single word"
        raise CorpusError(f"{message} and has no remark on its quality; choose others with --only")
    return kept


def draw_order(clips: Sequence[Utterance], *, seed: int, language_runs: int | None) -> Iterator[Utterance]:
    """Clips at random without end: each comes once before any comes again, where languages change each in its own.

    ``language_runs``: the language changes after 1 to so many clips; None: languages come as they come. Raises
    CorpusError when there is one language and runs were asked for.
    """
    rng = np.random.default_rng([seed, 0])
    if language_runs is None:
        yield from _shuffled_forever(clips, rng)
    by_language: dict[str | None, list[Utterance]] = {}
    for clip in clips:
        by_language.setdefault(clip.language, []).append(clip)
    if len(by_language) < 2:
        raise CorpusError(f"--language-runs: got clips in {next(iter(by_language))} only, expected two languages")
    decks = {language: _shuffled_forever(own, rng) for language, own in by_language.items()}
    last = None
    for _ in count():
        languages = [list(by_language)[place] for place in rng.permutation(len(by_language))]
        if languages[0] == last:
            languages.append(languages.pop(0))
        for last in languages:
            for _ in range(rng.integers(1, language_runs, endpoint=True)):
                yield next(decks[last])


def read_lengths(order: Iterator[Utterance], n_samples: int) -> list[Speech]:
    """The first clips of an order, with their lengths as decoded, until they fill ``n_samples``. Raises CorpusError."""
    lengths: dict[str, int] = {}
    drawn: list[Speech] = []
    n_drawn = 0
    while n_drawn < n_samples:
        clip = next(order)
        if clip.id not in lengths:
            lengths[clip.id] = len(_read(clip))
        drawn.append(Speech(clip=clip, n_samples=lengths[clip.id]))
        n_drawn += lengths[clip.id]
    return drawn


def plan_layout(
    speech: Sequence[Speech], n_samples: int, *, noise_lengths: Sequence[int], seed: int
) -> tuple[Piece, ...]:
    """Clips in their order, pauses before, between and after them, and stretches of noise with pauses around them.

    A clip that would make the recording much longer than ``n_samples`` is passed over. Raises CorpusError when not
    even one fits.
    """
    rng = np.random.default_rng([seed, 1])
    pieces: list[Piece] = [_pause(rng)]
    position = pieces[0].n_samples
    next_noise_at = position + _drawn(rng, NOISE_EVERY_S)
    for each in speech:
        if position + each.n_samples > n_samples * OVERSHOOT:
            continue
        added: list[Piece] = [each, _pause(rng)]
        if noise_lengths and position + each.n_samples > next_noise_at:
            added += [_noise(noise_lengths, rng), _pause(rng)]
        position += sum(piece.n_samples for piece in added)
        pieces += added
        if isinstance(added[-2], Noise):
            next_noise_at = position + _drawn(rng, NOISE_EVERY_S)
        if position >= n_samples:
            break
    if len(pieces) == 1:
        raise CorpusError(f"--minutes {n_samples / SAMPLE_RATE / 60:g}: no clip fits, expected a longer recording")
    return tuple(pieces)


def write_joined(pieces: Sequence[Piece], noises: Sequence[Recording], path: Path, *, seed: int) -> Joined:
    """Write the recording as FLAC, 16 bits at 16 kHz; parts are exact to the sample.

    Raises CorpusError, ResultsError.
    """
    parts: list[Part] = []
    position = 0

    def sounds() -> Iterator[Samples]:
        nonlocal position
        rng = np.random.default_rng([seed, 2])
        for piece in pieces:
            samples = _sound(piece, noises, rng)
            if isinstance(piece, Speech):
                parts.append(_part(piece.clip, position, position + len(samples)))
            position += len(samples)
            yield samples

    write_flac(path, sounds())
    return Joined(parts=tuple(parts), n_samples=position)


def write_flac(path: Path, sounds: Iterator[Samples]) -> None:
    """Write samples one after another as FLAC, 16 bits at 16 kHz. Raises ResultsError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, subtype="PCM_16", format="FLAC") as file:
            for samples in sounds:
                file.write(np.rint(np.clip(samples, -1, 1) * 32_767).astype(np.int16))
    except (OSError, soundfile.LibsndfileError) as error:
        raise ResultsError(f"{path}: {error}; expected to write a FLAC file there") from error


def pink_noise(n_samples: int, rng: np.random.Generator) -> Samples:
    """Gaussian noise of power 1 that falls by 3 dB an octave from 20 Hz on."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    frequencies = np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE)
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequencies, 20.0)), n_samples)
    scaled: Samples = (noise / np.sqrt(power(noise))).astype(np.float32)
    return scaled


def _is_single_word(clip: Utterance) -> bool:
    """As the corpus says; where it does not, by the text, if its language writes spaces."""
    return clip.single_word or (unit_for(clip.language) is Unit.WORD and len((clip.text or "").split()) == 1)


def _shuffled_forever(clips: Sequence[Utterance], rng: np.random.Generator) -> Iterator[Utterance]:
    while True:
        for place in rng.permutation(len(clips)):
            yield clips[place]


def _pause(rng: np.random.Generator) -> Pause:
    if rng.random() < LONG_PAUSE_SHARE:
        return Pause(n_samples=_drawn(rng, LONG_PAUSE_S))
    low, high = np.log(PAUSE_S)
    return Pause(n_samples=round(float(np.exp(rng.uniform(low, high))) * SAMPLE_RATE))


def _noise(noise_lengths: Sequence[int], rng: np.random.Generator) -> Noise:
    index = int(rng.integers(len(noise_lengths)))
    longest = max(noise_lengths[index], round(NOISE_S[0] * SAMPLE_RATE))  # shorter ones are looped
    return Noise(index=index, n_samples=min(_drawn(rng, NOISE_S), longest))


def _drawn(rng: np.random.Generator, range_s: tuple[float, float]) -> int:
    return round(rng.uniform(*range_s) * SAMPLE_RATE)


def _sound(piece: Piece, noises: Sequence[Recording], rng: np.random.Generator) -> Samples:
    match piece:
        case Speech(clip=clip):
            return _levelled(_read(clip))
        case Noise(index=index, n_samples=n_samples):
            sound = _levelled(excerpt(noises[index].samples, n_samples, rng))
            ramp = np.linspace(0, 1, round(FADE_S * SAMPLE_RATE), dtype=np.float32)
            sound[: len(ramp)] *= ramp
            sound[-len(ramp) :] *= ramp[::-1]
            return sound
        case Pause(n_samples=n_samples):
            return pink_noise(n_samples, rng) * np.float32(10 ** (ROOM_TONE_DB / 20))


def _levelled(samples: Samples) -> Samples:
    """Nearer to the common loudness, by at most ``MAX_GAIN_DB``; a copy."""
    level = power(samples)
    if not level:
        return samples.copy()
    wanted_db = LOUDNESS_DB - 10 * np.log10(level)
    gain = 10 ** (float(np.clip(wanted_db, -MAX_GAIN_DB, MAX_GAIN_DB)) / 20)
    levelled: Samples = samples * np.float32(min(gain, PEAK / float(np.abs(samples).max())))
    return levelled


def _part(clip: Utterance, first: int, end: int) -> Part:
    text = " ".join((clip.text or "").split())
    return Part(id=clip.id, start=first / SAMPLE_RATE, end=end / SAMPLE_RATE, text=text, language=clip.language)


def _read(clip: Utterance) -> Samples:
    try:
        return load_audio(clip.path).samples
    except (AuricleError, OSError) as error:
        raise CorpusError(f"{clip.path}: {error}; mend the clip, or leave it out with --only") from error
