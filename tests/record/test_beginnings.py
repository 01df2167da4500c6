"""The first commits after an install, where the first hook could not write, or could not even run."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support_record import (
    SILENT,
    commit,
    commits,
    events,
    git,
    place,
    run,
    session_of,
    write_hooks,
)

from prodigy_git import hookfiles, layout


@pytest.fixture
def old(repo: Path, sealed: Path) -> Path:
    """A repository that was there before the install, which was some seconds ago."""
    write_hooks(sealed, installed=int(time.time()) - 1)
    return repo


def _fails(top: Path, subject: str) -> str:
    """Commit while the hook cannot record; return the SHA."""
    done = run("git", "commit", "-q", "--allow-empty", "-m", subject, cwd=top)
    assert b"not recorded yet" in done.stderr
    return git("rev-parse", "HEAD", cwd=top)


def _file_in_the_place_of_the_store(store: Path) -> Callable[[], None]:
    store.write_text("a file\n")
    return store.unlink


def _file_in_the_place_of_the_state(store: Path) -> Callable[[], None]:
    store.mkdir()
    (store / "state").write_text("a file\n")
    return (store / "state").unlink


def _damaged_mapping(store: Path) -> Callable[[], None]:
    folder = store / "state" / "repo" / "mappings"
    folder.mkdir(parents=True)
    (folder / "session-to-job.json").write_text("damaged")
    return (folder / "session-to-job.json").unlink


TROUBLES = [
    _file_in_the_place_of_the_store, _file_in_the_place_of_the_state, _damaged_mapping,
]  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLES)
def test_the_first_hook_could_not_write(
    trouble: Callable[[Path], Callable[[], None]], sealed: Path, repo: Path, store: Path
) -> None:
    write_hooks(sealed)  # as if installed in 2100: the time of the install says nothing
    commit(repo, "before", **SILENT)
    mend = trouble(store)
    made = [_fails(repo, "one"), _fails(repo, "two")]
    made.append(commit(repo, "silent", **SILENT))
    mend()
    made.append(commit(repo, "three"))
    assert commits(store) == made
    assert not (repo / ".git" / layout.FIRST).exists()


def test_what_is_remembered_survives_a_shortened_reflog(
    sealed: Path, repo: Path, store: Path
) -> None:
    write_hooks(sealed)
    for name in ("a", "b"):
        commit(repo, name, **SILENT)
    mend = _file_in_the_place_of_the_store(store)
    made = [_fails(repo, "one")]
    path = repo / ".git" / "logs" / "HEAD"
    path.write_bytes(b"".join(path.read_bytes().splitlines(True)[1:]))
    mend()
    made.append(commit(repo, "two"))
    assert commits(store) == made


def test_no_hook_could_run_after_the_install(old: Path, store: Path) -> None:
    made = [commit(old, name, **SILENT) for name in ("one", "two")]
    made.append(commit(old, "three"))
    assert commits(store) == made


def test_the_interpreter_was_gone(sealed: Path, repo: Path, store: Path) -> None:
    installed = int(time.time()) - 1
    folder = write_hooks(sealed, installed)
    whole = (folder / "post-commit").read_bytes()
    runtime = hookfiles.Runtime("/nowhere/python", "/nowhere", installed)
    (folder / "post-commit").write_bytes(hookfiles.render("post-commit", [], runtime))
    made = [commit(repo, name) for name in ("one", "two")]
    (folder / "post-commit").write_bytes(whole)
    made.append(commit(repo, "three"))
    assert commits(store) == made


def test_what_was_made_before_the_install_is_not_the_sessions(
    repo: Path, sealed: Path, store: Path
) -> None:
    ahead = {"GIT_COMMITTER_DATE": "2040-01-01T00:00:00Z"}
    commit(repo, "dated ahead", **SILENT, **ahead)
    path = Path(place(repo).common) / "objects"
    now = int(time.time())
    for loose in path.glob("??/*"):  # made a minute ago
        run("touch", "-d", f"@{now - 60}", loose, cwd=repo)
    write_hooks(sealed, installed=now - 1)
    made = [commit(repo, "one", **SILENT), commit(repo, "two")]
    assert commits(store) == made


def test_a_commit_by_plumbing_comes_first(old: Path, store: Path) -> None:
    script = "git reset -q --soft $(git commit-tree HEAD^{tree} -p HEAD -m one)"
    run("sh", "-e", "-c", script, cwd=old)
    one = git("rev-parse", "HEAD", cwd=old)
    assert commits(store) == []
    two = commit(old, "two")
    assert commits(store) == [one, two]


def test_an_enrolment_that_was_taken_away_begins_behind_the_one_before(
    old: Path, store: Path
) -> None:
    one = commit(old, "one")
    before = session_of(old)
    (old / ".git" / layout.ENROLMENT).unlink()
    made = [commit(old, "silent", **SILENT), commit(old, "two")]
    assert commits(store, before) == [one]
    assert commits(store, session_of(old)) == made


@pytest.mark.parametrize("kind", ["main", "linked"])
def test_symbolic_links_as_symbolic_refs(
    kind: str, repo: Path, tmp_path: Path, sealed: Path, store: Path
) -> None:
    write_hooks(sealed)
    git("config", "core.preferSymlinkRefs", "true", cwd=repo)
    top = repo
    if kind == "linked":
        top = tmp_path / "tree"
        git("worktree", "add", "-q", "-b", "other", top, cwd=repo)
    git("checkout", "-q", "-b", "new/one", cwd=top)
    if not (Path(place(top).private) / "HEAD").is_symlink():
        pytest.skip("NOT TESTED: core.preferSymlinkRefs; git here makes no such links any more")
    start = commits(store)
    made = [commit(top, "one"), commit(top, "two", **SILENT), commit(top, "three")]
    git("checkout", "-q", "--orphan", "born", cwd=top)
    made.append(commit(top, "four"))
    assert commits(store) == [*start, *made]
    found = {event["commit"]: event["branch"] for event in events(store) if "commit" in event}
    assert [found[sha] for sha in made] == ["new/one"] * 3 + ["born"]
