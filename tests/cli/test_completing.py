"""What a TAB offers: of every option and argument that takes a name, from a store in any state."""

import json
import os
import subprocess
import sys

import click
import pytest
from click.shell_completion import BashComplete, ShellComplete
from support_cli import environment, new, ok, snapshot, write_log

from prodigy_git import layout
from prodigy_git.cli import cli
from prodigy_git.cli.lazy import LazyGroup
from prodigy_git.model.known_events import KNOWN

SUBJECTS = {"job", "session", "agent", "item", "type", "id_", "name", "names", "kind", "items",
            "item_id"}  # fmt: skip
NOT_STORED = {
    # What gets a name here has none yet, or is a file.
    ("new-worktree", "name"), ("worktree adopt", "name"), ("job start", "name"),
    ("job start", "source"), ("hub init", "role"),
}  # fmt: skip


def commands(command=cli, path=()):
    """Yield (path, command) of every command there is."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            yield from commands(command.get_command(ctx, name), (*path, name))


def offered(*words):
    """Return the names that are offered for the last word."""
    shell = ShellComplete(cli, {}, "prodigy-git", "_PRODIGY_GIT_COMPLETE")
    return [one.value for one in shell.get_completions(list(words[:-1]), words[-1])]


def test_every_parameter_that_takes_a_name_has_a_completion():
    bare = []
    seen = 0
    for path, command in commands():
        for param in command.params:
            named = param.name in SUBJECTS or (param.metavar or "").strip("[].") in (
                "JOB", "SESSION", "AGENT", "ITEM", "TYPE", "ID", "NAME",
            )  # fmt: skip
            if not named or (path, param.name) in NOT_STORED or getattr(param, "is_flag", False):
                continue
            seen += 1
            if param._custom_shell_complete is None and not isinstance(param.type, click.Choice):
                bare.append((path, param.name))
    assert bare == []
    assert seen > 50


def test_the_short_helps_are_those_of_the_commands():
    groups = [(path, one) for path, one in commands() if isinstance(one, LazyGroup)]
    assert len(groups) >= 3
    for path, group in groups:
        ctx = click.Context(group)
        own = {name: group.get_command(ctx, name).get_short_help_str(1000) for name in group.where}
        assert group.short == own, path


def test_every_parameter_that_takes_a_file_or_a_ref_has_a_completion():
    kinds = {}
    for path, command in commands():
        for param in command.params:
            wanted = (param.metavar or "").split("|")[0].strip("[]")
            if wanted in ("FILE", "PATH", "REF") or param.name == "path":
                assert param._custom_shell_complete is not None, (path, param.name)
                offer = param.shell_complete(click.Context(command), "x")
                kinds[path, param.name] = [one.type for one in offer]
    assert kinds["job start", "source"] == kinds["finish", "log_path"] == ["file"]
    assert kinds["worktree adopt", "path"] == kinds["worktree restore", "to"] == ["dir"]
    assert len(kinds) >= 10


def test_refs_are_offered_where_a_commit_is_wanted(repo, git, monkeypatch):
    monkeypatch.chdir(repo)
    for name in ("feature/one", "feature/deep/two", "-x", "a;b"):
        git("update-ref", f"refs/heads/{name}", "HEAD", cwd=repo)
    git("tag", "v1", cwd=repo)
    git("update-ref", "refs/remotes/origin/main", "HEAD", cwd=repo)
    everything = ["HEAD", "feature/deep/two", "feature/one", "main", "origin/main", "v1"]
    assert offered("new-worktree", "--base", "") == everything
    assert offered("run", "--base", "fea") == ["feature/deep/two", "feature/one"]
    assert offered("run", "--base", "feature/o") == ["feature/one"]
    assert offered("run", "--base", "or") == ["origin/main"]
    assert offered("run", "--base", "f*") == []
    monkeypatch.chdir("/")
    assert offered("run", "--base", "") == []


def test_the_help_of_a_group_is_what_click_makes_of_its_commands():
    for path, group in commands():
        if isinstance(group, LazyGroup):
            ctx = click.Context(group, info_name=path or "prodigy-git", terminal_width=70)
            ours, clicks = ctx.make_formatter(), ctx.make_formatter()
            group.format_commands(ctx, ours)
            click.Group.format_commands(group, ctx, clicks)
            assert ours.getvalue() == clicks.getvalue()


@pytest.fixture
def job(repo):
    """Start a job of four items: two pending, one in progress, one in the queue."""
    given = json.dumps([{"id": f"item-{n}"} for n in range(4)])
    (repo.parent / "items.json").write_text(given)
    ok("job", "start", "review", "--items", repo.parent / "items.json", cwd=repo)
    for agent in ("agent-a", "agent-b"):
        item = ok("job", "next", "review", "--agent", agent, cwd=repo).json["item_id"]
    ok("job", "done", "review", item, "--failed", "--no-retry", cwd=repo)
    return "review"


def test_jobs_sessions_worktrees_agents_items_types(repo, job, monkeypatch):
    monkeypatch.chdir(repo)
    new(repo, "wt-1", "--job", "review")
    new(repo, "wt-2", "--job", "other")
    ok("finish", "wt-2", cwd=repo)
    ok("worktree", "clean", "wt-2", cwd=repo)
    assert offered("events", "ls", "--job", "") == ["other", "review"]
    assert offered("job", "show", "rev") == ["review"]
    assert offered("job", "show", "repo/") == ["repo/other", "repo/review"]
    assert offered("events", "ls", "--session", "wt") == ["wt-1", "wt-2"]
    assert offered("verify", "--session", "wt-2") == ["wt-2"]
    assert offered("finish", "wt") == ["wt-1", "wt-2"]
    assert offered("worktree", "show", "") == ["wt-1"]
    assert offered("worktree", "restore", "") == ["wt-2"]
    assert offered("trash", "empty", "") == ["wt-2"]
    assert offered("trash", "empty", "wt-2", "") == []
    assert offered("events", "ls", "--agent", "") == ["agent-a", "agent-b"]
    assert offered("events", "ls", "--item", "item-") == [f"item-{n}" for n in range(4)]
    assert offered("job", "next", "review", "--item", "") == ["item-2", "item-3"]
    assert offered("job", "done", "review", "") == ["item-0"]
    assert offered("dlq", "show", "--job", "review", "") == ["item-1"]
    assert offered("dlq", "retry", "--job", "review", "item-1", "") == []
    assert offered("events", "ls", "--type", "AgentC") == ["AgentCompleted"]
    assert set(offered("events", "ls", "--type", "")) == set(KNOWN)
    assert offered("resume", "") == ["other", "review", "wt-1", "wt-2"]
    assert {"wt-1", "item-0", "agent-a"} <= set(offered("explain", ""))
    assert offered("explain", "--as", "co") == ["commit"]
    assert offered("sessions", "list", "--status", "Can") == ["Cancelled"]
    assert offered("jo") == ["job"]
    assert "--all-jobs" in offered("events", "ls", "--a")


def test_items_are_those_of_the_job_that_is_meant(repo, job, monkeypatch):
    monkeypatch.chdir(repo)
    (repo.parent / "more.json").write_text('[{"id": "else"}]')
    ok("job", "start", "another", "--items", repo.parent / "more.json", cwd=repo)
    assert offered("events", "ls", "--item", "") == ["else", *(f"item-{n}" for n in range(4))]
    assert offered("events", "ls", "--job", "another", "--item", "") == ["else"]
    assert offered("job", "next", "repo/another", "--item", "") == ["else"]
    monkeypatch.setenv("PRODIGY_JOB_ID", "another")
    assert offered("run", "--item", "") == ["else"]
    monkeypatch.delenv("PRODIGY_JOB_ID")
    subprocess.run(["git", "config", "prodigy.job", "another"], cwd=repo, check=True)
    assert offered("run", "--item", "") == ["else"]
    monkeypatch.chdir(new(repo, "wt", "--job", "review")["worktree"])
    assert offered("run", "--item", "") == ["item-2", "item-3"]


def test_agents_and_items_of_a_job_that_has_no_index(repo, store, monkeypatch):
    monkeypatch.chdir(new(repo, "wt", "--job", "logged")["worktree"])
    event = {"type": "ClaudeMessage", "agent_id": "ann", "item_id": "i-1", "content": "x"}
    hostile = {**event, "agent_id": "b\x1b[2J", "item_id": "$(touch x)"}
    lines = [json.dumps(one, separators=(",", ":")) for one in (event, hostile)]
    write_log(store, "repo", "logged", "events-20300101.jsonl", *lines)
    assert offered("events", "ls", "--agent", "") == ["ann"]
    assert offered("events", "ls", "--item", "") == ["i-1"]


def test_outside_of_a_repository_there_is_what_the_store_has(repo, job, tmp_path, monkeypatch):
    new(repo, "wt", "--job", "review")
    monkeypatch.chdir(tmp_path)
    assert offered("events", "ls", "--job", "") == ["review"]
    assert offered("sessions", "show", "") == ["wt"]
    assert offered("worktree", "path", "") == ["wt"]
    assert offered("events", "ls", "--job", "review", "--item", "item-0") == ["item-0"]


def test_names_that_a_shell_would_take_for_something_else_are_not_offered(repo, store, monkeypatch):
    monkeypatch.chdir(repo)
    made = new(repo, "wt")["worktree"]
    folder = os.path.dirname(made)
    for name in ("a b", "$(touch pwned)", "*", "-rf", "new\nline", "\x1b[2J"):
        os.mkdir(f"{folder}/{name}")
        (store / "sessions" / f"{name}.json").write_text("{}")
        os.makedirs(f"{store}/events/repo/{name}")
        os.makedirs(f"{store}/trash/repo/{name}/20250101T000000.000000Z")
    assert offered("worktree", "show", "") == ["wt"]
    assert offered("sessions", "show", "") == ["wt"]
    assert offered("events", "ls", "--job", "") == ["wt"]
    assert offered("worktree", "restore", "") == []


DAMAGE = {
    "no store": lambda store: None,
    "a file in its place": lambda store: store.write_text("x"),
    "files in place of its folders": lambda store: [
        (store / name).write_text("x")
        for name in ("sessions", "events", "state", "trash", "worktrees")
        if not store.mkdir(exist_ok=True)
    ],
    "documents that are none": lambda store: [
        path.parent.mkdir(parents=True) or path.write_bytes(b"\xff{")
        for path in (
            store / "state" / "repo" / "repository.json",
            store / "state" / "repo" / "mapreduce" / "jobs" / "j" / "index.sqlite",
            store / "events" / "repo" / "j" / "events-20250101.jsonl",
            store / "sessions" / "s.json",
        )
    ],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_store_makes_no_completion_fail(damage, repo, store, monkeypatch, capfd):
    monkeypatch.chdir(repo)
    damage(store)
    for path, command in commands():
        for param in command.params:
            if param._custom_shell_complete is None:
                continue
            ctx = click.Context(command, info_name=path)
            param.shell_complete(ctx, "")
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_is_gone(repo, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert offered("sessions", "show", "") == []
    assert offered("jo") == ["job"]


def completed(words, cwd, **more):
    """Complete as the script of bash does: in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "prodigy_git"], cwd=cwd, capture_output=True, text=True, check=False,
        env=environment(
            COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1),
            _PRODIGY_GIT_COMPLETE="bash_complete", **more,
        ),
    )  # fmt: skip


def test_a_completion_writes_nothing_and_says_nothing_on_stderr(repo, job, store):
    new(repo, "wt", "--job", "review")
    before = snapshot(store, repo)
    for words in (
        ("worktree", "show", ""), ("events", "ls", "--item", ""), ("dlq", "show", ""),
        ("resume", ""), ("finish", "--failed", "--error", ""),
    ):  # fmt: skip
        done = completed(("prodigy-git", *words), repo)
        assert (done.returncode, done.stderr) == (0, "")
    assert snapshot(store, repo) == before
    assert completed(("prodigy-git", "finish", "w"), repo).stdout == "plain,wt\n"


def test_what_completing_the_name_of_a_command_imports(repo):
    program = (
        "import os, sys; leave = os._exit\n"
        "os._exit = lambda n: (sys.stdout.write(chr(10).join(sys.modules)), sys.stdout.flush(),"
        " leave(n))\n"
        "from prodigy_git.__main__ import main; main()"
    )
    for words, allowed in (
        (("prodigy-git", "work"), set()),
        (("prodigy-git", "worktree", "show", ""), {"worktrees", "worktree_show"}),
        (("prodigy-git", "sessions", "show", ""), {"sessions", "when"}),
        (("prodigy-git", "events", "ls", "--type", ""), {"events", "when", "filters"}),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=repo, capture_output=True, text=True, check=True,
            env=environment(
                COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1),
                _PRODIGY_GIT_COMPLETE="bash_complete",
            ),
        )  # fmt: skip
        found = set(done.stdout.split("\n"))
        mine = {
            name.removeprefix("prodigy_git.cli.")
            for name in found
            if name.startswith("prodigy_git.cli.")
        }
        assert mine - {"lazy", "output", "completing"} == allowed
        assert not found & {"pydantic", "git", "msgspec", "rich", "psutil"}


def test_bash_gets_what_its_script_expects(repo, monkeypatch):
    monkeypatch.chdir(repo)
    new(repo, "wt")
    monkeypatch.setenv("COMP_WORDS", "prodigy-git finish w")
    monkeypatch.setenv("COMP_CWORD", "2")
    shell = BashComplete(cli, {}, "prodigy-git", "_PRODIGY_GIT_COMPLETE")
    assert shell.complete() == "plain,wt"
    assert layout.session(os.environ["PRODIGY_HOME"], "wt").endswith("wt.json")
