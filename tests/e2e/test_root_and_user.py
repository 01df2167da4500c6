"""Root works once in a user's store and repository: all of it is the user's afterwards.

What is asked after each of root's commands: nothing below store and git directory is root's, and the
user goes on with everything.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support_user import User, interpreter

from prodigy_git import layout
from prodigy_git.record import locks

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="it takes root to work in another user's store"
)


@pytest.fixture
def user() -> Iterator[User]:
    interpreter()
    folder = Path(tempfile.mkdtemp(prefix="prodigy-user-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        one = User(folder)
        one.make_repository()
        yield one
    finally:
        shutil.rmtree(folder)


def goes_on(user: User, name: str) -> None:
    """Let the user do all that root might have got in the way of."""
    user.run("git", "commit", "-q", "--allow-empty", "-m", "on main")
    top = user.new(name)
    (top / "file").write_text("staged")
    os.chown(top / "file", user.uid, user.uid)
    user.run("git", "add", "file", cwd=top)
    user.run("git", "commit", "-qm", "in a worktree", cwd=top)
    user.run("prodigy-git", "finish", cwd=top)
    user.run("prodigy-git", "worktree", "clean", "-f", name)
    user.run("prodigy-git", "worktree", "restore", name)
    user.run("git", "status", cwd=top)
    user.run("prodigy-git", "worktree", "clean", "-f", name)
    user.run("prodigy-git", "clean", "--all", "--yes", "--older-than", "0s", "--archive")
    user.run("prodigy-git", "trash", "empty", "--yes")
    user.run("prodigy-git", "verify", "--all")
    done = user.run("prodigy-git", "doctor", check=False)
    assert "error" not in done.stdout.replace("hook errors", ""), done.stdout
    user.run("git", "gc", "-q")
    user.run("git", "fsck", "--strict")


def _commit(user: User) -> None:
    (user.repo / "by-root").write_text("root's")
    user.as_root("git", "add", "by-root")
    user.as_root("git", "commit", "-qm", "by root")


def _first_of_a_day(user: User) -> None:
    user.run("git", "commit", "-q", "--allow-empty", "-m", "the session's first")
    for path in user.store.glob("events/*/*/*.jsonl"):
        path.rename(path.with_name("events-20250101.jsonl"))
    _commit(user)


def _first_at_all(user: User) -> None:
    _commit(user)
    assert (user.store / "sessions").is_dir()


def _new_worktree(user: User) -> None:
    user.as_root("prodigy-git", "new-worktree", "roots", "--job", "j", "--agent", "a")
    user.as_root("git", "commit", "-q", "--allow-empty", "-m", "x", cwd=_worktree(user, "roots"))
    user.as_root("prodigy-git", "finish", "roots")


def _worktree(user: User, name: str) -> Path:
    return user.store / "worktrees" / "repo" / name


def _dirty(user: User, name: str) -> Path:
    top = user.new(name)
    user.run("sh", "-c", "echo changed >README; echo new >new; git add README", cwd=top)
    user.run("git", "commit", "-q", "--allow-empty", "-m", "first", cwd=top)
    user.run("git", "reset", "-q", "--soft", "HEAD^", cwd=top)
    user.run("prodigy-git", "finish", name)
    return top


def _clean(user: User) -> None:
    _dirty(user, "w1")
    _dirty(user, "w2")
    user.as_root("prodigy-git", "worktree", "clean", "-f", "w1")
    user.as_root("prodigy-git", "clean", "--yes", "--all", "--older-than", "0s", "--archive")
    assert not user.of_others()
    user.run("prodigy-git", "worktree", "restore", "w1")
    user.run("git", "commit", "-qam", "goes on", cwd=_worktree(user, "w1"))


def _restore(user: User) -> None:
    _dirty(user, "w1")
    user.run("prodigy-git", "worktree", "clean", "-f", "w1")
    assert not user.run("git", "branch", "--list", "prodigy-w1").stdout
    user.as_root("prodigy-git", "worktree", "restore", "w1")
    user.run("git", "commit", "-qam", "goes on", cwd=_worktree(user, "w1"))


def _restore_from_the_ref(user: User) -> None:
    top = _dirty(user, "w1")
    user.run("prodigy-git", "worktree", "clean", "-f", "w1")
    (moment,) = (user.store / "trash" / "repo" / "w1").iterdir()
    shutil.rmtree(moment / "worktree")
    shutil.rmtree(moment / "git")
    user.as_root("prodigy-git", "worktree", "restore", "w1")
    assert (top / "new").stat().st_uid == user.uid
    user.run("git", "commit", "-qam", "goes on", cwd=top)


def _purge(user: User) -> None:
    _dirty(user, "w1")
    _dirty(user, "w2")
    user.as_root("prodigy-git", "worktree", "clean", "-f", "--purge", "--yes", "w1")
    user.as_root("prodigy-git", "worktree", "clean", "-f", "w2")
    user.as_root("prodigy-git", "trash", "empty", "--yes")
    # It goes on in the background: a process waits for its turn under the one, then has the other.
    for lock in (layout.emptying_next_lock, layout.emptying_lock):
        os.close(locks.take(lock(str(user.store)), 60))


def _merge(user: User) -> None:
    for name in ("m1", "m2"):
        top = user.new(name)
        user.run("sh", "-c", f"mkdir {name}; echo x >{name}/{name}; git add .", cwd=top)
        user.run("git", "commit", "-qm", name, cwd=top)
        user.run("prodigy-git", "finish", name)
    user.as_root("prodigy-git", "merge", "m1", "m2", "--check", "echo x >by-the-check")
    assert (user.repo / "m2" / "m2").stat().st_uid == user.uid
    assert not user.run("git", "status", "--porcelain").stdout
    assert not user.of_others()
    user.as_root("prodigy-git", "merge", "--undo")
    assert not user.run("git", "status", "--porcelain").stdout
    user.run("prodigy-git", "merge", "m2")


def _drift(user: User) -> None:
    _dirty(user, "w1")
    top = user.new("w2")
    shutil.rmtree(_worktree(user, "w1"))
    (top / ".git").unlink()
    user.as_root("prodigy-git", "clean", "--yes")
    user.run("git", "status", cwd=top)


def _job(user: User) -> None:
    items = user.folder / "items.json"
    items.write_text('[{"id": "i1"}, {"id": "i2"}]')
    user.as_root("prodigy-git", "job", "start", "j", "--items", items)
    user.as_root("prodigy-git", "run", "--job", "j", "--keep", "--item", "i1", "--", "true")
    user.as_root("prodigy-git", "job", "show", "j")
    assert list(user.store.glob("logs/repo/j/*.log"))
    assert user.of_others() == []
    user.run("prodigy-git", "run", "--job", "j", "--item", "i2", "--", "true")


def _look(user: User) -> None:
    for words in ("status", "worktree ls", "verify --fix --all", "doctor --fix", "events ls",
                  "clean --dry-run", "hooks", "explain HEAD", "sessions list"):  # fmt: skip
        user.as_root("prodigy-git", *words.split(), check=False)


def _install(user: User) -> None:
    user.as_root("prodigy-git", "uninstall")
    user.as_root("prodigy-git", "install")


def _adopt(user: User) -> None:
    top = user.folder / "elsewhere"
    user.run("git", "worktree", "add", "-q", top, PRODIGY_GIT_SILENCE="1")
    user.as_root("prodigy-git", "worktree", "adopt", top)


def test_verify_is_not_green_for_what_another_user_records(user: User) -> None:
    store = user.folder / "roots"
    user.as_root("git", "commit", "-q", "--allow-empty", "-m", "x", PRODIGY_HOME=str(store))
    user.run("git", "commit", "-q", "--allow-empty", "-m", "y", check=False)
    os.chown(store, 0, 0)  # as root's own is, in root's home
    done = user.run("prodigy-git", "verify", check=False)
    assert done.returncode == 1
    assert f"{user.repo}: not verified: user root records it" in done.stderr


@pytest.mark.parametrize(
    "act",
    [
        _commit, _first_of_a_day, _first_at_all, _new_worktree, _clean, _restore,
        _restore_from_the_ref, _purge, _merge, _drift, _job, _look, _install, _adopt,
    ],
)  # fmt: skip
def test_what_root_makes_is_the_owners(act: Callable[[User], None], user: User) -> None:
    act(user)
    assert user.of_others() == []
    goes_on(user, "later")
    assert user.of_others() == []
