from eval.report.facts import run_title


def test_a_run_on_a_server_says_where():
    config = {"model": "base", "corpus": "fleurs", "job": "translate"}
    assert run_title({**config, "target": "local"}) == "base on fleurs: translation"
    assert run_title({**config, "target": "http://host:8000"}) == "base at http://host:8000 on fleurs: translation"
    assert run_title({"target": "http://host:8000", "corpus": "fleurs"}) == "http://host:8000 on fleurs"
