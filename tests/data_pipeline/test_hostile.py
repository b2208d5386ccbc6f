"""What lies on disk may be anything: each thing is an item or a drop with a reason, soon, and the run goes on."""

import io
import json
import math
import os
import random
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from heap_making import SENTENCES, InThisProcess, srt, talk, write_audio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_pipeline.audio import AudioLimits, AudioReader
from data_pipeline.chunks import ChunkSummary
from data_pipeline.readers import Captions, list_audiofolder, list_folder, list_nemo, list_tars, parse_captions
from data_pipeline.readers.captions import MAX_CAPTION_BYTES
from data_pipeline.recipe import read_recipe
from data_pipeline.running import RunPlan, run_recipe
from data_pipeline.stages.clean import clean_captions, clean_text
from data_pipeline.stages.duplicates import fingerprint
from data_pipeline.stages.machine import MachineLimits, drop_machine_made
from data_pipeline.stages.repeats import RepeatLimits, drop_repeated
from data_pipeline.stages.segmenting import SegmentLimits, segment
from data_pipeline.stages.timing import TimingLimits, check_timing
from data_pipeline.types import AudioPlace, Blob, Drop, Item, Origin, Record

ORIGIN = Origin(source="x", licence="CC0-1.0")
N = 1_000_000  # characters; what takes their square does not end


def reasons(items: list[Item]) -> dict[str, str | None]:
    return {item.id: item.refused and item.refused.reason for item in items}


@pytest.mark.parametrize("unit", ["<a", "{", "< ", "#", "\n", "1\n ", "(", "[a ", "*a", "&", "Ã©", "\u0301", "-", "A "])
def test_no_pattern_takes_the_square_of_a_text(unit: str):
    text = unit * (N // len(unit) // 4)
    for format_, start in (
        ("srt", "1\n00:00:01,000 --> 00:00:02,000\n"),
        ("vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n"),
    ):
        captions = parse_captions(f"{start}x{text}x\n".encode(), format_)
        assert isinstance(captions, Drop)
        assert (captions.reason, captions.limit) == ("malformed_captions", 2000)
    assert "x" in clean_text(f"x{text}x")


@pytest.mark.parametrize("text", [f"a &#{'9' * 5000}; b", "a &#x110000; b", f"a &#{'9' * 5000}b"])
def test_references_to_no_character_are_no_error(text: str):
    assert clean_text(text).startswith("a ")


@pytest.mark.parametrize(
    ("data", "format_"),
    [
        (json.dumps([{"start": 10**400, "end": 1, "text": "x"}]), "json"),
        ('[{"start": 0, "end": 1e308, "text": "x"}]', "json"),
        ('[{"start": -Infinity, "end": 1, "text": "x"}]', "json"),
        ('[{"start": 1e308, "duration": 1e308, "text": "x"}]', "json"),
        (f'[{{"start": {"9" * 5000}, "end": 1, "text": "x"}}]', "json"),
        (json.dumps([{"start": 0, "end": 1, "text": "a" * 2001}]), "json"),
        ('{"segments":' * 100_000, "json"),
        ("WEBVTT\n\n9999:99:99.999 -> 00:01.000\nx\n", "vtt"),
        ("1\n00:00:01,000 --> 00:00:02,000 --> 00:00:03,000\nx\n", "srt"),
    ],
)
def test_captions_that_cannot_be_are_malformed(data: str, format_: str):
    captions = parse_captions(data.encode(), format_)
    assert isinstance(captions, Drop)
    assert captions.reason == "malformed_captions"
    json.dumps(captions.value, allow_nan=False)


def through_the_stages(captions: Captions) -> Record | Drop:
    outcome: Record | Drop = Record(
        id="x/a.wav",
        source="x",
        licence="CC0-1.0",
        audio=AudioPlace(blob=Blob(path=Path("a.wav"))),
        audio_sha256="0",
        duration=100.0,
        cues=captions.cues,
        timed=captions.timed,
    )
    stages: list[Callable[[Record], Record | Drop]] = [
        clean_captions,
        lambda record: drop_machine_made(record, MachineLimits()),
        lambda record: drop_repeated(record, RepeatLimits()),
        lambda record: check_timing(record, TimingLimits()),
    ]
    for stage in stages:
        if isinstance(outcome, Record):
            outcome = stage(outcome)
    if isinstance(outcome, Record):
        fingerprint(outcome)
        windows = segment(outcome, SegmentLimits(), 0)
        ends = [0.0, *(window.next_start for window in windows)]
        assert [window.start for window in windows] == ends[:-1]
    return outcome


def test_many_cues_end_soon():
    times = ((n / 1000, n / 1000 + 0.1) for n in range(60_000))
    cues = [{"start": start, "end": end, "text": f"{SENTENCES[n % 6][:3]}"} for n, (start, end) in enumerate(times)]
    data = json.dumps(cues).encode()
    assert len(data) < MAX_CAPTION_BYTES
    captions = parse_captions(data, "json")
    assert isinstance(captions, Captions)
    assert isinstance(through_the_stages(captions), Drop | Record)


TIMES = st.one_of(st.floats(), st.integers(-(10**400), 10**400), st.floats(-1, 101), st.none(), st.text(max_size=3))
SEGMENTS = st.lists(st.fixed_dictionaries({"start": TIMES, "end": TIMES, "text": st.text(max_size=30)}), max_size=8)
CLOCKS = st.sampled_from(["00:00:01,000", "00:01.5", "99:99:99,999", "9999:59:59.999", "-1", "00:00:01.00", "", "\0"])
LINES = st.one_of(
    st.tuples(CLOCKS, st.sampled_from([" --> ", "-->", " -> "]), CLOCKS).map("".join),
    st.text(max_size=12),
    st.sampled_from(
        ["", "1", "WEBVTT", "NOTE x", "<v Ann>", "{\\an8}", "&#0;", "\ud83d".encode("utf-8", "replace").decode()]
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.one_of(
        st.tuples(SEGMENTS.map(lambda value: json.dumps(value).encode()), st.just("json")),
        st.tuples(st.lists(LINES).map(lambda lines: "\n".join(lines).encode()), st.sampled_from(["srt", "vtt", "txt"])),
        st.tuples(st.binary(max_size=80), st.sampled_from(["srt", "vtt", "txt", "json"])),
        st.tuples(st.text(max_size=60).map(lambda text: text.encode("utf-16")), st.sampled_from(["srt", "txt"])),
    )
)
def test_any_captions_are_cues_or_a_drop(captions: tuple[bytes, str]):
    outcome = parse_captions(*captions)
    if isinstance(outcome, Captions):
        assert all(math.isfinite(cue.start) and math.isfinite(cue.end) for cue in outcome.cues)
        outcome = through_the_stages(outcome) if outcome.cues else Drop(reason="no_text")
    if isinstance(outcome, Drop):
        json.dumps([outcome.value, outcome.limit], allow_nan=False)


def a_tar(folder: Path) -> bytes:
    path = folder / "good.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("a.wav", "a.txt", f"{'long' * 60}.wav", f"{'long' * 60}.txt", "ü.wav", "ü.txt"):
            member = tarfile.TarInfo(name)
            member.size = 700
            tar.addfile(member, io.BytesIO(b"x" * 700))
    data = path.read_bytes()
    path.unlink()
    return data


def test_any_damage_of_a_tar_is_a_reason(tmp_path: Path):
    whole, draw = a_tar(tmp_path), random.Random(0)  # noqa: S311
    path = tmp_path / "x.tar"
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(draw.randrange(3)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data[: draw.randrange(len(data))] if draw.random() < 0.5 else data)
        for item in list_tars(tmp_path, ORIGIN):
            assert item.refused or item.audio
            if item.audio and item.audio.blob.size:
                assert 0 <= item.audio.blob.offset <= item.audio.blob.offset + item.audio.blob.size <= len(data)


def header(name: str, size: int, kind: bytes) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def pax(name: str, value: str) -> bytes:
    rest = f" {name}={value}\n".encode()
    n_bytes = next(n for n in range(len(rest), len(rest) + 9) if len(str(n)) + len(rest) == n)
    return header("x", n_bytes, tarfile.XHDTYPE) + (str(n_bytes).encode() + rest).ljust(512, b"\0")


@pytest.mark.parametrize(
    "data",
    [
        pax("size", "-1024") + header("a.wav", 0, tarfile.REGTYPE) + bytes(1024),
        header("././@LongLink", 1 << 60, tarfile.GNUTYPE_LONGNAME),
        header("x", 1 << 62, tarfile.XHDTYPE),
        (header("././@LongLink", 2, tarfile.GNUTYPE_LONGNAME) + b"a".ljust(512, b"\0")) * 5000,
        pax("size", "-1536") + header("a.wav", 0, tarfile.REGTYPE) + bytes(1024),
        header("a.wav", 512, tarfile.REGTYPE) + bytes(512) + b"no header".ljust(512),
        pax("GNU.sparse.map", "0,1,x") + header("a.wav", 0, tarfile.REGTYPE),
        header("a.wav", 0, tarfile.GNUTYPE_SPARSE).replace(b"\0\0\0\0", b"777 ", 1) + bytes(1024),
    ],
)  # fmt: skip
def test_headers_that_lie_are_a_broken_tar(tmp_path: Path, data: bytes):
    (tmp_path / "x.tar").write_bytes(data)
    assert "broken_tar" in reasons(list(list_tars(tmp_path, ORIGIN))).values()


def test_things_that_are_no_files_are_not_opened(tmp_path: Path):
    heap = tmp_path / "heap"
    write_audio(heap / "good.wav").with_suffix(".txt").write_text("x")
    for name in ("fifo", "socket", "folder", "loop"):
        (heap / f"{name}.txt").write_text("x")
    os.mkfifo(heap / "fifo.wav")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(heap / "socket.wav"))
    (heap / "loop.wav").symlink_to("loop.wav")
    (heap / "round").symlink_to("..")
    with open(os.fsencode(heap) + b"/caf\xe9.wav", "wb"), open(os.fsencode(heap) + b"/caf\xe9.txt", "wb"):
        pass
    found = reasons(list(list_folder(heap, ORIGIN)))
    assert found == {
        "x/round": "linked_folder",
        "x/good.wav": None,
        "x/fifo.wav": "not_a_file",
        "x/socket.wav": "not_a_file",
        "x/loop.wav": "unsafe_name",
        "x/caf\\udce9.wav": "unsafe_name",
        "x/folder.txt": "missing_audio",
    }
    os.mkfifo(heap / "x.tar")
    (heap / "link.tar").symlink_to("/etc/passwd")
    found = reasons(list(list_tars(heap, ORIGIN)))
    assert found == {"x/round": "linked_folder", "x/x.tar": "not_a_file", "x/link.tar": "outside_the_source"}


def test_a_folder_that_cannot_be_read_is_a_drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_audio(tmp_path / "a/a.wav").with_suffix(".txt").write_text("x")
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def scandir(path: Any) -> Any:  # tests may run as root, who may read everything
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert reasons(list(list_folder(tmp_path, ORIGIN))) == {"x/closed": "unreadable_folder", "x/a/a.wav": None}


def test_lists_that_are_no_lists(tmp_path: Path):
    secret = write_audio(tmp_path / "secret.wav")
    write_audio(tmp_path / "in/a.wav")
    rows = [
        {"file_name": "../secret.wav", "text": "x"},
        {"file_name": str(secret), "text": "x"},
        {"file_name": "link.wav", "text": "x"},
        {"file_name": "a\udc80.wav", "text": "x"},
        {"file_name": "\ud800.wav", "text": "x"},
        {"file_name": "a.wav", "text": "x", "licence": "\ud800"},
        {"file_name": "a.wav", "text": "x", "offset": 10**400, "duration": 1},
        {"file_name": "a.wav", "text": "x", "offset": 1e308, "duration": 1e308},
        {"file_name": "a.wav", "text": "x"},
    ]
    (tmp_path / "in/link.wav").symlink_to(secret)
    table = tmp_path / "in/metadata.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows) + "[" * 100_000 + "\n")
    with table.open("ab") as file:
        file.write(b"y" * (9 << 20) + b'\n{"file_name": "a.wav", "text": "y"}')
    (tmp_path / "in/b").mkdir()
    (tmp_path / "in/b/metadata.csv").write_text(f'file_name,text\na.wav,Hello\nb.wav,"{"z" * 140_000}"\n')
    (tmp_path / "in/c").mkdir()
    (tmp_path / "in/c/metadata.csv").write_bytes(b"file_name,text\n\xff\xfe,x\n")
    (tmp_path / "in/d").mkdir()
    os.mkfifo(tmp_path / "in/d/metadata.csv")
    found = reasons(list(list_audiofolder(tmp_path / "in", ORIGIN)))
    assert list(found.items()) == [
        ("x/b/metadata.csv:2", "missing_audio"),
        ("x/b/metadata.csv", "malformed_listing"),
        ("x/c/metadata.csv", "malformed_listing"),
        ("x/d/metadata.csv", "not_a_file"),
        *((f"x/metadata.jsonl:{number}", "outside_the_source") for number in (1, 2, 3)),
        *((f"x/metadata.jsonl:{number}", "unsafe_name") for number in (4, 5)),
        *((f"x/metadata.jsonl:{number}", "malformed_listing") for number in (6, 7, 8)),
        ("x/metadata.jsonl:9", None),
        ("x/metadata.jsonl:10", "malformed_listing"),
        ("x/metadata.jsonl:11", "malformed_listing"),
        ("x/metadata.jsonl:12", None),
    ]
    assert reasons(list(list_nemo(table, ORIGIN)))["x/metadata.jsonl:11"] == "malformed_listing"


def test_a_header_that_claims_too_much_memory_is_a_drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def load(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("data_pipeline.audio.load_audio", load)
    drop = AudioReader(AudioLimits()).read(AudioPlace(blob=Blob(path=write_audio(tmp_path / "a.wav"))))
    assert isinstance(drop, Drop)
    assert drop.reason == "unreadable_audio"


class Vanishing:
    """Files go when a step begins."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    def start(self, step: str, n_chunks: int, n_done: int) -> None:
        if step in self._files:
            self._files[step].unlink()

    def advance(self, summary: ChunkSummary) -> None:
        assert summary.n_items


def test_files_that_vanish_under_way_are_drops_and_the_rest_is_done(tmp_path: Path):
    heap = tmp_path / "heap"
    for voice, name in enumerate(("stays", "early", "late", "mute")):
        write_audio(heap / f"{name}.wav", 34.0, voice).with_suffix(".srt").write_text(srt(talk(voice)))
    source = '[[sources]]\nname = "x"\nkind = "folder"\npath = "heap"\nlicence = "CC0-1.0"\n'
    (tmp_path / "recipe.toml").write_text(source)
    plan = RunPlan(recipe=read_recipe(tmp_path / "recipe.toml"))
    (heap / "mute.srt").unlink()
    (heap / "mute.srt").symlink_to("gone.srt")
    files = {"screening": heap / "early.wav", "packing": heap / "late.wav"}
    folder = run_recipe(plan, tmp_path / "out", executor=InThisProcess(), resume=False, progress=Vanishing(files)).path
    drops = [json.loads(line) for line in (folder / "drops.jsonl").read_text().splitlines()]
    assert {drop["record"]: (drop["stage"], drop["reason"]) for drop in drops if drop["stage"] != "segment"} == {
        "x/early.wav": ("audio", "unreadable_audio"),
        "x/late.wav": ("audio", "unreadable_audio"),
        "x/mute.wav": ("list", "missing_audio"),
    }
    kept = {json.loads(line)["record"] for line in (folder / "manifest.jsonl").read_text().splitlines()}
    assert kept == {"x/stays.wav"}
