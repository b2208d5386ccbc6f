import pytest

from eval.corpora import open_corpus
from eval.errors import CorpusError
from eval.load.clips import long_recording, short_clips

CLIPS = (
    {"id": "short", "text": "one two", "language": "en", "duration": 11.0},
    {"id": "shorter", "text": "one", "language": "en", "duration": 2.0},
    {"id": "unknown", "text": None, "language": "en", "duration": 11.0},
    {"id": "chinese", "text": "你好吗", "language": "zh", "duration": 11.0},
    {"id": "long", "text": "the cat sat", "language": "en", "duration": 600.0},
)


@pytest.fixture
def corpus(write_manifest):
    manifest = write_manifest(*CLIPS)
    for clip in CLIPS:
        (manifest.parent / f"{clip['id']}.wav").write_bytes(b"RIFF")
    return open_corpus(str(manifest))


def test_clips_of_the_class_are_taken_whole(corpus):
    (clip,) = short_clips(corpus)
    assert (clip.id, clip.name, clip.data, clip.text, clip.language) == ("short", "short.wav", b"RIFF", "one two", "en")
    assert not clip.is_long


def test_the_longest_recording_is_the_long_one(corpus):
    clip = long_recording(corpus)
    assert (clip.id, clip.duration, clip.is_long) == ("long", 600.0, True)


def test_a_corpus_without_such_clips_is_refused(write_manifest):
    corpus = open_corpus(str(write_manifest({"id": "a", "text": "one", "language": "en", "duration": 2.0})))
    with pytest.raises(CorpusError, match="got 1 clips, expected one of 8 to 15 s with a text"):
        short_clips(corpus)


def test_a_file_that_is_gone_is_named(write_manifest):
    corpus = open_corpus(str(write_manifest({"id": "a", "text": "one", "language": "en", "duration": 9.0})))
    with pytest.raises(CorpusError, match=r"a\.wav: No such file or directory; leave it out with --only"):
        short_clips(corpus)
