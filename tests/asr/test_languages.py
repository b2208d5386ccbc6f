import pytest

from asr.errors import UnsupportedLanguageError
from asr.languages import LANGUAGE_ALIASES, LANGUAGES, to_language_code


@pytest.mark.parametrize(
    ("language", "code"),
    [("de", "de"), (" German ", "de"), ("pt-BR", "pt"), ("zh_TW", "zh"), ("haitian creole", "ht"), ("jv", "jw")],
)
def test_codes_names_and_tags(language: str, code: str):
    assert to_language_code(language) == code


def test_every_language_is_reached_by_code_and_name():
    assert len(LANGUAGES) == 100
    for code, name in LANGUAGES.items():
        assert to_language_code(code) == to_language_code(name.upper()) == code
    assert set(LANGUAGE_ALIASES.values()) <= set(LANGUAGES)


@pytest.mark.parametrize("language", ["", "-", "klingon", "xx", "english please"])
def test_others_are_refused(language: str):
    with pytest.raises(UnsupportedLanguageError) as caught:
        to_language_code(language)
    assert caught.value.param == "language"
