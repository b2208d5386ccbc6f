import json
from dataclasses import asdict, replace

from asr.options import TranscribeOptions
from eval.report.facts import decoding_in_short, run_title


def test_a_run_on_a_server_says_where():
    config = {"model": "base", "corpus": "fleurs", "job": "translate"}
    assert run_title({**config, "target": "local"}) == "base on fleurs: translation"
    assert run_title({**config, "target": "http://host:8000"}) == "base at http://host:8000 on fleurs: translation"
    assert run_title({"target": "http://host:8000", "corpus": "fleurs"}) == "http://host:8000 on fleurs"


def test_decoding_that_was_read_from_a_file_says_what_is_not_as_by_default():
    options = TranscribeOptions()
    stored = json.loads(json.dumps({"options": asdict(options)}))
    assert decoding_in_short(stored) == "5 beams, temperature fallback"
    stored = json.loads(json.dumps({"options": asdict(replace(options, hotwords=("Ada",)))}))
    assert decoding_in_short(stored).endswith("hotwords ['Ada']")
