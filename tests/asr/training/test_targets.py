"""What an example becomes: tokens that the decoder reads, and what it should say after each."""

import random

import pytest
from shard_making import fields_of

from asr.errors import TrainingError
from asr.prompt import TaskPrompt
from asr.tasks import Task
from asr.tokenizer import Tokenizer
from asr.training.bpe_dropout import BpeDropout
from asr.training.targets import IGNORED, Fields, encode_example
from asr.training.vocabulary import train_vocabulary, vocabulary_size

N_TEXT_CTX = 64


def symbols(tokens, tokenizer: Tokenizer) -> str:
    """Tokens as one reads them: text, <special>, |seconds|, _ for what is ignored."""
    names = {
        IGNORED: "_",
        tokenizer.eot: "<eot>",
        tokenizer.sot: "<sot>",
        tokenizer.sot_prev: "<prev>",
        tokenizer.no_speech: "<nospeech>",
        tokenizer.no_timestamps: "<notimes>",
        tokenizer.task_token(Task.TRANSCRIBE): "<transcribe>",
        tokenizer.task_token(Task.TRANSLATE): "<translate>",
    } | {tokenizer.language_token(code): f"<{code}>" for code in tokenizer.languages}

    def one(token: int) -> str:
        if token >= tokenizer.timestamp_begin:
            return f"|{(token - tokenizer.timestamp_begin) / 50:g}|"
        return names.get(token) or tokenizer.decode([token])

    return "".join(map(one, tokens))


CASES = {
    "times": (
        {},
        "<sot><en><transcribe>|0|",
        " ab|2|<eot>",
    ),
    "no times": (
        {"use_timestamps": False},
        "<sot><en><transcribe><notimes>",
        " ab<eot>",
    ),
    "captions without times": (
        {"use_timestamps": False, "cues": []},
        "<sot><en><transcribe><notimes>",
        " ab<eot>",
    ),
    "another language": (
        {"language": "de"},
        "<sot><de><transcribe>|0|",
        " ab|2|<eot>",
    ),
    "into English": (
        {"language": "ja", "task": "translate"},
        "<sot><ja><translate>|0|",
        " ab|2|<eot>",
    ),
    "written without spaces": (
        {"language": "ja", "use_timestamps": False, "cues": [(0, 1, "ab"), (1, 2, "cd")], "text": "ab cd"},
        "<sot><ja><transcribe><notimes>",
        "abcd<eot>",
    ),
    "two cues": (
        {"cues": [(0.03, 0.5, "a"), (1.234, 2.0, "b")]},
        "<sot><en><transcribe>|0.04|",
        " a|0.5||1.24| b|2|<eot>",
    ),
    "two cues without times": (
        {"cues": [(0.03, 0.5, "a"), (1.234, 2.0, "b")], "use_timestamps": False},
        "<sot><en><transcribe><notimes>",
        " a b<eot>",
    ),
    "voices that overlap": (
        {"cues": [(0.0, 1.0, "a"), (0.8, 2.0, "b")]},
        "<sot><en><transcribe>|0|",
        " a|1||1| b|2|<eot>",
    ),
    "a cue that has only begun": (
        {"partial_start": 2.5},
        "<sot><en><transcribe>|0|",
        " ab|2||2.5|<eot>",
    ),
    "… without times": (
        {"partial_start": 2.5, "use_timestamps": False},
        "<sot><en><transcribe><notimes>",
        " ab<eot>",
    ),
    "nobody speaks": (
        {"text": "", "cues": [], "language": None, "use_timestamps": False},
        "<sot>",
        "<nospeech><eot>",
    ),
    "beyond the last timestamp": (
        {"cues": [(29.0, 30.4, "ab")]},
        "<sot><en><transcribe>|29|",
        " ab|30|<eot>",
    ),
}


@pytest.mark.parametrize(("changes", "prompt", "said"), CASES.values(), ids=CASES.keys())
def test_tokens_of_every_kind_of_example(byte_tokenizer, changes, prompt, said):
    fields = Fields.read(fields_of("ab", 2.0, **changes))
    row = encode_example(fields, byte_tokenizer, n_text_ctx=N_TEXT_CTX)
    assert symbols(row.tokens, byte_tokenizer) == prompt + said.removesuffix("<eot>")
    assert symbols(row.targets, byte_tokenizer) == prompt.removeprefix("<sot>") + said


@pytest.mark.parametrize("changes", [{}, {"text": "", "cues": [], "language": None}])
def test_nothing_is_learned_from_previous_text_and_all_else_is(byte_tokenizer, changes):
    told = {"previous_text": "xyz", "use_previous_text": True} | changes
    row = encode_example(Fields.read(fields_of("ab", 2.0, **told)), byte_tokenizer, n_text_ctx=N_TEXT_CTX)
    alone = encode_example(Fields.read(fields_of("ab", 2.0, **changes)), byte_tokenizer, n_text_ctx=N_TEXT_CTX)
    assert symbols(row.tokens, byte_tokenizer) == "<prev> xyz" + symbols(alone.tokens, byte_tokenizer)
    assert row.targets == (*[IGNORED] * len(" xyz"), byte_tokenizer.sot, *alone.targets)
    assert row.n_targets == alone.n_targets + 1


def test_previous_text_that_is_not_to_be_used_is_not(byte_tokenizer):
    fields = Fields.read(fields_of("ab", 2.0, previous_text="xyz"))
    row = encode_example(fields, byte_tokenizer, n_text_ctx=N_TEXT_CTX)
    assert symbols(row.tokens, byte_tokenizer) == "<sot><en><transcribe>|0| ab|2|"


@pytest.mark.parametrize(("n_previous", "n_kept"), [(10, 11), (40, 31), (1000, 31)])
def test_the_prompt_is_the_one_of_inference(byte_tokenizer, n_previous, n_kept):
    previous = "x" * n_previous
    fields = Fields.read(fields_of("ab", 2.0, previous_text=previous, use_previous_text=True))
    row = encode_example(fields, byte_tokenizer, n_text_ctx=N_TEXT_CTX)
    context = tuple(byte_tokenizer.encode(f" {previous}"))
    prompt = TaskPrompt(language="en", context=context).encode(byte_tokenizer, max_context=N_TEXT_CTX // 2 - 1)
    assert row.tokens[: len(prompt)] == prompt
    assert len(prompt) == 1 + n_kept + 3


def test_previous_text_gives_way_to_what_is_said(byte_tokenizer):
    fields = Fields.read(fields_of("a" * 50, 2.0, previous_text="x" * 40, use_previous_text=True))
    row = encode_example(fields, byte_tokenizer, n_text_ctx=N_TEXT_CTX)
    assert len(row.tokens) == N_TEXT_CTX
    assert symbols(row.tokens, byte_tokenizer).startswith("<prev>xxxxxxx<sot>")


@pytest.mark.parametrize(("n", "fits"), [(58, True), (59, False)])
def test_what_is_said_fits_or_is_no_example(byte_tokenizer, n, fits):
    fields = Fields.read(fields_of("a" * n, 2.0, previous_text="x", use_previous_text=True))
    row = encode_example(fields, byte_tokenizer, n_text_ctx=N_TEXT_CTX)
    assert (row is not None) == fits
    assert not fits or len(row.tokens) == N_TEXT_CTX


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"language": "xx"}, "got 'xx', this model expects one of 99 languages"),
        ({"language": None}, "got none, expected one"),
        ({"task": "sing"}, "'sing' is not a valid Task"),
        ({"cues": [{"start": 0, "end": 1}]}, "no field 'text'"),
        ({"cues": [(0, 1, "ab")]}, "tuple indices"),
        ({"partial_start": "soon"}, "could not convert"),
    ],
)
def test_fields_that_make_no_example(byte_tokenizer, changes, complaint):
    with pytest.raises(TrainingError, match=complaint):
        encode_example(Fields.read(fields_of("ab", 2.0) | changes), byte_tokenizer, n_text_ctx=N_TEXT_CTX)


def test_a_missing_field_is_named():
    fields = fields_of("ab", 2.0)
    del fields["task"]
    with pytest.raises(TrainingError, match="no field 'task'; expected the fields that auricle-data writes"):
        Fields.read(fields)


def test_faster_speech_has_earlier_times():
    fields = Fields.read(fields_of("ab", 2.2, partial_start=3.3, use_timestamps=False)).at_speed(1.1)
    assert fields.cues == ((0.0, 2.0, "ab"),)
    assert fields.partial_start == fields.audio_end == pytest.approx(3.0)


# --- BPE dropout ---

TEXTS = [" the cat sat on the mat", " the cats sat on that mat", " naïve ♪ 東京"] * 3


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "tokenizer.json"
    assert 256 < train_vocabulary(TEXTS, path, n_text_tokens=300) <= 300
    return path, Tokenizer(path, n_vocab=vocabulary_size(path))


def drawn_from(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 (a test)


@pytest.mark.parametrize("text", [*TEXTS[:3], "", " ", " unseen wörds, x  y"])
def test_without_dropout_bpe_is_the_librarys(small, text):
    path, tokenizer = small
    assert BpeDropout(path).encode(text, dropout=0.0, rng=drawn_from(0)) == tokenizer.encode(text)


@pytest.mark.weights
@pytest.mark.parametrize("text", [" Ask not what your country can do for you.", "東京タワー", " Ein Übergang – 1961!"])
def test_without_dropout_bpe_is_the_librarys_for_the_released_vocabulary(base, text):
    from asr.checkpoint import ModelStore

    path = ModelStore().resolve("base") / "tokenizer.json"
    assert BpeDropout(path).encode(text, dropout=0.0, rng=drawn_from(0)) == base.tokenizer.encode(text)


def test_dropout_spells_the_same_text_in_other_tokens(small):
    path, tokenizer = small
    bpe, usual = BpeDropout(path), tokenizer.encode(TEXTS[0])
    drawn = [bpe.encode(TEXTS[0], dropout=0.3, rng=drawn_from(seed)) for seed in range(10)]
    assert {tokenizer.decode(tokens) for tokens in drawn} == {TEXTS[0]}
    assert len(set(map(tuple, drawn))) > 5
    assert min(map(len, drawn)) >= len(usual)
    assert drawn[3] == bpe.encode(TEXTS[0], dropout=0.3, rng=drawn_from(3))


def test_a_vocabulary_of_ones_own_has_whispers_specials(small):
    _, tokenizer = small
    assert tokenizer.is_multilingual
    assert len(tokenizer.languages) == 99
    names = {name: tokenizer._bpe.token_to_id(name) for name in ("<|ja|>", "<|nospeech|>", "<|notimestamps|>")}
    assert names == {
        "<|ja|>": tokenizer.language_token("ja"),
        "<|nospeech|>": tokenizer.no_speech,
        "<|notimestamps|>": tokenizer.no_timestamps,
    }
    assert tokenizer.decode(tokenizer.encode(TEXTS[2])) == TEXTS[2]


def test_signs_of_what_is_not_spoken_are_suppressed_without_what_words_need(small):
    _, tokenizer = small
    needed = {token for text in TEXTS for token in tokenizer.encode(text.replace("♪", ""))}
    assert not needed & set(tokenizer.non_speech_tokens)
