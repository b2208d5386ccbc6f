"""Searches on toy vocabularies, where every hypothesis can be listed."""

import itertools
import math
import random
from collections.abc import Sequence

import pytest
import torch

from asr.decoding import BeamSearch, Greedy, Sampling
from asr.decoding.selection import Hypothesis, selector_for
from asr.decoding.steps import Candidate, Choice, RowRules

EOT = 9
NEVER = float("-inf")
Table = dict[tuple[int, ...], dict[int, float]]


def logits_of(table: Table, prefix: tuple[int, ...], n_vocab: int) -> torch.Tensor:
    """Log-probabilities of what may follow a prefix; everything else never."""
    row = torch.full((n_vocab,), NEVER)
    for token, probability in table[prefix].items():
        row[token] = math.log(probability)
    return row


class NoRules:
    """In the place of ``Rules``: everything may come. Remembers whose next token was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def after(self, tokens: Sequence[int]) -> RowRules:
        self.asked.append(list(tokens))
        return RowRules()


def candidates_of(choices: Sequence[Choice], logits_WV: torch.Tensor) -> list[list[Candidate]]:
    """What a backend answers: the likeliest tokens of a row, or a drawn one, with their log-probabilities."""
    answers = []
    for choice in choices:
        logits = logits_WV[choice.row].double()
        logprobs = logits.log_softmax(dim=0)
        if choice.draw is None:
            top = logprobs.topk(choice.n_best)
            answers.append(list(zip(top.indices.tolist(), top.values.tolist(), strict=True)))
        else:
            shares = (logits / choice.temperature).softmax(dim=0)
            token = int(torch.searchsorted(shares.cumsum(dim=0), choice.draw, right=True).clamp(max=len(shares) - 1))
            answers.append([(token, float(logprobs[token]))])
    return answers


def search(strategy, table: Table, *, n_steps: int, n_vocab: int = 40):
    selector = selector_for(strategy, EOT)
    n_done = 0
    while n_done < n_steps:
        n_done += 1
        rows = [
            # What follows a finished or impossible row does not matter, but has to be finite.
            logits_of(table, tuple(row), n_vocab) if tuple(row) in table else torch.zeros(n_vocab)
            for row in selector.rows
        ]
        if selector.step(candidates_of(selector.choices(NoRules()), torch.stack(rows))).done:
            break
    return selector.best(), n_done


def random_table(seed: int, *, n_tokens: int, depth: int) -> Table:
    """Every prefix of up to ``depth`` tokens has its own distribution; after ``depth`` tokens only the end follows."""
    rng = random.Random(seed)  # noqa: S311 (a test)
    table: Table = {}
    for length in range(depth + 1):
        for prefix in itertools.product(range(n_tokens), repeat=length):
            tokens = [EOT] if length == depth else [*range(n_tokens), *([EOT] if length else [])]
            weights = [rng.random() ** 3 + 1e-3 for _ in tokens]
            table[prefix] = {token: weight / sum(weights) for token, weight in zip(tokens, weights, strict=True)}
    return table


def all_hypotheses(table: Table) -> list[Hypothesis]:
    found = []
    for prefix, following in table.items():
        if EOT in following and prefix:
            total = sum(math.log(table[prefix[:i]][token]) for i, token in enumerate(prefix))
            found.append(Hypothesis(prefix, total + math.log(following[EOT])))
    return found


def score(hypothesis: Hypothesis, alpha: float | None) -> float:
    length = len(hypothesis.tokens)
    return hypothesis.sum_logprob / (length if alpha is None else ((5 + length) / 6) ** alpha)


# --- what is asked for ---


@pytest.mark.parametrize(
    ("strategy", "n_first", "n_later"),
    [(Greedy(), 1, 1), (Sampling(temperature=0.7, best_of=3, seed=0), 3, 3), (BeamSearch(beam_size=3), 1, 3)],
)
def test_every_choice_is_of_a_row_that_is_there_and_obeys_its_own_history(strategy, n_first, n_later):
    """At first there is one row, the prompt's; later each row chooses what follows its own tokens."""
    selector = selector_for(strategy, EOT)
    logits = torch.randn(strategy.width, 40, generator=torch.Generator().manual_seed(0))
    logits[:, EOT] = -20
    for n_choices in (n_first, n_later, n_later):
        rules = NoRules()
        histories = [list(row) for row in selector.rows]
        choices = selector.choices(rules)
        assert len(choices) == n_choices
        assert [choice.row for choice in choices] == ([0] * n_choices if not histories[0] else [*range(n_choices)])
        assert rules.asked == histories[:n_choices]
        selector.step(candidates_of(choices, logits))


def test_what_each_search_asks():
    (greedy,) = selector_for(Greedy(), EOT).choices(NoRules())
    assert (greedy.n_best, greedy.draw) == (1, None)
    samples = selector_for(Sampling(temperature=0.7, best_of=4, seed=0), EOT).choices(NoRules())
    assert {(sample.n_best, sample.temperature) for sample in samples} == {(1, 0.7)}
    assert len({sample.draw for sample in samples}) == 4
    assert all(0 <= sample.draw < 1 for sample in samples)
    (beams,) = selector_for(BeamSearch(beam_size=4), EOT).choices(NoRules())
    assert (beams.n_best, beams.draw) == (5, None)  # the end may be among them


# --- greedy ---


def test_greedy_takes_the_likeliest_token_and_sums():
    table = {(): {1: 0.7, 2: 0.3}, (1,): {2: 0.6, EOT: 0.4}, (1, 2): {EOT: 0.9, 1: 0.1}}
    best, n_steps = search(Greedy(), table, n_steps=10)
    assert (best.tokens, n_steps) == ((1, 2), 3)
    assert best.sum_logprob == pytest.approx(math.log(0.7 * 0.6 * 0.9), abs=1e-5)
    assert best.avg_logprob == pytest.approx(math.log(0.7 * 0.6 * 0.9) / 3, abs=1e-5)


def test_greedy_cut_short_keeps_what_it_has():
    table = {(): {1: 1.0}, (1,): {2: 1.0}}
    best, _ = search(Greedy(), table, n_steps=2)
    assert best.tokens == (1, 2)
    assert best.avg_logprob == pytest.approx(0)


# --- sampling ---


def test_sampling_repeats_with_its_seed():
    table = random_table(0, n_tokens=4, depth=4)
    runs = [search(Sampling(temperature=1.0, best_of=3, seed=seed), table, n_steps=6)[0] for seed in (7, 7, *range(20))]
    assert runs[0] == runs[1]
    assert len({run.tokens for run in runs}) > 3


def test_unseeded_samples_differ():
    table = random_table(0, n_tokens=4, depth=4)
    assert len({search(Sampling(temperature=1.0), table, n_steps=6)[0].tokens for _ in range(30)}) > 3


def test_samples_follow_the_distribution_and_the_temperature():
    probabilities = {1: 0.5, 2: 0.3, 3: 0.2}
    table = {(): probabilities} | {(token,): {EOT: 1.0} for token in probabilities}
    for temperature in (1.0, 0.5):
        drawn = [
            search(Sampling(temperature=temperature, seed=seed), table, n_steps=3)[0].tokens[0] for seed in range(1500)
        ]
        sharpened = {token: p ** (1 / temperature) for token, p in probabilities.items()}
        for token, weight in sharpened.items():
            assert drawn.count(token) / 1500 == pytest.approx(weight / sum(sharpened.values()), abs=0.05)


def test_a_finished_sample_stays_finished():
    """Whatever is drawn for its row: it is fed with ends, and counts no more."""
    selector = selector_for(Sampling(temperature=1.0, best_of=2, seed=0), EOT)
    first = selector.step([[(EOT, -0.5)], [(3, -1.0)]])
    assert (first.tokens, first.sources, first.done) == ((EOT, 3), (0, 0), False)
    second = selector.step([[(7, -9.0)], [(4, -1.0)]])
    assert (second.tokens, second.sources, second.done) == ((EOT, 4), (0, 1), False)
    third = selector.step([[(8, -9.0)], [(EOT, -1.0)]])
    assert (third.tokens, third.done) == ((EOT, EOT), True)
    assert selector.rows == [[EOT], [3, 4, EOT]]
    assert selector.best() == Hypothesis((3, 4), -3.0)


def test_the_best_of_many_samples_is_the_best_ranked():
    table = random_table(1, n_tokens=3, depth=2)
    best, _ = search(Sampling(temperature=1.5, best_of=300, seed=0), table, n_steps=4)
    expected = max(all_hypotheses(table), key=lambda hypothesis: score(hypothesis, None))
    assert best.tokens == expected.tokens
    # The rank is that of the model's own probabilities, not of those at the temperature.
    assert best.sum_logprob == pytest.approx(expected.sum_logprob, abs=1e-4)


# --- beam search ---


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("alpha", [None, 0.0, 0.6, 1.0])
def test_a_wide_beam_finds_the_optimum(seed, alpha):
    table = random_table(seed, n_tokens=3, depth=3)
    strategy = BeamSearch(beam_size=30, patience=10, length_penalty=alpha)
    best, _ = search(strategy, table, n_steps=4)
    expected = max(all_hypotheses(table), key=lambda hypothesis: score(hypothesis, alpha))
    assert best.tokens == expected.tokens
    assert best.sum_logprob == pytest.approx(expected.sum_logprob, abs=1e-4)


def test_a_beam_sees_what_greedy_misses():
    # The likelier first token leads nowhere.
    table = {(): {1: 0.55, 2: 0.45}, (1,): {3: 0.3, 4: 0.3, 5: 0.4}, (2,): {3: 1.0}, (2, 3): {EOT: 1.0}}
    table |= {(1, token): {EOT: 1.0} for token in (3, 4, 5)}
    assert search(Greedy(), table, n_steps=5)[0].tokens == (1, 5)
    assert search(BeamSearch(beam_size=2), table, n_steps=5)[0].tokens == (2, 3)


def endless(p_end: float) -> Table:
    """At every step the end, or one of two tokens."""
    table: Table = {(): {1: 0.6, 2: 0.4}}
    for length in range(1, 7):
        for prefix in itertools.product((1, 2), repeat=length):
            table[prefix] = {1: (1 - p_end) * 0.6, 2: (1 - p_end) * 0.4, EOT: p_end}
    return table


@pytest.mark.parametrize(("patience", "n_steps"), [(0.5, 2), (1.0, 2), (1.5, 3), (2.0, 3), (3.0, 4)])
def test_patience_decides_how_many_finished_ones_are_waited_for(patience, n_steps):
    # The end is likely: with two beams, each step finishes two hypotheses, the first step none.
    _, got = search(BeamSearch(beam_size=2, patience=patience), endless(0.9), n_steps=6)
    assert got == n_steps


@pytest.mark.parametrize(("alpha", "expected"), [(None, (1, 2)), (0.0, (4,)), (1.0, (4,))])
def test_length_penalty(alpha, expected):
    # log 0.4 = −0.92 over one token against log 0.3 = −1.20 over two: by average −0.92 and −0.60, by sum (alpha 0)
    # −0.92 and −1.20, with GNMT's divisors 6/6 and 7/6 −0.92 and −1.03.
    table = {(): {4: 0.4, 1: 0.6}, (1,): {2: 0.5, 3: 0.5}} | {prefix: {EOT: 1.0} for prefix in ((4,), (1, 2), (1, 3))}
    best, _ = search(BeamSearch(beam_size=3, patience=10, length_penalty=alpha), table, n_steps=3)
    assert best.tokens[0] == expected[0]
    assert len(best.tokens) == len(expected)


def test_unfinished_beams_fill_up_at_the_cut():
    # Nothing finishes: the likeliest open beam wins.
    table = {(): {1: 0.6, 2: 0.4}, (1,): {3: 0.5, 4: 0.5}, (2,): {5: 1.0}}
    best, _ = search(BeamSearch(beam_size=2), table, n_steps=2)
    assert best.tokens == (2, 5)
    assert best.sum_logprob == pytest.approx(math.log(0.4), abs=1e-5)


def test_enough_finished_ones_leave_no_place_for_the_unfinished():
    # Two have finished with a beam of two, patience waits for more: the open beam, better by rank, does not count.
    table = {(): {1: 0.5, 2: 0.5}, (1,): {EOT: 0.6, 3: 0.4}, (2,): {EOT: 0.6, 3: 0.4}}
    best, _ = search(BeamSearch(beam_size=2, patience=5), table, n_steps=2)
    assert best.tokens in {(1,), (2,)}


def test_one_finished_and_one_open_beam_compete():
    table = {(): {1: 0.5, 2: 0.5}, (1,): {EOT: 0.1, 3: 0.9}, (2,): {4: 0.5, 5: 0.5}}
    best, _ = search(BeamSearch(beam_size=2), table, n_steps=2)
    assert best.tokens == (1, 3)


def test_sources_name_the_rows_that_are_continued():
    selector = selector_for(BeamSearch(beam_size=2), EOT)
    first = torch.full((2, 12), NEVER)
    first[:, 3], first[:, 4] = math.log(0.6), math.log(0.4)
    step = selector.step(candidates_of(selector.choices(NoRules()), first))
    assert (step.tokens, step.sources, step.done) == ((3, 4), (0, 0), False)
    second = torch.full((2, 12), NEVER)
    second[0, 5:7] = math.log(0.5)  # 0.3 each
    second[1, 7] = 0.0  # 0.4
    step = selector.step(candidates_of(selector.choices(NoRules()), second))
    assert (step.tokens[0], step.sources) == (7, (1, 0))
    assert selector.rows == [[4, 7], [3, step.tokens[1]]]


def test_nothing_said_loses_to_anything_said():
    table = {(): {EOT: 0.9, 1: 0.1}, (1,): {EOT: 1.0}}
    assert search(BeamSearch(beam_size=2, patience=2), table, n_steps=3)[0].tokens == (1,)
