"""What the commands on sessions and worktrees say of Prodigy's, and what they do to them.

Each runs with hooks, so that the worktrees have sessions of ours, and without.
"""

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import support_prodigy as made_by
from support_prodigy import (
    FAILED_JOB,
    FAILED_SESSION,
    INTERRUPTED_JOB,
    INTERRUPTED_SESSION,
    WORKFLOW,
)

AGENT = f"mapreduce-agent-{FAILED_JOB}_agent_2"
UNDER_WAY = f"mapreduce-agent-{INTERRUPTED_JOB}_agent_2"
Told = Callable[..., Any]


@pytest.fixture
def bare(store: Path, repo: Path) -> made_by.Whole:
    """Return a store that only Prodigy has written to."""
    return made_by.prodigy_store(store, repo)


@pytest.fixture
def hooked(store: Path, repo: Path, prodigy: Callable) -> made_by.Whole:
    """Return one where our hooks were there before."""
    prodigy("install", cwd=repo, check=True)
    return made_by.prodigy_store(store, repo)


@pytest.fixture
def told(repo: Path, prodigy: Callable) -> Told:
    """``told(*command)``: what a command prints as JSON."""
    return lambda *command: json.loads(prodigy(*command, "--json", cwd=repo, check=True).stdout)


def files_of_prodigy(store: Path) -> dict[str, tuple[Any, ...]]:
    """Return what Prodigy has in a store, worktrees apart: contents, times and modes, by path."""
    ours = store / "events" / "repo"
    found = {}
    for top in ("worktrees", "sessions", "events", "dlq", "state", "resume_locks"):
        for path in sorted((store / top).rglob("*")):
            inside = path.relative_to(store).parts
            if top == "worktrees" and ".metadata" not in inside and path.name != ".gitignore":
                continue
            if top == "sessions" and '"created_by"' in path.read_text():
                continue
            if ours in (path, *path.parents) or inside[:2] == ("state", "repo"):
                continue
            about = path.lstat()
            data = path.read_bytes() if stat.S_ISREG(about.st_mode) else b""
            when = about.st_mtime_ns if data else 0
            found["/".join(inside)] = (about.st_mode, when, data)
    return found


def marked(store: Path) -> Iterator[Path]:
    """Yield what Prodigy makes in the folders of our key, too (as seen with Prodigy 0.4.4)."""
    state = store / "state" / "repo"
    queue = store / "dlq" / "repo" / "j"
    for path in (state / "checkpoints" / "w.checkpoint.json", state / "mappings" / f"{WORKFLOW}.json",
                 queue / "items" / "i.json", queue / "index.json",
                 store / "events/repo" / FAILED_SESSION / "events-20260301_100000.jsonl"):  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"of": "Prodigy"}' if path.suffix == ".json" else "")
        yield path


COMMANDS = (
    ("clean", "--yes"),
    ("clean", "--all", "--older-than", "0s", "--yes"),
    ("clean", "--all", "--all-repos", "--archive", "--older-than", "0s", "--yes"),
    ("worktree", "clean", "--all", "--min-age", "0s"),
    ("worktree", "clean", "-f", FAILED_SESSION, WORKFLOW, INTERRUPTED_SESSION, AGENT),
    ("worktree", "restore", WORKFLOW),
    ("worktree", "clean", "-f", WORKFLOW),
    ("sessions", "clean", "--older-than", "0s"),
    ("events", "clean", "--older-than", "0s"),
    ("trash", "empty", "--yes"),
    ("doctor", "--fix"),
    ("verify", "--fix"),
    ("finish", WORKFLOW),
    ("resume", INTERRUPTED_SESSION),
    ("clean", "--yes"),
)


@pytest.mark.parametrize("which", ["bare", "hooked"])
def test_no_command_changes_what_prodigy_has_written(
    which: str, request: pytest.FixtureRequest, store: Path, repo: Path, prodigy: Callable
) -> None:
    request.getfixturevalue(which)
    prodigy("status", cwd=repo)
    others = {path: path.read_bytes() for path in marked(store)}
    before = files_of_prodigy(store)
    assert len(before) > 40
    for command in COMMANDS:
        done = prodigy(*command, cwd=repo)
        assert "Traceback" not in done.stderr, done.stderr
        assert files_of_prodigy(store) == before, command
        assert {path: path.read_bytes() for path in others if path.exists()} == others, command


@pytest.mark.parametrize("which", ["bare", "hooked"])
def test_sessions_have_what_the_worktrees_state_and_git_say(
    which: str, request: pytest.FixtureRequest, told: Told, git: Callable, repo: Path
) -> None:
    made = request.getfixturevalue(which)
    found = {one["session_id"]: one for one in told("sessions", "list")}
    failed, workflow = found[FAILED_SESSION], found[WORKFLOW]
    assert (failed["job_id"], failed["status"]) == (FAILED_JOB, "Completed")
    assert (failed["branch"], failed["base_branch"]) == (f"prodigy-{FAILED_SESSION}", "main")
    assert failed["worktree"] == str(made.failed.worktree)
    count = git("rev-list", "--count", f"main..{failed['branch']}", cwd=repo)
    assert failed["commits"] == int(count) == 6
    assert failed["last_commit"] == git("rev-parse", failed["branch"], cwd=repo)
    assert (workflow["job_id"], workflow["commits"]) == (WORKFLOW, 1)
    # Ctrl-C came: the file of the session still says that it runs.
    assert found[INTERRUPTED_SESSION]["status"] == "Paused"
    shown = told("sessions", "show", WORKFLOW)
    assert (shown["branch"], shown["commits"]) == (f"prodigy-{WORKFLOW}", 1)
    assert {one["session_id"] for one in told("sessions", "list", "--job", FAILED_JOB)} >= {
        FAILED_SESSION
    }


@pytest.mark.parametrize("which", ["bare", "hooked"])
def test_each_worktree_is_shown_with_session_and_job(
    which: str, request: pytest.FixtureRequest, told: Told, prodigy: Callable, repo: Path
) -> None:
    request.getfixturevalue(which)
    rows = {one["name"]: one for one in told("worktree", "ls")}
    jobs = {name: one["job_id"] for name, one in rows.items() if name != "repo"}
    assert jobs == {
        FAILED_SESSION: FAILED_JOB, AGENT: FAILED_JOB, INTERRUPTED_SESSION: INTERRUPTED_JOB,
        UNDER_WAY: INTERRUPTED_JOB, f"mapreduce-agent-{INTERRUPTED_JOB}_agent_3": INTERRUPTED_JOB,
        WORKFLOW: WORKFLOW,
    }  # fmt: skip
    assert all(one["session_id"] for name, one in rows.items() if name != "repo")
    assert (rows[AGENT]["agent_id"], rows[AGENT]["item_id"]) == (f"{FAILED_JOB}_agent_2", "item_2")
    shown = told("worktree", "show", WORKFLOW)
    assert shown["worktree"] == rows[WORKFLOW]["worktree"]
    assert shown["unreadable"] == []
    said = prodigy("explain", WORKFLOW, cwd=repo, check=True).stdout
    assert f"worktree    {rows[WORKFLOW]['worktree']}" in said
    for command in (("status",), ("doctor",), ("clean", "--dry-run", "-v")):
        out = prodigy(*command, cwd=repo)
        assert "no session:" not in out.stdout, command
        assert "has no session" not in out.stdout + out.stderr, command
        assert "without a worktree" not in out.stdout, command
        assert f"{WORKFLOW} has no" not in out.stdout, command


def test_what_has_not_ended_for_certain_is_not_cleaned(
    hooked: made_by.Whole, told: Told, prodigy: Callable, repo: Path
) -> None:
    said = {one["worktree"]: one for one in told("worktree", "clean", "--all", "--min-age", "0s")}
    assert said[str(hooked.interrupted.worktree)]["result"] == "refused"
    account = told("worktree", "show", INTERRUPTED_SESSION)
    assert account["prodigy_session"] == INTERRUPTED_SESSION
    assert any(INTERRUPTED_SESSION in why for why in account["doubts"])
    # Also where somebody has ended what we have of it: Prodigy has the last word.
    prodigy("finish", account["session_id"], cwd=repo, check=True)
    (done,) = told_anyway(prodigy, repo, "worktree", "clean", INTERRUPTED_SESSION)
    assert done["result"] == "refused"
    agent = hooked.interrupted.agents["item_2"]
    assert told("worktree", "show", str(agent))["prodigy_session"] == INTERRUPTED_SESSION


def told_anyway(prodigy: Callable, repo: Path, *command: str) -> Any:
    return json.loads(prodigy(*command, "--json", cwd=repo).stdout)


def test_what_prodigy_can_still_merge_is_cleaned_only_when_it_is_forced(
    hooked: made_by.Whole, told: Told, prodigy: Callable, repo: Path, git: Callable
) -> None:
    run = str(hooked.failed.worktree)
    said = {one["worktree"]: one for one in told("worktree", "clean", "--all", "--min-age", "0s")}
    assert said[run]["result"] == "refused"
    assert f"'prodigy worktree merge {FAILED_SESSION}' needs the worktree" in str(
        said[run]["reasons"]
    )
    prodigy("clean", "--all", "--yes", cwd=repo, check=True)
    assert hooked.failed.worktree.is_dir()
    git("merge", "-q", "--no-edit", hooked.failed.branch, cwd=repo)
    (done,) = told("worktree", "clean", FAILED_SESSION)
    assert done["result"] == "cleaned"


def test_a_run_that_was_taken_over_when_it_was_over_can_still_be_merged(
    bare: made_by.Whole, told: Told, prodigy: Callable, repo: Path
) -> None:
    prodigy("import", FAILED_JOB, cwd=repo, check=True)
    said = {one["worktree"]: one for one in told("worktree", "clean", "--all", "--min-age", "0s")}
    assert said[str(bare.failed.worktree)]["result"] == "refused"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are found by /proc here")
def test_while_a_prodigy_lives_no_force_takes_its_worktrees(
    hooked: made_by.Whole, prodigy: Callable, repo: Path, tmp_path: Path
) -> None:
    import subprocess

    program = tmp_path / "prodigy"
    shutil.copy(shutil.which("cat") or "/bin/cat", program)
    # Its store is in its home folder, whatever else the environment says.
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".prodigy").symlink_to(hooked.store)
    for home, result in ((tmp_path / "mine", "refused"), (tmp_path / "another", "cleaned")):
        environ = {**os.environ, "HOME": str(home)}
        with subprocess.Popen([program], stdin=subprocess.PIPE, env=environ) as runner:
            (done,) = told_anyway(prodigy, repo, "worktree", "clean", "-f", INTERRUPTED_SESSION)
            runner.stdin.close()
        assert done["result"] == result
        if result == "refused":
            assert f"prodigy (pid {runner.pid})" in " ".join(done["reasons"])


def test_a_session_of_ours_ends_as_prodigy_ended_its_run(hooked: made_by.Whole, told: Told) -> None:
    rows = told("sessions", "list")
    by_worktree = {
        Path(one["worktree"]).name: one for one in rows if "prodigy_session" in one["metadata"]
    }
    ends = {name: one["status"] for name, one in by_worktree.items()}
    agents = {name: status for name, status in ends.items() if name.startswith("mapreduce-agent-")}
    assert ends[FAILED_SESSION] == "Completed"
    assert ends[WORKFLOW] == "Failed"
    assert ends[INTERRUPTED_SESSION] == "Running"
    assert agents == {
        f"mapreduce-agent-{FAILED_JOB}_agent_0": "Completed",  # merged, and removed by Prodigy
        f"mapreduce-agent-{FAILED_JOB}_agent_1": "Completed",
        f"mapreduce-agent-{FAILED_JOB}_agent_3": "Completed",
        AGENT: "Failed",  # left behind
        f"mapreduce-agent-{INTERRUPTED_JOB}_agent_0": "Completed",
        f"mapreduce-agent-{INTERRUPTED_JOB}_agent_1": "Completed",
        UNDER_WAY: "Running",
        f"mapreduce-agent-{INTERRUPTED_JOB}_agent_3": "Running",
    }


def test_a_worktree_of_prodigys_goes_and_comes_back_by_the_name_that_prodigy_has(
    hooked: made_by.Whole, prodigy: Callable, repo: Path
) -> None:
    (hooked.workflow / "b.txt").write_text("not committed")
    prodigy("worktree", "clean", "-f", WORKFLOW, cwd=repo, check=True)
    assert not hooked.workflow.exists()
    said = prodigy("worktree", "show", WORKFLOW, cwd=repo, check=True).stdout
    assert "is in the trash" in said
    prodigy("worktree", "restore", WORKFLOW, cwd=repo, check=True)
    assert (hooked.workflow / "b.txt").read_text() == "not committed"


def test_of_the_whole_store_a_worktree_with_two_sessions_is_cleaned_once(
    hooked: made_by.Whole, prodigy: Callable, repo: Path, told: Told
) -> None:
    done = prodigy("clean", "--worktrees", "--all-repos", "--dry-run", cwd=repo, check=True)
    kept = [line.split(":")[0] for line in done.stdout.splitlines() if ": kept (" in line]
    ours = [one["session_id"] for one in told("worktree", "ls") if one["session_id"] is not None]
    assert ours
    assert sorted(kept) == sorted(ours)


def test_without_a_session_of_ours_it_is_left_to_prodigy(
    bare: made_by.Whole, prodigy: Callable, repo: Path, told: Told
) -> None:
    (done,) = told_anyway(prodigy, repo, "worktree", "clean", "-f", WORKFLOW)
    assert done["result"] == "refused"
    assert f"'prodigy worktree clean {WORKFLOW}'" in done["reasons"][0]
    prodigy("worktree", "adopt", bare.workflow, cwd=repo, check=True)
    (done,) = told("worktree", "clean", "-f", WORKFLOW)
    assert done["result"] == "cleaned"


def test_a_session_that_prodigy_left_is_nothing_to_finish(
    hooked: made_by.Whole, prodigy: Callable, repo: Path, store: Path
) -> None:
    shutil.rmtree(store / "worktrees" / "repo" / ".metadata")
    shutil.rmtree(hooked.interrupted.worktree)
    (store / "sessions" / "session-33333333-3333-4333-8333-333333333333.json").touch()
    said = prodigy("doctor", cwd=repo).stdout
    assert "prodigy-git finish" not in said
    assert "warning  session: " in said
    assert "Prodigy was interrupted as it wrote it" in said


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (WORKFLOW, f"'prodigy resume {WORKFLOW}' goes on with it"),
        (INTERRUPTED_SESSION, "'prodigy-git import' takes over"),
        (INTERRUPTED_JOB, "'prodigy-git import' takes over"),
        (FAILED_SESSION, "completed: nothing to resume"),
    ],
)
def test_resume_names_the_command_that_goes_on(
    name: str, words: str, bare: made_by.Whole, prodigy: Callable, repo: Path
) -> None:
    done = prodigy("resume", name, cwd=repo)
    assert done.returncode != 0
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_of_a_worktree_that_git_removed_it_says_what_is_left(
    repo: Path, store: Path, prodigy: Callable, git: Callable
) -> None:
    """As 'prodigy worktree clean' does, also to one that is running."""
    prodigy("install", cwd=repo, check=True)
    prodigy("new-worktree", "fix", cwd=repo, check=True)
    tree = store / "worktrees" / "repo" / "fix"
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=tree)
    git("worktree", "remove", "--force", tree, cwd=repo)
    (store / "worktrees" / "repo" / ".metadata" / "fix.json").unlink()
    prodigy("sessions", "list", cwd=repo, check=True)
    said = prodigy("worktree", "show", "fix", cwd=repo, check=True).stdout
    assert "removed with git" in said.replace("\n              ", " ")
    assert "prodigy-git resume fix" in said.replace("\n              ", " ")
    prodigy("resume", "fix", cwd=repo, check=True)
    assert git("log", "-1", "--format=%s", cwd=tree) == "x"
    assert (store / "worktrees" / "repo" / ".metadata" / "fix.json").exists()


def test_a_workflow_that_prodigy_resumed_is_the_job_that_it_was(
    bare: made_by.Whole, store: Path, told: Told
) -> None:
    # `prodigy resume` opens an event log under the workflow's own name, and writes nothing to it.
    made_by.event_log(store, WORKFLOW, "session-33333333-3333-4333-8333-333333333333")
    assert told("sessions", "show", WORKFLOW)["job_id"] == WORKFLOW
    (row,) = (one for one in told("worktree", "ls") if one["name"] == WORKFLOW)
    assert row["job_id"] == WORKFLOW


def test_a_file_that_prodigy_left_empty_is_no_error_of_the_store(
    hooked: made_by.Whole, store: Path, repo: Path, prodigy: Callable
) -> None:
    (store / "sessions" / f"{INTERRUPTED_SESSION}.json").write_text("")
    store.chmod(0o700)
    done = prodigy("doctor", cwd=repo)
    assert "Prodigy was interrupted as it wrote it" in done.stdout
    assert done.returncode == 0, done.stdout


def test_what_prodigy_merged_and_cleaned_is_found_by_its_branch(
    hooked: made_by.Whole, repo: Path, store: Path, prodigy: Callable, git: Callable, told: Told
) -> None:
    branch = f"prodigy-{FAILED_SESSION}"
    git("merge", "-q", "--no-ff", "-m", "merged", branch, cwd=repo)
    git("worktree", "remove", "--force", hooked.failed.worktree, cwd=repo)
    (store / "worktrees" / "repo" / ".metadata" / f"{FAILED_SESSION}.json").unlink()
    rows = told("sessions", "list")
    found = {one["session_id"]: one for one in rows}[FAILED_SESSION]
    assert (found["job_id"], found["branch"]) == (FAILED_JOB, branch)
    (ours,) = [
        one
        for one in rows
        if one["metadata"].get("prodigy_session") == FAILED_SESSION and one["branch"] == branch
    ]
    assert ours["status"] == "Completed"  # with its run, though nothing was committed in it
    said = prodigy("worktree", "show", FAILED_SESSION, cwd=repo, check=True).stdout
    assert f"what was committed is on {branch}" in " ".join(said.split())
    # Whether an agent's work was merged is asked of that branch, too.
    assert "not merged" not in prodigy("import", "--dry-run", cwd=repo, check=True).stdout
