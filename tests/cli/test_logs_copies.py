"""logs, where the program has deleted or cut its transcript: from the trash, or from a copy of ours."""

import json
import os
import shutil
from pathlib import Path

import pytest
from support_cli import call, new, ok, rewrite_session
from support_transcripts import answer, claude_with_subagent, run_of, with_transcript


@pytest.fixture
def session(repo, store, tmp_path):
    main = claude_with_subagent(tmp_path)
    with_transcript(repo, store, "w1", main, agent="ada", item="login")
    return main


def test_a_transcript_in_the_worktree_is_found_in_the_trash(repo, store, git):
    made = new(repo, "w1")
    path = Path(made["worktree"], "t.jsonl")
    path.write_text(answer(1))
    rewrite_session(store, "w1", metadata={"program_sessions": [run_of(path)]})
    ok("finish", "w1", "--failed", "--error", "x", cwd=repo)
    ok("worktree", "clean", "w1", "--force", "--yes", cwd=repo)
    assert not path.exists()
    assert "answer 1" in ok("logs", "w1", cwd=repo).out


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
