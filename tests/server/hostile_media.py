"""Files that nobody should have to decode: mutants of small recordings, and some made by hand. Deterministic."""

import io
import random
import struct
import zipfile
from collections.abc import Iterator

import numpy as np
from media_makers import encode, tone, wav, wav_header

FORMATS = [
    ("wav", "pcm_s16le", 16_000), ("wav", "pcm_f32le", 44_100), ("flac", "flac", 16_000), ("ogg", "libopus", 48_000),
    ("mp3", "libmp3lame", 44_100), ("ipod", "aac", 44_100), ("mp4", "aac", 48_000),
    ("webm", "libopus", 48_000), ("matroska", "pcm_s16le", 8_000), ("adts", "aac", 44_100),
    ("aiff", "pcm_s16be", 44_100), ("caf", "pcm_s16le", 16_000), ("amr", "libopencore_amrnb", 8_000),
]  # fmt: skip
INTERESTING = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x01")


def originals() -> list[bytes]:
    """One short recording in each format."""
    return [encode(container, codec, rate, 1, tone(rate, 1, duration=0.5)) for container, codec, rate in FORMATS]


def mutants(count: int, *, seed: int = 7) -> Iterator[bytes]:
    """Damaged copies of the originals, each format in turn."""
    chance = random.Random(seed)  # noqa: S311  (repeatable damage, no secret)
    whole = originals()
    for number in range(count):
        data = bytearray(whole[number % len(whole)])
        for _ in range(chance.choice((1, 1, 3, 20))):
            data = _damaged(data, chance)
        yield bytes(data)


def _damaged(data: bytearray, chance: random.Random) -> bytearray:
    # Most damage goes to the first bytes, where the headers are.
    end = len(data) if chance.random() < 0.4 else min(len(data), 400)
    at = chance.randrange(end) if end else 0
    kind = chance.randrange(6)
    if kind == 0 and data:
        data[min(at, len(data) - 1)] ^= 1 << chance.randrange(8)
    elif kind == 1:
        value = chance.choice(INTERESTING)
        data[at : at + len(value)] = value
    elif kind == 2:
        data[at : at + chance.randrange(1, 64)] = chance.randbytes(chance.randrange(1, 64))
    elif kind == 3:
        del data[at : at + chance.randrange(1, 200)]
    elif kind == 4:
        piece = data[at : at + chance.randrange(1, 400)]
        data[at:at] = piece * chance.randrange(1, 4)
    else:
        del data[max(at, 1) :]
    return data


def by_hand(port: int) -> dict[str, bytes]:
    """Files by what is wrong with them; those that name an address name this port of the machine itself."""
    where = f"http://127.0.0.1:{port}"
    speech = wav(tone(16_000, 1, duration=0.5))
    floats = np.zeros(8000, np.float32)
    bad_floats = {}
    for name, value in (("nan", np.nan), ("inf", np.inf), ("minus inf", -np.inf)):
        floats[100] = value
        bad_floats[name] = wav_header(n_bytes=32_000, bits=32, code=3) + floats.tobytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.wav", speech)
    scripts = {
        "ffconcat": f"ffconcat version 1.0\nfile /etc/passwd\nfile {where}/a.wav\n",
        "ffconcat of a protocol": f"ffconcat version 1.0\nfile concat:/etc/passwd|{where}/b\n",
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{where}/a.ts\n#EXT-X-ENDLIST\n",
        "m3u8 of a file": "#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "m3u": f"#EXTM3U\n{where}/a.mp3\n",
        "pls": f"[playlist]\nFile1={where}/a.mp3\nNumberOfEntries=1\n",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
        "dash": f'<?xml version="1.0"?><MPD><Period><BaseURL>{where}/</BaseURL></Period></MPD>',
        "smil": f'<smil><body><audio src="{where}/a.wav"/></body></smil>',
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{where}/a.png"/></svg>',
        "html": "<html><script>alert(1)</script></html>",
        "imf": f'<?xml version="1.0"?><CompositionPlaylist><Id>{where}</Id></CompositionPlaylist>',
        "ffmetadata": ";FFMETADATA1\ntitle=x\n",
        "filter script": "amovie=/etc/passwd[out]",
        "shell": "#!/bin/sh\nrm -rf /\n",
        "subtitles": "1\n00:00:00,000 --> 00:00:01,000\nHello\n",
        "a path": "/etc/passwd",
        "a url": f"{where}/a.wav",
        "file url": "file:///etc/passwd",
        "utf-16": "\ufeffDear madam",
    }
    rates = {f"{rate} Hz": wav_header(rate=rate, n_bytes=2000) + bytes(2000) for rate in (0, 1, 10_000_000, 2**32 - 1)}
    counts = {f"{n} channels": wav_header(n_channels=n, n_bytes=20_000) + bytes(20_000) for n in (0, 65, 192, 65_535)}
    bits = {f"{n} bits": wav_header(n_bytes=2000, bits=n) + bytes(2000) for n in (0, 65, 255)}
    chunks = {
        "chunk of 4 GiB": b"RIFF\xff\xff\xff\xffWAVELIST\xff\xff\xff\xff" + bytes(100),
        "chunks without end": b"RIFF\xff\xff\xff\xffWAVE" + b"JUNK\0\0\0\0" * 5000,
        "form chunk of 1 GiB": b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", 2**30) + bytes(100),
        "no data chunk": speech[:36],
        "mov atom of 16 EiB": b"\0\0\0\x01moov" + b"\xff" * 8 + bytes(100),
        "mov atoms inside each other": (struct.pack(">I4s", 8, b"moov") + struct.pack(">I4s", 2**31 - 1, b"trak"))
        * 900,
        "mov that refers outside": b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + b"\0\0\0\x10moov\0\0\0\x08rmra",
        "iamf": b"\0\0\0\x18ftypiamf\0\0\0\0iamfmp42" + bytes(200),
        "matroska of unknown size": bytes.fromhex("1a45dfa301ffffffffffffff") + bytes(200),
        "ogg page without packets": (b"OggS\0\x02" + bytes(20) + b"\0") * 300,
        "flac that claims a day": b"fLaC\x80\0\0\x22\x10\0\x10\0"
        + bytes(6)
        + b"\x03\xe8\x00\xff\xff\xff\xff\xff"
        + bytes(16),
        "mp3 tag of 256 MiB": b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(100),
        "mp3 header only": b"\xff\xfb\x90\x64",
        "aac of noise": b"\xff\xf1\x50\x80\x01\x7f\xfc" * 200,
        "amr of noise": b"#!AMR\n" + random.Random(1).randbytes(3000),  # noqa: S311
        "asf header only": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + b"\xff" * 8 + bytes(100),
        "caf of 8 EiB": b"caff\0\1\0\0desc\x7f" + b"\xff" * 7 + bytes(100),
        "aiff of 2 GiB": b"FORM\x7f\xff\xff\xffAIFFCOMM\x7f\xff\xff\xff" + bytes(100),
    }
    return {
        "one byte": b"\0",
        "zeros": bytes(5000),
        "noise": random.Random(2).randbytes(5000),  # noqa: S311
        "riff only": b"RIFF",
        "header only": wav_header(n_bytes=0),
        "header that claims 4 GiB": wav_header(n_bytes=2**32 - 1),
        "too short": wav(tone(16_000, 1, duration=0.01)),
        "wav and zip in one": speech + archive.getvalue(),
        "wav and page in one": speech + b"<script>alert(1)</script>",
        "zip": archive.getvalue(),
        "gzip": bytes.fromhex("1f8b08000000000000ff") + bytes(100),
        "zip after a header": b"RIFF\x04\0\0\0WAVE" + archive.getvalue(),
        "png": b"\x89PNG\r\n\x1a\n" + bytes(200),
        "pdf": b"%PDF-1.7\n" + bytes(200),
        "elf": b"\x7fELF" + bytes(200),
        "script after an id3 tag": b"ID3\x04\0\0\0\0\0\0" + scripts["ffconcat"].encode(),
        **{name: text.encode("utf-16" if name == "utf-16" else "utf-8") for name, text in scripts.items()},
        **bad_floats,
        **rates,
        **counts,
        **bits,
        **chunks,
    }


def usable() -> dict[str, bytes]:
    """What is strange and yet a recording."""
    speech = wav(tone(16_000, 1, duration=0.5))
    return {
        "wav that claims 4 GiB": wav_header(n_bytes=2**32 - 1) + speech[44:],
        "wav with its data first": b"RIFF\x24\0\0\0WAVE" + speech[36:] + speech[12:36],
        "wav of 7 bits": wav_header(n_bytes=4000, bits=7) + bytes(4000),
    }
