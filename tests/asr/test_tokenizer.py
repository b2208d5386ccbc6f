import json

import pytest

from asr.checkpoint import ModelStore
from asr.errors import CheckpointError, InvalidOptionError, UnsupportedLanguageError
from asr.prompt import TaskPrompt, check_supported
from asr.tasks import Task
from asr.tokenizer import Tokenizer


def test_special_tokens_follow_the_text(tokenizer):
    assert (tokenizer.eot, tokenizer.sot) == (50257, 50258)
    assert tokenizer.language_token("en") == 50259
    assert (tokenizer.translate, tokenizer.transcribe) == (50358, 50359)
    assert (tokenizer.sot_prev, tokenizer.no_speech, tokenizer.no_timestamps) == (50361, 50362, 50363)
    assert tokenizer.timestamp_begin == 50364


@pytest.mark.parametrize("text", ["Hello, world", "größer", "日本語", "😀", " a  b\n"])
def test_text_survives(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_specials_and_times_have_no_text(tokenizer):
    assert tokenizer.decode([tokenizer.sot, tokenizer.timestamp_begin, *tokenizer.encode("a"), tokenizer.eot]) == "a"


def test_special_token_in_text_is_refused(tokenizer):
    with pytest.raises(InvalidOptionError, match="special tokens"):
        tokenizer.encode("a <|startoftranscript|> b")


def test_vocabulary_that_does_not_fit(tokenizer_path):
    with pytest.raises(CheckpointError, match="do not fit"):
        Tokenizer(tokenizer_path, n_vocab=50000)


def test_file_that_is_no_tokenizer(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not a tokenizer"):
        Tokenizer(tmp_path / "tokenizer.json", n_vocab=51865)


def test_prompt_in_order(tokenizer):
    prompt = TaskPrompt(language="de", task=Task.TRANSLATE, timestamps=False, context=(1, 2, 3))
    tokens = prompt.encode(tokenizer, max_context=2)
    language = tokenizer.language_token("de")
    assert tokens == (tokenizer.sot_prev, 2, 3, tokenizer.sot, language, tokenizer.translate, tokenizer.no_timestamps)


def test_prompt_without_context(tokenizer):
    tokens = TaskPrompt(language="en").encode(tokenizer, max_context=223)
    assert tokens == (tokenizer.sot, tokenizer.language_token("en"), tokenizer.transcribe)
    assert TaskPrompt(language="en", context=(1,)).encode(tokenizer, max_context=0) == tokens


def test_prompt_needs_a_known_language(tokenizer):
    with pytest.raises(InvalidOptionError, match="detect it"):
        TaskPrompt().encode(tokenizer, max_context=0)
    with pytest.raises(UnsupportedLanguageError, match="yue"):
        TaskPrompt(language="yue").encode(tokenizer, max_context=0)


@pytest.mark.weights
def test_english_only_model_starts_with_one_token(tiny_en):
    tokenizer = tiny_en.tokenizer
    assert not tokenizer.is_multilingual
    assert tokenizer.languages == ("en",)
    assert (tokenizer.no_speech, tokenizer.timestamp_begin) == (50361, 50363)
    assert TaskPrompt(language="en").encode(tokenizer, max_context=0) == (tokenizer.sot,)
    with pytest.raises(UnsupportedLanguageError, match="English-only"):
        check_supported(tokenizer, language="de", task=Task.TRANSCRIBE)
    with pytest.raises(InvalidOptionError, match="English-only"):
        check_supported(tokenizer, language=None, task=Task.TRANSLATE)


@pytest.mark.weights
@pytest.mark.parametrize("model", ["base", "tiny.en"])
def test_suppressed_tokens_are_the_published_ones(model, request):
    tokenizer = request.getfixturevalue(model.replace(".", "_")).tokenizer
    config = json.loads((ModelStore().resolve(model) / "config.json").read_text())
    suppressed = {*tokenizer.non_speech_tokens, *tokenizer.control_tokens}
    assert suppressed == set(config["suppress_ids"])
    assert sorted(tokenizer.blank_tokens) == sorted(config["suppress_ids_begin"])


@pytest.mark.weights
def test_language_tokens_have_the_names_in_the_file(base):
    content = json.loads((ModelStore().resolve("base") / "tokenizer.json").read_text())
    names = {token["id"]: token["content"] for token in content["added_tokens"]}
    for code, token in zip(base.tokenizer.languages, base.tokenizer.language_tokens, strict=True):
        assert names[token] == f"<|{code}|>"
