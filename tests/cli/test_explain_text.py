"""explain as people read it: at a narrow terminal, of hostile text, and its errors."""

import json
import os
import pty
import subprocess
import sys

import pytest
import support_team as team
from support_cli import call, environment, new, ok, refused, write_hooks, write_log


@pytest.fixture
def review(repo, store, tmp_path, git):
    write_hooks(tmp_path / "hooks")
    git("config", "core.hooksPath", tmp_path / "hooks", cwd=repo)
    new(repo, "wt", "--agent", "ann", "--item", "i-1", "--branch", "prodigy-wt")
    team.write(store, "repo")
    return repo


def at_a_terminal(columns, *arguments, cwd):
    """Run a command at a pseudo-terminal of so many columns; return what it showed."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "prodigy_git", *arguments], cwd=cwd, stdin=slave, stdout=slave,
        stderr=slave, env=environment(COLUMNS=str(columns), LINES="24", TERM="xterm"),
    ) as child:  # fmt: skip
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 1 << 16)
            except OSError:  # its end, on Linux
                break
            if not piece:
                break
            shown += piece
        os.close(master)
    return child.returncode, shown.decode().replace("\r\n", "\n")


def test_an_item_at_sixty_columns(review):
    code, shown = at_a_terminal(60, "explain", "item-3", cwd=review)
    assert code == 0
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[0] == "item        item-3, job review of repo"
    assert "attempt 1   failed in 8m 00s, session agent-20, agent" not in shown  # each said once
    assert "attempt 1   failed in 8m 00s, session agent-20" in shown
    assert "            error: Timeout after 300 seconds" in shown
    assert "attempt 2   completed in" in shown


def test_hostile_text_is_shown_and_not_obeyed(review):
    sha = team.sha("0/0")
    for name in (sha, "item-0", "agent-00"):
        done = ok("explain", name, cwd=review)
        assert "\x1b" not in done.out
        assert "\u202e" not in done.out
        assert "</script><img src=x onerror=alert(1)> \\x1b[2J\\u202egnp.exe" in done.out
    found = ok("explain", sha, "--json", cwd=review)
    assert found.out.isascii()
    assert found.json["subject"] == team.HOSTILE
    assert found.json["exists"] is False


def test_a_commit_in_text(review, git):
    path = ok("worktree", "path", "wt", cwd=review).out.strip()
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=path)
    git("commit", "-q", "--allow-empty", "--amend", "-m", "two", cwd=path)
    new_sha = git("rev-parse", "HEAD", cwd=path)
    shown = ok("explain", "HEAD@{1}", cwd=path).out
    assert "made by     session wt, agent ann, item i-1\n" in shown
    assert f"replaced by {new_sha[:12]} (amend of " in shown
    assert "now         contained in nothing" in shown
    assert "  > CommitCreated" in shown
    assert f"next        'prodigy-git explain {new_sha[:12]}'" in shown
    assert "now         in prodigy-wt\n" in ok("explain", "HEAD", cwd=path).out


def test_a_session_in_text_and_its_ends(review):
    shown = ok("explain", "wt", cwd=review).out
    assert shown.startswith("session     wt, Running\njob         wt of repo\n")
    assert "its life:\n" in shown
    ok("finish", "wt", cwd=review)
    ok("worktree", "clean", "wt", cwd=review)
    shown = ok("explain", "wt", cwd=review).out
    assert "worktree    in the trash: " in shown
    assert "next        'prodigy-git worktree restore wt'" in shown


def test_a_session_with_more_events_than_a_screen_takes(repo, store):
    new(repo, "here")
    told = [
        {"type": "CommitCreated", "timestamp": f"2025-01-11T12:{n // 60:02}:{n % 60:02}Z",
         "session_id": "long", "commit": f"{n:040x}", "subject": f"number {n}"}
        for n in range(100)
    ]  # fmt: skip
    write_log(store, "repo", "j", "events-20250111.jsonl", *told)
    done = ok("explain", "long", cwd=repo)
    assert "and 60 more: 'prodigy-git events ls --session long' lists them" in done.out
    assert len(done.out.splitlines()) < 110
    assert len(ok("explain", "long", "--json", cwd=repo).json["commits"]) == 100


def test_what_else_has_the_name_is_said_on_stderr(review):
    done = ok("explain", "agent-03", cwd=review)
    assert done.out.startswith("agent       agent-03")
    ok("new-worktree", "item-4", cwd=review)
    done = ok("explain", "item-4", cwd=review)
    assert done.out.startswith("session     item-4, ")
    assert done.err == "prodigy-git: item-4 is also an item: --as item tells of that\n"
    assert ok("explain", "item-4", "--as", "item", cwd=review).out.startswith("item        item-4")


def test_errors_are_one_line_that_says_what_to_do(review, tmp_path):
    assert "'prodigy-git sessions list'" in refused("explain", "nobody", cwd=review)
    assert "change into its repository" in refused("explain", "nobody", cwd=tmp_path)
    assert "no job nope" in refused("explain", "item-3", "--job", "nope", cwd=review)
    assert "leave out --job" in refused("explain", "nobody", "--job", team.JOB, cwd=review)
    assert "no session" in refused("explain", "item-3", "--as", "session", cwd=review)
    assert "not a safe name" in refused("explain", "x", "--job", "../x", cwd=review)
    assert "\\x1b" in refused("explain", "\x1b[2J", cwd=review)
    assert call("explain", cwd=review).code == 2


def test_json_is_one_value_with_all_there_is(review):
    found = ok("explain", "item-10", "--json", cwd=review).json
    assert found["attempts"][2]["error"] == "tests failed: 10 of 40"
    assert found["queue"]["manual_review_required"] is False
    assert json.dumps(found)
    agent = ok("explain", "agent-20", "--json", cwd=review).json
    assert [one["item_id"] for one in agent["attempts"]] == ["item-3"]


def test_an_item_that_waits_says_for_which_and_no_advice_is_refused(repo, tmp_path):
    items = tmp_path / "items.json"
    items.write_text(json.dumps([{"id": "first"}, {"id": "then", "after": ["first"]}]))
    ok("job", "start", "j", "--items", items, cwd=repo)
    text = ok("explain", "then", cwd=repo).out
    assert "state       pending\n" in text
    assert "waits for   first, pending\n" in text
    advice = "'prodigy-git explain first --as item --job j' says how it stands with first"
    assert f"next        {advice}\n" in text
    waits_for = ok("explain", "then", "--json", cwd=repo).json["waits_for"]
    assert waits_for == [{"item_id": "first", "state": "pending"}]
    ok("job", "next", "j", "--item", "first", cwd=repo)
    ok("job", "done", "j", "first", cwd=repo)
    text = ok("explain", "then", cwd=repo).out
    assert "state       pending\n" in text
    assert "'prodigy-git run --job j --item then -- COMMAND' works on it" in text


def test_the_end_of_a_second_attempt_is_advised_as_it_works(repo, tmp_path):
    (tmp_path / "items").write_text('[{"id": "i1"}]')
    ok("job", "start", "J", "--items", tmp_path / "items", cwd=repo)
    ok("job", "next", "J", cwd=repo)
    ok("job", "done", "J", "i1", "--failed", cwd=repo)
    ok("job", "next", "J", "--item", "i1", cwd=repo)
    assert "'prodigy-git job done J i1 --attempt 2' ends it" in call("explain", "i1", cwd=repo).out
    ok("job", "done", "J", "i1", "--attempt", "2", cwd=repo)
