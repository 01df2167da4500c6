"""new-worktree that fails, is refused, is killed, or has company: all or nothing."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from support_cli import call, environment, left_of, new, ok, refused, start

BAD_IDS = ["../../x", "-x", "a/.b", ".hidden", "x" * 200, "a b", "é", "x\ny", "\x1b[2J"]


@pytest.mark.parametrize("bad", [*BAD_IDS, "a//b", ""])
@pytest.mark.parametrize("where", ["NAME", "--job", "--agent", "--item"])
def test_bad_ids_on_the_command_line(repo, store, bad, where):
    before = left_of(repo, store)
    arguments = ("--", bad) if where == "NAME" else (f"{where}={bad}",)
    said = refused("new-worktree", *arguments, cwd=repo)
    # A name with a stroke is a branch's.
    assert ("cannot be a branch" if "/" in bad and where == "NAME" else "not a safe name") in said
    assert left_of(repo, store) == before


@pytest.mark.parametrize("bad", BAD_IDS)
@pytest.mark.parametrize("source", ["environment", "git config"])
def test_bad_job_ids_from_elsewhere(repo, store, git, monkeypatch, bad, source):
    if source == "environment":
        monkeypatch.setenv("PRODIGY_JOB_ID", bad)
    else:
        git("config", "prodigy.job", bad, cwd=repo)
    before = left_of(repo, store)
    said = refused("new-worktree", cwd=repo)
    assert "job id" in said
    assert "not a safe name" in said
    assert left_of(repo, store) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("a..b",),
        ("x.lock",),
        ("w1", "--branch", "a..b"),
        ("w1", "--branch", "-x"),
        ("w1", "--branch", ""),
        ("w1", "--branch", "HEAD"),
        ("w1", "--branch", "@{-1}"),
        ("w1", "--branch", "main"),
        ("w1", "--branch", "main/below"),
        ("w1", "--base", "nothing-here"),
        ("w1", "--base", ""),
        ("w1", "--base", "-x"),
        ("w1", "--base", "HEAD^{tree}"),
        ("w1", "--base", "0" * 40),
        # Its name could not be part of the salvage ref's: it could never be cleaned.
        ("a..b", "--branch", "fine"),
        ("x.lock", "--branch", "fine"),
    ],
)
def test_impossible_branches_and_bases(repo, store, git, arguments):
    git("checkout", "-q", "-b", "other", cwd=repo)
    git("checkout", "-q", "main", cwd=repo)
    before = left_of(repo, store)
    refused("new-worktree", *arguments, cwd=repo)
    assert left_of(repo, store) == before


def test_a_branch_that_exists_is_not_taken(repo, store, git):
    git("branch", "prodigy-w1", cwd=repo)
    before = left_of(repo, store)
    assert "prodigy-w1 exists already" in refused("new-worktree", "w1", cwd=repo)
    assert left_of(repo, store) == before


@pytest.mark.parametrize("kind", ["empty", "full", "file", "dangling"])
def test_what_stands_where_the_folder_should_be_is_left_alone(repo, store, kind):
    path = store / "worktrees" / "repo" / "w1"
    path.parent.mkdir(parents=True)
    if kind == "file":
        path.write_text("mine")
    elif kind == "dangling":
        path.symlink_to("nowhere")
    else:
        path.mkdir()
        if kind == "full":
            (path / "file").write_text("mine")
    before = left_of(repo, store)
    assert "exists already" in refused("new-worktree", "w1", cwd=repo)
    assert left_of(repo, store) == before
    assert os.path.lexists(path)


@pytest.mark.parametrize("more", [(), ("--agent", "a")])
def test_a_failing_post_checkout_of_the_repository(repo, store, more, prodigy):
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho why it fails >&2\ntouch left-behind\nexit 3\n")
    hook.chmod(0o755)
    before = left_of(repo, store)
    done = prodigy("new-worktree", *more, cwd=repo)
    assert (done.returncode, done.stdout) == (1, "")
    assert "why it fails" in done.stderr
    assert "post-checkout" in done.stderr.splitlines()[-1]
    assert left_of(repo, store)["refs"] == before["refs"]
    assert left_of(repo, store)["registered"] == []
    assert left_of(repo, store)["store"] == before["store"]


# A file where a folder should be stops root, too, which modes do not.
@pytest.mark.parametrize(
    "broken",
    [
        ".", "sessions", "worktrees", "worktrees/repo", "state", "state/repo",
        "state/repo/mappings", "events", "events/repo", "events/repo/j", "locks",
    ],
)  # fmt: skip
def test_a_store_in_which_one_step_fails(repo, store, broken):
    path = store / broken
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("not a folder")
    before = left_of(repo, store)
    refused("new-worktree", "w1", "--job", "j", "--agent", "a", cwd=repo)
    assert left_of(repo, store) == before
    path.unlink()
    assert new(repo, "w1", "--job", "j")["session_id"] == "w1"


@pytest.mark.skipif(os.geteuid() == 0, reason="modes do not stop root")
@pytest.mark.parametrize("folder", ["sessions", "worktrees/repo", "events/repo/j", "locks"])
def test_a_store_with_a_folder_that_cannot_be_written(repo, store, folder):
    path = store / folder
    path.mkdir(parents=True)
    before = left_of(repo, store)
    path.chmod(0o500)
    try:
        refused("new-worktree", "w1", "--job", "j", cwd=repo)
    finally:
        path.chmod(0o700)
    assert left_of(repo, store) == before


@pytest.mark.parametrize(
    "document",
    ["repository.json", "mappings/session-to-job.json", "mappings/job-to-session.json"],
)
@pytest.mark.parametrize("text", ["", "[]", "{", "\udc80"])
def test_a_damaged_document_of_the_store_is_named(repo, store, document, text):
    new(repo, "w0")
    path = store / "state" / "repo" / document
    path.write_bytes(os.fsencode(text))
    before = left_of(repo, store)
    assert document in refused("new-worktree", "w1", cwd=repo)
    assert left_of(repo, store) == before


_LIMITED = """\
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from prodigy_git.cli import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize("limit", [0, 300, 20_000])
def test_a_full_store(repo, store, limit):
    """The kernel refuses what would make a file longer than ``limit``, as a full disk does."""
    new(repo, "w0", "--job", "j")
    for log in (store / "events" / "repo" / "j").glob("*.jsonl"):
        line = json.dumps({"type": "Filler", "text": "x" * 1000})
        log.write_text(f"{line}\n" * 20 + log.read_text())
    before = left_of(repo, store)
    done = subprocess.run(
        ["python3", "-c", _LIMITED, str(limit), "new-worktree", "w1", "--job", "j"],
        executable=os.sys.executable, cwd=repo, env=environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("prodigy-git: error: ")
    assert left_of(repo, store) == before


def _slow(script: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Make a script that says that it runs, and runs until it is told to go on."""
    reached, go_on = tmp_path / "reached", tmp_path / "go-on"
    os.mkfifo(reached)
    os.mkfifo(go_on)
    script.parent.mkdir(exist_ok=True)
    script.write_text(f'#!/bin/sh\necho x >"{reached}"\nread answer <"{go_on}"\n')
    script.chmod(0o755)
    return reached, go_on


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize(
    ("during", "whom"), [("hook", "process"), ("hook", "group"), ("filter", "process")]
)
def test_killed_while_something_of_the_repositorys_runs(
    repo, git, store, tmp_path, number, during, whom
):
    if during == "hook":
        reached, go_on = _slow(repo / ".git" / "hooks" / "post-checkout", tmp_path)
    else:  # through which git writes a file
        reached, go_on = _slow(tmp_path / "filter", tmp_path)
        (repo / ".git" / "info").mkdir(exist_ok=True)
        (repo / ".git" / "info" / "attributes").write_text("README filter=slow\n")
        git("config", "filter.slow.smudge", tmp_path / "filter", cwd=repo)
    before = left_of(repo, store)
    # Held open for both, so that a hook that outlives the kill can end.
    keep = os.open(go_on, os.O_RDWR)
    # Under nohup the tests ignore SIGHUP, and so would the child, as it should: not what is asked here.
    ignored = signal.signal(number, signal.SIG_DFL)
    child = start("new-worktree", "w1", "--job", "j", cwd=repo, start_new_session=True)
    signal.signal(number, ignored)
    try:
        assert reached.read_text() == "x\n"
        (os.kill if whom == "process" else os.killpg)(child.pid, number)
        # A hook that outlives the kill holds these pipes: a hang, unless it is made a failure.
        out, err = child.communicate(timeout=60)
    finally:
        os.write(keep, b"x\n")
        os.close(keep)
    assert child.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert err.count("\n") <= 1
    assert left_of(repo, store) == before


def test_32_at_once(repo, store, git, events):
    running = [start("new-worktree", "--job", "j", cwd=repo) for _ in range(32)]
    said = [child.communicate() for child in running]
    assert [child.returncode for child in running] == [0] * 32, said
    paths = {out for out, _ in said}
    assert len(paths) == 32
    names = {Path(path[:-1]).name for path in paths}
    assert {path.stem for path in (store / "sessions").glob("*.json")} == names
    branches = git("branch", "--list", "prodigy-*", "--format=%(refname:short)", cwd=repo)
    assert set(branches.split()) == {f"prodigy-{name}" for name in names}
    log = events("j")
    assert {e["session_id"] for e in log if e["type"] == "SessionStarted"} == names
    assert len([e for e in log if e["type"] == "SessionStarted"]) == 32
    stamps = [e["timestamp"] for e in log]
    assert stamps == sorted(stamps)
    mapping = json.loads((store / "state/repo/mappings/session-to-job.json").read_text())
    assert mapping == dict.fromkeys(names, "j")
    assert git("fsck", cwd=repo) == ""


def test_8_at_once_beside_8_plain_ones_of_git(repo, tmp_path, git):
    """git's own may lose their race against each other; ours may not."""
    ours = [start("new-worktree", cwd=repo) for _ in range(8)]
    plain = [
        subprocess.Popen(
            ["git", "worktree", "add", "-q", "-b", f"plain{n}", tmp_path / f"plain{n}"],
            cwd=repo, stderr=subprocess.DEVNULL,
        )
        for n in range(8)
    ]  # fmt: skip
    said = [child.communicate() for child in ours]
    for child in plain:
        child.wait()
    assert [child.returncode for child in ours] == [0] * 8, said
    branches = git("branch", "--list", "prodigy-*", "--format=%(refname:short)", cwd=repo)
    assert {f"prodigy-{Path(out[:-1]).name}" for out, _ in said} == set(branches.split())


def test_undoing_touches_no_other_worktree(repo, store, git):
    """One whose folder is away (a disk that is not mounted) stays registered."""
    away = new(repo, "away")
    shutil.move(away["worktree"], store / "elsewhere")
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert call("new-worktree", "w1", cwd=repo).code == 1
    hook.unlink()
    ok("new-worktree", "w2", cwd=repo)
    shutil.move(store / "elsewhere", away["worktree"])
    assert git("symbolic-ref", "--short", "HEAD", cwd=away["worktree"]) == "prodigy-away"
