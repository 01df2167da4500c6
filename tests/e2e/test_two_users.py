"""Two users commit in one repository: each has own sessions in an own store, and touches no other's.

Real users, with one group in common, and git's core.sharedRepository.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_user import User, interpreter

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to be two users")

GROUP, ALICE, BOB = 4321, 1235, 1236


@pytest.fixture
def top() -> Iterator[Path]:
    interpreter()
    folder = Path(tempfile.mkdtemp(prefix="prodigy-users-", dir="/tmp"))
    folder.chmod(0o755)
    umask = os.umask(0o002)  # git writes COMMIT_EDITMSG with it, also in a shared repository
    try:
        yield folder
    finally:
        os.umask(umask)
        shutil.rmtree(folder)


def member(top: Path, name: str, uid: int, repo: Path) -> User:
    folder = top / name
    folder.mkdir()
    folder.chmod(0o755)
    user = User(folder, uid, GROUP)
    user.repo = repo
    user.run("git", "config", "--global", "safe.directory", "*", cwd=folder)
    return user


@pytest.fixture
def users(top: Path) -> tuple[User, User]:
    repo = top / "shared" / "repo"
    repo.parent.mkdir()
    os.chown(repo.parent, ALICE, GROUP)
    repo.parent.chmod(0o2775)
    alice, bob = member(top, "alice", ALICE, repo), member(top, "bob", BOB, repo)
    alice.run("git", "init", "-q", "--shared=group", repo, cwd=repo.parent)
    commit(alice, "Start", GIT_COMMITTER_DATE="2025-01-11T12:00:00+00:00")
    alice.run("prodigy-git", "install")
    return alice, bob


def commit(user: User, *subjects: str, cwd: Path | None = None, **more: str) -> str:
    said = ""
    for subject in subjects:
        done = user.run("git", "commit", "-q", "--allow-empty", "-m", subject, cwd=cwd, **more)
        said += done.stderr
    return said


def subjects(user: User) -> list[object]:
    return [one["subject"] for one in user.events() if one["type"] == "CommitCreated"]


def sessions(user: User) -> list[str]:
    return sorted(path.stem for path in user.store.glob("sessions/*.json"))


def silently(user: User, *subjects: str) -> None:
    commit(user, *subjects, PRODIGY_GIT_SILENCE="1")


def of_user(user: User, private: Path) -> dict[str, bytes]:
    """Return what lies beside the journal that belongs to a user."""
    return {
        path.name: path.read_bytes()
        for path in private.glob("prodigy*")
        if path.is_file() and path.stat().st_uid == user.uid and path.name != "prodigy-repository"
    }


def all_is_well(*users: User) -> None:
    for user in users:
        assert user.run("prodigy-git", "verify").stderr == ""
        assert "error: " not in user.run("prodigy-git", "doctor").stdout.replace(
            "error  ", "error: "
        )
        assert user.run("prodigy-git", "hooks").returncode == 0


def test_each_has_the_own_commits_in_the_own_store(users: tuple[User, User]) -> None:
    alice, bob = users
    assert commit(alice, "a1") == ""
    before = of_user(alice, alice.repo / ".git")
    assert commit(bob, "b1", "b2") == ""
    assert of_user(alice, alice.repo / ".git") == before
    assert commit(alice, "a2") + commit(bob, "b3") == ""
    assert subjects(alice) == ["a1", "a2"]
    assert subjects(bob) == ["b1", "b2", "b3"]
    assert len(sessions(alice)) == len(sessions(bob)) == 1
    all_is_well(alice, bob)


def test_an_enrolment_that_everybody_can_read(users: tuple[User, User]) -> None:
    alice, bob = users
    commit(alice, "a1")
    alice.run("chmod", "-R", "g+rwX", alice.repo / ".git")
    (alice.folder / "store" / "locks").chmod(0o777)
    kept = of_user(alice, alice.repo / ".git")
    assert commit(bob, "b1", "b2") == ""
    assert of_user(alice, alice.repo / ".git") == kept
    # Damaged it may be, but not for another to remove.
    (alice.repo / ".git/prodigy").write_text("{")
    assert commit(bob, "b3") == ""
    assert "damaged" not in bob.run("prodigy-git", "hooks").stdout
    assert (subjects(alice), subjects(bob)) == (["a1"], ["b1", "b2", "b3"])
    all_is_well(bob)


def test_what_no_hook_saw_is_told_by_who_made_it(users: tuple[User, User]) -> None:
    alice, bob = users
    commit(alice, "a1")
    commit(bob, "b1")
    for user, subject in ((bob, "b2"), (alice, "a2"), (bob, "b3"), (alice, "a3")):
        silently(user, subject)
    bob.run(
        "git", "-c", "user.name=Alice", "commit", "-q", "--amend", "--allow-empty", "-m", "a3, by b"
    )
    commit(alice, "a4")
    assert subjects(alice) == ["a1", "a2", "a3", "a4"]
    assert subjects(bob) == ["b1", "b2", "b3", "a3, by b"]
    rewritten = [[one["type"] for one in user.events()].count("CommitsRewritten") for user in users]
    assert rewritten == [0, 1]
    all_is_well(alice, bob)


def test_in_a_pack_it_is_unclear(users: tuple[User, User]) -> None:
    alice, bob = users
    commit(alice, "a1")
    commit(bob, "b1")
    silently(bob, "b2")
    alice.run("git", "repack", "-qad")
    commit(alice, "a2")
    assert subjects(alice) == ["a1", "a2"]
    for user in users:
        (verdict,) = json.loads(user.run("prodigy-git", "verify", "--json").stdout)["sessions"]
        assert len(verdict["missing"]) == 0
        assert len(verdict["unclear"]) > 0
    all_is_well(alice, bob)


def test_the_users_rebase_is_the_users_alone(users: tuple[User, User]) -> None:
    alice, bob = users
    commit(alice, "a1", "a2")
    commit(bob, "b1")
    bob.run("git", "rebase", "-q", "--force-rebase", "HEAD~2", GIT_COMMITTER_NAME="Bob")
    commit(alice, "a3")
    assert subjects(alice) == ["a1", "a2", "a3"]
    assert sorted(map(str, subjects(bob))) == ["a2", "b1", "b1"]
    all_is_well(alice, bob)


def test_whoever_could_not_register_begins_with_the_own_first(users: tuple[User, User]) -> None:
    alice, bob = users
    shutil.rmtree(alice.store)
    alice.store.write_text("no folder")
    assert "not recorded yet" in commit(alice, "a1")
    commit(bob, "b1")
    alice.store.unlink()
    commit(alice, "a2")
    assert subjects(bob) == ["b1"]
    assert subjects(alice) == ["a1", "a2"]
    all_is_well(alice, bob)


def test_commands_know_the_own_session(users: tuple[User, User]) -> None:
    alice, bob = users
    commit(alice, "a1")
    assert "first commit" in bob.run("prodigy-git", "hooks").stdout
    assert "session of your own" in bob.run("prodigy-git", "doctor").stdout
    assert bob.run("prodigy-git", "verify").stderr == ""
    commit(bob, "b1")
    (mine,), (theirs,) = sessions(bob), sessions(alice)
    line = ("statusline", "--format", "{session}")
    for words in (("hooks",), ("sessions", "list"), ("worktree", "ls"), line):
        shown = bob.run("prodigy-git", *words).stdout
        assert mine in shown
        assert theirs not in shown
    assert f"finish {mine}" in bob.run("prodigy-git", "finish", check=False).stderr
    ended = bob.run("prodigy-git", "finish", mine).stdout
    assert ended.startswith(f"{mine}: Completed, 1 commit")
    kept = of_user(alice, alice.repo / ".git")
    bob.run("prodigy-git", "worktree", "forget", "--anew")
    assert list(of_user(bob, bob.repo / ".git")) == [f"prodigy-cursor.{BOB}"]
    assert of_user(alice, alice.repo / ".git") == kept
    commit(alice, "a2")
    assert subjects(alice) == ["a1", "a2"]
    all_is_well(alice, bob)


def test_commits_that_no_session_has_are_told_of(users: tuple[User, User]) -> None:
    alice, bob = users
    commit(alice, "a1")
    silently(bob, "b1")
    done = bob.run("prodigy-git", "verify", check=False)
    assert done.returncode == 1
    assert f"'prodigy-git worktree adopt {bob.repo}'" in done.stderr
    bob.run("prodigy-git", "worktree", "adopt", bob.repo)
    commit(bob, "b2")
    assert subjects(bob) == ["b2"]
    all_is_well(alice, bob)


def test_a_worktree_goes_when_no_other_has_a_session_in_it(users: tuple[User, User]) -> None:
    alice, bob = users
    commit(alice, "a1")
    top = alice.repo.parent / "linked"
    bob.run("git", "worktree", "add", "-q", top)
    commit(bob, "b1", cwd=top)
    all_is_well(alice, bob)
    commit(alice, "a2", cwd=top)
    assert (sorted(map(str, subjects(alice))), subjects(bob)) == (["a1", "a2"], ["b1"])
    (mine,) = sessions(bob)
    bob.run("prodigy-git", "finish", mine)
    for user in users:
        done = user.run("prodigy-git", "worktree", "clean", "-f", top, check=False)
        assert done.returncode == 1
        assert "has a session in it" in done.stdout + done.stderr
        user.run("prodigy-git", "clean", "--yes", check=False)
        assert top.is_dir()
    alice.run("prodigy-git", "worktree", "forget", "--anew", cwd=top)
    bob.run("prodigy-git", "worktree", "clean", "-f", top)
    assert not top.exists()
    all_is_well(bob)


def test_the_half_of_anothers_worktree_stays(users: tuple[User, User]) -> None:
    alice, bob = users
    commit(bob, "b0")
    top = alice.repo.parent / "linked"
    alice.run("git", "worktree", "add", "-q", top)
    commit(alice, "a1", cwd=top)
    shutil.rmtree(top)
    done = bob.run("prodigy-git", "clean", "--dry-run", "--json", check=False)
    assert "has a session in it" in done.stdout + done.stderr
    bob.run("prodigy-git", "clean", "--yes", check=False)
    assert (alice.repo / ".git/worktrees/linked/prodigy").is_file()


def test_repository_keeps_its_id(users: tuple[User, User]) -> None:
    alice, bob = users
    commit(alice, "a1")
    mark = (alice.repo / ".git/prodigy-repository").read_text()
    commit(bob, "b1")
    commit(alice, "a2")
    assert (alice.repo / ".git/prodigy-repository").read_text() == mark
    for user in users:
        (path,) = user.store.glob("state/*/repository.json")
        assert json.loads(path.read_text())["id"] == mark.strip()
    # As earlier releases wrote it.
    (alice.repo / ".git/prodigy-repository").chmod(0o600)
    shutil.rmtree(bob.store)
    bob.run("prodigy-git", "doctor", "--fix", check=False)
    commit(bob, "b2")
    assert (alice.repo / ".git/prodigy-repository").read_text() == mark
    all_is_well(alice, bob)


def test_one_repository_moved_is_followed_by_both(users: tuple[User, User]) -> None:
    alice, bob = users
    commit(alice, "a1")
    commit(bob, "b1")
    moved = alice.repo.parent / "moved"
    alice.repo.rename(moved)
    alice.repo = bob.repo = moved
    commit(alice, "a2")
    commit(bob, "b2")
    assert (subjects(alice), subjects(bob)) == (["a1", "a2"], ["b1", "b2"])
    all_is_well(alice, bob)


def test_trailers_name_the_own_session(users: tuple[User, User]) -> None:
    alice, bob = users
    alice.run("git", "config", "prodigy.trailers", "true")
    alice.run("prodigy-git", "install")
    commit(alice, "a1")
    commit(bob, "b1", "b2")
    (mine,) = sessions(bob)
    assert f"Prodigy-Session: {mine}" in bob.run("git", "log", "-1", "--format=%B").stdout
    commit(alice, "a2")
    (theirs,) = sessions(alice)
    assert f"Prodigy-Session: {theirs}" in alice.run("git", "log", "-1", "--format=%B").stdout


def test_root_was_first_in_somebodys_repository(top: Path) -> None:
    alice = member(top, "alice", ALICE, top / "alice" / "repo")
    alice.make_repository()
    roots = top / "roots"
    roots.mkdir(mode=0o700)
    alice.gid = None

    def by_root(subject: str) -> None:
        store = str(roots / "store")
        alice.as_root("git", "commit", "-q", "--allow-empty", "-m", subject, PRODIGY_HOME=store)

    by_root("r1")
    assert commit(alice, "a1") == ""
    by_root("r2")
    by_root("r3")
    assert commit(alice, "a2") == ""
    by_root("r4")
    assert subjects(alice) == ["a1", "a2"]
    root = User.__new__(User)
    root.store = roots / "store"
    assert subjects(root) == ["r1", "r2", "r3", "r4"]
    all_is_well(alice)
    alice.as_root("prodigy-git", "verify", PRODIGY_HOME=str(root.store))
    alice.run("git", "gc", "-q")
    alice.run("git", "fsck", "--strict")
    all_is_well(alice)
    alice.as_root("prodigy-git", "verify", PRODIGY_HOME=str(root.store))
