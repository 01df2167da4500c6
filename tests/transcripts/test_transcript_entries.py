"""Transcripts of each program as plain data: what is told, what is passed over, what is not opened."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_transcripts import SAMPLES, answer

from prodigy_git.record import files
from prodigy_git.transcripts import complete_lines, in_words, transcript_file
from prodigy_git.transcripts.plain import Entry
from prodigy_git.transcripts.transcript_file import Place, entries

ASKED = ("user", None, "Mend the login, please.")
TOLD = {
    "claude.jsonl": [
        ("system", None, "Mend the login"), ASKED, ("thinking", None, "Where is it?"),
        ("assistant", None, "I look at it first."),
        ("tool", "Bash", 'cat login.py\n{"description":"Look at it"}'),
        ("result", None, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10"),
        ("assistant", None, "Done: the name is trimmed."), ("assistant", None, "API Error: overloaded"),
    ],
    "codex.jsonl": [
        ("system", None, "<environment_context>\n  <cwd>/home/ada/repo</cwd>\n</environment_context>"),
        ASKED, ("thinking", None, "Where is it?"),
        ("tool", "shell", 'bash -lc cat login.py\n{"workdir":"/home/ada/repo"}'),
        ("result", None, "no such file"), ("assistant", None, "Done."),
    ],
    "codex-old.jsonl": [
        ASKED, ("tool", "shell", "ls"), ("result", None, "login.py\n"), ("assistant", None, "Done."),
    ],
    "gemini.jsonl": [
        ("system", None, "<session_context>\nThis is the Gemini CLI."), ASKED,
        ("thinking", None, "Where: is it?"), ("assistant", None, "I look at it first."),
        ("tool", "read_file", '{"absolute_path":"/home/ada/repo/login.py"}'),
        ("result", None, "def login(): ..."), ("assistant", None, "Done."),
        ("system", None, "quota exceeded"),
        ("system", None, "rewound: message m3 and what followed it was taken back"),
    ],
    "copilot.jsonl": [
        ASKED, ("assistant", None, "I look at it first."), ("tool", "bash", "cat login.py"),
        ("result", None, "no such file"), ("assistant", None, "Done."),
    ],
}  # fmt: skip
TOLD["gemini.json"] = TOLD["gemini.jsonl"][1:-1]


def told(path, **how):
    broken = []
    found = list(entries(Place(str(path)), {}, broken.append, **how))
    return found, broken


@pytest.mark.parametrize("name", TOLD)
def test_each_program_is_told_of_in_the_same_words(name):
    found, broken = told(SAMPLES / name)
    assert [(one.kind, one.tool, one.text) for one in found] == TOLD[name]
    assert broken == []
    calls = {one.tool_id for one in found if one.kind == "tool"}
    assert calls == {one.tool_id for one in found if one.kind == "result"}


def test_what_failed_when_and_which_subagent():
    found, _ = told(SAMPLES / "copilot.jsonl")
    assert [one.failed for one in found if one.kind == "result"] == [True]
    assert found[-1].subagent == "sub-1"
    assert found[0].at == "2026-11-02T10:00:01.000Z"
    (result,) = [one for one in told(SAMPLES / "codex.jsonl")[0] if one.kind == "result"]
    assert result.failed is True
    assert {one.subagent for one in told(SAMPLES / "claude-subagent.jsonl")[0]} == {"a1b2"}


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("last", [0, 1, 3, 1000])
def test_the_last_entries_are_the_end_of_all(name, last):
    whole, _ = told(SAMPLES / name)
    assert told(SAMPLES / name, last=last)[0] == whole[max(0, len(whole) - last) :]


def test_of_a_large_file_the_end_is_found_without_the_rest(tmp_path, monkeypatch):
    path = tmp_path / "t.jsonl"
    path.write_text("".join(answer(n, message={"filler": "x" * 5000}) for n in range(2000)))
    read = []
    pread = os.pread

    def noted(descriptor, size, at):
        read.append(size)
        return pread(descriptor, size, at)

    monkeypatch.setattr(os, "pread", noted)
    found, _ = told(path, last=2)
    assert [one.text for one in found] == ["answer 1998", "answer 1999"]
    assert sum(read) < path.stat().st_size / 2


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(TOLD.keys() - {"gemini.json"})), data=st.data())
def test_however_it_grows_the_same_is_told(tmp_path_factory, name, data):
    whole = (SAMPLES / name).read_bytes()
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=8))
    path = tmp_path_factory.mktemp("grows") / "t.jsonl"
    place, seen, found, broken = Place(str(path)), {}, [], []
    at = 0
    for cut in sorted({*cuts, len(whole)}):
        with path.open("ab") as stream:
            stream.write(whole[at:cut])
        at = cut
        found += entries(place, seen, broken.append)
    assert [(one.kind, one.tool, one.text) for one in found] == TOLD[name]
    assert broken == []


def test_damaged_lines_are_passed_over_and_told_once(tmp_path, monkeypatch):
    monkeypatch.setattr(complete_lines, "LONGEST", 2000)
    path = tmp_path / "t.jsonl"
    path.write_bytes(
        answer(1).encode() + b'{"type":\n\xff\xfe\n[1, 2]\nnull\n'
        + answer(2, filler="y" * 3000).encode()
        + b"[" * 900 + b"\n\n" + answer(3).encode() + b'{"type":"assist'
    )  # fmt: skip
    found, broken = told(path)
    assert [one.text for one in found] == ["answer 1", "answer 3"]
    (said,) = broken
    assert str(path) in said
    assert "damaged" in said


def test_a_codex_tool_says_in_its_output_whether_it_failed(tmp_path):
    path = tmp_path / "rollout.jsonl"
    outputs = {
        "Chunk ID: 1\nProcess exited with code 1\nOutput:\nno": True,
        "Exit code: 0\nOutput:\nfine": False,
        '{"agent_id":"x"}': None,
        "plain": None,
    }
    lines = [
        {"type": "response_item", "payload": {"type": "function_call_output", "output": one}}
        for one in outputs
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found, _ = told(path)
    assert {one.text: one.failed for one in found} == outputs


def test_half_a_surrogate_pair_is_no_damage(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(answer(1, message={"content": [{"type": "text", "text": "a\ud83d"}]}))
    assert [one.text for one in told(path)[0]] == ["a\ud83d"]


@pytest.mark.parametrize(
    "text", ["", "no json\n", '{"a": 1}\n', "{\n", "[\n]\n", '{"type": 5}\n' * 3]
)
def test_what_is_no_transcript_is_said_to_be_none(tmp_path, text):
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    found, broken = told(path)
    assert found == []
    assert len(broken) == bool(text)


def test_strange_values_do_no_harm(tmp_path):
    strange = [
        None,
        True,
        -1,
        1e400,
        "x",
        [],
        {},
        [[]],
        {"text": {"text": []}},
        ["a", None, {"text": 3}],
    ]
    path = tmp_path / "t.jsonl"
    for name in TOLD:
        lines = []
        for line in (SAMPLES / name).read_text().splitlines():
            if not line.startswith("{") or not line.endswith("}") or len(line) < 3:
                continue
            record = json.loads(line)
            for key in record:
                lines += [json.dumps({**record, key: value}) for value in strange]
                if isinstance(record[key], dict):
                    lines += [
                        json.dumps({**record, key: {**record[key], inner: value}})
                        for inner in record[key] for value in strange
                    ]  # fmt: skip
        path.write_text((SAMPLES / name).read_text() + "\n" + "\n".join(lines) + "\n")
        found, _ = told(path)
        assert all(isinstance(one.text, str) for one in found)


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "hole"])
def test_only_a_file_is_opened(tmp_path, kind):
    path = tmp_path / "t.jsonl"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as stream:
            stream.truncate(1 << 40)
    with pytest.raises(files.Unusable):
        told(path)


def test_a_copy_of_what_was_told_is_not_told_again(tmp_path):
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_text(answer(1) + answer(2))
    second.write_text(answer(1) + answer(2) + answer(3))
    seen = {}
    told_first = list(entries(Place(str(first)), seen, print))
    assert [one.text for one in told_first] == ["answer 1", "answer 2"]
    assert [one.text for one in entries(Place(str(second)), seen, print)] == ["answer 3"]


def test_a_file_that_was_replaced_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(answer(1) + answer(2))
    place, seen = Place(str(path)), {}
    assert len(list(entries(place, seen, print))) == 2
    other = tmp_path / "new"
    other.write_text(answer(2) + answer(3))
    other.rename(path)
    assert [one.text for one in entries(place, seen, print)] == ["answer 3"]


def test_an_older_chat_that_is_written_anew_tells_what_is_new(tmp_path):
    path = tmp_path / "session-1.json"
    chat = json.loads((SAMPLES / "gemini.json").read_text())
    messages = chat["messages"]
    place, seen, found = Place(str(path)), {}, []
    for count in range(len(messages) + 1):
        path.write_text(json.dumps({**chat, "messages": messages[:count]}, indent=2))
        found += entries(place, seen, print)
    assert [(one.kind, one.tool, one.text) for one in found] == TOLD["gemini.json"]


def test_lines_of_any_file_come_when_they_are_whole(tmp_path):
    path = tmp_path / "out.log"
    place = Place(str(path))
    path.write_bytes(b"one\ntw")
    assert list(transcript_file.added(place, print, waiting=True)) == [b"one"]
    with path.open("ab") as stream:
        stream.write(b"o\nthree")
    assert list(transcript_file.added(place, print, waiting=True)) == [b"two"]
    os.utime(path, (1, 1))  # nobody has written for long
    assert list(transcript_file.added(place, print, waiting=True)) == [b"three"]
    assert list(transcript_file.added(Place(str(path)), print)) == [b"one", b"two", b"three"]


@pytest.mark.parametrize("text", ["word " * 1_000_000, "a line\n" * 700_000])
def test_of_a_long_text_only_what_is_shown_is_looked_through(text):
    looked = []
    shown = list(
        in_words.lines(Entry("result", text), lambda one: looked.append(one) or one, full=False)
    )
    assert sum(map(len, looked)) < 100_000
    if "\n" in text:
        assert [what for _, _, what in shown[:8]] == ["a line"] * 8
        assert shown[8:] == [("", "", "… 699992 more lines: --full")]
    else:
        assert [len(what) for _, _, what in shown] == [2001]
    (whole,) = {what for _, _, what in in_words.lines(Entry("result", text), str, full=True)}
    assert whole == text.splitlines()[0]


def test_a_secret_that_goes_on_behind_what_is_shown_is_looked_at_as_a_whole():
    looked = []
    text = "\n".join(["a", *(f"line {number}" for number in range(200))])
    list(in_words.lines(Entry("result", text), lambda one: looked.append(one) or one, full=False))
    assert looked == [text]


@pytest.mark.parametrize("raw", [False, True])
def test_a_file_that_was_cut_and_is_longer_again_is_read_from_its_beginning(tmp_path, raw):
    path = tmp_path / "t.jsonl"
    place, broken, seen = Place(str(path)), [], {}

    def added():
        if raw:
            return [
                json.loads(line)["uuid"] for line in transcript_file.added(place, broken.append)
            ]
        return [f"uuid-{one.text[7:]}" for one in entries(place, seen, broken.append)]

    path.write_text(answer(1) + answer(2))
    assert added() == ["uuid-1", "uuid-2"]
    path.write_text("".join(map(answer, range(100, 110))))  # the same inode
    assert added() == [f"uuid-{number}" for number in range(100, 110)]
    with path.open("a") as stream:
        stream.write(answer(7))
    assert added() == ["uuid-7"]
    assert broken == []
