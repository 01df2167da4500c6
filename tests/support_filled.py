"""A store with something of everything in it, and what every command says of it as JSON.

Two jobs with items: one under way (an item in progress with an owner, one with a lease, one in the
queue, one to be tried again), one that has ended. Sessions that run, have ended, were cleaned, adopted;
a commit that no hook recorded, one that was amended; a line of a log that is no event.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support_agents import say as agent
from support_cli import Done, call, environment, new, ok, rewrite_session
from support_prodigy import failed_mapreduce
from support_removal import commit, git
from support_transcripts import claude_with_subagent, run_of

Said = dict[str, list[Any]]
"""What each command said, each time: the values, whole arrays and the lines of a stream alike."""

_ITEMS = [{"id": f"i{number}", "path": f"src/{number}.py"} for number in range(1, 7)]


def filled(repo: Path, store: Path, monkeypatch: Any) -> Said:
    """Fill the store, and return what each command printed, by its words: ``job show``."""
    said: Said = defaultdict(list)
    say = _sayer(said, repo)
    monkeypatch.chdir(repo)
    say("install")
    _run_items(repo, say)
    _work_in_worktrees(repo, store, say)
    _look(repo, store, say)
    _merge(repo, say)
    _remove(repo, store, say)
    _set_up(repo, say)
    _plug_in(say)
    say("uninstall")
    return said


def _plug_in(say: Callable[..., Any]) -> None:
    broken = Path(os.environ["HOME"], ".gemini")
    broken.mkdir()
    (broken / "settings.json").write_text("{")
    say("agents install", "claude", "codex", "gemini", code=1)
    say("agents install", "gemini", "--local", code=1)
    say("agents list")
    say("agents uninstall", "claude", "codex")


def work(repo: Path, store: Path, monkeypatch: Any) -> None:
    """Fill the store only, with the hooks installed."""
    say = _sayer(defaultdict(list), repo)
    monkeypatch.chdir(repo)
    say("install")
    _run_items(repo, say)
    _work_in_worktrees(repo, store, say)


def _sayer(said: Said, repo: Path) -> Callable[..., Any]:
    def say(words: str, *more: str | Path, cwd: Path | str = repo, code: int = 0) -> Any:
        given = [] if words == "job next" else ["--json"]  # which prints nothing else
        done = call(*words.split(), *given, *more, cwd=cwd)
        assert done.code == code, (words, more, done)
        value = _value(done)
        said[words].append(value)
        return value

    return say


def _value(done: Done) -> Any:
    """Return the one value that was printed; of a stream the list of its lines."""
    try:
        return json.loads(done.out)
    except ValueError:
        return done.lines


def _run_items(repo: Path, say: Callable[..., Any]) -> None:
    source = repo.parent / "items.json"
    source.write_text(json.dumps(_ITEMS))
    say("job start", "review", "--items", source, "--max-attempts", "2")
    git("config", "prodigy.job", "review", cwd=repo)
    source.write_text(json.dumps([{"id": "i7"}]))
    say("job add", "review", "--items", source)
    claimed = ok("job", "next", "--agent", "ana", "--owner-pid", str(os.getpid()), cwd=repo).json
    assert claimed["item_id"] == "i1"
    say("job next", "--agent", "ben", "--lease", "1h")
    say("job renew", "review", "i2", "--agent", "ben", "--lease", "2h")
    ok("job", "next", "--agent", "cem", "--item", "i3", cwd=repo)
    say("job done", "review", "i3", "--failed", "--no-retry", "--error", "boom")
    source.write_text(json.dumps([{"id": "i3"}, {"id": "held", "after": ["i3"]}]))
    say("job add", "review", "--items", source, "--skip-known")
    ok("job", "next", "--agent", "dan", "--item", "i4", cwd=repo)
    say("job done", "review", "i4", "--log", "/tmp/dan.json")
    ok("job", "next", "--agent", "eva", "--item", "i5", cwd=repo)
    say("job done", "review", "i5", "--failed", "--error", "not yet")
    ok("job", "start", "docs", cwd=repo)
    say("job phase", "docs", "reduce")
    say("job finish", "docs")
    say("job reopen", "docs")
    say("job pause", "review", "--reason", "lunch")
    say("job resume", "review")
    say("job cancel", "docs")
    source.write_text(json.dumps(_ITEMS[:1]))
    say("job start", "once", "--items", source)
    _stop(repo, say)
    git("remote", "add", "nowhere", "nowhere", cwd=repo)
    commit = ("git", "commit", "-q", "--allow-empty", "-m", "Once")
    say("run", "--job", "once", "--push", "nowhere", "--", *commit)
    git("remote", "remove", "nowhere", cwd=repo)


def _stop(repo: Path, say: Callable[..., Any]) -> None:
    command = ["run", "--job", "once", "--", "sh", "-c", "echo; exec sleep 300"]
    child = subprocess.Popen(
        [sys.executable, "-m", "prodigy_git", *command], cwd=repo, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.readline()
    say("stop", "--job", "once")
    child.communicate(timeout=60)


def _work_in_worktrees(repo: Path, store: Path, say: Callable[..., Any]) -> None:
    made = say("new-worktree", "w1", "--job", "review", "--agent", "ana2", "--item", "i6")
    top = Path(made["worktree"])
    commit(top, "one", "1")
    git("commit", "-q", "--amend", "-m", "One, better", cwd=top)
    commit(top, "two", "2", "--no-verify")
    say("statusline", cwd=top)
    say("hooks", cwd=top)
    say("event add", "--type", "ClaudeMessage", "--content", "hello", cwd=top)
    other = Path(new(repo, "w2", "--agent", "fay")["worktree"])
    commit(other, "mine", "m")
    say("finish", "w2", "--failed", "--error", "stopped", "--log", "/tmp/fay.json")
    done = Path(new(repo, "w3", "--job", "docs2")["worktree"])
    ok("finish", "w3", cwd=done)
    by_hand = repo.parent / "by-hand"
    git("worktree", "add", "-q", "-b", "by-hand", by_hand, cwd=repo)
    say("worktree adopt", by_hand, "--name", "w4")
    say("worktree forget", by_hand)
    silent = Path(new(repo, "w5", "--job", "review")["worktree"])
    git(
        "-c",
        "core.hooksPath=/dev/null",
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "unseen",
        cwd=silent,
    )
    for place in (top, silent):
        _work_with_a_program(place)
    for name in ("w1", "w5"):
        say("worktree env", name)
    transcript = claude_with_subagent(repo.parent)
    rewrite_session(store, "w1", metadata={"program_sessions": [run_of(transcript)]})
    (silent / "untracked").write_text("work\n")
    subprocess.run(["git", "stash", "-q", "-u"], cwd=silent, check=True)
    # Prodigy's own sessions and queue have fields of theirs.
    queue = next((store / "dlq").glob("*/review/dlq-items.json"))
    assert json.loads(queue.read_text())["items"]


def _work_with_a_program(place: Path) -> None:
    """Have an agent program edit a file and wait for a permission."""
    session, path = place.name, str(place / "same.py")
    begin = {"source": "startup", "model": "m", "transcript_path": f"/tmp/{session}.jsonl"}
    agent("claude", "SessionStart", cwd=place, session=session, **begin)
    agent(
        "claude", "PostToolUse", cwd=place, session=session, tool_name="Edit", tool_use_id="t",
        tool_input={"file_path": path},
    )  # fmt: skip
    notice = {"notification_type": "permission_prompt", "message": "May I?"}
    agent("claude", "Notification", cwd=place, session=session, **notice)


def _set_up(repo: Path, say: Callable[..., Any]) -> None:
    """Have the repository say what a worktree needs, and trust it; it is taken back."""
    (repo / ".prodigy").mkdir()
    (repo / "prepare.sh").write_text("#!/bin/sh\n")
    text = '[setup]\nrun = ["sh prepare.sh"]\n[env]\nA = "1"\n'
    (repo / ".prodigy" / "worktree.toml").write_text(text)
    git("add", ".prodigy", "prepare.sh", cwd=repo)
    git("commit", "-q", "-m", "what a worktree needs", cwd=repo)
    say("setup trust", "--hash", say("setup show")["hash"])
    say("setup run", say("new-worktree", "w9")["session_id"])
    say("setup trust", "--revoke")


def _merge(repo: Path, say: Callable[..., Any]) -> None:
    """Merge into a branch of its own, which has a checkout: of two that conflict one is passed over."""
    git("init", "-q", "--bare", repo.parent / "remote.git", cwd=repo)
    git("remote", "add", "origin", repo.parent / "remote.git", cwd=repo)
    git("branch", "target", cwd=repo)
    git("worktree", "add", "-q", repo.parent / "checkout", "target", cwd=repo)
    for name in ("m1", "m2"):
        made = Path(new(repo, name, "--job", "merged")["worktree"])
        (made / "same").write_text(name)
        git("add", "same", cwd=made)
        git("commit", "-q", "-m", name, cwd=made)
        ok("finish", name, cwd=made)
    say("conflicts", "m1", "m2", "--into", "target")
    say("context", "m1")
    say("merge", "m1", "m2", "--into", "target", "--push", "origin", code=1)
    say("merge", "--undo", "--into", "target")
    say("publish", "m2", "--into", "target")
    git("worktree", "remove", "--force", repo.parent / "checkout", cwd=repo)
    git("remote", "remove", "origin", cwd=repo)


def _look(repo: Path, store: Path, say: Callable[..., Any]) -> None:
    log = next((store / "events").glob("*/review/*.jsonl"))
    with log.open("a") as stream:
        stream.write("no event\n")
    head = git("rev-parse", "prodigy/review/i6", cwd=repo)
    say("sessions list")
    for name in ("w1", "w2"):
        say("sessions show", name)
    say("worktree ls")
    say("worktree ls", "--all-repos")
    for name in ("w1", "w5"):
        say("worktree show", name)
    say("job list")
    say("job show", "review")
    say("logs", "w1")
    say("logs", "w1", "--keep")
    say("logs", cwd=repo.parent)
    say("job show", "review", "--items")
    say("diff", "i6")
    say("context", "w1")
    say("job show", "docs")
    say("dlq list")
    say("dlq show", "i3")
    say("dlq stats")
    say("status", "--all", "--dirty")
    for name, kind in (
        ("w1", "session"), ("i6", "item"), ("i3", "item"), ("i2", "item"), ("ana2", "agent"),
        (head, "commit"), ("i5", "item"), ("w2", "session"),
        ("held", "item"), ("i4", "item"),
    ):  # fmt: skip
        say("explain", name, "--as", kind)
    say("report", "--job", "review", "--since", "1d", "--until", "0s")
    say("report", "--job", "review")
    say("events ls", "--job", "review")
    say("events search", "hello")
    for by in ("type", "agent", "hour", "day", "item", "session", "job"):
        say("events stats", "--by", by)
    say("events query", "SELECT type, count(*) AS count FROM events GROUP BY type")
    say("otel push", "--dry-run")
    say("verify", code=1)
    say("sync")
    say("doctor")


def _remove(repo: Path, store: Path, say: Callable[..., Any]) -> None:
    say("resume", "review", "--force")
    say("clean", "--all", "--older-than", "0s", "--dry-run")
    say("worktree clean", "w3")
    say("worktree clean", "nothing", code=1)
    say("trash list", "--sizes")
    (entry,) = (store / "trash").glob("*/w3/*/entry.json")
    fields = json.loads(entry.read_text())
    entry.write_text(json.dumps({**fields, "state": "moving"}))
    for words in ("worktree ls", "worktree ls --all-repos", "status", "verify"):
        say(words.replace(" --all-repos", ""), *words.split()[2:], code=int(words == "verify"))
    say("worktree show", "w3")
    entry.write_text(json.dumps(fields))
    say("worktree restore", "w3")
    say("worktree clean", "-f", "w3")
    say("trash empty", "--yes", "w3")
    say("dlq retry", "i3")
    ok("job", "next", "--agent", "cem", "--item", "i3", cwd=repo)
    ok("job", "done", "review", "i3", "--failed", "--no-retry", "--attempt", "2", cwd=repo)
    say("dlq clear", "i3", "--yes")
    say("sessions clean", "--older-than", "0s", "--dry-run")
    say("events clean", "--older-than", "0s", "--dry-run")
    left = Path(new(repo, "left")["worktree"])
    ok("finish", "left", cwd=repo)
    git("worktree", "remove", "--force", left, cwd=repo)
    say("clean", "--older-than", "0s", "--yes")
    failed_mapreduce(store, repo)
    say("import", "--dry-run")
    say("import")
