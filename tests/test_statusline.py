"""The line for a prompt: what it says, what it costs to import, and that nothing makes it break."""

import json
import os
import select
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support_cli import call, environment, new, ok, refused, snapshot

from prodigy_git import layout, statusline
from prodigy_git.jobs import peek, summary
from prodigy_git.record import enrolment, gitdir

PROGRAM = os.path.join(os.path.dirname(sys.executable), "prodigy-git")


def prompt(*arguments, cwd, **more):
    """Run the console program as a prompt does; return what it printed, and nothing on stderr."""
    done = subprocess.run(
        [PROGRAM, "statusline", *arguments], cwd=cwd, env={**os.environ, **more},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


@pytest.fixture
def worktree(repo):
    """Start a job of four items, one done and one failed for good; return a worktree on the third."""
    given = json.dumps([{"id": f"item-{n}"} for n in range(4)])
    (repo.parent / "items.json").write_text(given)
    ok("job", "start", "review", "--items", repo.parent / "items.json", cwd=repo)
    ok("install", cwd=repo)
    for end in ((), ("--failed", "--no-retry")):
        item = ok("job", "next", "review", "--agent", "early", cwd=repo).json["item_id"]
        ok("job", "done", "review", item, *end, cwd=repo)
    who = ("--job", "review", "--agent", "agent-7", "--item", "item-2")
    return new(repo, "wt", *who)["worktree"]


def test_what_it_says_in_a_session(worktree, git):
    git("commit", "--allow-empty", "-qm", "one", cwd=worktree)
    git("commit", "--allow-empty", "-qm", "two", cwd=worktree)
    (open(f"{worktree}/new", "w")).close()
    assert prompt(cwd=worktree) == (
        "wt agent-7 item-2 | review 1/4 25% map | 2 commits | 1 dirty\n"
    )
    form = "{session},{agent},{item},{job},{status},{phase},{done},{failed},{total},{percent}"
    assert prompt("--format", form, cwd=worktree) == (
        "wt,agent-7,item-2,review,Running,map,1,1,4,25\n"
    )
    assert prompt("--format={commits} {dirty}{changes} {branch} {{}}", cwd=worktree) == (
        "2 *1 prodigy/review/item-2 {}\n"
    )
    assert json.loads(prompt("--json", cwd=f"{worktree}")) == {
        "session_id": "wt", "agent_id": "agent-7", "item_id": "item-2", "job_id": "review",
        "status": "Running", "phase": "map", "done": 1, "failed": 1, "total": 4, "percent": 25,
        "commits": 2, "dirty": True, "changes": 1, "branch": "prodigy/review/item-2",
        "persons": False, "agent_program": None, "state": None, "since_seconds": None,
        "reason": None,
    }  # fmt: skip


def test_its_progress_is_that_of_the_job(worktree, repo, store):
    found = json.loads(prompt("--json", cwd=worktree))
    with peek.opened(str(store), "repo", "review", pytest.fail) as index:
        head = summary.head(index)
    assert (found["done"], found["failed"], found["total"], found["percent"], found["phase"]) == (
        head["completed"], head["given_up"], head["total_items"], head["percent_done"],
        head["phase"],
    )  # fmt: skip
    for phase in ("setup", "reduce"):
        ok("job", "phase", "review", phase, cwd=repo)
        assert prompt("--format", "{phase}", cwd=worktree) == f"{phase}\n"


def test_a_session_of_no_job_that_is_clean_and_ended(repo):
    made = new(repo, "alone")["worktree"]
    assert prompt(cwd=made) == "alone | 0 commits\n"
    assert prompt("--format", "<{agent}{item}{total}{dirty}>", cwd=made) == "<>\n"
    ok("finish", "alone", cwd=repo)
    assert prompt(cwd=made).endswith(" | Completed\n")


def test_in_a_persons_own_checkout_it_says_so(repo, git):
    ok("install", cwd=repo)
    git("config", "prodigy.record", "wait", cwd=repo)
    git("commit", "--allow-empty", "-qm", "one", cwd=repo)
    assert prompt(cwd=repo) == "your own | 1 commit\n"
    assert prompt("--format", "{persons}", cwd=repo) == "your own\n"
    assert json.loads(prompt("--json", cwd=repo))["persons"] is True


def test_it_works_from_a_folder_inside_and_through_click_too(worktree):
    os.mkdir(f"{worktree}/inner")
    os.makedirs(f"{worktree}/inner/er")
    assert prompt("--format", "{session}", cwd=f"{worktree}/inner/er") == "wt\n"
    assert ok("statusline", "--format", "{session}", cwd=worktree).out == "wt\n"
    assert ok("statusline", cwd=worktree).out == prompt(cwd=worktree)


def test_outside_of_a_session_it_says_nothing(repo, tmp_path):
    for place in (repo, tmp_path):
        assert prompt(cwd=place) == ""
        assert prompt("--format", "{session}", cwd=place) == ""
        assert prompt("--json", cwd=place) == "null\n"


def test_wrong_usage_is_said_by_click(worktree):
    assert "'{agnet}' is no field" in refused("statusline", "--format", "{agnet}", code=2)
    assert "'{' is no field" in refused("statusline", "--format", "{", code=2)
    done = subprocess.run(
        [PROGRAM, "statusline", "--format", "{x}"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    helped = subprocess.run([PROGRAM, "statusline", "--help"], capture_output=True, text=True)
    assert "Usage: prodigy-git statusline" in helped.stdout
    assert all(name in helped.stdout for name in statusline.FIELDS)
    assert call("statusline", "more").code == 2


def test_it_writes_nothing(worktree, store, repo):
    before = snapshot(store, repo)
    prompt(cwd=worktree)
    assert snapshot(store, repo) == before


def _written(data, ending=""):
    return lambda path: Path(path + ending).write_bytes(data)


BROKEN = {
    "an index that is none": _written(b"SQLite format 3\0" + b"x" * 4000),
    "an empty index": _written(b""),
    "no index": os.unlink,
    "an index that is a folder": lambda path: (os.unlink(path), os.mkdir(path)),
    "an index that is a pipe": lambda path: (os.unlink(path), os.mkfifo(path)),
    "an index under a transaction": _written(
        b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(504), "-journal"
    ),
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
def test_a_damaged_index_is_progress_that_is_not_shown(damage, worktree, store):
    damage(layout.index(str(store), "repo", "review"))
    assert prompt("--format", "{session} {done}/{total}", cwd=worktree) == "wt /\n"
    assert prompt(cwd=worktree) == "wt agent-7 item-2 | review | 0 commits\n"


CONTENTS = (
    "", "[]", "{}", '{"version":1}', '{"version":9,"counts":{"pending":1},"job":{}}',
    '{"version":1,"counts":{"pending":"x"},"job":{}}', '{"version":1,"counts":3,"job":[]}',
    '{"version":1,"counts":{"pending":2},"job":{"phase_key":[1,"",99]}}',
)  # fmt: skip


def test_an_index_with_other_contents_is_none(worktree, store):
    for value in CONTENTS:
        connection = sqlite3.connect(layout.index(str(store), "repo", "review"))
        with connection:
            connection.execute("UPDATE meta SET value = ?", (value,))
        connection.close()
        assert prompt("--format", "{session} {total}", cwd=worktree) == "wt \n", value


def test_an_index_whose_question_never_ends_keeps_no_prompt(worktree, store):
    path = layout.index(str(store), "repo", "review")
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE meta")
        connection.execute(
            "CREATE VIEW meta AS WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1"
            " FROM n) SELECT max(value) AS value FROM n"
        )
    connection.close()
    assert prompt("--format", "{session} {total}", cwd=worktree) == "wt \n"


def test_a_damaged_session_file_and_enrolment(worktree, store):
    path = store / "sessions" / "wt.json"
    for text in (b"", b"{", b"[1]", b'{"status": {"a": 1}}', b"\xff\xfe"):
        path.write_bytes(text)
        assert prompt("--format", "{session} <{status}>", cwd=worktree) == "wt <>\n"
    path.unlink()
    os.mkfifo(path)
    assert prompt("--format", "{session} <{status}>", cwd=worktree) == "wt <>\n"
    private = gitdir.find(worktree, {}).private
    with open(f"{private}/{layout.ENROLMENT}", "w") as stream:
        stream.write("{")
    assert prompt(cwd=worktree) == ""


def test_hostile_ids_reach_no_terminal(worktree):
    private = gitdir.find(worktree, {}).private
    there = enrolment.read(private)
    for bad in ("../../etc", "a\x1b[2J", "-x", "a\nb"):
        there.job = bad
        enrolment.write(private, there)
        assert prompt(cwd=worktree) == ""
    with open(f"{private}/HEAD", "w") as stream:
        stream.write("ref: refs/heads/\x1b[31mred\u202e\n")
    there.job = "review"
    enrolment.write(private, there)
    shown = prompt("--format", "{branch}", cwd=worktree)
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_a_git_that_takes_too_long_is_not_waited_for(worktree, tmp_path):
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "git").write_text(f"#!/bin/sh\necho $$ > '{tmp_path}/pid'\nexec sleep 600\n")
    (slow / "git").chmod(0o755)
    path = f"{slow}{os.pathsep}{os.environ['PATH']}"
    assert prompt("--format", "{session} {dirty}", cwd=worktree, PATH=path) == "wt ?\n"
    pid = int((tmp_path / "pid").read_text())
    assert _ends(pid)


def _ends(pid):
    """Whether a process ends, which the kernel may take a moment for."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    try:
        return bool(poll.poll(10_000))
    finally:
        os.close(handle)


def test_without_git_or_where_it_fails(worktree, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert prompt("--format", "{session} {dirty}", cwd=worktree, PATH=str(empty)) == "wt ?\n"
    (empty / "git").write_text("#!/bin/sh\nexit 128\n")
    (empty / "git").chmod(0o755)
    assert prompt("--format", "{session} {dirty}", cwd=worktree, PATH=f"{empty}:/bin") == "wt ?\n"


def test_variables_of_another_repository_are_not_followed(worktree, tmp_path, git):
    git("init", "-q", tmp_path / "other", cwd=tmp_path)
    foreign = {
        "GIT_DIR": str(tmp_path / "other" / ".git"),
        "GIT_WORK_TREE": str(tmp_path / "other"),
    }
    assert prompt("--format", "{session}", cwd=worktree, **foreign) == "wt\n"


def test_closed_output_and_a_folder_that_is_gone_are_quiet(worktree, repo, tmp_path):
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" statusline >&-', PROGRAM], cwd=worktree,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"cd '{gone}' && rmdir '{gone}' && exec '{PROGRAM}' statusline"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_it_imports(worktree):
    """Nothing but the standard library and the hot path, and of the former nothing that is slow."""
    program = (
        "import os, sys; before = set(sys.modules); leave = os._exit\n"
        "os._exit = lambda n: (sys.stdout.write(chr(10).join(set(sys.modules) - before)),"
        " sys.stdout.flush(), leave(n))\n"
        "sys.argv = ['prodigy-git', 'statusline']\n"
        "from prodigy_git.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=worktree, env=environment(), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    first, *rest = done.stdout.split("\n")
    assert first.startswith("wt agent-7")
    found = {*rest}
    ours = {name for name in found if name.split(".")[0] == "prodigy_git"}
    assert {name for name in ours if not name.startswith("prodigy_git.record")} == {
        "prodigy_git", "prodigy_git.__main__", "prodigy_git.statusline", "prodigy_git.gitenv",
        "prodigy_git.encoding", "prodigy_git.descriptors", "prodigy_git.errors",
        "prodigy_git.glance", "prodigy_git.layout", "prodigy_git.names", "prodigy_git.tally",
    }  # fmt: skip
    others = {name.partition(".")[0] for name in found - ours}
    assert others <= set(sys.stdlib_module_names)
    assert not others & {
        "json", "re", "typing", "subprocess", "datetime", "sqlite3", "contextlib", "pathlib", "enum",
        "dataclasses", "shutil", "urllib",
    }  # fmt: skip
