from asr.transcript import Suppressed
from eval.scoring import score_transcriptions


def left_out(text: str, reason: str) -> Suppressed:
    return Suppressed(start=0, end=1, text=text, reason=reason, avg_logprob=-1, compression_ratio=1, no_speech_prob=0.9)


def test_what_was_left_out_and_what_of_it_was_said(make_run) -> None:
    suppressed = (left_out(" Sat down, yes.", "silence"), left_out("down", "silence"), left_out("Bye bye", "loop"))
    run = make_run(
        ({"text": "the cat sat down here"}, {"text": "the cat here", "suppressed": suppressed}),
        ({"text": "the cat sat"}, {"text": "the bat sat", "suppressed": (left_out("Cat", "silence"),)}),
        ({"text": ""}, {"text": "", "suppressed": suppressed}),  # nobody speaks: counted with what is invented
        ({"text": "你好吗", "language": "zh"}, {"text": "你", "suppressed": (left_out("好嗎", "loop"),)}),
    )
    found = score_transcriptions(run).suppressed
    assert {reason: (texts.n_clips, texts.n_texts, texts.n_units, texts.n_said) for reason, texts in found.items()} == {
        "loop": (2, 2, 4, 1),
        "silence": (2, 3, 5, 3),
    }  # one "down" is missing, not two


def test_nothing_left_out(make_run) -> None:
    assert score_transcriptions(make_run(({"text": "a"}, "a"))).suppressed == {}
