from eval.report.labels import corpus_language_label, labelled, language_label, length_label


def test_groups_keep_their_order_under_names_for_people():
    groups = {"none": 1, "de": 2, "x-klingon": 3}
    assert list(labelled(groups, language_label).items()) == [("no speech", 1), ("de German", 2), ("x-klingon", 3)]
    assert language_label(None) == "no speech"


def test_corpora_and_lengths():
    assert [corpus_language_label(key) for key in ("noise/none", "a/b/de")] == ["noise/no speech", "a/b/de"]
    assert [length_label(key) for key in ("< 2 s", "5-10 s", ">= 30 s")] == ["< 2 s", "5–10 s", "≥ 30 s"]
