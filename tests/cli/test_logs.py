"""logs: what a session's command has said and its program wrote, as people and programs get it."""

import json
import os
import shutil

import pytest
from support_cli import call, ok, refused, rewrite_session
from support_terminal import Terminal
from support_transcripts import SAMPLES, answer, claude_with_subagent, run_of, with_transcript

from prodigy_git import layout
from prodigy_git.views.overview import closeup
from prodigy_git.views.overview.agents import Agent

KEY = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"


@pytest.fixture
def session(repo, store, tmp_path):
    main = claude_with_subagent(tmp_path)
    with_transcript(repo, store, "w1", main, agent="ada", item="login")
    return main


def test_a_transcript_is_told_in_words(repo, session):
    done = ok("logs", "w1", cwd=repo)
    lines = done.out.splitlines()
    assert lines[0] == f"==> w1, transcript: {session} <=="
    assert lines[2:7] == [
        "2026-11-02 (UTC)",
        "10:00:00  user      Mend the login, please.",
        "10:00:03  assistant I look at it first.",
        "10:00:04  tool      Bash: cat login.py",
        '                    {"description":"Look at it"}',
    ]
    assert "                    … 2 more lines: --full" in lines
    assert "10:00:07  assistant [a1b2] Nobody calls it." in lines
    assert "Where is it?" not in done.out
    full = ok("logs", "w1", "--full", cwd=repo).out
    assert "10:00:02  thinking  Where is it?" in full
    assert "more lines" not in full
    assert done.err == ""


@pytest.mark.parametrize("name", ["w1", "ada", "login"])
def test_by_any_name_and_only_the_last(repo, session, name):
    found = ok("logs", name, "--tail", "1", "--json", cwd=repo).lines
    assert [(one["session_id"], one["text"]) for one in found] == [
        ("w1", "API Error: overloaded"), ("w1", "Nobody calls it."),
    ]  # fmt: skip
    assert set(found[0]) == {
        "session_id", "source", "path", "kind", "at", "text", "tool", "tool_id", "failed", "model",
        "subagent_id",
    }  # fmt: skip


def test_what_is_an_item_and_an_agent(repo, store, session, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text(answer(1))
    with_transcript(repo, store, "w2", other, agent="login")
    done = ok("logs", "login", cwd=repo)
    assert "answer 1" not in done.out
    assert "login is also an agent, whose other sessions are not shown: give one of w2" in done.err


def test_who_stands_in_a_session_needs_no_name_others_get_a_list(repo, store, session, tmp_path):
    top = layout.worktrees(str(store), "repo") + "/w1"
    assert "Nobody calls it." in ok("logs", cwd=top).out
    with_transcript(repo, store, "w2", tmp_path / "gone.jsonl")
    rows = [line.split("\t") for line in ok("logs", cwd=repo).out.splitlines()]
    assert [(row[0], row[1], row[4], row[5]) for row in rows] == [
        ("w1", "ada", "transcript", "3.9 KiB"), ("w1", "ada", "transcript", "1.0 KiB"),
        ("w2", "-", "transcript", "gone"),
    ]  # fmt: skip
    found = ok("logs", "--json", cwd=repo).json
    assert [[log["exists"] for log in one["logs"]] for one in found] == [[True, True], [False]]
    assert str(tmp_path / "gone.jsonl") in refused("logs", "w2", cwd=repo)
    assert "in no session" in refused("logs", "-f", cwd=repo)


def test_output_of_run_and_transcript_together(repo, store, tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(answer(1))
    items = tmp_path / "items.json"
    items.write_text('[{"id": "a"}]')
    ok("job", "start", "j", "--items", items, cwd=repo)
    script = r"printf '\033[31mred\033[0m\n1%%\r2%%\rall\ttabs\033]0;x\a\n%s\n' " + KEY
    ok("run", "--job", "j", "--agent", "ada", "--", "sh", "-c", script, cwd=repo)
    (name,) = (one.stem for one in (store / "sessions").iterdir())
    rewrite_session(store, name, metadata={"program_sessions": [run_of(path)]})
    done = ok("logs", "a", cwd=repo)
    assert "red\nall    tabs\\x1b]0;x\\x07\n[redacted: " in done.out
    assert "assistant answer 1" in done.out
    assert KEY not in done.out
    found = ok("logs", "a", "--json", "--tail", "1", cwd=repo).lines
    assert [(one["source"], one["kind"]) for one in found] == [
        ("output", "output"), ("transcript", "assistant"),
    ]  # fmt: skip


@pytest.mark.parametrize("how", [(), ("--json",), ("--raw",), ("--full",)])
def test_no_secret_and_no_control_character_is_shown(repo, store, tmp_path, how):
    path = tmp_path / "t.jsonl"
    tool = {
        "type": "tool_use",
        "id": "t\x1b[2J",
        "name": "Ba\x1bsh",
        "input": {"password": "hunter2hunter22"},
    }
    more = {"type": "system", "content": f"a\nTOKEN={KEY}", "n": "\u202e"}
    path.write_text(
        answer(1, message={"content": [{"type": "text", "text": f"\x1b[31m\u202e\x9b {KEY}\n\x07"}]})
        + answer(2, message={"content": [tool], "model": "m\x1b[31m"})
        + json.dumps(more, ensure_ascii=False)
        + "\n"
    )  # fmt: skip
    with_transcript(repo, store, "w1", path)
    done = ok("logs", "w1", *how, cwd=repo)
    assert KEY not in done.out
    assert "hunter2hunter22" not in done.out
    assert "[redacted: " in done.out
    assert done.out.replace("\n", "").isprintable()
    if how in (("--json",), ("--raw",)):
        assert len(done.lines) >= 3


def test_raw_is_what_the_file_has(repo, store, session):
    done = ok("logs", "w1", "--raw", cwd=repo)
    said = [line for line in done.out.splitlines() if line.startswith("{")]
    beside = session.with_suffix("") / "subagents" / "agent-a1b2.jsonl"
    assert said == session.read_text().splitlines() + beside.read_text().splitlines()


def test_raw_knows_a_password_in_a_list_by_its_field(repo, store, tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"type": "system", "password": ["hunter2hunter22", "x"]}) + "\n")
    with_transcript(repo, store, "w1", path)
    assert "hunter2hunter22" not in ok("logs", "w1", "--raw", cwd=repo).out


def test_raw_shows_what_no_program_is_known_for(repo, store, tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text("no json\n")
    with_transcript(repo, store, "w1", path)
    done = call("logs", "w1", cwd=repo)
    assert (done.code, done.out) == (1, "")
    assert "--raw shows it" in done.err
    assert ok("logs", "w1", "--raw", cwd=repo).out == "no json\n"


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "hole"])
def test_what_is_no_file_is_not_opened(repo, store, tmp_path, kind):
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
    with_transcript(repo, store, "w1", path)
    for how in ((), ("--raw",), ("--tail", "3"), ("--keep",)):
        done = call("logs", "w1", *how, cwd=repo)
        assert (done.code, done.out) == (1, ""), how
        assert str(path) in done.err, how
        assert "Traceback" not in done.err
    if kind == "fifo":
        path.unlink()  # a test that fails could not keep it


def test_what_came_of_a_session_in_several_files_is_told_once(repo, store, tmp_path):
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    first.write_text(answer(1))
    second.write_text(answer(1) + answer(2))
    with_transcript(repo, store, "w1", first, second)
    found = ok("logs", "w1", "--json", cwd=repo).lines
    assert [one["text"] for one in found] == ["answer 1", "answer 2"]


def test_a_link_among_subagents_is_not_walked(repo, store, tmp_path, monkeypatch):
    main = claude_with_subagent(tmp_path)
    beside = main.with_suffix("") / "subagents"
    (beside / "deeper").mkdir()
    (beside / "deeper" / "agent-2.jsonl").write_text(answer(2))
    (beside / "root").symlink_to("/")
    (beside / "self").symlink_to(beside)
    scanned = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (scanned.append(path), scandir(path))[1])
    with_transcript(repo, store, "w1", main)
    assert "answer 2" in ok("logs", "w1", cwd=repo).out
    assert len(scanned) < 50


def test_cursors_transcripts_are_read_too(repo, store, tmp_path):
    path = tmp_path / "t.jsonl"
    lines = [
        {"role": "user", "message": {"content": [{"type": "text", "text": "Mend it."}]}},
        {"role": "assistant", "message": {"content": [{"type": "text", "text": "Done."}]}},
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    with_transcript(repo, store, "w1", path)
    found = ok("logs", "w1", "--json", cwd=repo).lines
    assert [(one["kind"], one["text"], one["at"]) for one in found] == [
        ("user", "Mend it.", None), ("assistant", "Done.", None),
    ]  # fmt: skip


def test_wrong_uses(repo, session):
    refused_as_usage = [
        ("--raw", "--json"),
        ("--raw", "--full"),
        ("--keep", "-f"),
        ("--tail", "-1"),
    ]
    for how in refused_as_usage:
        assert call("logs", "w1", *how, cwd=repo).code == 2
    assert "nobody" in refused("logs", "nobody", cwd=repo)


def test_on_a_terminal_it_is_in_colour_and_in_a_pager(repo, session, monkeypatch):
    monkeypatch.setenv("PAGER", "sed s/^/paged:/")
    monkeypatch.delenv("LESS", raising=False)
    terminal = Terminal("logs", "w1", cwd=repo, columns=40)
    assert terminal.end() == 0
    assert "paged:10:00:00  user      Mend the login" in terminal.text()


def test_less_shows_the_colours(repo, session, monkeypatch):
    if shutil.which("less") is None:
        pytest.skip("there is no less")
    monkeypatch.setenv("PAGER", "less")
    monkeypatch.delenv("LESS", raising=False)
    terminal = Terminal("logs", "w1", "--tail", "1", cwd=repo)
    assert terminal.end() == 0
    assert b"\x1b[32massistant" in terminal.written


def test_a_pager_that_is_no_command_is_said(repo, session, monkeypatch):
    monkeypatch.setenv("PAGER", 'less "')
    terminal = Terminal("logs", "w1", cwd=repo)
    assert terminal.end() == 1
    assert "error: PAGER is no command: less " in terminal.text()


def test_a_pager_that_is_left_early_is_no_trouble(repo, store, tmp_path, monkeypatch):
    path = tmp_path / "t.jsonl"
    path.write_text("".join(map(answer, range(20_000))))
    with_transcript(repo, store, "w1", path)
    monkeypatch.setenv("PAGER", "head -n 3")
    terminal = Terminal("logs", "w1", cwd=repo)
    assert terminal.end() == 0
    assert "answer 1" in terminal.text()
    assert "Traceback" not in terminal.text()


def test_samples_are_all_there():
    assert len(list(SAMPLES.iterdir())) == 8


def test_the_full_screen_shows_the_end_of_a_transcript(repo, store, tmp_path):
    path, older = tmp_path / "t.jsonl", tmp_path / "older.jsonl"
    path.write_text("".join(map(answer, range(300))) + answer(300, message={"content": KEY}))
    older.write_text(answer(1))
    os.utime(older, (1, 1))
    with_transcript(repo, store, "w1", older, path)
    agent = Agent("running", "repo", "w1", "w1", None, None)
    title, lines = closeup.log(str(store), agent, print)
    assert title == f"{path}: 'prodigy-git logs w1' has all of it"
    assert (len(lines), lines[0]) == (200, "10:00:00  assistant answer 101")
    assert lines[-1].startswith("10:00:00  assistant [redacted: ")
    path.unlink()
    os.mkfifo(path)
    broken = []
    title, _ = closeup.log(str(store), agent, broken.append)
    path.unlink()
    assert title == "w1 has no log of its own; its events"
    assert broken == [f"{path}: is a FIFO, not a file"]
