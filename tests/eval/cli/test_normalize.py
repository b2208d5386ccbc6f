import pytest
from typer.testing import CliRunner

from eval import cli
from eval.normalizers import NormalizerName, normalizer_for

runner = CliRunner()


def test_texts_from_the_command_line_one_a_line() -> None:
    result = runner.invoke(cli.app, ["normalize", "Hello, World!", "Twenty-one.", "--language", "en"])
    assert result.exit_code == 0, result.output
    assert result.stdout == "hello world\n21\n"


def test_lines_of_stdin_keep_their_number() -> None:
    result = runner.invoke(cli.app, ["normalize", "--language", "hi"], input="हां, १२३।\n\nमेरा फ़ोन\n")
    assert result.stdout == "हाँ 123\n\nमेरा फ़ोन\n"


def test_another_normalizer_can_be_asked() -> None:
    result = runner.invoke(cli.app, ["normalize", "दिन", "--normalizer", "whisper-basic"])
    assert result.stdout == "द न\n"


def test_the_explanation_says_rule_before_after_and_whose_rules_they_are() -> None:
    result = runner.invoke(cli.app, ["normalize", "[Ha] co\u00adlour", "--language", "en", "--explain"])
    lines = [line.replace("│", " ").split() for line in result.stdout.splitlines()]
    assert ["invisible", "co<U+00AD>lour", "colour"] in lines
    assert ["asides", "[ha]", "'", "'"] in lines
    assert ["spelling", "colour", "color"] in lines
    assert ["color"] in lines
    assert normalizer_for(NormalizerName.AURICLE, "en").sha256 in result.stdout


@pytest.mark.parametrize("option", [["--normalizer", "none"], ["--explain=yes"]])
def test_a_wrong_option_is_explained(option: list[str]) -> None:
    assert runner.invoke(cli.app, ["normalize", "a", *option]).exit_code == 2


def test_a_language_that_nobody_knows_is_refused() -> None:
    result = runner.invoke(cli.app, ["normalize", "a", "--language", "hindy"])
    assert result.exit_code == 1
    assert "hindy" in result.stderr


def test_a_text_in_another_encoding_is_refused() -> None:
    result = runner.invoke(cli.app, ["normalize"], input=b"\xff\xfe\n")
    assert result.exit_code == 1
    assert result.stderr == "Error: stdin: got bytes that are not utf-8, expected a text in it\n"


def test_help_teaches_by_example() -> None:
    assert "auricle-eval normalize" in runner.invoke(cli.app, ["normalize", "--help"]).output
