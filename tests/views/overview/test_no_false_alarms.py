"""A thousand looks at workers that only begin and end: nobody is called dead, failed or lost."""

import json
import os
import subprocess
import sys
import types

import pytest
from support_cli import PACKAGE_PARENT, environment, ok

from prodigy_git import statusline
from prodigy_git.jobs import prodigy_runs
from prodigy_git.record import clock
from prodigy_git.store import briefs
from prodigy_git.views.overview import repositories
from prodigy_git.views.overview.memory import Memory
from prodigy_git.views.overview.repositories import Wish

LOOKS = 1000
ITEMS = 2000
ALARMS = {"dead", "failed", "stuck", "retrying"}

# Ends when its input does, so also when whoever started it is killed. Commands of git on worktrees race
# with each other inside git, and may fail.
WORKER = """
import os, select, subprocess, sys
from prodigy_git import names
from prodigy_git.jobs import claims, owner
from prodigy_git.lifecycle.finish import finish
from prodigy_git.lifecycle.new_worktree import new_worktree

store, repo, number = sys.argv[1:]
quiet = lambda _: None
done = 0
while not select.select([0], [], [], 0)[0]:
    session, done = names.fresh("agent"), done + 1
    if done % 4 == 3:  # no job, no item
        new_worktree(repo, name=session, agent=session, broken=quiet)
        finish(store, session, broken=quiet)
    else:
        held, lock = owner.hold(store, "repo", "j")
        claim = claims.claim(
            store, "repo", "j", agent=f"worker-{number}", owner=held.as_json(), worktree=session,
            broken=quiet,
        )
        made = new_worktree(
            repo, name=session, job="j", agent=claim.agent_id, item=claim.item_id,
            claimed=claim.attempt, broken=quiet,
        )
        if done % 4 == 0:
            subprocess.run(["git", "worktree", "move", made.worktree, made.worktree + "-moved"],
                           cwd=repo, check=False)
        finish(store, session, broken=quiet)
        os.close(lock)
    if done % 4 == 1:
        subprocess.run(["git", "worktree", "remove", "--force", made.worktree], cwd=repo, check=False)
        subprocess.run(["git", "branch", "-q", "-D", made.branch], cwd=repo, check=False)
print(done)
"""


@pytest.fixture
def workers(repo, store, tmp_path):
    items = tmp_path / "items.json"
    items.write_text(json.dumps(list(range(ITEMS))))
    ok("job", "start", "j", "--items", items, cwd=repo)
    some = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(store), str(repo), str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment(PYTHONPATH=PACKAGE_PARENT),
        )
        for number in range(3)
    ]  # fmt: skip
    yield some
    for one in some:
        one.kill()
        one.communicate()


def test_a_thousand_looks_at_healthy_workers(repo, store, workers, monkeypatch):
    memory = Memory(keep=True)
    wish = Wish(around=False, watched=True)
    common = prodigy_runs.common_of(str(store), "repo")
    here = types.SimpleNamespace(store=str(store), repo="repo", job="j")
    wrong, seen, done = [], set(), 0
    for _ in range(LOOKS):
        assert all(one.poll() is None for one in workers)
        sessions = briefs.read_all(str(store), wrong.append, memory.briefs)
        _, found, _ = repositories.looked_at(
            str(store), "repo", common, sessions, wish, memory, wrong.append
        )
        wrong += [one for one in found if one.state in ALARMS or one.missing]
        seen |= {one.session_id for one in found}
        line = statusline._progress(here)
        if line:  # it is being written, else
            assert line["total"] == ITEMS
            assert done <= line["done"] <= ITEMS
            assert line["failed"] == 0
            done = line["done"]
    memory.close()
    assert wrong == []
    made = [int(one.communicate("\n")[0]) for one in workers]
    assert [one.returncode for one in workers] == [0, 0, 0]
    assert min(made) > 1
    assert len(seen) > 10


def test_who_is_dead_is_called_so_at_the_first_look(repo, store, tmp_path):
    """Of two looks that find the same: what is looked at again is not put off."""
    (tmp_path / "items").write_text("1\n")
    ok("job", "start", "j", "--items", tmp_path / "items", cwd=repo)
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ok("job", "next", "j", "--owner-pid", str(gone.pid), "--agent", "a", cwd=repo)
    gone.communicate(b"\n")
    (found,) = repositories.of_store(str(store), ["repo"], Wish(), Memory(), pytest.fail)
    assert [(one.state, one.agent_id) for one in found.agents] == [("dead", "a")]
    assert found.counts["dead"] == 1


class Counted(Memory):
    """Counts how often somebody is looked at again."""

    def __init__(self):
        super().__init__()
        self.again = 0

    def look_again(self, *arguments):
        self.again += 1
        super().look_again(*arguments)


@pytest.mark.parametrize("watched", [False, True])
def test_what_only_time_makes_an_alarm_is_doubted_by_who_waits(repo, store, watched):
    """The process that began a session is gone: that means something once the session is silent."""
    begin = f"{sys.executable} -m prodigy_git new-worktree --job j --agent a --item i; exit"
    env = environment(PYTHONPATH=PACKAGE_PARENT)
    subprocess.run(["sh", "-c", begin], cwd=repo, env=env, check=True)
    memory = Counted()
    wish = Wish(watched=watched)
    (found,) = repositories.of_store(str(store), ["repo"], wish, memory, pytest.fail)
    (one,) = found.agents
    assert (one.state, one.facts.deserted) == ("running", True)
    assert bool(memory.again) is watched


@pytest.mark.parametrize("status", ["Initializing", "Running"])
def test_a_session_that_is_being_made_has_no_worktree_yet(repo, store, status):
    ok("new-worktree", "w", cwd=repo)
    path = store / "sessions" / "w.json"
    fields = json.loads(path.read_text())
    subprocess.run(["git", "worktree", "remove", "--force", "w"], cwd=repo, check=True)
    fields.update(status=status, updated_at=clock.stamp(clock.now()))
    fields["metadata"]["worktree_path"] = f"{repo}/no/such/folder"  # out of sight
    path.write_text(json.dumps(fields))
    states = []
    for limit in (10**12, 0):
        wish = Wish(stuck_after=limit)
        (found,) = repositories.of_store(str(store), ["repo"], wish, Memory(), pytest.fail)
        (one,) = found.agents
        states.append(one.state)
    assert states == (["idle", "dead"] if status == "Initializing" else ["dead", "dead"])
    assert os.path.isdir(repo)
