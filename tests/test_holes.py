"""Where a file has data: nothing that was written is ever taken for a hole."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from prodigy_git import holes

WRITES = st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=9000)), max_size=6)


@settings(max_examples=30, deadline=None)
@given(WRITES, st.integers(0, 400))
def test_all_that_was_written_is_data(tmp_path_factory, writes, blocks):
    path = tmp_path_factory.mktemp("holes") / "file"
    with open(path, "w+b") as stream:
        os.ftruncate(stream.fileno(), blocks * 4096)
        for at, text in writes:
            os.pwrite(stream.fileno(), text, at * 4096)
        whole = os.pread(stream.fileno(), 10**7, 0)
        copy = bytearray(len(whole))
        for begin, end in holes.data(stream.fileno()):
            assert 0 <= begin < end
            copy[begin:end] = whole[begin:end]
    assert bytes(copy[: len(whole)]) == whole


def test_what_is_not_on_the_disk_yet_is_synced_before_it_is_asked_for(tmp_path, monkeypatch):
    """Some filesystems show it as a hole until then."""
    path = tmp_path / "file"
    asked = []
    real = {name: getattr(os, name) for name in ("fsync", "lseek")}
    for name in real:
        monkeypatch.setattr(os, name, lambda *args, _of=name: asked.append(_of) or real[_of](*args))
    with open(path, "wb", buffering=0) as stream:
        stream.truncate(1 << 20)
        os.pwrite(stream.fileno(), b"x", 1 << 19)
        ((begin, end),) = holes.data(stream.fileno())
    assert begin <= 1 << 19 < end
    assert asked.index("fsync") < asked.index("lseek")
