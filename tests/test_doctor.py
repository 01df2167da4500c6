"""doctor: each finding where there is something to find, and nothing left behind by looking."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prodigy_git import hookfiles
from prodigy_git.doctor import waiting
from prodigy_git.record import gitdir

Run = Callable[..., Any]


def _doctor(prodigy: Run, cwd: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    done = prodigy("doctor", "--json", *options, cwd=cwd)
    assert "Traceback" not in done.stderr
    findings: list[dict[str, Any]] = json.loads(done.stdout)
    return done.returncode, findings


def _levels(findings: list[dict[str, Any]], what: str) -> list[str]:
    return [one["level"] for one in findings if one["what"].startswith(what)]


def _drift(prodigy: Run, cwd: Path) -> list[dict[str, Any]]:
    found = json.loads(prodigy("clean", "--dry-run", "--json", cwd=cwd).stdout)
    items: list[dict[str, Any]] = found["drift"]["items"]
    return items


@pytest.fixture
def installed(repo: Path, prodigy: Run) -> Path:
    prodigy("install", cwd=repo, check=True)
    return repo


def test_a_healthy_installation_and_no_trace_of_the_trial(
    installed, prodigy, git, store, tmp_path
) -> None:
    refs = git("for-each-ref", cwd=installed)
    trees = git("worktree", "list", cwd=installed)
    code, findings = _doctor(prodigy, installed)
    assert code == 0
    assert {one["level"] for one in findings} == {"ok"}
    assert _levels(findings, "recording") == ["ok"]
    assert git("for-each-ref", cwd=installed) == refs
    assert git("worktree", "list", cwd=installed) == trees
    assert not (store / "sessions").exists()


def test_missing_hooks_are_an_error_with_a_remedy_that_works(repo, prodigy) -> None:
    code, findings = _doctor(prodigy, repo)
    assert code == 1
    assert set(_levels(findings, "hook post-")) == {"error"}
    assert not _levels(findings, "recording")
    code, findings = _doctor(prodigy, repo, "--fix")
    assert code == 0
    assert _levels(findings, "recording") == ["ok"]
    assert _doctor(prodigy, repo)[0] == 0


def test_a_post_commit_that_is_in_place_but_records_nothing(installed, prodigy, git) -> None:
    # A hook manager of the user's own that silences us: in effect to look at, not in effect.
    hook = installed / ".git" / "hooks" / "post-commit"
    text = hook.read_text()
    prodigy("uninstall", cwd=installed, check=True)
    (installed / ".git" / "hooks" / "reference-transaction").write_text("#!/bin/sh\nexit 0\n")
    hook.write_text(text.replace('prodigy_record "$@"\n', "", 1))
    hook.chmod(0o755)
    code, findings = _doctor(prodigy, installed)
    assert code == 1
    assert "edited" in " ".join(one["words"] for one in findings)


def test_a_store_open_to_others_is_closed_by_fix(installed, prodigy, store) -> None:
    store.chmod(0o755)
    assert _levels(_doctor(prodigy, installed)[1], "store")[0] == "warning"
    assert store.stat().st_mode & 0o777 == 0o755
    _doctor(prodigy, installed, "--fix")
    assert store.stat().st_mode & 0o777 == 0o700


def test_a_store_that_is_a_file(repo, prodigy, store) -> None:
    store.write_text("not a folder")
    done = prodigy("doctor", "--json", cwd=repo)
    assert done.returncode == 1
    assert "not a folder" in done.stdout
    assert store.read_text() == "not a folder"


def test_a_missing_reflog_is_switched_on_again(installed, prodigy, git) -> None:
    git("commit", "-q", "--allow-empty", "-m", "enrol", cwd=installed)
    journal = installed / ".git" / "logs" / "HEAD"
    journal.unlink()
    git("config", "core.logAllRefUpdates", "false", cwd=installed)
    code, findings = _doctor(prodigy, installed)
    assert (code, _levels(findings, "reflog")) == (1, ["error"])
    assert _doctor(prodigy, installed, "--fix")[0] == 0
    assert journal.exists()


def test_damage_is_found(installed, prodigy, git, store) -> None:
    git("commit", "-q", "--allow-empty", "-m", "enrol", cwd=installed)
    (session,) = (store / "sessions").glob("*.json")
    session.unlink()
    (store / "sessions" / "broken.json").write_text("{")
    lock = installed / ".git" / "index.lock"
    lock.touch()
    import os

    os.utime(lock, (0, 0))
    _, findings = _doctor(prodigy, installed)
    assert _levels(findings, "enrolment") == ["warning"]
    assert "error" in _levels(findings, "session")
    assert _levels(findings, "git lock") == ["warning"]
    lock.unlink()
    (installed / ".git" / "prodigy").write_text("{")
    code, findings = _doctor(prodigy, installed)
    assert code == 1
    assert _levels(findings, "enrolment") == ["error"]


def test_a_session_without_a_file_is_what_clean_finds_too(installed, prodigy, git, store) -> None:
    prodigy("new-worktree", "w", cwd=installed, check=True)
    file = store / "sessions" / "w.json"
    file.unlink()
    drift = _drift(prodigy, installed)
    (found,) = [one for one in drift if one["kind"] == "enrolment"]
    _, findings = _doctor(prodigy, installed)
    (told,) = [one for one in findings if one["what"] == "enrolment"]
    assert (told["words"], told["fixed"]) == (found["wrong"], False)
    assert told["remedy"] == f"'prodigy-git doctor --fix': {found['remedy']}"
    assert not file.exists()
    (told,) = [one for one in _doctor(prodigy, installed, "--fix")[1] if one["what"] == "enrolment"]
    assert told["fixed"]
    assert json.loads(file.read_text())["id"] == "w"
    assert not _levels(_doctor(prodigy, installed)[1], "enrolment")


def test_a_worktree_that_was_moved_is_what_clean_finds_too(
    installed, prodigy, git, tmp_path
) -> None:
    path = prodigy("new-worktree", "w", cwd=installed, check=True).stdout.rstrip("\n")
    moved = Path(path).rename(tmp_path / "elsewhere").rename(Path(path).with_name("other"))
    drift = _drift(prodigy, installed)
    (found,) = [one for one in drift if one["kind"] == "link"]
    (told,) = [one for one in _doctor(prodigy, installed)[1] if one["what"] == "link"]
    assert told["words"] == found["wrong"]
    (told,) = [one for one in _doctor(prodigy, installed, "--fix")[1] if one["what"] == "link"]
    assert told["fixed"]
    assert git("status", "--porcelain", cwd=moved) == ""
    assert not _levels(_doctor(prodigy, installed)[1], "link")


def test_sessions_whose_worktree_is_gone(installed, prodigy, git) -> None:
    path = prodigy("new-worktree", "gone", cwd=installed, check=True).stdout.rstrip("\n")
    git("worktree", "remove", "--force", path, cwd=installed)
    _, findings = _doctor(prodigy, installed)
    assert any("gone" in one["words"] for one in findings if one["level"] == "warning")


def test_outside_a_repository_the_store_is_examined(tmp_path, prodigy) -> None:
    code, findings = _doctor(prodigy, tmp_path)
    assert code == 0
    assert _levels(findings, "repository") == ["warning"]
    assert _levels(findings, "git") == ["ok"]


def test_hooks_of_an_earlier_version_go_on_working_and_are_told_of(
    installed, prodigy, git, events
) -> None:
    """They know nothing of a recorder: git waits for them, as it did."""
    for hook in hookfiles.HOOKS:
        path = installed / ".git" / "hooks" / hook
        head, _, body = path.read_bytes().partition(b"\n\n")
        body = b"\n" + body.replace(b"prodigy_wake() {", b"prodigy_awake() {").replace(
            b'\t\tprodigy_wake "$@"\n', b"\t\t:\n"
        )
        hashed = b"\n# sha256 of the lines below: " + hashlib.sha256(body).hexdigest().encode()
        path.write_bytes(head.rpartition(b"\n")[0] + hashed + b"\n" + body)
    for number in range(2):
        git(
            "commit", "-qm", f"c{number}", "--allow-empty", cwd=installed,
            env={"PRODIGY_RECORD": "background"},
        )  # fmt: skip
    made = [one for one in events("*") if one["type"] == "CommitCreated"]
    assert [one.get("recovered") for one in made] == [None, None]
    code, findings = _doctor(prodigy, installed)
    told = [one for one in findings if one["what"].startswith("hook post-")]
    assert (code, {one["level"] for one in told}) == (0, {"warning"})
    assert "prodigy-git install" in told[0]["remedy"]
    shown = prodigy("hooks", cwd=installed)
    assert shown.returncode == 0
    assert "by an earlier version" in shown.stdout
    prodigy("install", cwd=installed, check=True)
    assert _levels(_doctor(prodigy, installed)[1], "hook post-") == []


def test_waiting_is_recommended_where_the_repository_goes_and_the_store_stays(
    repo, tmp_path
) -> None:
    place = gitdir.find(str(repo), {})
    assert place is not None
    assert waiting.way(str(tmp_path), place, "tmpfs", network=False).level == "ok"
    proc = "/proc"  # on another filesystem, whatever the tests are on
    told = waiting.way(proc, place, "tmpfs", network=False)
    assert (told.level, told.remedy) == ("ok", "")  # asked for by the environment already
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PRODIGY_RECORD")
        told = waiting.way(proc, place, "overlay", network=False)
        assert (told.level, told.remedy) == ("warning", "git config prodigy.record wait")
        assert waiting.way(proc, place, "ext4", network=False).level == "ok"
        assert waiting.way(str(tmp_path), place, "nfs4", network=True).level == "warning"
        subprocess.run(["git", "config", "prodigy.record", "Wait"], cwd=repo, check=True)
        assert waiting.way(proc, place, "overlay", network=False).level == "ok"
