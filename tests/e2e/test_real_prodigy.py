"""The real Prodigy and ours on one store, in turns: neither is worse off than alone, nothing is lost.

Prodigy is built from its registry once (tests/real_prodigy/build.py, which `make test` calls). Its
agent is a stand-in on PATH. A second program reads with Prodigy's own types what ours has written.
"""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support_cli import call, new, ok
from support_records import all_kinds

from prodigy_git.views import exporting

sys.path.insert(0, str(Path(__file__).parents[1] / "real_prodigy"))
import build

# Found before the test's HOME is another one.
BUILT = build.programs()
pytestmark = pytest.mark.skipif(
    BUILT is None,
    reason="Prodigy is not built here: 'make test' says why, and builds it where it can",
)
PATIENCE = 120

AGENT = """\
#!/bin/sh
# Stands in for the agent: does "/work WHAT", and merges when Prodigy asks it to.
for last; do :; done
set -- $last
case $1 in
/work)
    case $2 in
    bad) echo "no luck" >&2; exit 3;;
    slow) exec 3<{top}/hold; echo begun >{top}/begun; exec cat <&3;;
    esac
    echo "$2" >"done-$2.txt"
    git add "done-$2.txt" && git commit -qm "work on $2";;
/prodigy-merge-worktree)
    [ ! -e {top}/no-merge ] && git -C {top}/repo merge -q --no-edit "$2" >&2;;
esac
"""
WORKFLOW = """\
name: {name}
mode: mapreduce
map:
  input: {name}.json
  json_path: "$.items[*]"
  agent_template:
    - claude: "/work ${{item.f}}"
      commit_required: true
  max_parallel: 1
  continue_on_failure: true
reduce:
  - shell: "echo reduced >{name}.txt && git add {name}.txt && git commit -qm reduced-{name}"
"""


class World:
    """A repository, a store, and both programs."""

    def __init__(self, top, repo, git, store):
        self.top, self.repo, self.git, self.store = top, repo, git, store
        self.prodigy, self.reader = BUILT
        self.over = 0
        """The second in which the last run was over."""
        for name in ("begun", "hold"):
            os.mkfifo(top / name)
        tools = top / "bin"
        tools.mkdir()
        (tools / "claude").write_text(AGENT.format(top=top))
        (tools / "claude").chmod(0o755)
        self.environ = {
            **os.environ, "HOME": str(store.parent),
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip
        self.begun = os.open(top / "begun", os.O_RDONLY | os.O_NONBLOCK)
        self.hold = os.open(top / "hold", os.O_RDWR)

    def workflow(self, name, *words):
        """Write a workflow of one item for each word, and commit its input; return its path."""
        items = [{"id": f"{name}-{n}", "f": word} for n, word in enumerate(words)]
        (self.repo / f"{name}.json").write_text(json.dumps({"items": items}))
        self.git("add", f"{name}.json", cwd=self.repo)
        self.git("commit", "-qm", f"items of {name}", cwd=self.repo)
        path = self.top / f"{name}.yml"
        path.write_text(WORKFLOW.format(name=name))
        return path

    def start(self, *arguments):
        if arguments[0] == "run":
            # Prodigy calls a run after its second: two of one second would have the same branches.
            while int(time.time()) <= self.over:
                time.sleep(0.05)
        return subprocess.Popen(
            [self.prodigy, *arguments], cwd=self.repo, env=self.environ, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *arguments):
        """Run a command of Prodigy's; return its status and what it said."""
        done = self.start(*arguments)
        try:
            said, _ = done.communicate(timeout=PATIENCE)
        finally:
            done.kill()
        self.over = int(time.time())
        return done.returncode, said

    def interrupt(self, workflow):
        """Run a workflow until its slow agent has begun, and interrupt it as Ctrl-C does."""
        running = self.start("run", workflow, "-y")
        try:
            assert select.select([self.begun], [], [], PATIENCE)[0], "the slow agent never began"
            running.send_signal(signal.SIGINT)
            said, _ = running.communicate(timeout=PATIENCE)
        finally:
            running.kill()
            # The agent goes on without Prodigy until nobody holds this open any more.
            os.close(self.hold)
            os.close(self.begun)
        assert running.returncode == 130, said

    def taken(self, kind, path):
        """Have Prodigy's own types read a file; return what they have read."""
        done = subprocess.run(
            [self.reader, kind, path], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def world(tmp_path, sealed, repo, git, monkeypatch):
    # Prodigy's place is fixed.
    monkeypatch.setenv("PRODIGY_HOME", str(sealed / ".prodigy"))
    return World(tmp_path, repo, git, sealed / ".prodigy")


def test_its_reader_takes_every_record_of_an_export(tmp_path, world):
    events = list(all_kinds())
    path = tmp_path / "events.jsonl"
    path.write_text("".join(exporting.prodigy(events)))
    assert len(world.taken("event", path)) == len(events)


def test_its_readers_take_what_a_job_of_ours_leaves(world, repo, store):
    """Sessions with their job's totals, mappings, the queue, our worktrees, and the export."""
    items = world.top / "items.json"
    items.write_text(json.dumps([{"id": f"i{n}", "word": w} for n, w in enumerate("abcd")]))
    ok("job", "start", "ours", "--items", items, "--max-attempts", "1", cwd=repo)
    work = "case $PRODIGY_ITEM_ID in i3) exit 7;; esac; git commit -q --allow-empty -m work"
    call("run", "--job", "ours", "--next", "--", "sh", "-c", work, cwd=repo)
    ok("job", "phase", "ours", "reduce", "--output", "merged=3", cwd=repo)
    ok("job", "finish", "ours", cwd=repo)
    store = world.store
    sessions = sorted((store / "sessions").glob("agent-*.json"))
    assert len(sessions) == 4
    for path in sessions:
        (taken,) = world.taken("session", path)
        data = taken["mapreduce_data"]
        assert (data["total_items"], data["processed_items"], data["failed_items"]) == (4, 3, 1)
        assert (data["phase"], data["reduce_results"]) == ("Complete", {"merged": "3"})
        (mapped,) = world.taken("mapping", store / f"state/repo/mappings/{path.stem}.json")
        assert (mapped["session_id"], mapped["job_id"]) == (path.stem, "ours")
    (mapped,) = world.taken("mapping", store / "state/repo/mappings/ours.json")
    assert mapped["session_id"] in {path.stem for path in sessions}
    new(repo, "mine")
    (state,) = world.taken("worktree", store / "worktrees/repo/.metadata/mine.json")
    assert (state["session_id"], state["branch"]) == ("mine", "prodigy-mine")
    (queued,) = world.taken("queued", store / "dlq/repo/ours/dlq-items.json")
    assert (queued["item_id"], queued["item_data"]) == ("i3", {"id": "i3", "word": "d"})
    (failure,) = queued["failure_history"]
    assert failure["error_type"] == {"CommandFailed": {"exit_code": 7}}
    exported = world.top / "export.jsonl"
    ok("events", "export", "--job", "ours", "--format", "prodigy", "-o", exported, cwd=repo)
    kinds = {one["event"]["event_type"] for one in world.taken("event", exported)}
    assert {"job_started", "agent_completed", "d_l_q_item_added", "job_completed"} <= kinds


def of_prodigy(store):
    """Return what Prodigy itself has written: {path: its bytes}; not what is in worktrees."""
    found = {}
    for path in sorted(store.rglob("*")):
        name = str(path.relative_to(store))
        first = name.split("/")[0]
        own = (
            (first in ("dlq", "events", "state") and re.match(r"[a-z]+/(session|workflow)-", name))
            or re.match(r"worktrees/[^/]+/(\.metadata/|\.gitignore$)", name)
            or re.match(r"sessions/session-[0-9a-f]{8}-[0-9a-f-]{27}\.json$", name)
        )
        if own and path.is_file():
            found[name] = path.read_bytes()
    return found


def refs(repo, git):
    return dict(reversed(line.split()) for line in git("show-ref", cwd=repo).splitlines())


def test_a_failed_and_an_interrupted_run_in_turns(world, repo, git):
    ok("install", cwd=repo)
    failing = world.workflow("first", "one", "bad", "three")
    stopped = world.workflow("second", "four", "slow", "six")
    (world.top / "no-merge").touch()
    code, said = world.run("run", failing, "-y")
    assert code != 0, said
    world.interrupt(stopped)
    (world.top / "no-merge").unlink()
    store = world.store
    written = of_prodigy(store)
    there = refs(repo, git)
    jobs = {
        name.split("/")[2]: name.split("/")[1]
        for name in written
        if re.match("events/session-[0-9a-f]{8}-", name)
    }
    first, second = sorted(jobs)
    folder = store / "worktrees" / "repo"

    def log(session):
        return git("log", "--format=%s", f"prodigy-{session}", cwd=repo).splitlines()

    # Ours looks, and cleans.
    for command in (
        ["status"], ["sessions", "list"], ["worktree", "ls"], ["verify"], ["report"], ["job", "list"],
        ["job", "show", first], ["job", "show", second], ["doctor"],
        ["explain", "item_1", "--job", first],
        ["events", "ls", "--job", first], ["clean", "--dry-run"], ["clean", "--yes"],
        ["clean", "--all", "--yes"],
    ):  # fmt: skip
        ok(*command, cwd=repo)
    listed = {one["job_id"]: one for one in ok("job", "list", "--json", cwd=repo).json}
    assert (listed[first]["completed"], listed[first]["dead"]) == (2, 1)
    # Its agents begin in an order of their own.
    done = [name for name in ("four", "six") if f"work on {name}" in log(jobs[second])]
    assert listed[second]["completed"] == len(done)
    (queued,) = ok("dlq", "list", "--job", first, "--json", cwd=repo).json
    assert queued["item_id"] == "item_1"
    names = {Path(one["worktree"]).name for one in ok("worktree", "ls", "--json", cwd=repo).json}
    assert set(jobs.values()) <= names
    assert of_prodigy(store) == written
    assert refs(repo, git).items() >= there.items()

    # Its commits are recorded, each once, in the job that Prodigy has for them.
    for job, words in ((first, ["one", "three"]), (second, done)):
        told = ok("events", "ls", "--job", job, "--type", "CommitCreated", "--json", cwd=repo).out
        made = [json.loads(line) for line in told.splitlines()]
        found = sorted(one["subject"] for one in made if one["subject"].startswith("work on"))
        assert found == [f"work on {word}" for word in words]
        assert len({one["commit"] for one in made}) == len(made)

    # Ours takes over what Prodigy left, and goes on: twice is once, and Prodigy's files stay.
    run = folder / jobs[first]
    told = ok("import", "--dry-run", cwd=repo).out
    assert f"{first}: would be taken over" in told
    ok("import", cwd=repo)
    assert "nothing to do" in ok("import", first, cwd=repo).out
    ok("import", second, "--items", repo / "second.json", "--json-path", "$.items[*]", cwd=repo)
    assert of_prodigy(store) == written
    ok("dlq", "retry", "--job", first, "item_1", "--force", cwd=repo)
    work = (
        'echo again >"again-$PRODIGY_ITEM_ID"; git add .; git commit -qm "again $PRODIGY_ITEM_ID"'
    )
    for job in (first, second):
        base = f"prodigy-{jobs[job]}"
        ok("run", "--job", job, "--base", base, "--next", "--", "sh", "-c", work, cwd=repo)
        ok("job", "finish", job, cwd=repo)
        state = ok("job", "show", job, "--json", cwd=repo).json
        assert (state["completed"], state["total_items"], state["status"]) == (3, 3, "completed")

    # A worktree of Prodigy's is cleaned, and restored.
    (run / "not-committed").write_text("kept")
    ok("worktree", "clean", "-f", run.name, cwd=repo)
    assert not run.exists()
    ok("worktree", "restore", run.name, cwd=repo)
    assert (run / "not-committed").read_text() == "kept"
    (run / "not-committed").unlink()
    assert of_prodigy(store) == written

    # Prodigy goes on: it lists, merges and cleans, ours among them.
    ours = new(repo, "ours")
    code, said = world.run("worktree", "ls")
    assert code == 0, said
    assert all(name in said for name in (*jobs.values(), "ours"))
    code, said = world.run("worktree", "merge", run.name)
    assert code == 0, said
    tree = git("ls-tree", "--name-only", "main", cwd=repo).split()
    assert {"done-one.txt", "done-three.txt", "first.txt"} <= set(tree)
    (Path(ours["worktree"]) / "mine").write_text("x")
    git("add", "mine", cwd=ours["worktree"])
    git("commit", "-qm", "mine", cwd=ours["worktree"])
    code, said = world.run("worktree", "merge", "ours")
    assert code == 0, said
    assert "mine" in git("ls-tree", "--name-only", "main", cwd=repo).split()

    # Nothing is lost: each commit that ever was is in a branch, or in what ours keeps.
    known = set(git("rev-list", "--all", "--reflog", cwd=repo).split())
    for sha in there.values():
        assert sha in known or git("cat-file", "-t", sha, cwd=repo) != "commit"
    ok("verify", cwd=repo)


@pytest.mark.parametrize("hooks", [False, True], ids=["no hooks", "hooks"])
def test_what_it_left_goes_on_here_and_is_its_own_all_the_same(world, repo, git, hooks):
    if hooks:
        ok("install", cwd=repo)
    failing = world.workflow("first", "one", "bad", "three")
    stopped = world.workflow("second", "four", "slow", "six")
    (world.top / "no-merge").touch()
    world.run("run", failing, "-y")
    world.interrupt(stopped)
    (world.top / "no-merge").unlink()
    store = world.store
    before, there = of_prodigy(store), refs(repo, git)
    dry = {one["job_id"]: one for one in ok("import", "--dry-run", "--json", cwd=repo).json["runs"]}
    first, second = sorted(dry)
    assert (dry[first]["completed"], dry[first]["dead"]) == (2, 1)
    assert "item_1" in [one["item_id"] for one in dry[second]["items"]]
    assert of_prodigy(store) == before
    ok("import", first, cwd=repo)
    words = ("import", second, "--items", repo / "second.json", "--json-path", "$.items[*]")
    ok(*words, cwd=repo)
    assert "nothing to do" in ok("import", first, cwd=repo).out
    assert "nothing to do" in ok(*words, cwd=repo).out
    assert of_prodigy(store) == before
    assert refs(repo, git).items() >= there.items()

    # It goes on here: what failed, what was interrupted, and what never ran.
    ok("dlq", "retry", "item_1", "--job", first, "--force", cwd=repo)
    work = 'echo "$PRODIGY_ITEM" >again-$PRODIGY_ITEM_ID; git add -A; git commit -qm again'
    for job in (first, second):
        (branch,) = [one["branch"] for one in dry.values() if one["job_id"] == job]
        ok("run", "--job", job, "--base", branch, "--next", "--", "sh", "-c", work, cwd=repo)
        shown = ok("job", "show", job, "--json", cwd=repo).json
        assert (shown["completed"], shown["total_items"]) == (3, 3)
        ok("resume", job, cwd=repo)
        ok("job", "finish", job, cwd=repo)
    listed = [one["job_id"] for one in ok("job", "list", "--json", cwd=repo).json]
    assert (listed.count(first), listed.count(second)) == (1, 1)
    told = ok("explain", "item_1", "--job", second, "--json", cwd=repo).json
    assert told["data"] == {"id": "second-1", "f": "slow"}
    ok("verify", cwd=repo)

    # And Prodigy does with it what it would have done: it lists, merges and cleans.
    code, said = world.run("worktree", "ls")
    assert code == 0, said
    for one in dry.values():
        assert one["session_id"] in said
        code, merged = world.run("worktree", "merge", one["session_id"])
        assert code == 0, merged
    tree = git("ls-tree", "--name-only", "main", cwd=repo).split()
    assert {"done-one.txt", "done-three.txt", "first.txt"} <= set(tree)
    code, said = world.run("worktree", "clean", "--all")
    assert code == 0, said
    assert ok("verify", cwd=repo).code == 0
    assert "nothing to do" in ok("import", cwd=repo).out
