"""verify: what it calls missing, duplicated, foreign; what --fix mends, and what it leaves alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Git = Callable[..., str]
Run = Callable[..., Any]
SILENT = {"PRODIGY_GIT_SILENCE": "1"}


@pytest.fixture
def worktree(repo: Path, prodigy: Run) -> Path:
    """A worktree of the session ``one``, job ``job``, in a repository with hooks."""
    prodigy("install", cwd=repo, check=True)
    made = prodigy("new-worktree", "one", "--job", "job", cwd=repo, check=True)
    return Path(made.stdout.rstrip("\n"))


@pytest.fixture
def commit(git: Git) -> Callable[..., str]:
    def make(folder: Path, message: str, env: dict[str, str] | None = None) -> str:
        git("commit", "-q", "--allow-empty", "-m", message, cwd=folder, env=env)
        return git("rev-parse", "HEAD", cwd=folder)

    return make


def _log(store: Path, job: str = "job") -> Path:
    (path,) = store.glob(f"events/*/{job}/events-*.jsonl")
    return path


def _verify(prodigy: Run, repo: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = prodigy("verify", "--json", *options, cwd=repo)
    assert "Traceback" not in done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


def _commits(events: Callable[[str], list[dict[str, Any]]], job: str = "job") -> list[str]:
    return [event["commit"] for event in events(job) if event["type"] == "CommitCreated"]


def test_a_log_that_is_complete(repo, worktree, commit, prodigy) -> None:
    commit(worktree, "a")
    code, report = _verify(prodigy, repo)
    assert code == 0
    (session,) = report["sessions"]
    assert (session["recorded"], session["missing"], session["evidence"]) == (1, [], "reflog")


def test_missing_is_told_and_mended_once(repo, worktree, commit, prodigy, events) -> None:
    first = commit(worktree, "a")
    second = commit(worktree, "b", env=SILENT)
    code, report = _verify(prodigy, repo)
    assert code == 1
    assert report["sessions"][0]["missing"] == [second]
    assert _commits(events) == [first]  # told, not mended
    code, report = _verify(prodigy, repo, "--fix")
    assert code == 0
    assert report["sessions"][0]["fixed"] == [second]
    assert _verify(prodigy, repo)[0] == 0
    third = commit(worktree, "c")  # the cursor is still before b: the hook must not repeat it
    assert _commits(events) == [first, second, third]
    mended = [event for event in events("job") if event.get("recovered")]
    assert [event["commit"] for event in mended] == [second]


def test_an_event_that_vanished_from_the_log_comes_back(
    repo, worktree, commit, prodigy, events, store
) -> None:
    shas = [commit(worktree, name) for name in "abc"]
    log = _log(store)
    kept = [
        line
        for line in log.read_bytes().splitlines(True)
        if f'"commit":"{shas[1]}"'.encode() not in line
    ]
    log.write_bytes(b"".join(kept))
    assert _verify(prodigy, repo)[1]["sessions"][0]["missing"] == [shas[1]]
    assert _verify(prodigy, repo, "--fix")[0] == 0
    assert sorted(_commits(events)) == sorted(shas)


def test_duplicated_and_foreign_are_told(repo, worktree, commit, prodigy, store) -> None:
    sha = commit(worktree, "a")
    log = _log(store)
    line = next(one for one in log.read_text().splitlines() if sha in one)
    stranger = json.loads(line)
    stranger["commit"] = "1" * 40
    with log.open("a") as stream:
        stream.write(line + "\n" + json.dumps(stranger) + "\n")
    before = log.read_bytes()
    code, report = _verify(prodigy, repo, "--fix")
    (session,) = report["sessions"]
    assert code == 1
    assert session["duplicated"] == [sha]
    assert session["foreign"] == ["1" * 40]
    assert log.read_bytes() == before


def test_broken_lines_are_quarantined_in_place(
    repo, worktree, commit, prodigy, events, store
) -> None:
    first = commit(worktree, "a")
    log = _log(store)
    with log.open("ab") as stream:
        stream.write(b'{"id":"torn\n\xff\xfe rubbish\n[1]\n')
    second = commit(worktree, "b")
    size = log.stat().st_size
    code, report = _verify(prodigy, repo)
    assert code == 1
    assert [line["quarantine"] for line in report["broken_lines"]] == [None] * 3
    code, _ = _verify(prodigy, repo, "--fix")
    assert code == 0
    assert log.stat().st_size == size  # positions stay what they were
    quarantined = Path(f"{log}.quarantine").read_bytes()
    assert quarantined == b'{"id":"torn\n\xff\xfe rubbish\n[1]\n'
    assert _verify(prodigy, repo)[0] == 0
    listed = prodigy("events", "ls", "--job", "job", "--type", "CommitCreated", "--json", cwd=repo)
    assert [json.loads(line)["commit"] for line in listed.stdout.splitlines()] == [first, second]
    assert listed.stderr == ""
    third = commit(worktree, "c")
    assert third in log.read_text()


def test_the_reflog_in_the_trash_is_evidence(repo, worktree, commit, prodigy, events) -> None:
    first = commit(worktree, "a")
    prodigy("finish", "one", cwd=repo, check=True)
    second = commit(worktree, "b", env=SILENT)
    prodigy("worktree", "clean", "one", cwd=repo, check=True)
    # Cleaning drains first, so nothing is missing then; take an event out to see it missed.
    assert _commits(events) == [first, second]
    code, report = _verify(prodigy, repo)
    assert (code, report["sessions"][0]["evidence"]) == (0, "trash")


def test_the_branch_is_evidence_where_the_worktree_was_removed(
    repo, worktree, commit, prodigy, git, events
) -> None:
    first = commit(worktree, "a")
    second = commit(worktree, "b", env=SILENT)
    git("worktree", "remove", "--force", worktree, cwd=repo)
    code, report = _verify(prodigy, repo)
    assert code == 1
    assert report["sessions"][0]["evidence"] == "branch"
    assert report["sessions"][0]["missing"] == [second]
    assert _verify(prodigy, repo, "--fix")[0] == 0
    assert _commits(events) == [first, second]
    assert _verify(prodigy, repo, "--fix")[0] == 0
    assert _commits(events) == [first, second]


def test_a_trailer_is_evidence_for_a_commit_that_was_merged_since(
    repo, worktree, commit, prodigy, git
) -> None:
    message = "b\n\nProdigy-Session: one\nProdigy-Job: job\n"
    sha = commit(worktree, message, env=SILENT)
    git("worktree", "remove", "--force", worktree, cwd=repo)
    git("merge", "-q", "prodigy-one", cwd=repo)  # a fast-forward: main has it, too
    code, report = _verify(prodigy, repo, "--session", "one")
    assert code == 1
    assert report["sessions"][0]["missing"] == [sha]


def test_what_events_clean_removed_is_not_asked_for(
    repo, worktree, commit, prodigy, store, events
) -> None:
    commit(worktree, "a")
    prodigy("finish", "one", cwd=repo, check=True)
    prodigy("events", "clean", "--older-than", "0s", cwd=repo, check=True)
    assert not list(store.glob("events/*/job/*.jsonl"))
    assert _verify(prodigy, repo)[0] == 0
    prodigy("verify", "--fix", cwd=repo, check=True)
    assert not list(store.glob("events/*/job/*.jsonl"))


def test_a_lost_cursor_and_a_verify_give_no_duplicates(
    repo, worktree, commit, prodigy, git, events
) -> None:
    shas = [commit(worktree, name) for name in "ab"]
    (Path(git("rev-parse", "--absolute-git-dir", cwd=worktree)) / "prodigy-cursor").unlink()
    assert _verify(prodigy, repo, "--fix")[0] == 0
    shas.append(commit(worktree, "c"))
    assert _commits(events) == shas
    assert [event["type"] for event in events("job")].count("SessionStarted") == 1


def test_a_session_without_any_evidence(repo, worktree, commit, prodigy, git) -> None:
    commit(worktree, "a")
    git("worktree", "remove", "--force", worktree, cwd=repo)
    git("branch", "-q", "-D", "prodigy-one", cwd=repo)
    code, report = _verify(prodigy, repo, "--all")
    assert (code, report["sessions"][0]["evidence"]) == (0, "none")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--all", "--job", "job"), 2),
        (("--session", "nobody"), 1),
        (("--session", "../x"), 1),
        (("--job", "nothing"), 1),
    ],
)
def test_wrong_usage_is_one_line(repo, worktree, prodigy, options, code) -> None:
    done = prodigy("verify", *options, cwd=repo)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_outside_a_repository(tmp_path, worktree, prodigy) -> None:
    assert prodigy("verify", cwd=tmp_path).returncode == 1
    assert prodigy("verify", "--all", cwd=tmp_path).returncode == 0


def test_a_repository_that_is_gone_is_no_traceback(repo, worktree, commit, prodigy) -> None:
    commit(worktree, "a")
    shutil.rmtree(repo)
    done = prodigy("verify", "--all", "--json", cwd=repo.parent)
    assert "Traceback" not in done.stderr
    json.loads(done.stdout)
