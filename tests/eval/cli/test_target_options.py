import httpx
import pytest
import typer

from asr.options import DEFAULT_TEMPERATURES
from eval.cli.target_options import decoding_options, make_target
from eval.errors import EvaluationError, TargetUnavailableError
from eval.targets import OpenAITarget, ServerTarget


def test_what_was_not_said_is_the_default_and_repeatable() -> None:
    options = decoding_options(None, None, None)
    assert (options.beam_size, options.temperatures, options.seed) == (5, DEFAULT_TEMPERATURES, 0)
    said = decoding_options(1, "0,0.5", 3)
    assert (said.beam_size, said.temperatures, said.seed) == (1, (0.0, 0.5), 3)


def test_an_openai_endpoint_is_told_what_it_has_a_field_for() -> None:
    options = decoding_options(None, "0.3", None, openai="http://peer")
    assert (options.temperatures, options.seed) == ((0.3,), None)
    assert OpenAITarget("http://peer", model="m").settings(options) == {"temperature": "0.3"}


@pytest.mark.parametrize(
    ("said", "named"),
    [((5, None, None), "--beam-size"), ((None, None, 0), "--seed"), ((None, "0,0.2,0.4,0.6,0.8,1", None), "several")],
)
def test_even_a_default_is_refused_where_it_cannot_be_sent(said: tuple, named: str) -> None:
    with pytest.raises(typer.BadParameter, match=named):
        decoding_options(*said, openai="http://peer")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": None, "server": "http://a", "openai": "http://b"}, "expected one of them"),
        ({"model": None, "server": "http://a", "peer": "x=python"}, "--server http://a and --peer x=python, expected"),
        ({"model": None, "openai": "http://b"}, "no --model"),
        ({"model": "m", "server": "http://a", "api_key_env": "KEY"}, "without --openai"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(given: dict, message: str) -> None:
    with pytest.raises(typer.BadParameter, match=message):
        make_target(**given)


def test_a_peer_is_a_name_and_an_interpreter() -> None:
    with pytest.raises(EvaluationError, match="expected NAME=PYTHON"):
        make_target(None, peer="openai-whisper")


def test_the_address_decides_the_target() -> None:
    assert isinstance(make_target(None, "http://a"), ServerTarget)
    assert isinstance(make_target("m", openai="http://b"), OpenAITarget)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str | None] = []

    def answer(client: httpx.Client, url: httpx.URL) -> httpx.Response:
        sent.append(client.headers.get("Authorization"))
        return httpx.Response(200, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx.Client, "get", answer)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-default\n")
    monkeypatch.setenv("PEER_KEY", "sk-peer")
    make_target("m", openai="http://b").describe()
    make_target("m", openai="http://b", api_key_env="PEER_KEY").describe()
    monkeypatch.delenv("OPENAI_API_KEY")
    make_target("m", openai="http://b").describe()
    assert sent == ["Bearer sk-default", "Bearer sk-peer", None]
    with pytest.raises(TargetUnavailableError, match="--api-key-env NONE"):
        make_target("m", openai="http://b", api_key_env="NONE")


def test_a_key_is_sent_without_its_line_end_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for broken in ("sk-\nsecret", "sk-sécret"):
        monkeypatch.setenv("OPENAI_API_KEY", broken)
        with pytest.raises(TargetUnavailableError, match="OPENAI_API_KEY: got characters") as refused:
            make_target("m", openai="http://b")
        assert "cret" not in str(refused.value)
