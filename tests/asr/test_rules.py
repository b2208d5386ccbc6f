"""Each rule by table, then all timestamp rules against a slow restatement of them as a grammar."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.decoding import DecodeRequest, DecodingOptions
from asr.decoding.rules import Rules, rules_for
from asr.engine.torch_rules import apply_rules
from asr.native.library import MAX_RANGES
from asr.prompt import TaskPrompt
from asr.tokenizer import Tokenizer

N_TIMES = 1501


def allowed(logits_V: torch.Tensor) -> set[int]:
    return set(torch.nonzero(logits_V > float("-inf"))[:, 0].tolist())


def n_vocab(tokenizer: Tokenizer) -> int:
    return tokenizer.timestamp_begin + N_TIMES


def flat(tokenizer: Tokenizer, n_rows: int = 1) -> torch.Tensor:
    """Logits under which text always outweighs timestamps, so that only the history forbids."""
    logits = torch.zeros(n_rows, n_vocab(tokenizer))
    logits[:, tokenizer.timestamp_begin :] = -20
    return logits


def rules(tokenizer: Tokenizer, max_initial_timestamp_s: float = 1.0) -> Rules:
    return Rules(tokenizer, max_initial_timestamp_s=max_initial_timestamp_s)


def obey(rules: Rules, logits_V: torch.Tensor, history: list[int]) -> None:
    """What may not come after a history is forbidden in its logits."""
    after = rules.after(history)
    assert len(after.ranges) <= MAX_RANGES == 3
    apply_rules(logits_V[None], [after])


@pytest.mark.parametrize(("history", "expected"), [([], True), ([5], False), ([5, 6], False)])
def test_blank_is_forbidden_at_the_start_alone(tokenizer, history, expected):
    logits = flat(tokenizer)
    obey(Rules(tokenizer, timestamps=False), logits[0], history)
    forbidden = set(range(n_vocab(tokenizer))) - allowed(logits[0])
    assert forbidden == (set(tokenizer.blank_tokens) if expected else set())


@pytest.mark.parametrize("history", [[], [5, 6]])
def test_suppressed_tokens_never_come(tokenizer, history):
    logits = flat(tokenizer, 2)
    at_first = set() if history else set(tokenizer.blank_tokens)
    for row in logits:
        obey(Rules(tokenizer, suppressed=[3, 7], timestamps=False), row, history)
        assert set(range(n_vocab(tokenizer))) - allowed(row) == {3, 7} | at_first


@pytest.mark.parametrize(("limit_s", "last"), [(1.0, 50), (0.0, 0), (0.02, 1), (30.0, 1500)])
def test_the_first_token_is_an_early_timestamp(tokenizer, limit_s, last):
    logits = flat(tokenizer)
    obey(rules(tokenizer, limit_s), logits[0], [])
    begin = tokenizer.timestamp_begin
    assert allowed(logits[0]) == set(range(begin, begin + last + 1))


def at(tokenizer: Tokenizer, pattern: str) -> list[int]:
    """ "0 a 5" → <|0.00|>, text, <|0.10|>: numbers are timestamp steps, letters text."""
    return [tokenizer.timestamp_begin + int(part) if part.isdigit() else ord(part) for part in pattern.split()]


@pytest.mark.parametrize(
    ("pattern", "text", "end", "first_time"),
    [
        ("0", True, True, None),  # a segment has opened: text follows
        ("7", True, True, None),
        ("0 a", True, True, 1),  # inside: a later time closes it
        ("4 a b", True, True, 5),
        ("0 a 5", False, True, 5),  # closed: the next may start at once
        ("0 a 5 5", True, True, None),
        ("0 a 5 9 b", True, True, 10),
        ("0 a 5 5 b 8", False, True, 8),
        ("0 a 1500", False, True, 1500),
        ("0 a 1500 1500 b", True, True, None),  # nothing is later than 30 s
    ],
)
def test_pairs_and_order(tokenizer, pattern, text, end, first_time):
    logits = flat(tokenizer)
    obey(rules(tokenizer), logits[0], at(tokenizer, pattern))
    got = allowed(logits[0])
    begin = tokenizer.timestamp_begin
    if got and min(got) >= begin:
        # Where text is forbidden, timestamps outweigh the end too; the next test has the end's case.
        assert not text
    else:
        assert (ord("z") in got, tokenizer.eot in got) == (text, end)
    times = {token - begin for token in got if token >= begin}
    assert times == (set() if first_time is None else set(range(first_time, N_TIMES)))


def test_the_end_may_follow_a_closed_segment(tokenizer):
    logits = flat(tokenizer)
    logits[0, tokenizer.eot] = 5
    obey(rules(tokenizer), logits[0], at(tokenizer, "0 a 5"))
    got = allowed(logits[0])
    assert tokenizer.eot in got
    assert not any(token < tokenizer.eot for token in got)


@pytest.mark.parametrize(("share", "preferred"), [(0.4, False), (0.6, True)])
def test_timestamps_win_when_together_they_outweigh_the_best_text(tokenizer, share, preferred):
    # Each timestamp alone is far less likely than the text token: only their sum can win.
    logits = torch.full((1, n_vocab(tokenizer)), -100.0)
    logits[0, 65] = torch.tensor(1 - share).log()
    logits[0, tokenizer.timestamp_begin + 10 :] = torch.tensor(share / (N_TIMES - 10)).log()
    obey(rules(tokenizer), logits[0], at(tokenizer, "0 a"))
    assert (65 not in allowed(logits[0])) == preferred
    assert allowed(logits[0]) >= {tokenizer.timestamp_begin + 10, tokenizer.timestamp_begin + 1500}


def test_each_row_obeys_its_own_history(tokenizer):
    histories = [at(tokenizer, "0"), at(tokenizer, "0 a"), at(tokenizer, "0 a 5")]
    together = flat(tokenizer, 3)
    together[:, tokenizer.eot] = 5
    alone = together.clone()
    shared = rules(tokenizer)
    for row, history in enumerate(histories):
        obey(shared, together[row], history)
        assert torch.equal(together[row + 1 :], alone[row + 1 :])  # the others are not touched
        obey(rules(tokenizer), alone[row], history)
        assert torch.equal(together[: row + 1], alone[: row + 1])


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("suppress", [True, False])
def test_a_request_gets_its_rules(tokenizer, timestamps, suppress):
    request = DecodeRequest(
        mel=torch.zeros(80, 10),
        prompt=TaskPrompt(language="en", timestamps=timestamps),
        options=DecodingOptions(suppress_tokens=(-1,) if suppress else (), max_initial_timestamp_s=0.04),
    )
    logits = flat(tokenizer)
    obey(rules_for(request, tokenizer), logits[0], [])
    got = allowed(logits[0])
    begin = tokenizer.timestamp_begin
    steering = (tokenizer.sot, tokenizer.sot_prev, tokenizer.sot_lm, tokenizer.no_speech)
    assert got.isdisjoint({*steering, tokenizer.translate, tokenizer.transcribe})  # whatever was asked for
    if timestamps:
        assert got == {begin, begin + 1, begin + 2}
    else:
        assert tokenizer.eot not in got
        assert (ord("[") - 33 in got) == (not suppress)  # the byte symbols begin with "!" at 0


def test_no_timestamps_is_never_chosen(tokenizer):
    for pattern in ("0", "0 a", "0 a 5 5 b"):
        logits = flat(tokenizer)
        obey(rules(tokenizer), logits[0], at(tokenizer, pattern))
        assert tokenizer.no_timestamps not in allowed(logits[0])


# --- restatement ---


def may_follow(token: int, history: list[int], tokenizer: Tokenizer, last_initial: int) -> bool:
    """The grammar: (start text+ end)*, times never falling, no empty segment."""
    begin, eot = tokenizer.timestamp_begin, tokenizer.eot
    if token == tokenizer.no_timestamps:
        return False
    is_time = token >= begin
    if not history:
        return is_time and token - begin <= last_initial
    trailing = 0  # timestamps at the end of the history
    while trailing < len(history) and history[-1 - trailing] >= begin:
        trailing += 1
    times = [old for old in history if old >= begin]
    if trailing == 1 and len(history) > 1:  # a segment has just ended
        return token >= times[-1] if is_time else token >= eot
    if trailing:  # a segment has just begun
        return not is_time
    return not is_time or not times or token > times[-1]


@st.composite
def histories(draw) -> list[int]:
    """Mostly well-formed histories in steps and letters (negative), as beams make them, and some that are not."""
    steps = sorted(draw(st.lists(st.integers(0, 1500), max_size=6)))
    history: list[int] = []
    for i, step in enumerate(steps):
        history.append(step)
        if i % 2 == 0 or draw(st.booleans()):
            history += draw(st.lists(st.integers(-30, -1), max_size=2))
    return history


@settings(max_examples=60, deadline=None)
@given(pattern=histories(), seed=st.integers(0, 1000), tilt=st.sampled_from([-12.0, -6.0, 0.0, 6.0]))
def test_timestamp_rules_equal_the_grammar(tokenizer, pattern, seed, tilt):
    begin = tokenizer.timestamp_begin
    history = [begin + value if value >= 0 else 100 - value for value in pattern]
    logits = torch.randn(1, n_vocab(tokenizer), generator=torch.Generator().manual_seed(seed))
    logits[:, begin:] += tilt
    logits[:, tokenizer.eot] += 4
    probabilities = logits[0].double().softmax(dim=0)
    expected = {token for token in range(n_vocab(tokenizer)) if may_follow(token, history, tokenizer, 50)}
    texts = [float(probabilities[token]) for token in expected if token < begin]
    if sum(float(probabilities[token]) for token in expected if token >= begin) > max(texts, default=0):
        expected = {token for token in expected if token >= begin}
    kept = logits.clone()
    obey(rules(tokenizer), logits[0], history)
    assert allowed(logits[0]) == expected
    places = sorted(expected)
    assert torch.equal(logits[0, places], kept[0, places])
