import ctypes

import pytest

from asr import memory
from asr.memory import release_freed_memory


@pytest.fixture(autouse=True)
def _looked_for_anew():
    memory._malloc_trim.cache_clear()
    yield
    memory._malloc_trim.cache_clear()


def test_the_c_library_is_asked_once(monkeypatch):
    calls = []

    class Library:
        def __init__(self, name: str) -> None:
            calls.append(name)

        def malloc_trim(self, padding: int) -> int:
            calls.append(padding)
            return 1

    monkeypatch.setattr(ctypes.util, "find_library", lambda _: "libc.so.6")
    monkeypatch.setattr(ctypes, "CDLL", Library)
    release_freed_memory()
    release_freed_memory()
    assert calls == ["libc.so.6", 0, 0]


@pytest.mark.parametrize("name", [None, "libc.so.6"])
def test_another_c_library_will_do(monkeypatch, name):
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: name)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    release_freed_memory()
