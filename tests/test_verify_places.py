"""verify where the place changed: worktrees that were moved, removed, added again; clones at a dead
one's place. Each commit goes to one session, under one id, whichever way it was found."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prodigy_git.record import enrolment, log

Git = Callable[..., str]
Run = Callable[..., Any]
SILENT = {"PRODIGY_GIT_SILENCE": "1"}


@pytest.fixture
def commit(git: Git) -> Callable[..., str]:
    def make(folder: Path, message: str, env: dict[str, str] | None = None) -> str:
        git("commit", "-q", "--allow-empty", "-m", message, cwd=folder, env=env)
        return git("rev-parse", "HEAD", cwd=folder)

    return make


@pytest.fixture
def recorded(store: Path) -> Callable[[], list[Any]]:
    """Return (subject, session) of each CommitCreated in the store; no id stands there twice."""

    def read() -> list[Any]:
        found = [
            event
            for path in sorted(store.glob("events/*/*/*.jsonl"))
            for line in path.read_text().splitlines()
            if line.strip() and (event := json.loads(line))["type"] == "CommitCreated"
        ]
        identities = [event["id"] for event in found]
        assert len(set(identities)) == len(identities)
        return [(event["subject"], event["session_id"]) for event in found]

    return read


def _move(git: Git, repo: Path, old: Path, new: Path) -> None:
    git("worktree", "move", old, new, cwd=repo)


def _rename_and_repair(git: Git, repo: Path, old: Path, new: Path) -> None:
    old.rename(new)
    git("worktree", "repair", new, cwd=repo)


def _rename(git: Git, repo: Path, old: Path, new: Path) -> None:
    old.rename(new)


@pytest.mark.parametrize("move", [_move, _rename_and_repair, _rename])
def test_a_worktree_that_was_moved(move, repo, tmp_path, git, prodigy, commit, recorded) -> None:
    prodigy("install", cwd=repo, check=True)
    old, new = tmp_path / "old", tmp_path / "new"
    git("worktree", "add", "-q", "-b", "side", old, cwd=repo)
    commit(old, "one")
    move(git, repo, old, new)
    commit(new, "two", env=SILENT)
    assert prodigy("verify", cwd=repo).returncode == 1
    prodigy("verify", "--fix", cwd=repo, check=True)
    commit(new, "three")
    prodigy("verify", cwd=repo, check=True)
    assert [subject for subject, _ in recorded()] == ["one", "two", "three"]
    assert len({session for _, session in recorded()}) == 1


def test_finish_finds_a_worktree_that_was_moved(
    repo, tmp_path, git, prodigy, commit, recorded
) -> None:
    prodigy("install", cwd=repo, check=True)
    made = prodigy("new-worktree", "one", cwd=repo, check=True)
    old, new = Path(made.stdout.rstrip("\n")), tmp_path / "new"
    git("worktree", "move", old, new, cwd=repo)
    commit(new, "missed", env=SILENT)
    prodigy("finish", "one", cwd=repo, check=True)
    assert recorded() == [("missed", "one")]
    prodigy("worktree", "clean", "one", cwd=repo, check=True)
    assert not new.exists()


def test_a_work_tree_elsewhere_as_the_first_commit(
    repo, tmp_path, git, prodigy, commit, recorded
) -> None:
    prodigy("install", cwd=repo, check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    there = ("--git-dir", repo / ".git", "--work-tree", elsewhere)
    git(*there, "commit", "-q", "--allow-empty", "-m", "one", cwd=elsewhere)
    git(*there, "commit", "-q", "--allow-empty", "-m", "two", cwd=elsewhere, env=SILENT)
    prodigy("verify", "--fix", cwd=repo, check=True)
    commit(repo, "three")
    prodigy("verify", cwd=repo, check=True)
    assert [subject for subject, _ in recorded()] == ["one", "two", "three"]


def test_a_bare_repository_of_dotfiles(tmp_path, git, prodigy, recorded) -> None:
    bare, home = tmp_path / "dot.git", tmp_path / "files"
    home.mkdir()
    git("init", "-q", "--bare", bare, cwd=tmp_path)
    prodigy("install", cwd=bare, check=True)
    there = ("--git-dir", bare, "--work-tree", home)
    for subject, env in (("one", None), ("two", SILENT)):
        git(*there, "commit", "-q", "--allow-empty", "-m", subject, cwd=home, env=env)
    prodigy("verify", "--fix", cwd=bare, check=True)
    git(*there, "commit", "-q", "--allow-empty", "-m", "three", cwd=home)
    prodigy("verify", cwd=bare, check=True)
    assert [subject for subject, _ in recorded()] == ["one", "two", "three"]


def test_an_id_is_the_same_where_only_the_branch_is_left(
    repo, tmp_path, git, prodigy, commit, events, recorded
) -> None:
    prodigy("install", cwd=repo, check=True)
    tree = tmp_path / "tree"
    git("worktree", "add", "-q", "-b", "side", tree, cwd=repo)
    there = enrolment.read(f"{repo}/.git/worktrees/tree")
    sha = commit(tree, "one", env=SILENT)
    git("worktree", "remove", tree, cwd=repo)
    prodigy("verify", "--fix", cwd=repo, check=True)
    assert recorded() == [("one", there.session)]
    (event,) = [one for one in events(there.job) if one["type"] == "CommitCreated"]
    assert event["id"] == log.event_id(there.nonce, sha)


@pytest.mark.parametrize("again", ["there", "elsewhere", "gone again", "in the main worktree"])
def test_a_worktree_removed_and_its_branch_checked_out_again(
    again, repo, tmp_path, git, prodigy, commit, recorded
) -> None:
    prodigy("install", cwd=repo, check=True)
    first = tmp_path / "first"
    git("worktree", "add", "-q", "-b", "side", first, cwd=repo)
    commit(first, "one")
    git("worktree", "remove", first, cwd=repo)
    second = repo
    if again == "in the main worktree":
        git("switch", "-q", "side", cwd=repo)
    else:
        second = tmp_path / ("second" if again == "elsewhere" else "first")
        git("worktree", "add", "-q", second, "side", cwd=repo)
    commit(second, "two", env=SILENT)
    if again == "gone again":
        git("worktree", "remove", second, cwd=repo)
    prodigy("verify", "--fix", cwd=repo, check=True)
    prodigy("verify", cwd=repo, check=True)
    if second == repo:
        commit(repo, "three")
    found = recorded()
    (one,) = [session for subject, session in found if subject == "one"]
    two = [session for subject, session in found if subject == "two"]
    if second == repo:  # nobody's yet: the main worktree begins with the first commit that is seen
        assert two in ([], [session for subject, session in found if subject == "three"])
    else:
        assert len(two) == 1
        assert two != [one]


def test_a_clone_at_the_place_of_a_dead_one(
    repo, tmp_path, git, prodigy, commit, recorded, store
) -> None:
    git("clone", "-q", "--bare", repo, tmp_path / "origin.git", cwd=tmp_path)
    shutil.rmtree(repo)
    clones = []
    for round_ in ("old", "new"):
        git("clone", "-q", tmp_path / "origin.git", repo, cwd=tmp_path)
        prodigy("install", cwd=repo, check=True)
        side = tmp_path / f"side {round_}"
        git("worktree", "add", "-q", "-b", "side", side, cwd=repo)
        if round_ == "new":
            for folder in (repo, side):
                commit(folder, "silent new", env=SILENT)
            prodigy("verify", "--all", "--fix", cwd=repo, check=True)
        for folder in (repo, side):
            commit(folder, f"{round_} in {folder.name}")
        clones.append({session for _, session in recorded()})
        prodigy("verify", "--all", cwd=repo, check=True)
        if round_ == "old":
            shutil.rmtree(repo)
            shutil.rmtree(side)
    old = {session for subject, session in recorded() if subject.startswith("old")}
    new = {session for subject, session in recorded() if "new" in subject}
    assert len(old) == len(new) == 2
    assert not old & new


def test_a_session_says_where_its_worktree_is_now(repo, tmp_path, git, prodigy, commit) -> None:
    prodigy("install", cwd=repo, check=True)
    made = prodigy("new-worktree", "one", cwd=repo, check=True)
    git("worktree", "move", made.stdout.rstrip("\n"), tmp_path / "new", cwd=repo)
    commit(tmp_path / "new", "one")
    shown = prodigy("sessions", "show", "one", cwd=repo, check=True)
    assert str(tmp_path / "new") in shown.stdout


def test_what_cannot_be_looked_at_is_not_green(repo, git, prodigy, commit, store) -> None:
    prodigy("install", cwd=repo, check=True)
    commit(repo, "one")
    prodigy("verify", cwd=repo, check=True)
    there = repo / ".git" / "prodigy"
    whole = there.read_bytes()
    there.write_text("damaged")
    done = prodigy("verify", "--json", cwd=repo)
    assert done.returncode == 1
    assert '"session ' in done.stdout.replace('": [', '":[').replace("\n  ", "")
    there.write_bytes(whole)
    (session,) = store.glob("sessions/*.json")
    session.write_text("damaged")
    assert prodigy("verify", cwd=repo).returncode == 1


def test_what_is_unclear_is_counted(repo, git, prodigy, commit) -> None:
    prodigy("install", cwd=repo, check=True)
    commit(repo, "one")
    tree = git("rev-parse", "HEAD^{tree}", cwd=repo)
    env = {
        "GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z", "GIT_COMMITTER_NAME": "Else",
    }  # fmt: skip
    sha = git("commit-tree", tree, "-p", "HEAD", "-m", "two", cwd=repo, env=env)
    git("branch", "b", sha, cwd=repo, env=env)
    git("merge", "-q", "--ff-only", "b", cwd=repo)
    done = prodigy("verify", cwd=repo, check=True)
    assert done.stdout.rstrip("\n").split("\t")[-4:] == ["0", "0", "0", "1"]
    assert sha not in done.stderr
    assert f"unclear {sha}" in prodigy("verify", "-v", cwd=repo, check=True).stderr


def test_a_torn_last_line_is_told_and_mended_at_once(
    repo, prodigy, commit, store, recorded
) -> None:
    prodigy("install", cwd=repo, check=True)
    commit(repo, "one")
    commit(repo, "two", env=SILENT)
    (log_file,) = store.glob("events/*/*/*.jsonl")
    with log_file.open("ab") as stream:
        stream.write(b'{"id":"torn')
    done = prodigy("verify", cwd=repo)
    assert done.returncode == 1
    assert "torn: its end is missing" in done.stderr
    prodigy("verify", "--fix", cwd=repo, check=True)
    done = prodigy("verify", cwd=repo, check=True)
    assert done.stderr == ""
    assert [subject for subject, _ in recorded()] == ["one", "two"]
    assert Path(f"{log_file}.quarantine").read_bytes() == b'{"id":"torn\n'


def test_a_last_line_that_is_only_being_written_is_not_torn(repo, prodigy, commit, store) -> None:
    """verify looks again under the log's lock: here its holder completes the line meanwhile."""
    prodigy("install", cwd=repo, check=True)
    commit(repo, "one")
    (log_file,) = store.glob("events/*/*/*.jsonl")
    lock = store / "locks" / f"log-{log_file.parent.parent.name}-{log_file.parent.name}.lock"
    program = (
        "import fcntl,os,sys,subprocess\n"
        "lock=os.open(sys.argv[1],os.O_RDWR); fcntl.flock(lock,fcntl.LOCK_EX)\n"
        "out=open(sys.argv[2],'ab',0); out.write(b'{\"id\":\"x\",')\n"
        "print('begun',flush=True); sys.stdin.readline()\n"
        'out.write(b\'"type":"ClaudeMessage","event_type":"ClaudeMessage"}\')\n'
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, lock, log_file],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as writer:  # fmt: skip
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "begun\n"
        reader = subprocess.Popen(
            [sys.executable, "-m", "prodigy_git", "verify"], cwd=repo, stderr=subprocess.PIPE
        )
        # It waits for the lock, so that it has seen the half line.
        while "flock" not in _waits(reader.pid, lock):
            assert reader.poll() is None, "it did not wait"
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert reader.communicate()[1] == b""
        assert reader.returncode == 0


def _waits(pid: int, lock: Path) -> str:
    """Return ``flock`` once a process has the lock's file open, which it then waits for."""
    try:
        opened = [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return ""
    return "flock" if lock in opened else ""
