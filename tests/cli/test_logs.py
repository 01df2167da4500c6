"""logs: what a session's command has said and its program wrote, as people and programs get it."""

import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest
from support_cli import call, new, ok, refused, rewrite_session, start
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


def test_a_transcript_in_the_worktree_is_found_in_the_trash(repo, store, git):
    made = new(repo, "w1")
    path = Path(made["worktree"], "t.jsonl")
    path.write_text(answer(1))
    rewrite_session(store, "w1", metadata={"program_sessions": [run_of(path)]})
    ok("finish", "w1", "--failed", "--error", "x", cwd=repo)
    ok("worktree", "clean", "w1", "--force", "--yes", cwd=repo)
    assert not path.exists()
    assert "answer 1" in ok("logs", "w1", cwd=repo).out


# Copies ---------------------------------------------------------------------------------------


def test_a_copy_is_shown_when_the_program_has_deleted_its_own(repo, store, session):
    copies = [Path(line) for line in ok("logs", "w1", "--keep", cwd=repo).out.splitlines()]
    assert [one.stat().st_mode & 0o777 for one in copies] == [0o600, 0o600]
    assert copies[0].read_bytes() == session.read_bytes()
    with session.open("a") as stream:
        stream.write(answer(7))
    assert "answer 7" in ok("logs", "w1", cwd=repo).out
    assert ok("logs", "w1", "--keep", cwd=repo).out.splitlines() == list(map(str, copies))
    before = ok("logs", "w1", "--json", cwd=repo).lines
    session.unlink()
    shutil.rmtree(session.with_suffix(""))
    after = ok("logs", "w1", "--json", cwd=repo).lines
    assert [one["text"] for one in after] == [one["text"] for one in before]
    assert ok("logs", "w1", "--keep", cwd=repo).out.splitlines() == list(map(str, copies))


def test_a_copy_keeps_what_the_program_has_cut(repo, store, session):
    (copy, _) = ok("logs", "w1", "--keep", cwd=repo).out.splitlines()
    whole = session.read_bytes()
    session.write_bytes(whole.splitlines(keepends=True)[0])
    ok("logs", "w1", "--keep", cwd=repo)
    assert Path(copy).read_bytes() == session.read_bytes()
    (older,) = Path(copy).parent.glob(f"{Path(copy).name.partition('.transcript')[0]}-*")
    assert older.read_bytes() == whole
    assert "Done: the name is trimmed" in ok("logs", "w1", cwd=repo).out
    ok("logs", "w1", "--keep", cwd=repo)
    assert older.read_bytes() == whole


@pytest.mark.parametrize("indent", [None, 2])
def test_a_copy_has_no_secret(repo, session, indent):
    """Behind an escape too, in JSON of one line and of many; and it stays JSON, but for one text."""
    token = "ghp_" + 9 * "a1B2"
    record = {"type": "user", "message": {"content": f"use\n{token} there"}, "number": 1.5}
    text = json.dumps(record, indent=indent) + "\n"
    session.write_text(text if indent else f"{text}no JSON: {token}\n" + answer(3))
    (copy, _) = ok("logs", "w1", "--keep", cwd=repo).out.splitlines()
    kept = Path(copy).read_text()
    assert token not in kept
    record["message"]["content"] = "use\n[redacted: prefixed-token] there"
    first, *others = [kept] if indent else kept.splitlines(keepends=True)
    assert json.loads(first) == record
    assert others == ([] if indent else ["no JSON: [redacted: prefixed-token]\n", answer(3)])


def test_a_copy_is_cleaned_with_its_jobs_output(repo, store, session, git):
    (copy, _) = ok("logs", "w1", "--keep", cwd=repo).out.splitlines()
    Path(f"{copy}.new").write_text("of one who was killed")
    ok("finish", "w1", cwd=repo)
    ok("worktree", "clean", "w1", "--force", "--yes", cwd=repo)
    ok("events", "clean", "--older-than", "0s", cwd=repo)
    assert not os.path.exists(copy)
    (there,) = (store / "trash").rglob(os.path.basename(copy))
    assert there.read_bytes() == session.read_bytes()
    assert not os.path.exists(f"{copy}.new")


def test_nobody_elses_file_is_copied(repo, store, session):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to somebody")
    os.chown(session, 12345, 12345)
    done = call("logs", "w1", "--keep", cwd=repo)
    assert "another user's" in done.err
    assert len(done.out.splitlines()) == 1  # its subagent's is ours
    assert "Mend the login, please." not in done.out


def test_no_link_is_followed_to_where_a_copy_goes(repo, store, session, tmp_path):
    (copy, _) = ok("logs", "w1", "--keep", cwd=repo).out.splitlines()
    mine = tmp_path / "mine"
    mine.write_text("mine")
    os.symlink(mine, f"{copy}.new")
    call("logs", "w1", "--keep", cwd=repo)
    assert mine.read_text() == "mine"


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


# As it comes ----------------------------------------------------------------------------------


def until(process, wanted):
    for line in process.stdout:
        if wanted in line:
            return
    raise AssertionError(f"no {wanted!r}: {process.stderr.read()}")


def test_follow_shows_what_comes_also_in_new_files(repo, store, tmp_path):
    path, later = tmp_path / "1.jsonl", tmp_path / "later" / "2.jsonl"
    path.write_text("".join(map(answer, range(30))))
    later.parent.mkdir()
    with_transcript(repo, store, "w1", path)
    process = start("logs", "w1", "-f", cwd=repo)
    deadline = threading.Timer(120, process.kill)  # or a failure would wait for ever
    deadline.start()
    try:
        first = process.stdout.readline()
        assert first.strip() == "2026-11-02 (UTC)"
        assert process.stdout.readline().endswith("answer 10\n")  # 20 from the end
        until(process, "answer 29")
        with path.open("a") as stream:
            stream.write(answer(30)[:40])
            stream.flush()
            stream.write(answer(30)[40:])
        until(process, "answer 30")
        later.write_text(answer(30) + answer(31))
        rewrite_session(store, "w1", metadata={"program_sessions": [run_of(path), run_of(later)]})
        until(process, "answer 31")
        replaced = tmp_path / "new"
        replaced.write_text(answer(32))
        replaced.rename(path)
        until(process, "answer 32")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        deadline.cancel()
        process.kill()
        process.wait()


def test_follow_goes_on_with_the_next_attempt_at_an_item(repo, store, tmp_path):
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    first.write_text(answer(1))
    second.write_text(answer(2))
    with_transcript(repo, store, "w1", first, item="login")
    process = start("logs", "login", "-f", cwd=repo)
    deadline = threading.Timer(120, process.kill)
    deadline.start()
    try:
        until(process, "answer 1")
        with_transcript(repo, store, "w2", second, item="login")
        until(process, "answer 2")
    finally:
        deadline.cancel()
        process.kill()
        process.wait()


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
