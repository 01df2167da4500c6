"""Which files were edited in a worktree, from what programs told: bounded, and within it only."""

import json

from prodigy_git.record import clock, jsonline
from prodigy_git.store import edits


def line(*paths, second=0):
    return jsonline.encode(
        {"at": clock.stamp((10**9 + second) * clock.SECOND), "kind": "tool", "files": list(paths)}
    ).encode()


def data(*lines):
    return b"".join(one + b"\n" for one in lines)


def test_paths_are_relative_and_the_last_edit_counts():
    found = edits.of_data(
        data(
            line("/w/a", "/w/b", second=1), line("/w/b", second=2), line("/w/a", "/w/b", second=3),
            line("/w/d/../c", second=4), line("/elsewhere", "relative", "/w", "/w/../x", "", "/wx/y"),
        ),
        "/w",
    )  # fmt: skip
    seconds = {name: clock.parse(at) // clock.SECOND - 10**9 for name, at in found.items()}
    assert seconds == {"a": 3, "b": 3, "c": 4}


def test_odd_names_and_odd_lines():
    names = ['/w/"files":[', "/w/a]b", "/w/back\\slash", "/w/ü", "/w/\udc80", "/w/new\nline"]
    given = data(
        b"\xff{", b"[]", json.dumps({"text": '"files":["/w/no"]'}).encode(), line(*names), b"{"
    )
    assert set(edits.of_data(given, "/w")) == {name.removeprefix("/w/") for name in names}


def test_only_so_many_are_kept_and_only_the_end_is_read(tmp_path):
    many = [line(f"/w/{n}", second=n) for n in range(edits.MOST + 5)]
    found = edits.of_data(data(*many), "/w")
    assert (len(found), next(iter(found))) == (edits.MOST, "5")
    path = tmp_path / "activity" / "r" / "s.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(data(line("/w/early"), *[line("/w/x" * 9)] * 9000) + b'{"files":["/w/torn"]')
    found = edits.edited(str(tmp_path), "r", "s", "/w")
    assert "early" not in found
    assert "torn" not in found
    assert edits.edited(str(tmp_path), "r", "none", "/w") == {}


def test_the_same_files_those_edited_last_first():
    found = edits.same(
        {"a": {"x": "1", "y": "9", "z": "3"}, "b": {"x": "7", "z": "4"}, "c": {"z": "1"}, "d": {}}
    )
    assert [(one.path, one.last, list(one.editors)) for one in found] == [
        ("x", "7", ["b", "a"]), ("z", "4", ["b", "a", "c"]),
    ]  # fmt: skip
